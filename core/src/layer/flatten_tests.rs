//! Layers on top of each other, as image-spec has it.

use std::io;

use super::{FlatTree, FlattenError, LayerReader, LayerWriter, Limits};
use crate::{
    ruleset::Ruleset,
    tree::{Entry, EntryKind, EntrySource, Meta, TreePath},
};

/// A layer in the order given, canonical or not.
struct Layer(std::vec::IntoIter<(Entry, Vec<u8>)>);

impl EntrySource for Layer {
    fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&Entry, &mut dyn io::Read) -> io::Result<()>,
    ) -> io::Result<bool> {
        match self.0.next() {
            None => Ok(false),
            Some((entry, content)) => take(&entry, &mut &content[..]).map(|()| true),
        }
    }
}

/// `path/` is a directory, `path=content` a file, `path->target` a symbolic link,
/// `path=>target` a hard link, `-path` a whiteout, `!path` an opaque one.
fn layer(entries: &[&str]) -> Layer {
    let path = |text: &str| TreePath::parse(text.as_bytes()).unwrap();
    let entry = |text: &str, kind| Entry {
        path: path(text),
        kind,
        meta: Meta {
            mode: 0o600,
            ..Meta::default()
        },
    };
    let parsed = entries.iter().map(|text| {
        if let Some(name) = text.strip_prefix('-') {
            (entry(name, EntryKind::Whiteout), Vec::new())
        } else if let Some(name) = text.strip_prefix('!') {
            (entry(name, EntryKind::OpaqueWhiteout), Vec::new())
        } else if let Some((name, target)) = text.split_once("=>") {
            let target = path(target);
            (entry(name, EntryKind::Hardlink { target }), Vec::new())
        } else if let Some((name, target)) = text.split_once("->") {
            let target = target.into();
            (entry(name, EntryKind::Symlink { target }), Vec::new())
        } else if let Some((name, content)) = text.split_once('=') {
            let size = content.len() as u64;
            (entry(name, EntryKind::File { size }), content.into())
        } else {
            (entry(text, EntryKind::Directory), Vec::new())
        }
    });
    Layer(parsed.collect::<Vec<_>>().into_iter())
}

/// The tree of layers, in the notation of [`layer`], read back from its canonical tar.
fn flatten(layers: &[&[&str]]) -> io::Result<Vec<String>> {
    let dir = tempfile::tempdir()?;
    let mut tree = FlatTree::new(dir.path())?;
    for entries in layers {
        tree.apply(&mut layer(entries))?;
    }
    let mut tar = LayerWriter::new(Vec::new(), Ruleset::V1);
    tree.write_to(&mut tar)?;
    let tar = tar.finish()?;
    let mut shown = Vec::new();
    let mut reader = LayerReader::new(&tar[..], Limits::default());
    while reader.next_entry(&mut |entry, content| {
        let mut bytes = String::new();
        content.read_to_string(&mut bytes)?;
        shown.push(match &entry.kind {
            EntryKind::Directory if entry.meta.mode == 0o755 => format!("{}/ implied", entry.path),
            EntryKind::Directory => format!("{}/", entry.path),
            EntryKind::Hardlink { target } => format!("{}=>{target}", entry.path),
            EntryKind::Symlink { target } => {
                format!("{}->{}", entry.path, String::from_utf8_lossy(target))
            }
            _ => format!("{}={bytes}", entry.path),
        });
        Ok(())
    })? {}
    Ok(shown)
}

#[test]
fn order_becomes_canonical_and_the_later_entry_counts() {
    let tree = flatten(&[&["b=1", "a/x=2", "a-b=3", "b=4", "a/", "c/", "c=5"]]).unwrap();
    assert_eq!(tree, ["a/", "a/x=2", "a-b=3", "b=4", "c=5"]);
}

#[test]
fn missing_parents_are_implied() {
    assert_eq!(
        flatten(&[&["a/b/c=1"]]).unwrap(),
        ["a/ implied", "a/b/ implied", "a/b/c=1"]
    );
}

#[test]
fn whiteouts_hide_lower_layers_only_wherever_they_stand() {
    let lower: &[&str] = &["d/", "d/old=1", "d/sub/", "d/sub/x=2", "f=3", "keep=4"];
    assert_eq!(flatten(&[lower, &["-d", "-f"]]).unwrap(), ["keep=4"]);
    assert_eq!(flatten(&[lower, &["-absent"]]).unwrap().len(), 6);
    for upper in [&["d/new=5", "!d"][..], &["!d", "d/new=5"]] {
        assert_eq!(
            flatten(&[lower, upper]).unwrap(),
            ["d/", "d/new=5", "f=3", "keep=4"]
        );
    }
    for upper in [&["d/", "d/new=5", "-d"][..], &["-d", "d/", "d/new=5"]] {
        assert_eq!(
            flatten(&[lower, upper]).unwrap(),
            ["d/", "d/new=5", "f=3", "keep=4"]
        );
    }
    // The directory itself is gone, so what is put into it lies in a new one.
    assert_eq!(
        flatten(&[lower, &["d/new=5", "-d"]]).unwrap()[0],
        "d/ implied"
    );
}

#[test]
fn a_file_replaces_a_directory_and_back() {
    assert_eq!(flatten(&[&["d/", "d/x=1"], &["d=2"]]).unwrap(), ["d=2"]);
    assert_eq!(
        flatten(&[&["d=1"], &["d/", "d/x=2"]]).unwrap(),
        ["d/", "d/x=2"]
    );
}

#[test]
fn link_groups_outlive_their_first_name_and_break_on_writing() {
    assert_eq!(flatten(&[&["b=1", "a=>b"]]).unwrap(), ["a=1", "b=>a"]);
    assert_eq!(
        flatten(&[&["a=1", "b=>a", "c=>a"], &["-a"]]).unwrap(),
        ["b=1", "c=>b"]
    );
    assert_eq!(
        flatten(&[&["a=1", "b=>a"], &["b=2"]]).unwrap(),
        ["a=1", "b=2"]
    );
    assert_eq!(flatten(&[&["a=1"], &["b=>a"]]).unwrap(), ["a=1", "b=>a"]);
}

#[test]
fn what_has_no_meaning_of_its_own_is_refused() {
    let fault = |layers: &[&[&str]]| {
        let error = flatten(layers).unwrap_err();
        error.downcast::<FlattenError>().unwrap()
    };
    for layers in [
        &[&["l->d", "l/x=1"][..]][..],
        &[&["l->d"], &["l/x=1"]],
        &[&["f=1"], &["f/x=1"]],
    ] {
        assert!(matches!(
            fault(layers),
            FlattenError::ParentNotDirectory { .. }
        ));
    }
    for layers in [&["a=>b"][..], &["d/", "a=>d"]] {
        assert!(matches!(fault(&[layers]), FlattenError::LinkTarget { .. }));
    }
}
