//! From an order to a request: every input by its digest, from the pack, from the user or from the store.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read, Write as _},
    path::{Path, PathBuf},
};

use repro_core::{
    build::{
        Annotations, Axis, BuildRequest, ContextModes, ContextPlace, EpochChoice, Grants,
        InvocationId, LockMode, NamedContext, NamedText, RunSettings, Runs,
    },
    digest::{DiffId, Digest, HashingWriter},
    image::Compression,
    layer::{LayerWriter, Limits, decompress},
    platform::Platform,
    redact::Redactor,
    ruleset::Ruleset,
    store::BlobStore as _,
};
use repro_toolchains::{lock::ProjectLock, project::Project};
use repro_verifier::{
    pack::{self, PackInputs, layout},
    rebuild::{Order, OrderedContext},
    verify::VerifiedPack,
};
use serde::Serialize;
use tempfile::TempDir;

use super::{Local, RebuildArgs, missing::Missing};
use crate::{
    commands::build::{
        self, RunCount, grants, inputs,
        place::{PROJECT, Place},
        request::{Asked, absolute, is_pack},
    },
    error::{CommandError, ErrorKind, io_kind},
};

/// Largest text of a project that is read from a pack.
const TEXT_MAX: usize = 64 << 20;

/// Where an input was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Whence {
    /// In the pack that is judged.
    Pack,
    /// Given by the user.
    Given,
    /// In the store.
    Store,
}

/// An input and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Origin {
    pub(super) input: String,
    pub(super) from: Whence,
}

/// Everything that a rebuild starts from.
pub(super) struct Gathered {
    pub(super) asked: Asked,
    pub(super) origins: Vec<Origin>,
    /// Has what was unpacked; it is there as long as this value.
    pub(super) scratch: Scratch,
}

/// What is on disk for one rebuild.
pub(super) struct Scratch {
    dir: TempDir,
    /// What the user gave as the context.
    place: Option<Place>,
}

/// Finds the inputs. Images, packages and what steps were answered are found by the builder, which knows
/// them by digest too.
pub(super) fn gather(
    local: &Local<'_>,
    pack: &VerifiedPack,
    order: &Order,
    invocation: InvocationId,
) -> Result<Gathered, CommandError> {
    let args = local.args;
    let tmp = local.store.blobs().tmp();
    let dir = TempDir::new_in(tmp).map_err(|error| machine(&error))?;
    let place = args
        .context
        .as_deref()
        .map(|path| Place::at(path, tmp))
        .transpose()?;
    let mut search = Search {
        local,
        pack,
        order,
        scratch: Scratch { dir, place },
        missing: Missing::default(),
        origins: Vec::new(),
    };
    let dockerfile = search.dockerfile()?;
    let (project, lock, inputs) = search.project(&dockerfile)?;
    let context = search.context()?;
    let contexts = search.contexts()?;
    let grants = lent(args, &order.secrets, &order.agents, &mut search.missing)?;
    let Search {
        scratch,
        missing,
        origins,
        ..
    } = search;
    missing.refuse()?;
    let ignore = match (&scratch.place, &context) {
        // What was filtered once has nothing more to lose.
        (Some(place), Some(Found::Given(_))) => place.ignore(&order.dockerfile_name)?,
        _ => None,
    };
    let dockerfile = NamedText {
        name: order.dockerfile_name.clone(),
        text: dockerfile,
    };
    let place = match context {
        Some(Found::Given(place) | Found::Kept(place)) => place,
        None => ContextPlace::Directory(scratch.empty()?),
    };
    let mut request = BuildRequest {
        ignore,
        exclude: excluded(local, pack.dir(), &scratch)?,
        context_modes: project.build.context_modes,
        contexts,
        target: order.target.clone(),
        // They are signed in clear already.
        allowed_args: order.build_args.keys().cloned().collect(),
        build_args: order.build_args.clone(),
        labels: order.labels.clone(),
        annotations: Annotations {
            manifest: order.annotations.clone(),
            ..Annotations::default()
        },
        settings: order.settings.clone(),
        secrets: order.secrets.clone(),
        agents: order.agents.clone(),
        epoch: order.epoch,
        ruleset: order.ruleset,
        ..plain(invocation, dockerfile, place, &order.platform, args.runs)
    };
    request.exclude.extend(build::suggest::path(&request));
    Ok(Gathered {
        asked: Asked {
            lineage: BTreeMap::new(),
            redactor: Redactor::default(),
            request,
            project,
            lock,
            pins: order.pins.clone(),
            grants,
            inputs,
        },
        origins,
        scratch,
    })
}

/// A build of a Dockerfile and a context, twice and varied on all axes unless told otherwise.
pub(super) fn plain(
    invocation: InvocationId,
    dockerfile: NamedText,
    context: ContextPlace,
    platform: &Platform,
    runs: RunCount,
) -> BuildRequest {
    BuildRequest {
        version: 1,
        invocation,
        dockerfile,
        ignore: None,
        context,
        exclude: Vec::new(),
        context_modes: ContextModes::default(),
        lock_mode: LockMode::Open,
        contexts: BTreeMap::new(),
        target: None,
        build_args: BTreeMap::new(),
        allowed_args: BTreeSet::new(),
        labels: BTreeMap::new(),
        annotations: Annotations::default(),
        settings: RunSettings::default(),
        secrets: BTreeSet::new(),
        agents: BTreeSet::new(),
        platform: platform.clone(),
        tags: Vec::new(),
        epoch: EpochChoice::Base,
        runs: match runs {
            RunCount::One => Runs::One,
            RunCount::Two => Runs::Two,
        },
        vary: BTreeSet::from(Axis::VARIED),
        ruleset: Ruleset::default(),
    }
}

/// What was lent, if all of it was that has to be.
pub(super) fn lent(
    args: &RebuildArgs,
    secrets: &BTreeSet<String>,
    agents: &BTreeSet<String>,
    missing: &mut Missing,
) -> Result<Grants, CommandError> {
    let grants = grants(&args.secrets, &args.agents)?;
    for name in secrets {
        if !grants.secrets.contains_key(name) {
            missing.add(
                format!("the secret {name}"),
                format!("lend it: --secret id={name},src=FILE"),
            );
        }
    }
    for name in agents {
        if !grants.agents.contains_key(name) {
            missing.add(
                format!("the ssh agent {name}"),
                format!("lend it: --ssh {name}=SOCKET"),
            );
        }
    }
    Ok(grants)
}

/// A context and who has it.
enum Found {
    /// The user, who may have more than was built.
    Given(ContextPlace),
    /// The pack or the store, which have what was built and nothing else.
    Kept(ContextPlace),
}

struct Search<'a> {
    local: &'a Local<'a>,
    pack: &'a VerifiedPack,
    order: &'a Order,
    scratch: Scratch,
    missing: Missing,
    origins: Vec<Origin>,
}

impl Search<'_> {
    fn found(&mut self, input: impl Into<String>, from: Whence) {
        let input = input.into();
        self.origins.push(Origin { input, from });
    }

    /// The Dockerfile; empty, and missing, if nobody has it.
    fn dockerfile(&mut self) -> Result<Vec<u8>, CommandError> {
        let wanted = self.order.dockerfile;
        let name = &self.order.dockerfile_name;
        if let Some(text) = self.pack.input(layout::DOCKERFILE, TEXT_MAX)?
            && Digest::of(&text) == wanted
        {
            self.found("dockerfile", Whence::Pack);
            return Ok(text);
        }
        let given = match &self.scratch.place {
            Some(place) => place.read(name)?,
            None => None,
        };
        match given {
            Some(text) if Digest::of(&text) == wanted => {
                self.found("dockerfile", Whence::Given);
                return Ok(text);
            }
            Some(text) => {
                let other = Digest::of(&text);
                self.missing.add(
                    format!("the Dockerfile {wanted} ({name} of the context is {other})"),
                    "give the files as they were built: --context DIR",
                );
            }
            None => self.missing.add(
                format!("the Dockerfile {wanted}"),
                format!("give a directory that has it as {name}: --context DIR"),
            ),
        }
        Ok(Vec::new())
    }

    /// `repro.toml` and `repro.lock`, of the pack where it has what was built, else of the context.
    fn project(
        &mut self,
        dockerfile: &[u8],
    ) -> Result<(Project, Option<ProjectLock>, PackInputs), CommandError> {
        let mut inputs = PackInputs {
            dockerfile: Some(dockerfile.to_vec()),
            ..PackInputs::default()
        };
        let (project, lock);
        match &self.scratch.place {
            Some(place) if !self.pack.has_inputs() => {
                project = place.project()?;
                lock = place.lock(&self.order.dockerfile_name)?;
                inputs.project = place.read(PROJECT)?;
                inputs.lock = place.lock_text(lock.as_ref())?;
            }
            _ => {
                inputs.project = self.pack.input(layout::PROJECT, TEXT_MAX)?;
                inputs.lock = self.pack.input(layout::LOCK, TEXT_MAX)?;
                project = match &inputs.project {
                    Some(text) => Project::parse(layout::PROJECT, utf8(layout::PROJECT, text)?)?,
                    None => Project::default(),
                };
                lock = match &inputs.lock {
                    Some(text) => {
                        Some(ProjectLock::parse(layout::LOCK, utf8(layout::LOCK, text)?)?)
                    }
                    None => None,
                };
            }
        }
        let from = if self.pack.has_inputs() {
            Whence::Pack
        } else {
            Whence::Given
        };
        for (name, there) in [
            (PROJECT, inputs.project.is_some()),
            ("repro.lock", inputs.lock.is_some()),
        ] {
            if there {
                self.found(name, from);
            }
        }
        Ok((project, lock, inputs))
    }

    fn context(&mut self) -> Result<Option<Found>, CommandError> {
        let Some(tar) = self.order.context else {
            return Ok(None);
        };
        if let Some(place) = &self.scratch.place {
            let place = place.context();
            self.found("context", Whence::Given);
            return Ok(Some(Found::Given(place)));
        }
        let kept = self.kept("context", tar)?;
        if kept.is_none() {
            self.missing
                .add(format!("the context {}", tar.0), "give it: --context DIR");
        }
        Ok(kept.map(Found::Kept))
    }

    fn contexts(&mut self) -> Result<BTreeMap<String, NamedContext>, CommandError> {
        let local = self.local;
        let mut given = build::contexts(&local.args.contexts, local.store, &self.order.platform)?;
        let mut contexts = BTreeMap::new();
        for (name, context) in &self.order.contexts {
            let input = format!("context {name}");
            if let Some(given) = given.remove(name) {
                self.found(&input, Whence::Given);
                contexts.insert(name.clone(), given);
                continue;
            }
            let (found, what) = match context {
                OrderedContext::Image(image) => (Some(NamedContext::Image(image.clone())), None),
                OrderedContext::Manifest(manifest) => {
                    let there = local.store.blobs().size(*manifest)?.is_some();
                    if there {
                        self.found(&input, Whence::Store);
                    }
                    let found = there.then_some(NamedContext::Manifest(*manifest));
                    (found, Some((*manifest, "oci-layout://DIR")))
                }
                OrderedContext::Files(tar) => {
                    let kept = self.kept(&input, *tar)?;
                    let found = kept.map(|place| match place {
                        ContextPlace::Archive(file) => NamedContext::Archive(file),
                        ContextPlace::Directory(path) => {
                            NamedContext::Directory { path, ignore: None }
                        }
                    });
                    (found, Some((tar.0, "DIR")))
                }
            };
            match (found, what) {
                (Some(found), _) => {
                    contexts.insert(name.clone(), found);
                }
                (None, Some((digest, form))) => self.missing.add(
                    format!("the context {name} {digest}"),
                    format!("give it: --build-context {name}={form}"),
                ),
                (None, None) => {}
            }
        }
        if let Some(name) = given.keys().next() {
            let names: Vec<&str> = self.order.contexts.keys().map(String::as_str).collect();
            let error = CommandError::usage(format!("the build had no context {name}"));
            return Err(if names.is_empty() {
                error
            } else {
                error.hint(format!("it had {}", names.join(", ")))
            });
        }
        Ok(contexts)
    }

    /// A context that was taken before: in the pack, or in the store.
    fn kept(&mut self, input: &str, tar: DiffId) -> Result<Option<ContextPlace>, CommandError> {
        if tar == without_entries(self.order.ruleset)? {
            return Ok(Some(ContextPlace::Directory(self.scratch.empty()?)));
        }
        let store = self.local.store;
        let (compressed, size, from): (Box<dyn Read + Send>, u64, _) =
            if let Some(file) = self.pack.context(tar)? {
                let size = file.metadata().map_err(|error| machine(&error))?.len();
                (Box::new(file), size, Whence::Pack)
            } else if let Some(blob) = inputs::find(store, tar)? {
                let size = store.blobs().size(blob)?.unwrap_or(0);
                (store.blobs().open(blob)?, size, Whence::Store)
            } else {
                return Ok(None);
            };
        let path = self.scratch.dir.path().join(format!("{}.tar", tar.0.hex()));
        let mut plain = decompress(compressed, Compression::Gzip, size, Limits::default());
        let file = File::create(&path).map_err(|error| machine(&error))?;
        let mut file = HashingWriter::new(file);
        io::copy(&mut plain, &mut file)
            .and_then(|_| file.flush())
            .map_err(|error| {
                CommandError::new(io_kind(&error), &error).context(format!("cannot unpack {input}"))
            })?;
        let (digest, _, _) = file.finish();
        if digest != tar.0 {
            let message = format!("{input} is {digest}, attested was {}", tar.0);
            return Err(CommandError::message(ErrorKind::Input, message));
        }
        self.found(input, from);
        Ok(Some(ContextPlace::Archive(path)))
    }
}

impl Scratch {
    /// A directory with nothing in it.
    fn empty(&self) -> Result<PathBuf, CommandError> {
        let path = self.dir.path().join("empty");
        std::fs::create_dir_all(&path).map_err(|error| machine(&error))?;
        Ok(path)
    }
}

/// The canonical tar of a context with nothing in it.
fn without_entries(ruleset: Ruleset) -> Result<DiffId, CommandError> {
    let tar = LayerWriter::new(HashingWriter::new(io::sink()), ruleset);
    let hashed = tar.finish().map_err(|error| machine(&error))?;
    Ok(DiffId(hashed.finish().0))
}

/// What is part of no context: the store, and evidence, that which is judged and that which is written.
fn excluded(
    local: &Local<'_>,
    judged: &Path,
    scratch: &Scratch,
) -> Result<Vec<PathBuf>, CommandError> {
    let evidence = absolute(&local.args.evidence)?;
    let mut paths = vec![
        pack::unfinished(&evidence),
        evidence,
        absolute(judged)?,
        absolute(local.context.settings.store_dir()?)?,
    ];
    // Where the build wrote its evidence unless it was told otherwise.
    let usual = |dir: &Path| dir.join(build::EVIDENCE);
    let beside = scratch.place.as_ref().and_then(Place::directory).map(usual);
    let candidates = beside
        .into_iter()
        .chain([absolute(Path::new(build::EVIDENCE))?]);
    paths.extend(candidates.filter(|path| is_pack(path)));
    Ok(paths)
}

fn utf8<'t>(name: &str, text: &'t [u8]) -> Result<&'t str, CommandError> {
    std::str::from_utf8(text).map_err(|error| {
        CommandError::new(ErrorKind::Input, &error)
            .context(format!("cannot read {name} of the pack"))
    })
}

pub(super) fn machine(error: &io::Error) -> CommandError {
    CommandError::new(io_kind(error), error).context("cannot get the inputs ready")
}
