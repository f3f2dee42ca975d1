//! Archives of images, ours in the hands of others and those of others in ours: several images, layers
//! that are compressed or not, pipes, and archives that lie.

use std::{fs, path::PathBuf, process::Command};

use repro_tests::{Ended, TestContext, User, require_root, succeeds, tool};
use serde_json::{Value, json};

/// A store with two images, `acme/one` and `acme/two`; the second has two layers.
struct Images(TestContext);

impl Images {
    fn build() -> Self {
        let context = TestContext::with_empty_store(User::Caller);
        for (name, dockerfile) in [
            ("one", "FROM scratch\nCOPY file /file\n"),
            (
                "two",
                "FROM scratch\nCOPY file /a\nCOPY file Dockerfile /b/\nLABEL a=b\n",
            ),
        ] {
            let project = context.project(name, &[("Dockerfile", dockerfile), ("file", name)]);
            let _built = context
                .repro(["build", "-q", "--runs", "1", "--evidence", "pack"])
                .args(["-t", &format!("acme/{name}")])
                .arg(&project)
                .run()
                .exits(0);
        }
        Self(context)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// Manifest, configuration and layers of an image of the store.
    fn image(&self, name: &str) -> Value {
        let shown = self.0.repro(["inspect", "--json", name]).run().exits(0);
        shown.json()["image"].clone()
    }

    fn export(&self, name: &str, to: &str) {
        let _exported = self.0.repro(["export", name, to]).run().exits(0);
    }

    fn import(&self, from: &str) -> Ended {
        self.0.repro(["import", from, "acme/back"]).run().any()
    }

    #[track_caller]
    fn refuses(&self, from: &str, code: i32, reason: &str) {
        let ended = self.import(from);
        assert_eq!(ended.code, Some(code), "{ended}");
        ended.says([reason]);
        let _none = self.0.repro(["inspect", "acme/back"]).run().exits(6);
    }

    /// The members of an archive in a directory.
    fn unpack(&self, archive: &str, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("the directory can be made");
        let mut tar = Command::new(tool("tar"));
        succeeds(tar.arg("-xf").arg(self.path(archive)).arg("-C").arg(&dir));
        dir
    }

    fn pack(&self, name: &str, archive: &str) {
        let mut tar = Command::new(tool("tar"));
        tar.arg("-cf").arg(self.path(archive));
        succeeds(tar.arg("-C").arg(self.path(name)).arg("."));
    }
}

fn read(path: &std::path::Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("the file is there")).expect("it is JSON")
}

#[test]
fn every_form_leads_back_to_the_same_image_also_through_a_pipe() {
    let images = Images::build();
    let image = images.image("acme/two");
    for form in ["docker-archive", "oci-archive"] {
        let file = format!("{form}.tar");
        images.export("acme/two", &format!("{form}:{file}"));
        let piped = images
            .0
            .repro(["export", "acme/two", &format!("{form}:-")])
            .command()
            .output()
            .unwrap();
        assert!(piped.status.success());
        assert_eq!(
            piped.stdout,
            fs::read(images.path(&file)).unwrap(),
            "{form}"
        );
        for from in [format!("{form}:{file}"), format!("{form}:-")] {
            let _back = images
                .0
                .repro(["import", &from, "acme/back"])
                .stdin(&images.path(&file))
                .run()
                .exits(0);
            let back = images.image("acme/back");
            assert_eq!(back["manifestDigest"], image["manifestDigest"], "{from}");
        }
    }
    images.export("acme/two", "oci:layout:v1");
    let _back = images
        .0
        .repro(["import", "oci:layout:v1", "acme/back"])
        .run()
        .exits(0);
    assert_eq!(
        images.image("acme/back")["manifestDigest"],
        image["manifestDigest"]
    );
    for pipe in [
        ["export", "acme/two", "oci:-"],
        ["import", "oci:-", "acme/back"],
    ] {
        let refused = images.0.repro(pipe).run().exits(2);
        refused.says(["cannot be"]);
    }
}

#[test]
fn several_images_of_one_archive_are_told_apart() {
    let images = Images::build();
    let mut items = Vec::new();
    for name in ["one", "two"] {
        let file = format!("{name}.tar");
        images.export(&format!("acme/{name}"), &format!("docker-archive:{file}"));
        let dir = images.unpack(&file, "both");
        items.extend(read(&dir.join("manifest.json")).as_array().unwrap().clone());
    }
    items[0]["RepoTags"]
        .as_array_mut()
        .unwrap()
        .push(json!("acme/uno:2"));
    let manifest = serde_json::to_vec(&items).unwrap();
    fs::write(images.path("both/manifest.json"), manifest).unwrap();
    images.pack("both", "both.tar");
    images.refuses(
        "docker-archive:both.tar",
        2,
        "name one of: acme/one:latest, acme/uno:2, acme/two",
    );
    images.refuses("docker-archive:both.tar:acme/three", 6, "no image");
    for (tag, name) in [("acme/uno:2", "acme/one"), ("acme/two", "acme/two")] {
        let back = images.import(&format!("docker-archive:both.tar:{tag}"));
        assert_eq!(back.code, Some(0), "{back}");
        let digest = &images.image("acme/back")["manifestDigest"];
        assert_eq!(digest, &images.image(name)["manifestDigest"]);
    }
}

#[test]
fn layers_of_a_docker_archive_may_be_compressed() {
    let images = Images::build();
    images.export("acme/two", "docker-archive:two.tar");
    let dir = images.unpack("two.tar", "two-gz");
    let manifest = read(&dir.join("manifest.json"));
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        let layer = dir.join(layer.as_str().unwrap());
        succeeds(
            Command::new(tool("gzip"))
                .args(["--best", "--no-name"])
                .arg(&layer),
        );
        fs::rename(layer.with_extension("tar.gz"), &layer).unwrap();
    }
    images.pack("two-gz", "two-gz.tar");
    let back = images.import("docker-archive:two-gz.tar");
    assert_eq!(back.code, Some(0), "{back}");
    let config = |name| images.image(name)["configDigest"].clone();
    assert_eq!(config("acme/back"), config("acme/two"));
}

#[test]
fn an_archive_that_lies_is_refused_and_leaves_no_image() {
    let images = Images::build();
    images.export("acme/two", "docker-archive:two.tar");
    images.export("acme/two", "oci:layout");
    let dir = images.unpack("two.tar", "forged");
    let honest = fs::read(dir.join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&honest).unwrap();
    let layer = manifest[0]["Layers"][0].as_str().unwrap().to_owned();
    let config = manifest[0]["Config"].as_str().unwrap().to_owned();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut manifest = manifest.clone();
        change(&mut manifest);
        fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
        images.pack("forged", "forged.tar");
    };
    let forged = "docker-archive:forged.tar";
    // Members by names that lead out of the archive.
    with(&|manifest| manifest[0]["Config"] = "../../../../../etc/passwd".into());
    images.refuses(forged, 6, "has no ../../../../../etc/passwd");
    with(&|manifest| manifest[0]["Layers"][0] = "/etc/passwd".into());
    images.refuses(forged, 6, "has no /etc/passwd");
    with(&|manifest| drop(manifest[0]["Layers"].as_array_mut().unwrap().pop()));
    images.refuses(forged, 6, "layers");
    // A link out, in the place of a layer.
    let content = fs::read(dir.join(&layer)).unwrap();
    fs::remove_file(dir.join(&layer)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join(&layer)).unwrap();
    with(&|_| ());
    images.refuses(forged, 6, "has no");
    // Another layer under its name.
    fs::remove_file(dir.join(&layer)).unwrap();
    let mut other = content.clone();
    let at = other.iter().position(|byte| *byte == b't').unwrap();
    other[at + 600] ^= 1;
    fs::write(dir.join(&layer), other).unwrap();
    with(&|_| ());
    let ended = images.import(forged);
    assert_eq!(ended.code, Some(6), "{ended}");
    fs::write(dir.join(&layer), content).unwrap();
    // Another configuration under its digest.
    let honest_config = fs::read(dir.join(&config)).unwrap();
    let mut other: Value = serde_json::from_slice(&honest_config).unwrap();
    other["config"]["Entrypoint"] = json!(["/evil"]);
    fs::write(dir.join(&config), other.to_string()).unwrap();
    with(&|_| ());
    let ended = images.import(forged);
    assert_eq!(ended.code, Some(6), "{ended}");
    fs::write(dir.join(&config), honest_config).unwrap();
    // A name that comes twice: for some programs the first counts, for others the second.
    with(&|_| ());
    fs::write(dir.join("manifest.json"), "[]").unwrap();
    let mut append = Command::new(tool("tar"));
    append
        .arg("-rf")
        .arg(images.path("forged.tar"))
        .arg("-C")
        .arg(&dir);
    succeeds(append.arg("./manifest.json"));
    images.refuses(forged, 6, "has manifest.json more than once");

    let blobs = images.path("layout/blobs/sha256");
    let blob = images.image("acme/two")["configDigest"].as_str().unwrap()[7..].to_owned();
    let bytes = fs::read(blobs.join(&blob)).unwrap();
    for (what, reason) in [
        ("/dev/zero", "regular file"),
        ("/etc/passwd", "bytes its descriptor"),
    ] {
        fs::remove_file(blobs.join(&blob)).unwrap();
        std::os::unix::fs::symlink(what, blobs.join(&blob)).unwrap();
        images.refuses("oci:layout", 6, reason);
    }
    fs::remove_file(blobs.join(&blob)).unwrap();
    fs::write(blobs.join(&blob), bytes.to_ascii_uppercase()).unwrap();
    images.refuses("oci:layout", 6, &blob);

    for (name, transform) in [
        ("out", "s,^file,../../out,"),
        ("root", "s,^file,a/../../root,"),
    ] {
        let tar = images.path("traversal.tar");
        let mut pack = Command::new(tool("tar"));
        pack.args(["-P", "--transform", transform, "-cf"]).arg(&tar);
        succeeds(pack.arg("-C").arg(images.path("one")).arg("file"));
        let ended = images.import("rootfs:traversal.tar");
        assert_eq!(ended.code, Some(6), "{name} {ended}");
        let _none = images.0.repro(["inspect", "acme/back"]).run().exits(6);
    }
}

/// What skopeo and podman make of what comes out, and what comes back from skopeo.
#[test]
fn privileged_other_programs_load_what_is_piped() {
    require_root();
    let images = Images::build();
    let image = images.image("acme/two");
    images.export("acme/two", "docker-archive:two.tar");
    let copy = |from: &str, to: &str| {
        let mut skopeo = Command::new(tool("skopeo"));
        skopeo.args(["copy", "--quiet", "--insecure-policy", from, to]);
        succeeds(skopeo.current_dir(images.path("")));
    };
    copy("docker-archive:two.tar", "oci:theirs:v1");
    let back = images.import("oci:theirs:v1");
    assert_eq!(back.code, Some(0), "{back}");
    let layers = |name| {
        images
            .0
            .repro(["inspect", "--json", name])
            .run()
            .exits(0)
            .json()
    };
    assert_eq!(
        layers("acme/back")["config"]["rootfs"],
        layers("acme/two")["config"]["rootfs"]
    );
    images.export("acme/two", "oci:ours:v1");
    copy("oci:ours:v1", "docker-archive:theirs.tar:acme/theirs:1");
    let back = images.import("docker-archive:theirs.tar:acme/theirs:1");
    assert_eq!(back.code, Some(0), "{back}");
    assert_eq!(
        images.image("acme/back")["configDigest"],
        image["configDigest"]
    );

    let podman = |arguments: &[&str]| {
        let mut podman = Command::new(tool("podman"));
        podman.arg("--root").arg(images.path("podman"));
        podman.arg("--runroot").arg(images.path("podman-run"));
        podman.args(["--storage-driver", "vfs"]).args(arguments);
        podman
    };
    let exported = images.0.repro(["export", "acme/two", "docker-archive:-"]);
    let mut export = exported.command();
    let mut export = export.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let pipe = export.stdout.take().unwrap();
    succeeds(podman(&["load", "--quiet"]).stdin(pipe));
    assert!(export.wait().unwrap().success());
    let format = ["image", "inspect", "--format", "{{.Id}}", "acme/two:latest"];
    let id = succeeds(&mut podman(&format));
    assert_eq!(format!("sha256:{}", id.trim()), image["configDigest"]);
}
