//! `--load`: the image goes into a container engine of this machine, and only if nothing speaks against
//! it.

use std::{
    io::{self, BufWriter, PipeReader, PipeWriter, Read, Write as _},
    str::FromStr,
};

use repro_core::{
    build::BuildRecord,
    image::{
        StoredImage, load_image,
        transport::{Archive, TransportError, export_stream},
    },
    reference::ImageRef,
    store::Store,
};
use repro_engine::{Client, EngineKind, LoadedImage, find};

use super::{Args, results};
use crate::{
    ambient,
    commands::Context,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    interrupt::Interrupts,
};

/// The value of `--load`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadArg {
    /// Into none.
    No,
    /// Into the one that is there: Docker's if both are.
    Any,
    /// Into that of this kind.
    Engine(EngineKind),
}

impl FromStr for LoadArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "false" => Self::No,
            "true" => Self::Any,
            "docker" => Self::Engine(EngineKind::Docker),
            "podman" => Self::Engine(EngineKind::Podman),
            _ => {
                return Err(format!(
                    "{text:?} is none of docker, podman, true and false"
                ));
            }
        })
    }
}

/// Connects to the engine, before anything is built for it.
pub(super) fn engine(args: &Args) -> Result<Option<Client>, CommandError> {
    let kind = match args.load {
        None | Some(LoadArg::No) => return Ok(None),
        Some(LoadArg::Any) => None,
        Some(LoadArg::Engine(kind)) => Some(kind),
    };
    let connect = || Ok(Client::connect(&find(kind, &ambient::engines())?)?);
    let client: Result<_, CommandError> = connect();
    client
        .map(Some)
        .map_err(|error| error.context("there is no engine to --load the image into"))
}

/// Gives the image of run A to the engine, under the names of `-t`.
pub(super) fn load(
    client: Option<&Client>,
    context: &Context,
    store: &Store,
    record: &BuildRecord,
    status: ExitStatus,
    names: &[ImageRef],
) -> Result<(), CommandError> {
    let (Some(client), Some(image)) = (client, results::image_of(record)) else {
        return Ok(());
    };
    let output = &context.settings.output;
    if status != ExitStatus::Done {
        output.warning("the image is not loaded, since the runs differ");
        return Ok(());
    }
    let image = load_image(store.blobs(), image.manifest)?;
    let engine = client.about();
    let loaded = send(client, context, store, &image, names.first())
        .and_then(|loaded| {
            for name in names.iter().skip(1) {
                client.tag(&loaded.id, name)?;
            }
            Ok(loaded)
        })
        .map_err(|error| error.context(format!("cannot load the image into {engine}")))?;
    let tags: Vec<String> = names.iter().map(ImageRef::familiar).collect();
    let called = if tags.is_empty() {
        "without a name; -t gives it one".to_owned()
    } else {
        format!("as {}", tags.join(", "))
    };
    output.status(&format!("loaded {} into {engine} {called}", loaded.id));
    Ok(())
}

/// Writes the archive while the engine reads it, so that no copy of it lies anywhere.
fn send(
    client: &Client,
    context: &Context,
    store: &Store,
    image: &StoredImage,
    name: Option<&ImageRef>,
) -> Result<LoadedImage, CommandError> {
    let (reader, writer) = io::pipe().map_err(|error| {
        CommandError::new(ErrorKind::Machine, &error).context("cannot make a pipe")
    })?;
    let events = context.settings.view.start(&context.settings.output);
    let reader = UntilSignal {
        reader,
        interrupts: &context.interrupts,
    };
    let (loaded, written) = std::thread::scope(|scope| {
        let writing = scope.spawn(move || write(store, image, name, writer));
        let loaded = client.load(reader, events.as_ref());
        (loaded, writing.join())
    });
    drop(events);
    let written = written.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    match (loaded, written) {
        (Ok(loaded), Ok(())) => Ok(loaded),
        // The engine had heard enough: its word is the reason.
        (Err(error), Err(TransportError::Io { source, .. }))
            if source.kind() == io::ErrorKind::BrokenPipe =>
        {
            Err(error.into())
        }
        // It was given half of an image: the store is the reason.
        (_, Err(error)) => Err(error.into()),
        (Err(error), Ok(())) => Err(error.into()),
    }
}

fn write(
    store: &Store,
    image: &StoredImage,
    name: Option<&ImageRef>,
    writer: PipeWriter,
) -> Result<(), TransportError> {
    let form = Archive::DockerArchive {
        file: "-".into(),
        reference: None,
    };
    let mut out = BufWriter::new(writer);
    export_stream(store.blobs(), image, name, &form, &mut out)?;
    out.flush().map_err(|source| TransportError::Io {
        what: "write to the engine".to_owned(),
        source,
    })
}

/// Breaks off where a signal asks for it.
struct UntilSignal<'a> {
    reader: PipeReader,
    interrupts: &'a Interrupts,
}

impl Read for UntilSignal<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupts.received().is_some() {
            return Err(io::Error::other("interrupted"));
        }
        self.reader.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_named_as_everywhere() {
        assert_eq!("true".parse(), Ok(LoadArg::Any));
        assert_eq!("false".parse(), Ok(LoadArg::No));
        for kind in [EngineKind::Docker, EngineKind::Podman] {
            assert_eq!(kind.name().parse(), Ok(LoadArg::Engine(kind)));
        }
        assert!("Docker".parse::<LoadArg>().is_err());
    }
}
