//! Images of any builder, read from an archive of `docker save`.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Cursor, Read},
    path::Path,
};

use repro_core::{
    digest::Digest,
    layer::{FlatTree, LayerReader, Limits},
    tree::{Entry, EntryKind, EntrySink, Meta, TreePath},
};
use serde::Deserialize;
use serde_json::{Value, json};

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The archive or a layer.
    #[error("{0}")]
    Archive(#[from] io::Error),
    /// A document in it.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A file that it should have.
    #[error("the archive has no {0}")]
    Missing(String),
}

/// What of an image is compared.
#[derive(Debug)]
pub struct Image {
    /// The configuration.
    pub config: Value,
    /// The file system.
    pub tree: BTreeMap<TreePath, Node>,
}

/// A file of an image. Times are left out: they are those of the build everywhere but in `repro`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is. Of several names of a file the first is the file, the others are links to it.
    pub kind: EntryKind,
    /// Mode, owners, attributes; the time is 0.
    pub meta: Meta,
    /// Digest of the content.
    pub content: Digest,
}

fn bare_root() -> Node {
    Node {
        kind: EntryKind::Directory,
        meta: Meta {
            mode: 0o755,
            ..Meta::default()
        },
        content: Digest::of(b""),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    layers: Vec<String>,
}

impl Image {
    /// Reads an archive that holds one image. `tmp` is a directory for what is large.
    pub fn read(archive: &Path, tmp: &Path) -> Result<Self, ImageError> {
        let members = members(archive)?;
        let member = |name: &str| {
            let found = members.get(name);
            found.ok_or_else(|| ImageError::Missing(name.to_owned()))
        };
        let items: Vec<Item> = serde_json::from_slice(member("manifest.json")?)?;
        let [item] = &items[..] else {
            return Err(ImageError::Missing("single image".to_owned()));
        };
        let mut flat = FlatTree::new(tmp)?;
        for layer in &item.layers {
            let tar = Cursor::new(member(layer)?);
            flat.apply(&mut LayerReader::new(tar, Limits::default()))?;
        }
        let mut nodes = Nodes(BTreeMap::new());
        flat.write_to(&mut nodes)?;
        // Only some builders write down the root itself, where nobody changed it.
        nodes.0.entry(TreePath::root()).or_insert_with(bare_root);
        Ok(Self {
            config: serde_json::from_slice(member(&item.config)?)?,
            tree: nodes.0,
        })
    }

    /// An image of nothing but a configuration, as `docker image inspect` shows it.
    #[must_use]
    pub fn without_layers(shown: &Value) -> Self {
        let config = json!({
            "architecture": shown["Architecture"],
            "author": shown["Author"],
            "config": shown["Config"],
            "os": shown["Os"],
            "variant": shown["Variant"],
        });
        Self {
            config,
            tree: BTreeMap::from([(TreePath::root(), bare_root())]),
        }
    }
}

/// The files of an archive by name. Docker writes a link where two layers are the same.
fn members(archive: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut links = Vec::new();
    for entry in tar::Archive::new(fs::File::open(archive)?).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.to_string_lossy().into_owned();
        if let Some(target) = entry.link_name()? {
            let dir = path.parent().unwrap_or(Path::new(""));
            let target = TreePath::parse_clamped(dir.join(target).as_os_str().as_encoded_bytes())
                .map_err(io::Error::other)?;
            links.push((name, target.to_string()));
        } else {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            found.insert(name, bytes);
        }
    }
    for (name, target) in links {
        if let Some(bytes) = found.get(&target).cloned() {
            found.insert(name, bytes);
        }
    }
    Ok(found)
}

struct Nodes(BTreeMap<TreePath, Node>);

impl EntrySink for Nodes {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        let node = Node {
            kind: entry.kind.clone(),
            meta: Meta {
                mtime: 0,
                ..entry.meta.clone()
            },
            content: Digest::of(&bytes),
        };
        self.0.insert(entry.path.clone(), node);
        Ok(())
    }
}
