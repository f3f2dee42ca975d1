//! `repro diff`

use std::{num::NonZeroUsize, thread};

use repro_core::platform::Platform;
use repro_toolchains::registry::Platforms;
use repro_verifier::{
    causes::Facts,
    compare::{Options, Samples, View, compare_indexes, compare_trees},
    render,
    report::{Equality, PairReport},
};

use super::Context;
use crate::{
    args::JsonArgs,
    diffoscope,
    error::{CommandError, ErrorKind, io_kind},
    exit::ExitStatus,
    output::Format,
    registries::{self, RegistryArgs},
    sides::{Loaded, Scratch, Side},
};

/// Columns for text that is wrapped.
const WIDTH: usize = 100;
/// Differences that the text lists one by one unless all are asked for.
const LISTED: usize = 12;

/// Compare two images, archives, layers or directories, and name the causes of what differs
///
/// Ends with 0 where they are equal, and with 1 where they differ.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro diff acme/app:1 acme/app:2
  repro diff docker-archive:first.tar docker-archive:second.tar
  repro diff --flatten oci:one oci:two
  repro diff --platform linux/arm64 oci-archive:one.tar oci-archive:two.tar
  repro diff ./root-a ./root-b
  repro diff --form html acme/app:1 ./layout > difference.html")]
pub(crate) struct Args {
    /// An image of the store; or oci:DIR, oci-archive:FILE, docker-archive:FILE, rootfs:FILE,
    /// layer:FILE, dir:DIR or `docker://REF`; or a path that begins with . or /, where what lies there decides
    a: Side,
    /// The other one
    b: Side,
    /// Compare the file systems that containers see, and not layer by layer
    #[arg(long)]
    flatten: bool,
    /// Compare the images for this platform only; otherwise those for every platform that is listed
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<Platform>,
    /// Add what diffoscope says of the first files whose contents differ; it is no part of the verdict
    #[arg(long)]
    diffoscope: bool,
    /// Write the report in this form
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        default_value_t,
        conflicts_with = "json"
    )]
    form: Form,
    /// List all differences, however many there are
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// Forms of the report besides JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For a terminal.
    #[default]
    Text,
    /// For the summary of a CI job.
    Markdown,
    /// One page that needs nothing from elsewhere.
    Html,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let store = context.open_store()?;
    let dir = tempfile::tempdir_in(store.blobs().tmp())
        .map_err(|error| CommandError::new(io_kind(&error), &error))?;
    let scratch = Scratch::new(&store, dir.path())?;
    let fetch = |reference: &_| {
        let platforms = args.platform.clone().map_or(Platforms::All, Platforms::One);
        registries::pull(&args.registries, context, &store, reference, &platforms)
    };
    let (a, b) = (
        scratch.load(&args.a, &fetch)?,
        scratch.load(&args.b, &fetch)?,
    );
    let view = if args.flatten {
        View::FileSystem
    } else {
        View::Layers
    };
    let mut options = Options::new(dir.path().to_owned());
    options.threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    if args.diffoscope {
        options.samples = Some(Samples::new(diffoscope::samples(dir.path())?));
    }
    let facts = Facts::default();
    let platform = args.platform.as_ref().map(ToString::to_string);
    let found = match (&a, &b) {
        (Loaded::Image(a), Loaded::Image(b)) => {
            let platform = platform.as_deref();
            compare_indexes(&scratch, (*a, *b), platform, view, &facts, &options)?
        }
        _ if platform.is_some() => {
            let text = "--platform chooses among the images of an index; a directory has none";
            return Err(CommandError::message(ErrorKind::Usage, text.to_owned()));
        }
        _ => compare_trees(&scratch, a.tree(), b.tree(), &facts, &options)?,
    };
    let mut report = PairReport::new(args.a.to_string(), args.b.to_string(), found);
    if let Some(samples) = &options.samples {
        report.diffoscope = diffoscope::run(samples, output)?;
    }
    match (output.format(), args.form) {
        (Format::Json, _) => {
            let json = report.to_json();
            let json = json.map_err(|error| CommandError::new(ErrorKind::Internal, &error))?;
            output.data(&json)?;
        }
        (Format::Text, Form::Text) => {
            let most = if args.all { usize::MAX } else { LISTED };
            output.report(&render::pair_text(&report, WIDTH, most))?;
        }
        (Format::Text, Form::Markdown) => output.text(&render::pair_markdown(&report))?,
        (Format::Text, Form::Html) => output.text(&render::pair_html(&report))?,
    }
    Ok(match report.verdict {
        Equality::Equal => ExitStatus::Done,
        Equality::Different => ExitStatus::NotReproducible,
    })
}
