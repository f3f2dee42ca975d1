//! Two images, compared.

use std::{borrow::Cow, collections::BTreeSet};

use repro_core::tree::{EntryKind, show_bytes};
use serde_json::Value;

use super::image::{Image, Node};

/// The fields of a configuration that say something about the image. `created`, `history` and
/// `rootfs` differ between any two builders, and classic ones add the configuration of the last
/// container.
const DOCUMENT: [&str; 5] = ["architecture", "author", "os", "os.version", "variant"];
const CONFIG: [&str; 12] = [
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// What differs, a line each: `WHERE: OURS | THEIRS`.
#[must_use]
pub fn differences(ours: &Image, theirs: &Image) -> Vec<String> {
    let mut found = Vec::new();
    for field in DOCUMENT {
        value(
            field,
            &ours.config[field],
            &theirs.config[field],
            &mut found,
        );
    }
    for field in CONFIG {
        let of = |image: &Image| image.config["config"][field].clone();
        let (ours, theirs) = (of(ours), of(theirs));
        if field == "Labels" {
            labels(&ours, &theirs, &mut found);
        } else {
            value(field, &ours, &theirs, &mut found);
        }
    }
    let paths: BTreeSet<_> = ours.tree.keys().chain(theirs.tree.keys()).collect();
    for path in paths {
        let name = format!("/{path}");
        match (ours.tree.get(path), theirs.tree.get(path)) {
            (Some(ours), Some(theirs)) => node(&name, ours, theirs, &mut found),
            (Some(ours), None) => found.push(format!("{name}: {} | none", kind(ours))),
            (None, Some(theirs)) => found.push(format!("{name}: none | {}", kind(theirs))),
            (None, None) => {}
        }
    }
    found
}

/// One label a line, so that a difference in one does not excuse another.
fn labels(ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    let names = |labels: &Value| -> Vec<String> {
        let labels = labels.as_object().into_iter();
        labels.flat_map(|map| map.keys().cloned()).collect()
    };
    let all: BTreeSet<String> = [names(ours), names(theirs)].concat().into_iter().collect();
    for name in all {
        value(
            &format!("Labels {name}"),
            &ours[&name],
            &theirs[&name],
            found,
        );
    }
}

/// Go writes what is empty as `null`, as an empty value, or not at all.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn value(field: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    if ours != theirs && !(is_empty(ours) && is_empty(theirs)) {
        found.push(format!("{field}: {ours} | {theirs}"));
    }
}

fn node(name: &str, ours: &Node, theirs: &Node, found: &mut Vec<String>) {
    let mut differ = |field: &str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(format!("{name}: {field} {ours} | {theirs}"));
        }
    };
    differ("type", kind(ours).into_owned(), kind(theirs).into_owned());
    // The mode of a symbolic link means nothing on Linux.
    if !matches!(ours.kind, EntryKind::Symlink { .. }) {
        differ(
            "mode",
            format!("{:04o}", ours.meta.mode),
            format!("{:04o}", theirs.meta.mode),
        );
    }
    let owner = |node: &Node| format!("{}:{}", node.meta.uid, node.meta.gid);
    differ("owner", owner(ours), owner(theirs));
    let attributes = |node: &Node| {
        let each = node.meta.xattrs.iter();
        let each = each.map(|(name, value)| format!("{}={value:02x?}", show_bytes(name)));
        each.collect::<Vec<_>>().join(",")
    };
    differ("attributes", attributes(ours), attributes(theirs));
    if matches!(
        (&ours.kind, &theirs.kind),
        (EntryKind::File { .. }, EntryKind::File { .. })
    ) {
        differ("content", ours.content.short(), theirs.content.short());
    }
}

/// The type, with what only that type has. The size of a file is told by its digest.
fn kind(node: &Node) -> Cow<'static, str> {
    match &node.kind {
        EntryKind::Directory => "directory".into(),
        EntryKind::File { .. } => "file".into(),
        EntryKind::Symlink { target } => format!("symlink to {}", show_bytes(target)).into(),
        EntryKind::Hardlink { target } => format!("link to /{target}").into(),
        EntryKind::Fifo => "fifo".into(),
        EntryKind::CharDevice { major, minor } => {
            format!("character device {major}:{minor}").into()
        }
        EntryKind::BlockDevice { major, minor } => format!("block device {major}:{minor}").into(),
        EntryKind::Whiteout | EntryKind::OpaqueWhiteout => "whiteout".into(),
    }
}
