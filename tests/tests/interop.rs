//! Images and evidence in the hands of other programs: podman and runc, skopeo, umoci, tar, and
//! two libraries that verify Sigstore bundles.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test panics where the test fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use repro_core::fs::sorted_names;
use repro_tests::{Pack, Repro, TestContext, require_root, root, target, tool};
use serde_json::Value;

/// The image of zlib, built once for a test, in each form.
struct Zlib {
    context: TestContext,
    digest: String,
}

impl Zlib {
    fn build(outputs: &[&str]) -> Self {
        let context = TestContext::new();
        let project = context.example("zlib");
        let (mut build, evidence) = context.build(&project);
        for output in outputs {
            build = build.args(["-o", &format!("{output}:{}", Self::file(&context, output))]);
        }
        build.args(["-t", "test/zlib:interop"]).run().exits(0);
        let digest = Pack::read(&evidence).digest().to_owned();
        Self { context, digest }
    }

    fn file(context: &TestContext, transport: &str) -> String {
        context
            .path(&format!("{transport}.out"))
            .display()
            .to_string()
    }

    fn path(&self, transport: &str) -> String {
        Self::file(&self.context, transport)
    }
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output: Output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {output:?}");
    text
}

/// podman with a storage of its own, and runc.
fn podman(context: &TestContext) -> Command {
    let mut podman = Command::new(tool("podman"));
    podman
        .arg("--root")
        .arg(context.path("podman"))
        .arg("--runroot")
        .arg(context.path("podman-run"))
        .arg("--tmpdir")
        .arg(context.path("podman-tmp"))
        .args(["--storage-driver", "vfs", "--runtime", "runc"])
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    podman
}

#[test]
fn privileged_podman_loads_and_runs_the_image_in_both_archive_forms() {
    require_root();
    let zlib = Zlib::build(&["docker-archive", "oci-archive"]);
    for transport in ["docker-archive", "oci-archive"] {
        let source = format!("{transport}:{}", zlib.path(transport));
        let pulled = succeeds(podman(&zlib.context).args(["pull", "--quiet", &source]));
        let image = pulled.trim();
        let run = |entrypoint: &[&str], args: &[&str]| {
            let mut podman = podman(&zlib.context);
            podman.args(["run", "--rm", "--network", "none", "--log-driver", "none"]);
            // Below what any machine allows: a container in a container may raise nothing.
            podman.args([
                "--ulimit",
                "nofile=1024:1024",
                "--ulimit",
                "nproc=1024:1024",
            ]);
            succeeds(podman.args(entrypoint).arg(image).args(args))
        };
        // What the image is for: its own program packs, busybox unpacks.
        let script = "echo built twice | minigzip | gunzip && test -x /usr/bin/minigzip && id -u";
        assert_eq!(
            run(&["--entrypoint", "/bin/sh"], &["-c", script]),
            "built twice\n0\n",
            "{transport}"
        );
        let config = succeeds(podman(&zlib.context).args(["image", "inspect", image]));
        let config: Value = serde_json::from_str(&config).unwrap();
        assert_eq!(
            config[0]["Config"]["Entrypoint"],
            serde_json::json!(["minigzip"])
        );
        assert_eq!(
            config[0]["Labels"]["org.opencontainers.image.title"],
            "zlib"
        );
    }
}

#[test]
fn skopeo_and_umoci_read_the_layout() {
    let zlib = Zlib::build(&["oci"]);
    let layout = zlib.path("oci");
    let inspected =
        succeeds(Command::new(tool("skopeo")).args(["inspect", &format!("oci:{layout}")]));
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], zlib.digest);
    assert_eq!(inspected["Os"], "linux");
    // The layout of the pack is the same image.
    let pack = zlib
        .context
        .path("zlib-evidence/image")
        .display()
        .to_string();
    let inspected =
        succeeds(Command::new(tool("skopeo")).args(["inspect", &format!("oci:{pack}")]));
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(inspected["Digest"], zlib.digest);
    // skopeo checks each blob that it copies.
    let copy = zlib.context.path("copy").display().to_string();
    succeeds(Command::new(tool("skopeo")).args([
        "copy",
        "--quiet",
        "--insecure-policy",
        &format!("oci:{layout}"),
        &format!("oci:{copy}:copied"),
    ]));
    let index: Value =
        serde_json::from_slice(&fs::read(Path::new(&copy).join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], zlib.digest);

    let bundle = zlib.context.path("bundle");
    let mut umoci = Command::new(tool("umoci"));
    umoci.args(["unpack", "--image", &format!("{copy}:copied")]);
    if fs::metadata("/proc/self")
        .map(|own| std::os::unix::fs::MetadataExt::uid(&own))
        .unwrap()
        != 0
    {
        umoci.arg("--rootless");
    }
    succeeds(umoci.arg(&bundle));
    assert!(bundle.join("rootfs/usr/bin/minigzip").is_file());
    // umoci compares the tree with what the layers say: nothing may be left to add.
    let repacked = Command::new(tool("umoci"))
        .args(["stat", "--json", "--image", &format!("{copy}:copied")])
        .output()
        .unwrap();
    assert!(repacked.status.success());
}

/// Each way out of the store and back in again is the same image.
#[test]
fn every_transport_leads_back_to_the_same_image() {
    let zlib = Zlib::build(&[]);
    for transport in ["oci", "oci-archive"] {
        let place = format!("{transport}:{}", zlib.path(transport));
        zlib.context
            .repro(["export", "test/zlib:interop", &place])
            .run()
            .exits(0);
        let name = format!("test/back:{transport}");
        zlib.context.repro(["import", &place, &name]).run().exits(0);
        let back = zlib
            .context
            .repro(["inspect", "--json", &name])
            .run()
            .exits(0);
        assert!(back.stdout.contains(&zlib.digest), "{back}");
    }
    // Loses the manifest by its nature, and keeps configuration and layers.
    let place = format!("docker-archive:{}", zlib.path("docker-archive"));
    zlib.context
        .repro(["export", "test/zlib:interop", &place])
        .run()
        .exits(0);
    zlib.context
        .repro(["import", &place, "test/back:docker"])
        .run()
        .exits(0);
    let of = |name: &str| {
        let json = zlib
            .context
            .repro(["inspect", "--json", name])
            .run()
            .exits(0)
            .json();
        json["config"]["rootfs"]["diff_ids"].clone()
    };
    assert!(of("test/back:docker").is_array());
    assert_eq!(of("test/back:docker"), of("test/zlib:interop"));
}

#[test]
fn gnu_tar_and_python_read_the_layers_alike() {
    let zlib = Zlib::build(&["rootfs"]);
    let tar = zlib.path("rootfs");
    let names = succeeds(Command::new(tool("tar")).args(["-tf", &tar]));
    let script = "import sys, tarfile\nfor member in tarfile.open(sys.argv[1]):\n    print(member.name + ('/' if member.isdir() else ''))";
    let python = succeeds(Command::new(tool("python3")).args(["-c", script, &tar]));
    assert_eq!(names, python);
    assert!(names.contains("usr/bin/minigzip\n"), "{names}");
}

/// A pack of a real build, signed by a key that stays.
struct SignedPack {
    context: TestContext,
    dir: PathBuf,
    public: PathBuf,
}

impl SignedPack {
    fn build(kind: &str, example: &str, code: i32) -> Self {
        let context = TestContext::new();
        let name = context.path("signing");
        context
            .repro(["keygen", "--type", kind])
            .arg(&name)
            .run()
            .exits(0);
        let project = context.example(example);
        let (build, dir) = context.build(&project);
        build
            .arg("--key")
            .arg(context.path("signing.key"))
            .run()
            .exits(code);
        let public = context.path("signing.pub");
        Self {
            context,
            dir,
            public,
        }
    }

    fn verify(&self) -> Repro {
        self.context
            .repro(["verify"])
            .arg(&self.dir)
            .arg("--key")
            .arg(&self.public)
    }

    /// Every bundle with the type of its predicate.
    fn bundles(&self) -> Vec<(PathBuf, String)> {
        files(&self.dir)
            .into_iter()
            .filter(|path| path.display().to_string().ends_with(".sigstore.json"))
            .map(|path| {
                let bundle: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
                let statement = decode(payload);
                let statement: Value = serde_json::from_slice(&statement).unwrap();
                (
                    path,
                    statement["predicateType"].as_str().unwrap().to_owned(),
                )
            })
            .collect()
    }
}

/// Standard base64, by a program that is none of ours.
fn decode(text: &str) -> Vec<u8> {
    let script =
        "import base64, sys; sys.stdout.buffer.write(base64.b64decode(sys.argv[1], validate=True))";
    let output = Command::new(tool("python3"))
        .args(["-c", script, text])
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in sorted_names(dir).unwrap() {
        let path = dir.join(name);
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A verifier that shares no code with ours.
struct Oracle {
    program: PathBuf,
    script: PathBuf,
}

impl Oracle {
    fn all() -> [Self; 2] {
        let interop = target().join("interop");
        let oracles = [
            Self {
                program: interop.join("venv/bin/python"),
                script: root().join("tests/interop/verify_bundle.py"),
            },
            Self {
                program: tool("node"),
                // A module finds its dependencies beside itself.
                script: interop.join("node/verify_bundle.mjs"),
            },
        ];
        for oracle in &oracles {
            for path in [&oracle.program, &oracle.script] {
                assert!(
                    path.exists(),
                    "{} is missing; `tests/run` installs it",
                    path.display()
                );
            }
        }
        oracles
    }

    fn accepts(&self, bundle: &Path, key: &Path, predicate: &str) -> bool {
        let mut command = Command::new(&self.program);
        command.arg(&self.script).arg(bundle).arg(key);
        if self
            .script
            .extension()
            .is_some_and(|extension| extension == "py")
        {
            command.arg(predicate);
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // A script that breaks must not pass for one that refuses.
        match output.status.code() {
            Some(0) if said.starts_with("accepted") => true,
            Some(1) if said.starts_with("refused") => false,
            _ => panic!("{command:?}: {output:?}"),
        }
    }
}

/// Flips the lowest bit of the byte that stands in the middle of a base64 field.
fn flip(bundle: &Path, field: &str, to: &Path) {
    let script = "\
import base64, json, sys
bundle = json.load(open(sys.argv[1]))
envelope = bundle['dsseEnvelope']
holder, key = (envelope, 'payload') if sys.argv[2] == 'payload' else (envelope['signatures'][0], 'sig')
data = bytearray(base64.b64decode(holder[key]))
data[len(data) // 2] ^= 1
holder[key] = base64.b64encode(data).decode()
json.dump(bundle, open(sys.argv[3], 'w'))
";
    let mut python = Command::new(tool("python3"));
    succeeds(python.args(["-c", script]).arg(bundle).arg(field).arg(to));
}

#[test]
fn other_verifiers_accept_the_bundles_of_a_build_and_refuse_them_after_one_bit() {
    for (kind, example, code) in [("p256", "stamp", 1), ("ed25519", "static-hello", 0)] {
        let pack = SignedPack::build(kind, example, code);
        let bundles = pack.bundles();
        let types: Vec<&str> = bundles
            .iter()
            .map(|(_, predicate)| predicate.as_str())
            .collect();
        assert!(
            types.contains(&"https://slsa.dev/provenance/v1"),
            "{types:?}"
        );
        assert!(
            types.contains(&"https://intelgraph.io/repro/reproducibility/v1"),
            "{types:?}"
        );
        assert!(
            bundles.len() >= 4,
            "two runs, a verdict and the index: {bundles:?}"
        );
        for (bundle, predicate) in &bundles {
            let bad = pack.context.path("flipped.json");
            for oracle in Oracle::all() {
                let name = format!("{}: {kind}: {}", oracle.script.display(), bundle.display());
                assert!(
                    oracle.accepts(bundle, &pack.public, predicate),
                    "{name} is refused"
                );
                for field in ["payload", "sig"] {
                    flip(bundle, field, &bad);
                    assert!(
                        !oracle.accepts(&bad, &pack.public, predicate),
                        "{name}: {field}"
                    );
                }
            }
        }
    }
}

#[test]
fn verify_accepts_a_pack_without_a_network_and_refuses_each_flipped_byte() {
    let pack = SignedPack::build("p256", "stamp", 1);
    // A pack with a bad verdict is good evidence.
    pack.verify()
        .run()
        .exits(0)
        .prints(["verified", "not reproducible"]);
    let wrapper = ["unshare", "--user", "--map-root-user", "--net"];
    pack.verify().through(&wrapper).run().exits(0);
    let all = files(&pack.dir);
    assert!(all.len() > 10, "{all:?}");
    for path in all {
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        if bytes.is_empty() {
            bytes.push(b'x');
        } else {
            bytes[middle] ^= 1;
        }
        fs::write(&path, &bytes).unwrap();
        let ended = pack.verify().run().any();
        assert_eq!(ended.code, Some(4), "{}: {ended}", path.display());
        fs::write(&path, &whole).unwrap();
    }
    // One more file, one fewer.
    let extra = pack.dir.join("logs/run-a/99.log");
    fs::write(&extra, "not listed").unwrap();
    pack.verify().run().exits(4).prints(["logs/run-a/99.log"]);
    fs::remove_file(&extra).unwrap();
    let log = pack.dir.join("reproducibility/report.md");
    let kept = fs::read(&log).unwrap();
    fs::remove_file(&log).unwrap();
    pack.verify()
        .run()
        .exits(4)
        .prints(["reproducibility/report.md"]);
    fs::write(&log, kept).unwrap();
    pack.verify().run().exits(0);
}

#[test]
fn another_key_verifies_nothing() {
    let pack = SignedPack::build("p256", "stamp", 1);
    let other = pack.context.path("other");
    pack.context.repro(["keygen"]).arg(&other).run().exits(0);
    let verify = pack.context.repro(["verify"]).arg(&pack.dir);
    verify
        .clone()
        .arg("--key")
        .arg(pack.context.path("other.pub"))
        .run()
        .exits(4);
    // Nobody's key: whole perhaps, but by whom?
    let ended = verify.run().any();
    assert!(matches!(ended.code, Some(2 | 4)), "{ended}");
    assert!(ended.stderr.contains("--key"), "{ended}");
}

#[test]
fn a_key_made_for_one_build_is_said_to_prove_little() {
    let context = TestContext::new();
    let project = context.example("stamp");
    let (build, evidence) = context.build(&project);
    let ended = build.run().exits(1);
    ended.says(["--key"]);
    let ephemeral = evidence.join("ephemeral.pub");
    assert!(ephemeral.is_file());
    // Its own key shows that the pack is whole, and no more.
    let ended = context
        .repro(["verify"])
        .arg(&evidence)
        .arg("--key")
        .arg(&ephemeral)
        .run()
        .any();
    assert_eq!(ended.code, Some(4), "{ended}");
    assert!(ended.stdout.contains("anyone"), "{ended}");
}

#[test]
fn keys_are_never_replaced_and_only_their_owner_reads_them() {
    use std::os::unix::fs::PermissionsExt as _;
    let context = TestContext::new();
    let key = context.repro(["keygen", "release"]).umask(0);
    key.run().exits(0);
    let private = fs::read(context.path("release.key")).unwrap();
    let mode = fs::metadata(context.path("release.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    key.run().exits(2).says(["release.key", "exists"]);
    assert_eq!(fs::read(context.path("release.key")).unwrap(), private);
    let text = String::from_utf8(private).unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----"), "PKCS #8");
    // OpenSSL reads both halves.
    let public = fs::read_to_string(context.path("release.pub")).unwrap();
    let derived = succeeds(
        Command::new(tool("openssl"))
            .args(["pkey", "-pubout", "-in"])
            .arg(context.path("release.key")),
    );
    assert_eq!(derived, public);
}
