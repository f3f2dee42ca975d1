//! What of a directory is copied: all of it, or what `--parents` and `--exclude` leave.

use repro_core::tree::{DeepPattern, IgnoreFile, Ignored, Matched, TreePath};

use super::{
    super::{
        TreeError,
        diff::join,
        node::Kind,
        resolve::resolve,
        sources::{clean, expand, has_wildcard},
    },
    Copier,
};

/// What `--exclude` leaves out.
#[derive(Debug)]
pub(super) struct Selection {
    exclude: IgnoreFile,
}

impl Selection {
    pub(super) fn new(patterns: &[String]) -> Result<Self, TreeError> {
        Ok(Self {
            exclude: IgnoreFile::of_patterns(patterns.iter().map(String::as_str))?,
        })
    }

    /// Whether a file that is a source is left out, by its name.
    pub(super) fn leaves_out(&self, name: &[u8]) -> Result<bool, TreeError> {
        let path = TreePath::root().join(name)?;
        Ok(!self.exclude.is_empty() && self.exclude.excluded(&path, false) != Ignored::No)
    }
}

/// A directory on the way.
struct Open {
    from: TreePath,
    to: TreePath,
    /// Below the directory that all began with.
    below: TreePath,
    excluded: Matched,
    /// Whether the pattern took it or one above it.
    included: bool,
}

impl Copier<'_> {
    /// `--parents`: what matches behind the pivot, with the directories between.
    pub(super) fn parents(&mut self, pattern: &str) -> Result<(), TreeError> {
        let (base, wanted) = pattern.split_once("/./").unwrap_or(("/", pattern));
        let wanted = clean(wanted);
        let is_literal = !wanted.iter().any(|name| has_wildcard(name));
        let wanted = wanted.join(&b'/');
        let include = DeepPattern::parse(&wanted)?;
        for base in expand(self.source, base)? {
            let is_directory = self
                .source
                .visible(&base.path)?
                .is_some_and(|node| node.is_directory());
            if !is_directory {
                return Err(TreeError::NotADirectory(base.path));
            }
            if is_literal {
                let path = [base.path.as_bytes(), b"/", &wanted].concat();
                let path = resolve(self.source, &path)?;
                if self.source.visible(&path)?.is_none() {
                    return Err(TreeError::NoSource {
                        pattern: pattern.to_owned(),
                        near: Vec::new(),
                    });
                }
            }
            self.inodes.clear();
            self.make_holder()?;
            let target = resolve(self.dest, self.destination.as_bytes())?;
            let include = Some(&include).filter(|_| !wanted.is_empty());
            self.contents(&base.path, &target, include)?;
        }
        Ok(())
    }

    /// Copies what is selected of a directory into `target`, which is made if it is missing.
    /// `include` is what is wanted of it, `None` for everything.
    pub(super) fn contents(
        &mut self,
        source: &TreePath,
        target: &TreePath,
        include: Option<&DeepPattern>,
    ) -> Result<(), TreeError> {
        match self.dest.node(target)? {
            Some(node) if !node.is_directory() => {
                return Err(TreeError::DirectoryOverFile(target.clone()));
            }
            _ => self.make_missing(target)?,
        }
        // Not by recursion: the depth is the source's choice.
        let mut open = vec![Open {
            from: source.clone(),
            to: target.clone(),
            below: TreePath::root(),
            excluded: self.selection.exclude.root(),
            included: include.is_none(),
        }];
        while let Some(directory) = open.pop() {
            for name in self.source.names(&directory.from)? {
                let (path, to) = (join(&directory.from, &name)?, join(&directory.to, &name)?);
                let Some(node) = self.source.visible(&path)? else {
                    continue;
                };
                let below = join(&directory.below, &name)?;
                let (ignored, excluded) = self.selection.exclude.descend(
                    &directory.excluded,
                    &below,
                    node.is_directory(),
                );
                let included =
                    directory.included || include.is_some_and(|include| include.matches(&below));
                let taken = included && ignored == Ignored::No;
                if node.kind != Kind::Directory {
                    if taken && node.kind == Kind::Socket {
                        self.report.sockets += 1;
                    } else if taken {
                        self.parents_of(source, target, &below)?;
                        self.entry(&path, &node, &to)?;
                    }
                    continue;
                }
                if taken {
                    self.parents_of(source, target, &below)?;
                    self.directory(&path, &node, &to)?;
                }
                let may_match =
                    included || include.is_some_and(|include| include.may_match_below(&below));
                if may_match && ignored != Ignored::Prune {
                    open.push(Open {
                        from: path,
                        to,
                        below,
                        excluded,
                        included,
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes the directories between the first one and `below` that were not taken themselves, as
    /// they are in the source.
    fn parents_of(
        &mut self,
        source: &TreePath,
        target: &TreePath,
        below: &TreePath,
    ) -> Result<(), TreeError> {
        let (mut from, mut to) = (source.clone(), target.clone());
        let Some(parent) = below.parent() else {
            return Ok(());
        };
        for name in parent.names() {
            (from, to) = (join(&from, name)?, join(&to, name)?);
            if self.directories.contains_key(&to) {
                continue;
            }
            if let Some(node) = self.source.visible(&from)? {
                self.directory(&from, &node, &to)?;
            }
        }
        Ok(())
    }
}
