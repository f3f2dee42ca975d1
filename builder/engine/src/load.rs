//! Giving an engine an image.

use std::{
    io::{self, Read},
    time::Duration,
};

use bollard::{
    body_try_stream,
    models::BuildInfo,
    query_parameters::{ImportImageOptionsBuilder, TagImageOptionsBuilder},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use repro_core::{
    event::{Event, EventSink, Unit},
    reference::ImageRef,
};
use tokio::sync::mpsc;

use crate::{client::Client, error::EngineError};

/// Bytes that are sent at a time.
const CHUNK: usize = 256 << 10;
/// Pieces on their way: the engine may be slower than the disk.
const AHEAD: usize = 4;
/// How long an engine may unpack before it begins to answer: Podman says nothing until it is done.
const UNPACKING: Duration = Duration::from_hours(1);
/// What is being done, in errors.
const DOING: &str = "load the image";
/// The task, in events.
const TASK: &str = "load";

/// An image that an engine has taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedImage {
    /// What the engine calls it: the digest of its configuration, or with containerd's store that of
    /// its manifest.
    pub id: String,
    /// The names that it has now, as the engine writes them. There may be none.
    pub names: Vec<String>,
}

impl Client {
    /// Sends `archive`, as `docker save` writes it, of one image; the engine unpacks it and gives it
    /// the names inside. Nothing of it is kept in memory or on disk here.
    pub fn load(
        &self,
        archive: impl Read + Send,
        events: &dyn EventSink,
    ) -> Result<LoadedImage, EngineError> {
        events.event(Event::TaskStarted {
            id: TASK.to_owned(),
            title: format!("load into {} {}", self.about().kind, self.about().version),
            total: None,
            unit: Unit::Bytes,
        });
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (answer, read) = std::thread::scope(|scope| {
            let reading = scope.spawn(move || send(archive, &sender, events));
            // The receiver goes with the request: where the engine has heard enough, reading ends.
            let answer = self.wait(self.unpack(receiver));
            (answer, reading.join())
        });
        let read = read.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // An archive that broke off is the reason why the engine refused it.
        let sent = read.map_err(EngineError::Archive)?;
        let loaded = answer?;
        events.event(Event::TaskFinished {
            id: TASK.to_owned(),
            summary: format!("{} ({sent} bytes)", loaded.id),
        });
        Ok(loaded)
    }

    /// Gives an image of the engine one more name. If another image has it, that one loses it.
    pub fn tag(&self, id: &str, name: &ImageRef) -> Result<(), EngineError> {
        let options = TagImageOptionsBuilder::default()
            .repo(&name.name())
            .tag(name.tag().unwrap_or("latest"))
            .build();
        let doing = format!("name the image {name}");
        self.wait(self.docker.tag_image(id, Some(options)))
            .map_err(|error| EngineError::of(&doing, error))
    }

    async fn unpack(
        &self,
        chunks: mpsc::Receiver<io::Result<Bytes>>,
    ) -> Result<LoadedImage, EngineError> {
        let docker = self.docker.clone().with_timeout(UNPACKING);
        let body = stream::unfold(chunks, |mut chunks| async move {
            let chunk = chunks.recv().await?;
            Some((chunk, chunks))
        });
        let options = ImportImageOptionsBuilder::default().quiet(true).build();
        let mut lines = docker.import_image(options, body_try_stream(body), None);
        let mut said = String::new();
        while let Some(line) = lines.next().await {
            let BuildInfo { stream, .. } = line.map_err(|error| EngineError::of(DOING, error))?;
            said.push_str(&stream.unwrap_or_default());
        }
        let names = names(&said);
        let first = names.first().ok_or_else(|| EngineError::Answer {
            doing: DOING.to_owned(),
            source: io::Error::other(format!("it names no image: {said:?}")),
        })?;
        let image = docker.inspect_image(first).await;
        let image = image.map_err(|error| EngineError::of("describe what it loaded", error))?;
        Ok(LoadedImage {
            id: image.id.unwrap_or_default(),
            names: image.repo_tags.unwrap_or_default(),
        })
    }
}

/// Reads to the end, or until nobody listens; gives how many bytes went out.
fn send(
    mut archive: impl Read,
    to: &mpsc::Sender<io::Result<Bytes>>,
    events: &dyn EventSink,
) -> io::Result<u64> {
    let mut done = 0;
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = match archive.read(&mut chunk) {
            Ok(0) => return Ok(done),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // The request must not look as if it were whole.
                let broken = io::Error::new(error.kind(), error.to_string());
                drop(to.blocking_send(Err(broken)));
                return Err(error);
            }
        };
        chunk.truncate(length);
        if to.blocking_send(Ok(chunk.into())).is_err() {
            return Ok(done);
        }
        done += length as u64;
        events.event(Event::TaskAdvanced {
            id: TASK.to_owned(),
            done,
        });
    }
}

/// The images that an engine says it has loaded. Docker has a line for each, Podman one for all.
fn names(said: &str) -> Vec<String> {
    let name = |line: &str| {
        let (_, names) = line
            .split_once("Loaded image: ")
            .or_else(|| line.split_once("Loaded image ID: "))?;
        Some(names.trim().to_owned())
    };
    let lines = said.lines().filter_map(name);
    lines
        .flat_map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_is_read() {
        for (said, expected) in [
            ("Loaded image: acme/app:1\n", vec!["acme/app:1"]),
            (
                "Loaded image: a:1\nLoaded image: b.example:5000/b:2\n",
                vec!["a:1", "b.example:5000/b:2"],
            ),
            (
                "Loaded image: docker.io/library/a:1,localhost/b:2",
                vec!["docker.io/library/a:1", "localhost/b:2"],
            ),
            ("Loaded image ID: sha256:0123\n", vec!["sha256:0123"]),
            ("Loading layer\n", vec![]),
        ] {
            assert_eq!(names(said), expected, "{said}");
        }
    }
}
