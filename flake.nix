{
  description = "Builds container images twice without a network, compares them and signs what it saw";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      forEach = make:
        nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      manifest = (nixpkgs.lib.importTOML ./Cargo.toml).workspace.package;
    in
    {
      packages = forEach (pkgs: {
        default = pkgs.rustPlatform.buildRustPackage {
          pname = "repro";
          inherit (manifest) version;
          src = self;
          cargoLock.lockFile = ./Cargo.lock;
          cargoBuildFlags = [ "--package" "repro" ];
          # The tests need namespaces, which the build sandbox does not give; `tests/run` runs them.
          doCheck = false;
          nativeBuildInputs = [ pkgs.installShellFiles ];
          postInstall = ''
            installShellCompletion --cmd repro \
              --bash <($out/bin/repro completions bash) \
              --fish <($out/bin/repro completions fish) \
              --zsh <($out/bin/repro completions zsh)
            $out/bin/repro man > repro.1
            installManPage repro.1
          '';
          meta = {
            description = "Hermetic, reproducible builds of container images";
            license = pkgs.lib.licenses.asl20;
            mainProgram = "repro";
            platforms = systems;
          };
        };
      });

      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
          packages = [
            pkgs.cargo
            pkgs.cargo-deny
            pkgs.clippy
            pkgs.podman
            pkgs.runc
            pkgs.rustc
            pkgs.rustfmt
            pkgs.shadow
            pkgs.skopeo
            pkgs.umoci
          ];
        };
      });
    };
}
