//! One container, from its making to its removal, and its streams.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    time::Duration,
};

use bollard::{
    container::LogOutput,
    errors::Error as ApiError,
    models::{ContainerCreateBody, ContainerSummary, HostConfig},
    query_parameters::{
        AttachContainerOptionsBuilder, CreateContainerOptions, KillContainerOptions,
        ListContainersOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

use super::labels::Filter;
use crate::{Client, EngineError};

/// Pieces of a stream under way, of at most 64 KiB each.
const AHEAD: usize = 16;
/// How often a list of containers is asked for, and how long in between.
const LIST_ATTEMPTS: u32 = 50;
const LIST_PAUSE: Duration = Duration::from_millis(200);
/// Most bytes of what a helper says where nobody listens.
const MAX_STRAY: usize = 4096;

/// What a container is made of.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) image: String,
    pub(super) command: Vec<String>,
    pub(super) environment: Vec<String>,
    pub(super) hostname: String,
    pub(super) domainname: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) host: HostConfig,
}

/// A container. It is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Container<'a> {
    client: &'a Client,
    id: String,
}

impl<'a> Container<'a> {
    /// Makes a container, which does not run yet.
    pub(super) fn create(client: &'a Client, making: Making) -> Result<Self, EngineError> {
        let body = ContainerCreateBody {
            image: Some(making.image),
            entrypoint: Some(making.command),
            cmd: Some(Vec::new()),
            env: Some(making.environment),
            hostname: Some(making.hostname),
            domainname: Some(making.domainname),
            working_dir: Some("/".to_owned()),
            user: Some("0:0".to_owned()),
            labels: Some(making.labels.into_iter().collect()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            open_stdin: Some(true),
            stdin_once: Some(true),
            tty: Some(false),
            network_disabled: Some(true),
            host_config: Some(making.host),
            ..ContainerCreateBody::default()
        };
        let create = client
            .docker
            .create_container(None::<CreateContainerOptions>, body);
        let made = client
            .wait(create)
            .map_err(|error| EngineError::of("make a container", error))?;
        for warning in made.warnings {
            tracing::info!(%warning, "the engine warns");
        }
        Ok(Self {
            client,
            id: made.id,
        })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Starts its helper; gives the helper's output and input.
    pub(super) fn start(&self) -> Result<(Output, Input), EngineError> {
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let docker = &self.client.docker;
        let started = async {
            let attached = docker.attach_container(&self.id, Some(options)).await?;
            docker
                .start_container(&self.id, None::<StartContainerOptions>)
                .await?;
            Ok::<_, ApiError>(attached)
        };
        self.client.wait(async {
            let attached = started
                .await
                .map_err(|error| EngineError::of("start a container", error))?;
            let (heard, output) = mpsc::channel(AHEAD);
            let (input, mut said) = mpsc::channel::<Bytes>(AHEAD);
            let (mut from, mut to) = (attached.output, attached.input);
            tokio::spawn(async move {
                let mut stray = Vec::new();
                while let Some(piece) = from.next().await {
                    match piece {
                        Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                            if heard.send(message).await.is_err() {
                                return;
                            }
                        }
                        Ok(LogOutput::StdErr { message } | LogOutput::StdIn { message }) => {
                            let room = MAX_STRAY.saturating_sub(stray.len());
                            stray.extend_from_slice(&message[..message.len().min(room)]);
                        }
                        Err(error) => {
                            tracing::debug!(%error, "the stream of a container broke off");
                            break;
                        }
                    }
                }
                if !stray.is_empty() {
                    let text = String::from_utf8_lossy(&stray);
                    tracing::warn!(%text, "a container's first process said something");
                }
            });
            tokio::spawn(async move {
                while let Some(bytes) = said.recv().await {
                    // The other direction tells that it broke.
                    if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
                        return;
                    }
                }
                drop(to.shutdown().await);
            });
            Ok((
                Output {
                    pieces: output,
                    piece: Bytes::new(),
                },
                Input(input),
            ))
        })
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if let Err(error) = remove(self.client, &self.id) {
            // Its label says whose it was, so the next one finds it.
            tracing::warn!(%error, id = self.id, "a container was not removed");
        }
    }
}

/// Removes a container with its volumes, whether it runs or not; one that is gone is as good.
fn remove(client: &Client, id: &str) -> Result<(), EngineError> {
    let options = RemoveContainerOptionsBuilder::default()
        .force(true)
        .v(true)
        .build();
    match client.wait(client.docker.remove_container(id, Some(options))) {
        Ok(())
        | Err(ApiError::DockerResponseServerError {
            // Gone, or on its way.
            status_code: 404 | 409,
            ..
        }) => Ok(()),
        Err(error) => Err(EngineError::of("remove a container", error)),
    }
}

/// Ends a container's processes.
pub(super) fn kill(client: &Client, id: &str) {
    // One that has ended is as good.
    drop(
        client.wait(
            client
                .docker
                .kill_container(id, None::<KillContainerOptions>),
        ),
    );
}

/// Removes those containers that `filter` finds whose labels `is_meant` picks; gives how many.
pub(super) fn remove_all(
    client: &Client,
    filter: &Filter,
    is_meant: impl Fn(&BTreeMap<String, String>) -> bool,
) -> Result<u64, EngineError> {
    let mut removed = 0;
    for container in list(client, filter)? {
        let labels = container.labels.unwrap_or_default().into_iter().collect();
        if let Some(id) = container.id.filter(|_| is_meant(&labels)) {
            remove(client, &id)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The containers that `filter` finds.
///
/// Podman has a state of its own, "stopped", on the way from running to exited, which the library does not know
/// and refuses the whole list for: such a list is asked for again.
fn list(client: &Client, filter: &Filter) -> Result<Vec<ContainerSummary>, EngineError> {
    let options = ListContainersOptionsBuilder::default()
        .all(true)
        .filters(&filter.clone().into_iter().collect())
        .build();
    for _ in 1..LIST_ATTEMPTS {
        match client.wait(client.docker.list_containers(Some(options.clone()))) {
            Err(ApiError::JsonDataError { .. } | ApiError::JsonSerdeError { .. }) => {
                client.wait(async { tokio::time::sleep(LIST_PAUSE).await });
            }
            listed => return listed.map_err(|error| EngineError::of("list containers", error)),
        }
    }
    client
        .wait(client.docker.list_containers(Some(options)))
        .map_err(|error| EngineError::of("list containers", error))
}

/// What the helper says.
#[derive(Debug)]
pub(super) struct Output {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Output {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let taken = self.piece.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&self.piece.split_to(taken));
        Ok(taken)
    }
}

/// What the helper is told.
#[derive(Debug)]
pub(super) struct Input(mpsc::Sender<Bytes>);

impl Write for Input {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Bytes::copy_from_slice(bytes))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
