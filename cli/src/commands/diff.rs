//! `repro diff`

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    thread,
};

use repro_core::platform::Platform;
use repro_toolchains::registry::Platforms;
use repro_verifier::{
    causes::Facts,
    compare::{Options, Samples, View, compare_indexes, compare_trees},
    render::TextOptions,
    report::{Equality, PairReport},
};

use super::{Context, build::results};
use crate::{
    args::JsonArgs,
    diffoscope,
    error::{CommandError, ErrorKind, io_kind},
    exit::ExitStatus,
    registries::{self, RegistryArgs},
    reports::{self, Form, Subject},
    sides::{Loaded, Scratch, Side},
};

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
  repro diff -o difference.html acme/app:1 ./layout
  repro diff --format junit acme/app:1 ./layout > difference.xml")]
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
    /// Write the report in this form; text, or as the end of FILE says, unless given
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "json")]
    format: Option<Form>,
    /// Write the report to FILE, and not to standard output
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    output: Option<PathBuf>,
    /// List all differences, however many there are, in whatever form
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    registries: RegistryArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

impl Args {
    fn form(&self) -> Form {
        if self.json.json {
            return Form::Json;
        }
        let named = || self.output.as_deref().and_then(Form::of_name);
        self.format.or_else(named).unwrap_or_default()
    }

    /// The file that the report goes to; none for standard output.
    fn file(&self) -> Option<&Path> {
        self.output
            .as_deref()
            .filter(|file| !reports::is_stdout(file))
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    if let Some(file) = args.file() {
        reports::check_place(file)?;
    }
    results::forget(&[args.file()])?;
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
    if args.all {
        options.most = usize::MAX;
    }
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
    let subject = Subject::Pair(&report);
    match (args.file(), args.form()) {
        (None, Form::Text) => {
            let options = TextOptions {
                rest: "--all lists all, -o FILE.html shows all".into(),
                ..output.text_options(args.all, 0)
            };
            output.report(&subject.text(&options))?;
        }
        (file, form) => reports::write(subject, form, file.unwrap_or(Path::new("-")), output)?,
    }
    Ok(match report.verdict {
        Equality::Equal => ExitStatus::Done,
        Equality::Different => ExitStatus::NotReproducible,
    })
}
