//! `repro diff` on what others make: indexes for several platforms, directories, and with diffoscope beside.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use repro_core::digest::Digest;
use repro_tests::{TestContext, User, succeeds, tool};
use serde_json::{Value, json};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A layout that is written by hand.
struct Layout<'a>(&'a TestContext, String);

impl<'a> Layout<'a> {
    fn new(context: &'a TestContext, name: &str) -> Self {
        fs::create_dir_all(context.path(name).join("blobs/sha256")).unwrap();
        let layout = Self(context, name.to_owned());
        let _layout = context.write(
            &format!("{name}/oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        );
        layout
    }

    /// A descriptor of the blob.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let name = format!("{}/blobs/sha256/{}", self.1, digest.hex());
        let _written = self.0.write(&name, bytes);
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn document(&self, media_type: &str, document: &Value) -> Value {
        self.blob(media_type, document.to_string().as_bytes())
    }

    /// An image with one file, for a platform such as `linux/arm64`.
    fn image(&self, platform: &str, content: &str) -> Value {
        let dir = self.0.path("tree");
        let _removed = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("file"), content).unwrap();
        let tar = self.0.path("layer.tar");
        let mut pack = Command::new(tool("tar"));
        pack.args(["--mtime=@0", "--owner=0", "--group=0", "-cf"])
            .arg(&tar);
        succeeds(pack.arg("-C").arg(&dir).arg("file"));
        let layer = self.blob(
            "application/vnd.oci.image.layer.v1.tar",
            &fs::read(&tar).unwrap(),
        );
        let (os, architecture) = platform.split_once('/').unwrap();
        let config = json!({
            "os": os, "architecture": architecture, "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.document("application/vnd.oci.image.config.v1+json", &config),
            "layers": [layer],
        });
        let mut entry = self.document(MANIFEST, &manifest);
        entry["platform"] = json!({"os": os, "architecture": architecture});
        entry
    }

    fn attestation(&self, about: &Value, said: &str) -> Value {
        let config = json!({"os": "unknown", "architecture": "unknown", "rootfs": {"type": "layers", "diff_ids": []}});
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": self.document("application/vnd.oci.image.config.v1+json", &config),
            "layers": [self.blob("application/vnd.in-toto+json", said.as_bytes())],
        });
        let mut entry = self.document(MANIFEST, &manifest);
        entry["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        entry["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": about["digest"],
        });
        entry
    }

    fn index(&self, manifests: &[Value]) -> Value {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        self.document(INDEX, &index)
    }

    fn finish(&self, manifests: &[Value]) -> String {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        let _index = self
            .0
            .write(&format!("{}/index.json", self.1), index.to_string());
        format!("oci:{}", self.1)
    }
}

fn platforms(context: &TestContext, name: &str, arm: &str, said: &str) -> String {
    let layout = Layout::new(context, name);
    let (amd, arm) = (
        layout.image("linux/amd64", "same"),
        layout.image("linux/arm64", arm),
    );
    let said = layout.attestation(&arm, said);
    // As buildx writes it: an index in the index.
    layout.finish(&[layout.index(&[amd, arm, said])])
}

#[test]
fn each_platform_is_compared_and_attestations_are_listed_apart() {
    let context = TestContext::with_empty_store(User::Caller);
    let one = platforms(
        &context,
        "one",
        "built on Mon Nov 23 21:33:21 UTC 2026\n",
        "1",
    );
    let two = platforms(
        &context,
        "two",
        "built on Mon Nov 23 21:33:23 UTC 2026\n",
        "1",
    );
    let again = platforms(
        &context,
        "again",
        "built on Mon Nov 23 21:33:21 UTC 2026\n",
        "2",
    );

    let found = context
        .repro(["diff", "--json", &one, &two])
        .run()
        .exits(1)
        .json();
    let rows = found["differences"].as_array().unwrap();
    assert!(!rows.is_empty());
    for row in rows {
        assert_eq!(row["platform"], "linux/arm64", "{row}");
    }
    assert_eq!(found["causes"][0]["code"], "embedded-timestamp", "{found}");
    assert_eq!(found["ratio"]["layers"], 2);
    context
        .repro(["diff", &one, &two])
        .run()
        .exits(1)
        .prints(["linux/arm64, layer 0: file"]);

    // Only the attestations differ: that is said, and is no difference of the image.
    let ended = context.repro(["diff", &one, &again]).run().exits(0);
    ended.prints([
        "equal",
        "no part of the verdict",
        "attestations on linux/arm64: different",
    ]);

    for (platform, code) in [("linux/amd64", 0), ("linux/arm64", 1)] {
        let _ended = context
            .repro(["diff", "--platform", platform, &one, &two])
            .run()
            .exits(code);
    }
    let ended = context
        .repro(["diff", "--platform", "linux/s390x", &one, &two])
        .run()
        .exits(6);
    ended.says(["no image for linux/s390x, only for: linux/amd64, linux/arm64"]);

    // An image alone against the index, in either order.
    let layout = Layout::new(&context, "alone");
    let alone = layout.finish(&[layout.image("linux/amd64", "same")]);
    for sides in [[&one, &alone], [&alone, &one]] {
        let found = context
            .repro(["diff", "--json"])
            .args(sides)
            .run()
            .exits(1)
            .json();
        assert_eq!(found["differences"].as_array().unwrap().len(), 1, "{found}");
        assert_eq!(found["differences"][0]["cause"], "platform-missing");
    }
}

#[test]
fn indexes_that_never_end_are_refused() {
    let context = TestContext::with_empty_store(User::Caller);
    let one = platforms(&context, "one", "x", "1");
    let layout = Layout::new(&context, "deep");
    let mut inner = layout.image("linux/amd64", "same");
    for _ in 0..8 {
        inner = layout.index(&[inner]);
    }
    let deep = layout.finish(&[inner]);
    context
        .repro(["diff", &one, &deep])
        .run()
        .exits(6)
        .says(["below more than 4 indexes"]);
    let layout = Layout::new(&context, "wide");
    let image = layout.image("linux/amd64", "same");
    let wide = layout.finish(&[layout.index(&vec![image; 600])]);
    context
        .repro(["diff", &one, &wide])
        .run()
        .exits(6)
        .says(["more than 512 manifests"]);
}

fn tree(dir: &Path, stamp: &str) {
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("same"), "same").unwrap();
    fs::write(dir.join("sub/stamp"), stamp).unwrap();
    symlink("same", dir.join("link")).unwrap();
    fs::hard_link(dir.join("same"), dir.join("name")).unwrap();
    for path in ["same", "sub/stamp", "sub", "link"] {
        let mut touch = Command::new(tool("touch"));
        succeeds(touch.args(["-h", "-d", "@1700000000"]).arg(dir.join(path)));
    }
}

#[test]
fn directories_are_compared_where_they_lie() {
    let context = TestContext::with_empty_store(User::Caller);
    let (a, b) = (context.path("a"), context.path("b"));
    tree(&a, "at Mon Nov 23 21:33:21 UTC 2026");
    tree(&b, "at Mon Nov 23 21:33:23 UTC 2026");
    let found = context
        .repro(["diff", "--json", "./a", "./b"])
        .run()
        .exits(1)
        .json();
    let rows = found["differences"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{found}");
    assert_eq!(
        (&rows[0]["path"], &rows[0]["cause"]),
        (&json!("sub/stamp"), &json!("embedded-timestamp"))
    );
    fs::write(b.join("sub/stamp"), "at Mon Nov 23 21:33:21 UTC 2026").unwrap();
    let mut touch = Command::new(tool("touch"));
    succeeds(touch.args(["-d", "@1700000000"]).arg(b.join("sub/stamp")));
    let mut touch = Command::new(tool("touch"));
    succeeds(touch.args(["-d", "@1700000000"]).arg(b.join("sub")));
    let ended = context.repro(["diff", "./a", "./b"]).run().exits(0);
    ended.prints(["5 of 5 entries are equal"]);
    let _none = context
        .repro(["diff", "dir:a", "dir:absent"])
        .run()
        .exits(6);
    let _file = context
        .repro(["diff", "dir:a", "dir:a/same"])
        .run()
        .exits(6);
    context
        .repro(["diff", "--platform", "linux/amd64", "./a", "./b"])
        .run()
        .exits(2)
        .says(["a directory has none"]);
    // A path without ./ is the name of an image, which is said where there is such a path.
    context
        .repro(["diff", "a", "./b"])
        .run()
        .exits(6)
        .says(["to compare what lies at a, write ./a"]);
    context
        .repro(["diff", "A/Tree", "./b"])
        .run()
        .exits(2)
        .says(["a path begins with . or /"]);
    // The layer that the directory would be.
    let mut pack = Command::new(tool("tar"));
    succeeds(
        pack.arg("-cf")
            .arg(context.path("a.tar"))
            .arg("-C")
            .arg(&a)
            .args(["same", "name", "link", "sub"]),
    );
    let _equal = context
        .repro(["diff", "./a", "rootfs:a.tar"])
        .run()
        .exits(0);
}

#[test]
fn diffoscope_is_heard_and_decides_nothing() {
    let context = TestContext::with_empty_store(User::Caller);
    tree(&context.path("a"), "one\n");
    tree(&context.path("b"), "two\n");
    let said = context
        .repro(["diff", "--diffoscope", "--json", "./a", "./b"])
        .run()
        .exits(1)
        .json();
    let said = said["diffoscope"].as_str().unwrap();
    assert!(
        said.contains("0001 is sub/stamp") && said.contains("-one") && said.contains("+two"),
        "{said}"
    );
    // Elsewhere: a warning, and the same verdict.
    for (sides, code) in [(["./a", "./b"], 1), (["./a", "./a"], 0)] {
        let ended = context
            .repro(["diff", "--diffoscope"])
            .args(sides)
            .env("PATH", "/nonexistent")
            .run()
            .exits(code);
        if code == 1 {
            ended.says(["diffoscope is not installed"]);
        }
    }
}
