//! A finished build, read back.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read as _,
    path::Path,
};

use serde_json::Value;

use crate::TestContext;

/// What a build left.
#[derive(Debug)]
pub struct Built {
    /// By path: type, mode, owner and what it links to.
    pub entries: BTreeMap<String, String>,
    /// The text of each file that is text.
    pub files: BTreeMap<String, String>,
    /// The image's configuration.
    pub config: Value,
    /// What the command printed.
    pub output: String,
}

impl Built {
    /// Builds twice, and reads the image.
    #[track_caller]
    pub fn twice(context: &TestContext, project: &Path, options: &[&str]) -> Self {
        let (build, evidence) = context.build(project);
        let root = evidence.with_extension("tar");
        let output = build
            .arg("--output")
            .arg(format!("rootfs:{}", root.display()))
            .args(options)
            .run()
            .exits(0);
        let (mut entries, mut files) = (BTreeMap::new(), BTreeMap::new());
        let mut archive =
            tar::Archive::new(File::open(&root).expect("the file system was written"));
        for entry in archive.entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let header = entry.header();
            let kind = match header.entry_type() {
                tar::EntryType::Directory => 'd',
                tar::EntryType::Symlink => 'l',
                tar::EntryType::Link => 'h',
                _ => 'f',
            };
            let mut facts = format!(
                "{kind}{:04o} {}:{}",
                header.mode().expect("a mode"),
                header.uid().expect("a user"),
                header.gid().expect("a group")
            );
            if let Some(target) = entry.link_name_bytes() {
                facts = format!("{kind} {}", String::from_utf8_lossy(&target));
            }
            entries.insert(path.clone(), facts);
            let mut text = String::new();
            if kind == 'f' && entry.read_to_string(&mut text).is_ok() {
                files.insert(path, text);
            }
        }
        let image = evidence.join("image");
        let document = |path: &Path| -> Value {
            serde_json::from_slice(&fs::read(image.join(path)).expect("a file of the image"))
                .expect("JSON")
        };
        let blob = |digest: &Value| {
            let hex = digest
                .as_str()
                .expect("a digest")
                .trim_start_matches("sha256:");
            document(&Path::new("blobs/sha256").join(hex))
        };
        let index = document(Path::new("index.json"));
        let manifest = blob(&index["manifests"][0]["digest"]);
        Self {
            entries,
            files,
            config: blob(&manifest["config"]["digest"]),
            output: format!("{}{}", output.stdout, output.stderr),
        }
    }

    /// There must be an entry with these facts: type and mode, owner, or target of a link.
    #[track_caller]
    pub fn has(&self, path: &str, expected: &str) {
        let found = self.entries.get(path).map(String::as_str);
        assert_eq!(found, Some(expected), "{path}");
    }

    /// There must be a file with this text.
    #[track_caller]
    pub fn reads(&self, path: &str, text: &str) {
        let found = self.files.get(path).map(String::as_str);
        assert_eq!(found, Some(text), "{path}");
    }
}
