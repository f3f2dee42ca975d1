//! `-o`: where the image goes besides the store, spelt as in skopeo or as in `docker buildx build`.

use std::{
    io,
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_builder::dockerfile::csv_fields;
use repro_core::{
    image::{
        StoredImage,
        transport::{self, Archive, Location},
    },
    reference::{ImageRef, ReferenceError},
    store::Store,
};

use crate::{
    args::{Outside, OutsideError},
    error::CommandError,
    output::{Format, Output},
};

/// One `-o`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OutputArg {
    /// A file or a layout; `-` is standard output.
    Archive(Archive),
    /// The files of the image.
    Directory(PathBuf),
    /// More names in the store.
    Names(Vec<ImageRef>),
    /// Names in registries.
    Registry(Vec<ImageRef>),
    /// Nowhere.
    Nothing,
}

/// Why a text is no output.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputArgError {
    /// The form that names a transport.
    #[error(transparent)]
    Outside(#[from] OutsideError),
    /// The commas and quotes.
    #[error("a quote is not closed, or stands inside a word")]
    Csv,
    /// A part without `=`.
    #[error("{0:?} is not KEY=VALUE")]
    Pair(String),
    /// A key that there is not.
    #[error(
        "type={kind} has no key {key:?}: annotations are given by --annotation, and the ruleset \
         decides compression, media types and times"
    )]
    Key {
        /// The type.
        kind: String,
        /// The key.
        key: String,
    },
    /// No `type`.
    #[error("an output has a type: oci, docker, tar, local, image, registry or cacheonly")]
    NoType,
    /// A type that there is not.
    #[error("{0:?} is not a type of output: oci, docker, tar, local, image, registry or cacheonly")]
    Type(String),
    /// `push` that is neither true nor false.
    #[error("push={0} is neither true nor false")]
    Push(String),
    /// A daemon.
    #[error("type=docker needs dest=FILE; --load gives the image to the engine")]
    Load,
    /// `dest` is missing.
    #[error("type={0} needs dest=PATH")]
    NoDest(String),
    /// `dest` where there is none.
    #[error("type={0} has no dest")]
    Dest(String),
    /// `tar` that is neither true nor false, or makes no sense.
    #[error("tar={value} cannot be used with type={kind}")]
    Tar {
        /// The type.
        kind: String,
        /// The value.
        value: String,
    },
    /// No name.
    #[error("type={0} needs name=REF")]
    NoName(String),
    /// A name that is none.
    #[error(transparent)]
    Name(#[from] ReferenceError),
}

impl FromStr for OutputArg {
    type Err = OutputArgError;

    fn from_str(text: &str) -> Result<Self, OutputArgError> {
        const TRANSPORTS: [&str; 5] = [
            "oci:",
            "oci-archive:",
            "docker-archive:",
            "rootfs:",
            "docker://",
        ];
        if TRANSPORTS
            .iter()
            .any(|transport| text.starts_with(transport))
        {
            return Ok(match text.parse()? {
                Outside::Archive(archive) => Self::Archive(archive),
                Outside::Registry(reference) => Self::Registry(vec![reference]),
            });
        }
        let fields = csv_fields(text).ok_or(OutputArgError::Csv)?;
        match fields.as_slice() {
            [only] if only == text && !only.starts_with("type=") => Ok(match text {
                "-" => Self::Archive(Archive::Rootfs { file: text.into() }),
                path => Self::Directory(path.into()),
            }),
            fields => of_fields(fields),
        }
    }
}

#[derive(Default)]
struct Fields {
    kind: Option<String>,
    dest: Option<String>,
    tar: Option<String>,
    names: Vec<ImageRef>,
    push: bool,
    unknown: Option<String>,
}

fn of_fields(fields: &[String]) -> Result<OutputArg, OutputArgError> {
    let mut all = Fields::default();
    for field in fields {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| OutputArgError::Pair(field.clone()))?;
        match key {
            "type" => all.kind = Some(value.to_owned()),
            "dest" => all.dest = Some(value.to_owned()).filter(|dest| !dest.is_empty()),
            "tar" => all.tar = Some(value.to_owned()),
            "name" => {
                for name in value.split(',') {
                    all.names.push(name.parse()?);
                }
            }
            "push" => {
                all.push = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(OutputArgError::Push(value.to_owned())),
                }
            }
            other => {
                all.unknown.get_or_insert(other.to_owned());
            }
        }
    }
    let kind = all.kind.take().ok_or(OutputArgError::NoType)?;
    if let Some(key) = all.unknown.take() {
        return Err(OutputArgError::Key { kind, key });
    }
    let tar = |value: Option<String>| match value.as_deref() {
        None | Some("true") => Ok(true),
        Some("false") if kind == "oci" => Ok(false),
        Some(value) => Err(OutputArgError::Tar {
            kind: kind.clone(),
            value: value.to_owned(),
        }),
    };
    let is_tar = tar(all.tar.take())?;
    let first = all.names.first();
    let stream = |dest: Option<String>| PathBuf::from(dest.unwrap_or_else(|| "-".to_owned()));
    let needed = |dest: Option<String>| {
        let dest = dest.filter(|dest| dest != "-").map(PathBuf::from);
        dest.ok_or_else(|| OutputArgError::NoDest(kind.clone()))
    };
    Ok(match kind.as_str() {
        "oci" => {
            let tag = first.map(ToString::to_string);
            if is_tar {
                let file = stream(all.dest);
                OutputArg::Archive(Archive::OciArchive { file, tag })
            } else {
                let dir = needed(all.dest)?;
                OutputArg::Archive(Archive::OciDir { dir, tag })
            }
        }
        "docker" => OutputArg::Archive(Archive::DockerArchive {
            file: all.dest.ok_or(OutputArgError::Load)?.into(),
            reference: first.cloned(),
        }),
        "tar" => OutputArg::Archive(Archive::Rootfs {
            file: stream(all.dest),
        }),
        "local" => OutputArg::Directory(needed(all.dest)?),
        "image" | "registry" | "cacheonly" if all.dest.is_some() => {
            return Err(OutputArgError::Dest(kind));
        }
        "image" | "registry" if all.names.is_empty() => return Err(OutputArgError::NoName(kind)),
        "registry" => OutputArg::Registry(all.names),
        "image" if all.push => OutputArg::Registry(all.names),
        "image" => OutputArg::Names(all.names),
        "cacheonly" => OutputArg::Nothing,
        _ => return Err(OutputArgError::Type(kind)),
    })
}

/// All outputs of a build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outputs<'a>(pub(crate) &'a [OutputArg]);

impl<'a> Outputs<'a> {
    /// Whether one of them is standard output.
    pub(crate) fn streams(self) -> bool {
        self.streamed().count() > 0
    }

    fn streamed(self) -> impl Iterator<Item = &'a Archive> {
        self.0.iter().filter_map(|output| match output {
            OutputArg::Archive(archive) if archive.is_stream() => Some(archive),
            _ => None,
        })
    }

    /// The names among them.
    pub(crate) fn names(self) -> impl Iterator<Item = &'a ImageRef> {
        self.0.iter().flat_map(|output| match output {
            OutputArg::Names(names) => names.as_slice(),
            _ => &[],
        })
    }

    /// The directories of layouts.
    pub(crate) fn layouts(self) -> impl Iterator<Item = &'a Path> {
        self.0.iter().filter_map(|output| match output {
            OutputArg::Archive(Archive::OciDir { dir, .. }) => Some(dir.as_path()),
            _ => None,
        })
    }

    /// Where in registries.
    pub(crate) fn registries(self) -> impl Iterator<Item = &'a ImageRef> {
        self.0.iter().flat_map(|output| match output {
            OutputArg::Registry(names) => names.as_slice(),
            _ => &[],
        })
    }

    /// Refuses what standard output cannot take, before anything is built.
    pub(crate) fn check(self, output: &Output) -> Result<(), CommandError> {
        let taken = self.streamed().count();
        if taken == 0 {
            return Ok(());
        }
        if self
            .streamed()
            .any(|archive| matches!(archive, Archive::OciDir { .. }))
        {
            return Err(transport::TransportError::NotAStream.into());
        }
        if taken > 1 || output.format() == Format::Json || !output.talks() {
            return Err(CommandError::usage(
                "standard output holds one thing: an image, a document or an image id",
            )
            .hint("name a file for the image: dest=FILE"));
        }
        output.refuse_terminal()
    }

    /// Writes the image to each of them. `name` is what an archive calls it.
    pub(crate) fn write(
        self,
        store: &Store,
        image: &StoredImage,
        name: Option<&ImageRef>,
    ) -> Result<(), CommandError> {
        for output in self.0 {
            match output {
                OutputArg::Archive(archive) => write_archive(store, image, name, archive)?,
                OutputArg::Directory(dir) => {
                    transport::export_local(store.blobs(), image, dir)?;
                }
                // What is pushed is pushed last, when nothing speaks against it.
                OutputArg::Names(_) | OutputArg::Registry(_) | OutputArg::Nothing => {}
            }
        }
        Ok(())
    }
}

/// Writes an image where `to` says; `-` is standard output.
pub(crate) fn write_archive(
    store: &Store,
    image: &StoredImage,
    name: Option<&ImageRef>,
    to: &Archive,
) -> Result<(), CommandError> {
    if !to.is_stream() {
        return Ok(transport::export(store.blobs(), image, name, to)?);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    transport::export_stream(store.blobs(), image, name, to, &mut out)?;
    io::Write::flush(&mut out).map_err(|error| {
        CommandError::new(crate::error::io_kind(&error), &error).context("cannot write the output")
    })
}

impl std::fmt::Display for OutputArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Archive(archive) => Location::Archive(archive.clone()).fmt(f),
            Self::Directory(dir) => write!(f, "type=local,dest={}", dir.display()),
            Self::Names(names) => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                write!(f, "type=image,\"name={}\"", names.join(","))
            }
            Self::Registry(names) => {
                let names: Vec<String> = names.iter().map(ToString::to_string).collect();
                write!(f, "type=registry,\"name={}\"", names.join(","))
            }
            Self::Nothing => f.write_str("type=cacheonly"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_spelt_as_in_skopeo_and_as_in_docker() {
        for (text, means) in [
            ("oci:dir:v1", "oci:dir:v1"),
            ("-", "rootfs:-"),
            ("out", "type=local,dest=out"),
            ("./oci", "type=local,dest=./oci"),
            ("type=local,dest=out", "type=local,dest=out"),
            ("type=oci", "oci-archive:-"),
            ("type=oci,dest=a.tar", "oci-archive:a.tar"),
            ("type=oci,dest=d,tar=false", "oci:d"),
            (
                "type=oci,dest=a.tar,name=acme/app:1",
                "oci-archive:a.tar:docker.io/acme/app:1",
            ),
            ("type=docker,dest=-", "docker-archive:-"),
            ("type=tar,dest=r.tar", "rootfs:r.tar"),
            ("dest=r.tar,type=tar", "rootfs:r.tar"),
            (
                "type=image,\"name=a/b,c/d:2\"",
                "type=image,\"name=docker.io/a/b:latest,docker.io/c/d:2\"",
            ),
            (
                "type=image,name=a/b,push=false",
                "type=image,\"name=docker.io/a/b:latest\"",
            ),
            (
                "docker://r.example/a",
                "type=registry,\"name=r.example/a:latest\"",
            ),
            (
                "type=registry,name=a/b",
                "type=registry,\"name=docker.io/a/b:latest\"",
            ),
            (
                "type=image,name=a/b,push=true",
                "type=registry,\"name=docker.io/a/b:latest\"",
            ),
            ("type=cacheonly", "type=cacheonly"),
        ] {
            let found: OutputArg = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(found.to_string(), means, "{text}");
        }
    }

    #[test]
    fn what_an_output_cannot_be_says_why() {
        for (text, reason) in [
            ("type=registry", "needs name=REF"),
            ("type=image,name=a,push=perhaps", "push=perhaps"),
            ("docker://a//b", "repository"),
            ("type=docker", "--load gives the image to the engine"),
            ("type=docker,dest=d,tar=false", "tar=false"),
            ("type=oci,dest=d,tar=maybe", "tar=maybe"),
            ("type=oci,tar=false", "needs dest=PATH"),
            ("type=local", "needs dest=PATH"),
            ("type=local,dest=-", "needs dest=PATH"),
            ("type=image", "needs name=REF"),
            ("type=image,name=a,dest=b", "has no dest"),
            ("type=moon", "is not a type of output"),
            ("dest=a,tar=true", "an output has a type"),
            ("type=oci,dest", "is not KEY=VALUE"),
            ("type=oci,compression=zstd", "the ruleset decides"),
            ("type=oci,\"dest=a", "a quote is not closed"),
            ("type=image,name=A", "A"),
        ] {
            let error = text.parse::<OutputArg>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
