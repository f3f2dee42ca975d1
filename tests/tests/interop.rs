//! Images in the hands of other programs: podman and runc, skopeo, umoci, tar.

use std::{fs, path::Path, process::Command, time::Duration};

use repro_tests::{Pack, TestContext, podman, require_root, succeeds, tool, wait_until};
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
fn privileged_podman_runs_the_service_as_its_user_and_finds_it_healthy() {
    require_root();
    let context = TestContext::new();
    let project = context.example("service");
    let archive = context.path("service.tar").display().to_string();
    let (build, _) = context.build(&project);
    let output = format!("docker-archive:{archive}");
    build.args(["-o", &output]).run().exits(0);
    let source = format!("docker-archive:{archive}");
    let pulled = succeeds(podman(&context).args(["pull", "--quiet", &source]));
    let container = succeeds(
        podman(&context)
            .args([
                "run",
                "--detach",
                "--network",
                "none",
                "--log-driver",
                "none",
            ])
            .args([
                "--ulimit",
                "nofile=1024:1024",
                "--ulimit",
                "nproc=1024:1024",
            ])
            .arg(pulled.trim()),
    );
    let container = container.trim();
    wait_until("the service answers", Duration::from_secs(30), || {
        let check = podman(&context)
            .args(["healthcheck", "run", container])
            .output();
        check.unwrap().status.success()
    });
    let script =
        "id -u && wget -qO- 127.0.0.1:$PORT/ && ! wget -qO- 127.0.0.1:$PORT/../passwd 2>&1";
    let seen = succeeds(podman(&context).args(["exec", container, "sh", "-c", script]));
    assert!(
        seen.starts_with("10001\n") && seen.contains("version 1.0.0"),
        "{seen}"
    );
    succeeds(podman(&context).args(["rm", "--force", "--time", "5", container]));
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
    // umoci compares the tree that it unpacked with its own reading of the layers: a layer that
    // says something else than what lies on disk after it would be one more layer here.
    succeeds(
        Command::new(tool("umoci"))
            .args(["repack", "--image", &format!("{copy}:repacked")])
            .arg(&bundle),
    );
    let layers = |tag: &str| -> Vec<Value> {
        let stat = succeeds(Command::new(tool("umoci")).args([
            "stat",
            "--json",
            "--image",
            &format!("{copy}:{tag}"),
        ]));
        let stat: Value = serde_json::from_str(&stat).unwrap();
        let history = stat["history"].as_array().unwrap();
        history
            .iter()
            .filter(|entry| entry["empty_layer"] != true)
            .map(|entry| entry["layer"]["digest"].clone())
            .collect()
    };
    assert!(!layers("copied").is_empty());
    assert_eq!(layers("repacked"), layers("copied"));
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
