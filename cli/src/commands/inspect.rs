//! `repro inspect`

use std::{fmt::Write as _, str::FromStr};

use repro_core::{
    image::{Healthcheck, ImageConfig, RuntimeConfig, StoredImage},
    layer::{Limits, open_layer},
    platform::Platform,
    reference::{ImageRef, ReferenceError},
    store::Store,
    tree::{Entry, EntryKind, EntrySource as _, show_bytes},
};
use serde::Serialize;

use super::Context;
use crate::{
    args::JsonArgs,
    error::{CommandError, ErrorKind},
    exit::ExitStatus,
    images::{self, Summary},
    output::{Format, Meaning},
    registries::{self, RegistryArgs},
    text,
};

/// Show the configuration, layers and files of an image
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro inspect acme/app:1
  repro inspect --files acme/app:1
  repro inspect --files --layer 2 --all acme/app:1
  repro inspect --json acme/app:1
  repro inspect docker://registry.example/app:1")]
pub(crate) struct Args {
    /// The image, by its name in the store; or `docker://REF`, which is fetched
    #[arg(value_name = "REF", value_parser = named)]
    image: Named,
    /// List the entries of each layer, the first of many
    #[arg(long)]
    files: bool,
    /// Only this layer, from 1, the lowest; its entries are listed. By number, or by the beginning of its
    /// diffID
    #[arg(long, value_name = "LAYER")]
    layer: Option<LayerChoice>,
    /// List all entries, however many there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// The image that is looked at.
#[derive(Debug, Clone)]
struct Named {
    place: ImagePlace,
    reference: ImageRef,
}

/// Where it is.
#[derive(Debug, Clone, Copy)]
enum ImagePlace {
    Store,
    Registry,
}

fn named(text: &str) -> Result<Named, ReferenceError> {
    let (place, name) = match text.strip_prefix("docker://") {
        Some(name) => (ImagePlace::Registry, name),
        None => (ImagePlace::Store, text),
    };
    Ok(Named {
        place,
        reference: name.parse()?,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    image: Summary<'a>,
    config: &'a ImageConfig,
    /// The entries of each layer, lowest layer first; only with `--files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<Vec<File>>>,
}

/// `--layer`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum LayerChoice {
    /// From 1.
    Number(usize),
    /// Hexadecimal digits.
    Digest(String),
}

/// A text that chooses no layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write a number from 1, or at least 6 digits of a diffID")]
struct LayerChoiceError;

impl FromStr for LayerChoice {
    type Err = LayerChoiceError;

    fn from_str(text: &str) -> Result<Self, LayerChoiceError> {
        /// Below that many digits a number is a number.
        const DIGITS: usize = 6;
        let hex = text.strip_prefix("sha256:");
        let digits = hex.unwrap_or(text);
        let is_hex = digits
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match text.parse() {
            Ok(0) => Err(LayerChoiceError),
            Ok(number) if text.len() < DIGITS => Ok(Self::Number(number)),
            _ if is_hex && digits.len() >= DIGITS => Ok(Self::Digest(digits.to_owned())),
            _ => Err(LayerChoiceError),
        }
    }
}

impl LayerChoice {
    /// Its index among the layers of the image.
    fn index(&self, image: &StoredImage) -> Result<usize, CommandError> {
        let count = image.layers.len();
        let found = match self {
            Self::Number(number) => (*number <= count).then(|| number - 1),
            Self::Digest(digits) => {
                let mut matching = (0..count)
                    .filter(|index| image.layers[*index].diff_id.0.hex().starts_with(digits));
                match (matching.next(), matching.next()) {
                    (Some(only), None) => Some(only),
                    _ => None,
                }
            }
        };
        found.ok_or_else(|| {
            let layers = text::plural(count as u64, "layer");
            CommandError::usage(format!("--layer chooses none or several of {layers}"))
                .hint("`repro inspect REF` lists them")
        })
    }
}

/// One entry of a layer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    /// Bytes that are not UTF-8 are escaped, as in the report.
    path: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let store = context.open_store()?;
    let reference = &args.image.reference;
    let image = match args.image.place {
        ImagePlace::Store => images::load(&store, reference)?,
        ImagePlace::Registry => {
            let platform = Platform::host();
            registries::fetch(&args.registries, context, &store, reference, &platform)
                .map_err(|error| error.context(format!("cannot read docker://{reference}")))?
        }
    };
    let chosen = args
        .layer
        .as_ref()
        .map(|layer| layer.index(&image))
        .transpose()?;
    let files = if args.files || chosen.is_some() {
        Some(files(&store, &image, chosen)?)
    } else {
        None
    };
    match output.format() {
        Format::Json => {
            let summary = Summary::new(reference, &image);
            let document = Document {
                image: summary,
                config: &image.config,
                files,
            };
            output.json("cli/inspect/v1", &document)?;
        }
        Format::Text => {
            let shown = Shown {
                files: files.as_deref(),
                layer: chosen,
                most: if args.all { usize::MAX } else { FILES_SHOWN },
            };
            output.text(&readable(reference, &image, &shown))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// Reads every layer to its end, and so verifies it; of a layer that was not chosen there is nothing.
fn files(
    store: &Store,
    image: &StoredImage,
    chosen: Option<usize>,
) -> Result<Vec<Vec<File>>, CommandError> {
    let mut layers = Vec::new();
    for (index, layer) in image.layers.iter().enumerate() {
        if chosen.is_some_and(|chosen| chosen != index) {
            layers.push(Vec::new());
            continue;
        }
        let mut reader = open_layer(store.blobs(), layer, Limits::default())?;
        let mut files = Vec::new();
        while reader
            .next_entry(&mut |entry, content| {
                // What is left of the content must be read for the digest to be checked.
                std::io::copy(content, &mut std::io::sink())?;
                files.push(file(entry));
                Ok(())
            })
            .map_err(|error| {
                CommandError::new(ErrorKind::Input, &error)
                    .context(format!("cannot read layer {}", layer.digest))
                    .hint("`repro store verify` says whether the store is damaged")
            })?
        {}
        layers.push(files);
    }
    Ok(layers)
}

fn file(entry: &Entry) -> File {
    let (kind, target) = match &entry.kind {
        EntryKind::Directory => ("directory", None),
        EntryKind::File { .. } => ("file", None),
        EntryKind::Symlink { target } => ("symlink", Some(show_bytes(target).into_owned())),
        EntryKind::Hardlink { target } => ("hardlink", Some(target.to_string())),
        EntryKind::Fifo => ("fifo", None),
        EntryKind::CharDevice { .. } => ("char-device", None),
        EntryKind::BlockDevice { .. } => ("block-device", None),
        EntryKind::Whiteout => ("whiteout", None),
        EntryKind::OpaqueWhiteout => ("opaque-whiteout", None),
    };
    File {
        path: entry.path.to_string(),
        kind,
        target,
        mode: format!("{:04o}", entry.meta.mode),
        uid: entry.meta.uid,
        gid: entry.meta.gid,
        size: entry.content_size(),
        mtime: entry.meta.mtime,
        xattrs: entry
            .meta
            .xattrs
            .keys()
            .map(|name| show_bytes(name).into_owned())
            .collect(),
    }
}

/// What the image says of containers made from it.
fn settings(page: &mut Page, config: &RuntimeConfig) {
    let list = |words: &Option<Vec<String>>| words.as_ref().map(|words| format!("{words:?}"));
    page.optional("entrypoint", list(&config.entrypoint).as_deref());
    page.optional("cmd", list(&config.cmd).as_deref());
    page.optional(
        "user",
        Some(config.user.as_str()).filter(|user| !user.is_empty()),
    );
    page.optional(
        "workdir",
        Some(config.working_dir.as_str()).filter(|dir| !dir.is_empty()),
    );
    for variable in &config.env {
        page.line("env", variable);
    }
    for (name, value) in &config.labels {
        page.line("label", &format!("{name}={value}"));
    }
    for port in &config.exposed_ports {
        page.line("port", port);
    }
    for volume in &config.volumes {
        page.line("volume", volume);
    }
    page.optional("stop", config.stop_signal.as_deref());
    page.optional("shell", list(&config.shell).as_deref());
    page.optional("health", config.healthcheck.as_ref().map(health).as_deref());
    for trigger in &config.on_build {
        page.line("onbuild", trigger);
    }
}

/// A health test in the words of the instruction that sets it.
fn health(check: &Healthcheck) -> String {
    const NANOSECONDS_OF_A_MILLISECOND: i64 = 1_000_000;
    let times = [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start-period", check.start_period),
        ("start-interval", check.start_interval),
    ];
    let mut words = vec![format!("{:?}", check.test)];
    for (name, time) in times {
        words.extend(time.map(|time| format!("{name} {} ms", time / NANOSECONDS_OF_A_MILLISECOND)));
    }
    words.extend(check.retries.map(|count| format!("retries {count}")));
    words.join(", ")
}

/// What of the layers is shown.
struct Shown<'a> {
    files: Option<&'a [Vec<File>]>,
    layer: Option<usize>,
    /// Entries of a layer.
    most: usize,
}

/// Entries of a layer that are listed unless all are asked for: a screen or two.
const FILES_SHOWN: usize = 100;

fn readable(reference: &ImageRef, image: &StoredImage, shown: &Shown<'_>) -> String {
    let mut page = Page::default();
    let platform = image.descriptor.platform.as_ref();
    page.line("name", &reference.to_string());
    page.line("manifest", &image.descriptor.digest.to_string());
    page.line("config", &image.manifest.config.digest.to_string());
    page.line(
        "platform",
        &platform.map_or_else(|| "unknown".into(), ToString::to_string),
    );
    page.line(
        "created",
        image.config.created.as_deref().unwrap_or("not said"),
    );
    page.optional("author", image.config.author.as_deref());
    settings(&mut page, &image.config.config);
    for (name, value) in &image.manifest.annotations {
        page.line("annotation", &format!("{name}={value}"));
    }
    // History entries that made a layer, in order: one for each, where the image says so.
    let history = image
        .config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer);
    let mut history = history.map(|entry| entry.created_by.as_deref().unwrap_or(""));
    for (index, layer) in image.layers.iter().enumerate() {
        let size = text::bytes(layer.size);
        let made_by = text::one_line(history.next().unwrap_or("")).into_owned();
        if shown.layer.is_some_and(|layer| layer != index) {
            continue;
        }
        page.heading(&format!(
            "layer {}  {}  {size}  {made_by}",
            index + 1,
            layer.diff_id
        ));
        let files = shown.files.and_then(|files| files.get(index));
        let files = files.map_or(&[][..], Vec::as_slice);
        for file in files.iter().take(shown.most) {
            page.file(file);
        }
        let more = files.len().saturating_sub(shown.most);
        if more > 0 {
            let entries = text::plural(more as u64, "more line");
            page.push(&format!("  {entries}; --all lists them"));
        }
    }
    page.0
}

/// Text that grows line by line; everything in it comes from an image and is made harmless.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        self.push(&format!("{name:<11} {}", text::one_line(value)));
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.line(name, value);
        }
    }

    fn heading(&mut self, heading: &str) {
        let heading = heading.trim_end();
        self.push(&Meaning::Heading.paint(heading).to_string());
    }

    /// As `tar -tv` lists: type and mode, owner, size, time, path.
    fn file(&mut self, file: &File) {
        let mut line = format!(
            "  {:<9} {} {:>5}:{:<5} {:>10} {} {}",
            file.kind,
            file.mode,
            file.uid,
            file.gid,
            file.size,
            text::moment(file.mtime),
            file.path,
        );
        if let Some(target) = &file.target {
            line.push_str(" -> ");
            line.push_str(target);
        }
        for xattr in &file.xattrs {
            line.push_str(" +");
            line.push_str(xattr);
        }
        self.push(&text::one_line(&line));
    }

    fn push(&mut self, line: &str) {
        let written = writeln!(self.0, "{line}");
        debug_assert!(written.is_ok(), "a String takes every write");
    }
}
