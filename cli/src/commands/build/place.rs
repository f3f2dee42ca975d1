//! Where Dockerfile and context come from: a directory, standard input, or one each.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use repro_core::{
    build::{BuildRequest, ContextPlace, NamedText},
    image::transport::{FileSource, TransportError},
    layer::Limits,
};
use repro_sandbox::tree::open_archive;
use repro_toolchains::{
    lock::{self, ProjectLock},
    project::Project,
};
use tempfile::{NamedTempFile, TempDir};

use super::{Args, request::absolute};
use crate::{
    error::{CommandError, ErrorKind, io_kind},
    files::{self, Limit},
};

/// What an argument is called that means standard input.
const STDIN: &str = "-";
/// Name of the Dockerfile unless something else is said.
const DOCKERFILE: &str = "Dockerfile";
/// Name of what declares toolchains and inputs, at the root of the context.
pub(crate) const PROJECT: &str = "repro.toml";

/// Where the files are that a build begins with.
#[derive(Debug)]
pub(crate) struct Place {
    context: ContextFiles,
    /// A Dockerfile that came on standard input.
    dockerfile: Option<Vec<u8>>,
}

#[derive(Debug)]
enum ContextFiles {
    /// Absolute, without links.
    Directory(PathBuf),
    /// A tar that came on standard input.
    Archive {
        files: FileSource,
        /// Plain; removed with this.
        tar: NamedTempFile,
    },
    /// Only a Dockerfile came on standard input.
    Empty(TempDir),
}

/// A Dockerfile and what lies beside it.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) dockerfile: NamedText,
    pub(crate) ignore: Option<NamedText>,
    pub(crate) lock: Option<ProjectLock>,
}

/// Where the Dockerfile lies from the working directory, if it lies below; else its name in the context.
pub(crate) fn from_here(request: &BuildRequest) -> Result<String, CommandError> {
    let name = &request.dockerfile.name;
    let ContextPlace::Directory(context) = &request.context else {
        return Ok(name.clone());
    };
    let here = absolute(Path::new("."))?;
    let file = context.join(name);
    let below = file.strip_prefix(&here).ok().and_then(Path::to_str);
    Ok(below.unwrap_or(name).to_owned())
}

impl Place {
    /// Finds the context, and reads standard input where it is that or the Dockerfile. `tmp` gives
    /// a directory for what comes from there.
    pub(crate) fn open(
        args: &Args,
        tmp: impl FnOnce() -> Result<PathBuf, CommandError>,
    ) -> Result<Self, CommandError> {
        refuse_remote(&args.context)?;
        let file_is_stdin = args.file.as_deref() == Some(Path::new(STDIN));
        if args.context != Path::new(STDIN) {
            let dockerfile = file_is_stdin
                .then(|| files::read_from(io::stdin().lock(), "standard input", Limit::Project))
                .transpose()?;
            return Ok(Self {
                context: ContextFiles::Directory(super::request::context(&args.context)?),
                dockerfile,
            });
        }
        if file_is_stdin {
            return Err(CommandError::usage(
                "standard input cannot be both the Dockerfile and the context",
            )
            .hint("put the Dockerfile into the archive, or name a directory as the context"));
        }
        Self::of_stdin(args, &tmp()?)
    }

    /// A directory, or an archive with the files of one.
    pub(crate) fn at(path: &Path, tmp: &Path) -> Result<Self, CommandError> {
        refuse_remote(path)?;
        if !path.is_file() {
            return Ok(Self {
                context: ContextFiles::Directory(super::request::context(path)?),
                dockerfile: None,
            });
        }
        let failed = |error: io::Error| {
            CommandError::new(io_kind(&error), &error)
                .context(format!("cannot read {}", path.display()))
        };
        let archive = File::open(path).and_then(open_archive).map_err(failed)?;
        let Some(archive) = archive else {
            let message = format!("{} is neither a directory nor an archive", path.display());
            return Err(CommandError::usage(message));
        };
        Ok(Self {
            context: unpacked(archive, tmp, failed)?,
            dockerfile: None,
        })
    }

    fn of_stdin(args: &Args, tmp: &Path) -> Result<Self, CommandError> {
        let failed = |error: io::Error| {
            CommandError::new(io_kind(&error), &error).context("cannot read standard input")
        };
        let mut input = NamedTempFile::new_in(tmp).map_err(failed)?;
        io::copy(&mut io::stdin().lock(), &mut input).map_err(failed)?;
        let open = || File::open(input.path());
        let archive = open().and_then(open_archive).map_err(failed)?;
        let Some(archive) = archive else {
            if args.file.is_some() {
                return Err(CommandError::usage(
                    "standard input is no archive, so it is the Dockerfile, and -f names another",
                )
                .hint("leave out -f, or pipe a tar"));
            }
            let reader = open().map_err(failed)?;
            let text = files::read_from(reader, "standard input", Limit::Project)?;
            return Ok(Self {
                context: ContextFiles::Empty(TempDir::new_in(tmp).map_err(failed)?),
                dockerfile: Some(text),
            });
        };
        Ok(Self {
            context: unpacked(archive, tmp, failed)?,
            dockerfile: None,
        })
    }

    /// The context, for the builder. It is there as long as this value.
    pub(crate) fn context(&self) -> ContextPlace {
        match &self.context {
            ContextFiles::Directory(dir) => ContextPlace::Directory(dir.clone()),
            ContextFiles::Empty(dir) => ContextPlace::Directory(dir.path().to_owned()),
            ContextFiles::Archive { tar, .. } => ContextPlace::Archive(tar.path().to_owned()),
        }
    }

    /// The context, if it is a directory of the user.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.context {
            ContextFiles::Directory(dir) => Some(dir),
            ContextFiles::Archive { .. } | ContextFiles::Empty(_) => None,
        }
    }

    /// `repro.toml`.
    pub(crate) fn project(&self) -> Result<Project, CommandError> {
        match &self.context {
            ContextFiles::Directory(dir) => Ok(Project::load(dir)?),
            ContextFiles::Empty(_) => Ok(Project::default()),
            ContextFiles::Archive { .. } => match self.text(PROJECT)? {
                Some(text) => Ok(Project::parse(PROJECT, &text)?),
                None => Ok(Project::default()),
            },
        }
    }

    /// The Dockerfile that `-f` or the project names, else the one of the usual name.
    pub(crate) fn files(&self, args: &Args, project: &Project) -> Result<Files, CommandError> {
        if let Some(text) = &self.dockerfile {
            // As if it lay in the context under its usual name.
            return Ok(Files {
                dockerfile: NamedText {
                    name: STDIN.to_owned(),
                    text: text.clone(),
                },
                ignore: self.ignore(DOCKERFILE)?,
                lock: self.lock(DOCKERFILE)?,
            });
        }
        if let ContextFiles::Directory(dir) = &self.context {
            return super::request::directory_files(args, project, dir);
        }
        let named = args
            .file
            .as_deref()
            .or(project.build.dockerfile.as_deref().map(Path::new));
        let name = named.map_or_else(|| DOCKERFILE.to_owned(), |path| path.display().to_string());
        let text = self.read(&name)?.ok_or_else(|| {
            let message = format!("the archive on standard input has no {name}");
            CommandError::message(ErrorKind::Input, message).hint("name the Dockerfile: -f FILE")
        })?;
        Ok(Files {
            ignore: self.ignore(&name)?,
            lock: self.lock(&name)?,
            dockerfile: NamedText { name, text },
        })
    }

    /// The ignore file of this Dockerfile, else that of the context.
    pub(crate) fn ignore(&self, dockerfile: &str) -> Result<Option<NamedText>, CommandError> {
        let own = format!("{dockerfile}.dockerignore");
        for name in [own, ".dockerignore".to_owned()] {
            if let Some(text) = self.read(&name)? {
                return Ok(Some(NamedText { name, text }));
            }
        }
        Ok(None)
    }

    /// The lock of this Dockerfile.
    pub(crate) fn lock(&self, dockerfile: &str) -> Result<Option<ProjectLock>, CommandError> {
        let path = Path::new(dockerfile);
        let own = path.file_name().unwrap_or_default().to_string_lossy();
        let name = path.with_file_name(lock::file_name(&own));
        let name = name.display().to_string();
        match self.text(&name)? {
            Some(text) => Ok(Some(ProjectLock::parse(&name, &text)?)),
            None => Ok(None),
        }
    }

    /// The text of the lock that was read.
    pub(crate) fn lock_text(
        &self,
        lock: Option<&ProjectLock>,
    ) -> Result<Option<Vec<u8>>, CommandError> {
        let Some(lock) = lock else { return Ok(None) };
        match &self.context {
            // It lies beside the Dockerfile, which need not lie in the context.
            ContextFiles::Directory(_) => {
                files::read(Path::new(lock.file()), Limit::Lock).map(Some)
            }
            ContextFiles::Archive { .. } | ContextFiles::Empty(_) => self.read(lock.file()),
        }
    }

    fn text(&self, name: &str) -> Result<Option<String>, CommandError> {
        let utf8 = |bytes| {
            String::from_utf8(bytes)
                .map_err(|_| CommandError::usage(format!("{name} of the context is not UTF-8")))
        };
        self.read(name)?.map(utf8).transpose()
    }

    /// A file of the context, if it is there.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CommandError> {
        match &self.context {
            ContextFiles::Empty(_) => Ok(None),
            ContextFiles::Directory(dir) => {
                let path = dir.join(name);
                let found = path.symlink_metadata().is_ok();
                found
                    .then(|| files::read(&path, Limit::Project))
                    .transpose()
            }
            ContextFiles::Archive { files, .. } => match files.document(name) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(TransportError::NoMember { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// An archive with the files of a context, on disk and looked through.
fn unpacked(
    mut archive: impl io::Read,
    tmp: &Path,
    failed: impl Fn(io::Error) -> CommandError,
) -> Result<ContextFiles, CommandError> {
    let mut tar = NamedTempFile::new_in(tmp).map_err(&failed)?;
    io::copy(&mut archive, &mut tar).map_err(&failed)?;
    tar.flush().map_err(&failed)?;
    let files = FileSource::archive(tar.path(), tmp, Limits::default())?;
    Ok(ContextFiles::Archive { files, tar })
}

/// A context that Docker would fetch is an input that nothing pins.
fn refuse_remote(context: &Path) -> Result<(), CommandError> {
    let Some(text) = context.to_str() else {
        return Ok(());
    };
    if !text.contains("://") && !text.starts_with("git@") {
        return Ok(());
    }
    let message = format!("the context {text} would have to be fetched, and no lock pins it");
    Err(CommandError::message(ErrorKind::Input, message).hint(
        "fetch it first, at a commit or digest of your choice, and build that directory; or pipe \
         its archive: git archive COMMIT | repro build -",
    ))
}
