//! `--build-context NAME=SOURCE`: from what the user writes to what the builder is given.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use repro_core::{
    build::{NamedContext, NamedText},
    digest::Digest,
    image::transport::{Archive, ImportOptions, import},
    layer::Limits,
    platform::Platform,
    reference::{ImageRef, ReferenceError},
    ruleset::Ruleset,
    store::Store,
};

use crate::{
    error::{CommandError, ErrorKind},
    files::{self, Limit},
};

/// One `--build-context`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextArg {
    name: String,
    source: ContextSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ContextSource {
    Directory(PathBuf),
    /// `docker-image://REF`
    Image(ImageRef),
    /// `oci-layout://DIR[:TAG][@DIGEST]`
    Layout {
        dir: PathBuf,
        tag: Option<String>,
        digest: Option<Digest>,
    },
}

/// A text that is no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContextArgError {
    /// No `=`, or nothing on one side of it.
    #[error("write NAME=DIRECTORY, NAME=docker-image://REF or NAME=oci-layout://DIRECTORY[:TAG]")]
    Form,
    /// A kind of source that Docker has and `repro` does not.
    #[error(
        "{0} would have to be fetched, or is another build's: only directories, docker-image:// \
         and oci-layout:// can be contexts"
    )]
    Kind(String),
    /// The image.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The digest behind `@`.
    #[error("{0:?} is not a digest")]
    Digest(String),
}

impl FromStr for ContextArg {
    type Err = ContextArgError;

    fn from_str(text: &str) -> Result<Self, ContextArgError> {
        let (name, source) = text.split_once('=').ok_or(ContextArgError::Form)?;
        if name.is_empty() || source.is_empty() {
            return Err(ContextArgError::Form);
        }
        let source = if let Some(image) = source.strip_prefix("docker-image://") {
            ContextSource::Image(image.parse()?)
        } else if let Some(layout) = source.strip_prefix("oci-layout://") {
            layout_source(layout)?
        } else if source.contains("://")
            || ["git@", "target:", "input:"]
                .iter()
                .any(|kind| source.starts_with(kind))
        {
            return Err(ContextArgError::Kind(source.to_owned()));
        } else {
            ContextSource::Directory(source.into())
        };
        Ok(Self {
            name: name.to_owned(),
            source,
        })
    }
}

fn layout_source(text: &str) -> Result<ContextSource, ContextArgError> {
    let (place, digest) = match text.split_once('@') {
        Some((place, digest)) => {
            let parsed = digest.parse();
            let parsed = parsed.map_err(|_| ContextArgError::Digest(digest.to_owned()))?;
            (place, Some(parsed))
        }
        None => (text, None),
    };
    // A colon in front of a slash is part of the path.
    let (dir, tag) = match place.rsplit_once(':') {
        Some((dir, tag)) if !tag.contains('/') => (dir, Some(tag.to_owned())),
        _ => (place, None),
    };
    if dir.is_empty() || tag.as_deref() == Some("") {
        return Err(ContextArgError::Form);
    }
    Ok(ContextSource::Layout {
        dir: dir.into(),
        tag,
        digest,
    })
}

/// Looks at the directories, and brings images of layouts into the store. Of several contexts of
/// one name the last one counts.
pub(crate) fn contexts(
    args: &[ContextArg],
    store: &Store,
    platform: &Platform,
) -> Result<BTreeMap<String, NamedContext>, CommandError> {
    let mut contexts = BTreeMap::new();
    for ContextArg { name, source } in args {
        let context = match source {
            ContextSource::Directory(path) => directory(name, path)?,
            ContextSource::Image(image) => NamedContext::Image(image.clone()),
            ContextSource::Layout { dir, tag, digest } => {
                let archive = Archive::OciDir {
                    dir: dir.clone(),
                    tag: tag.clone(),
                };
                let options = ImportOptions {
                    platform,
                    limits: Limits::default(),
                    ruleset: Ruleset::default(),
                };
                let failed =
                    |error: CommandError| error.context(format!("cannot use the context {name}"));
                let image = import(store.blobs(), &archive, options)
                    .map_err(|error| failed(error.into()))?;
                let found = image.descriptor.digest;
                if digest.is_some_and(|wanted| wanted != found) {
                    let message = format!("the layout has the image {found}, another one");
                    return Err(failed(CommandError::message(ErrorKind::Input, message)));
                }
                NamedContext::Manifest(found)
            }
        };
        contexts.insert(name.clone(), context);
    }
    Ok(contexts)
}

fn directory(name: &str, path: &std::path::Path) -> Result<NamedContext, CommandError> {
    let failed = |error: CommandError| error.context(format!("cannot use the context {name}"));
    let real = super::request::context(path).map_err(failed)?;
    let ignore = real.join(".dockerignore");
    let ignore = if ignore.symlink_metadata().is_ok() {
        Some(NamedText {
            name: format!("{name}/.dockerignore"),
            text: files::read(&ignore, Limit::Project).map_err(failed)?,
        })
    } else {
        None
    };
    Ok(NamedContext::Directory { path: real, ignore })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_directories_images_and_layouts() {
        let source = |text: &str| text.parse::<ContextArg>().map(|context| context.source);
        let digest = Digest::of(b"x");
        let layout = |dir: &str, tag: Option<&str>, digest| {
            Ok(ContextSource::Layout {
                dir: dir.into(),
                tag: tag.map(Into::into),
                digest,
            })
        };
        assert_eq!(
            source("a=../b"),
            Ok(ContextSource::Directory("../b".into()))
        );
        assert_eq!(
            source("alpine=docker-image://busybox:1"),
            Ok(ContextSource::Image("busybox:1".parse().unwrap()))
        );
        assert_eq!(source("a=oci-layout://d/e"), layout("d/e", None, None));
        assert_eq!(source("a=oci-layout://d:v1"), layout("d", Some("v1"), None));
        assert_eq!(source("a=oci-layout://x:y/d"), layout("x:y/d", None, None));
        assert_eq!(
            source(&format!("a=oci-layout://d@{digest}")),
            layout("d", None, Some(digest))
        );
        for form in ["", "a", "a=", "=b", "a=oci-layout://", "a=oci-layout://d:"] {
            assert_eq!(source(form), Err(ContextArgError::Form), "{form}");
        }
        for kind in [
            "a=https://example.org/y",
            "a=git@example.org:y",
            "a=target:z",
        ] {
            assert!(
                matches!(source(kind), Err(ContextArgError::Kind(_))),
                "{kind}"
            );
        }
        assert!(matches!(
            source("a=oci-layout://d@sha256:x"),
            Err(ContextArgError::Digest(_))
        ));
    }
}
