//! `repro inspect`

use std::fmt::Write as _;

use repro_core::{
    image::{Healthcheck, ImageConfig, RuntimeConfig, StoredImage},
    layer::{Limits, open_layer},
    reference::ImageRef,
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
    text,
};

/// Show the configuration, layers and files of an image
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro inspect acme/app:1
  repro inspect --files acme/app:1
  repro inspect --json acme/app:1")]
pub(crate) struct Args {
    /// The image, by its name in the store
    #[arg(value_name = "REF")]
    reference: ImageRef,
    /// List the entries of each layer
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
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
    let image = images::load(&store, &args.reference)?;
    let files = if args.files {
        Some(files(&store, &image)?)
    } else {
        None
    };
    match output.format() {
        Format::Json => {
            let summary = Summary::new(&args.reference, &image);
            let document = Document {
                image: summary,
                config: &image.config,
                files,
            };
            output.json("cli/inspect/v1", &document)?;
        }
        Format::Text => output.text(&readable(&args.reference, &image, files.as_deref()))?,
    }
    Ok(ExitStatus::Done)
}

/// Reads every layer to its end, and so verifies it.
fn files(store: &Store, image: &StoredImage) -> Result<Vec<Vec<File>>, CommandError> {
    let mut layers = Vec::new();
    for layer in &image.layers {
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

fn readable(reference: &ImageRef, image: &StoredImage, files: Option<&[Vec<File>]>) -> String {
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
        page.heading(&format!(
            "layer {}  {}  {size}  {made_by}",
            index + 1,
            layer.diff_id
        ));
        for file in files
            .and_then(|files| files.get(index))
            .into_iter()
            .flatten()
        {
            page.file(file);
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
            "  {:<9} {} {:>5}:{:<5} {:>10} {:>11} {}",
            file.kind, file.mode, file.uid, file.gid, file.size, file.mtime, file.path,
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
