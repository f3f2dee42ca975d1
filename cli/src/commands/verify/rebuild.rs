//! `repro verify --rebuild`: builds again what the pack says was built, compares, and signs what it saw.

mod buildkit;
mod gather;
mod missing;
mod say;

use std::{
    cell::RefCell,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use repro_core::{
    build::{BuildRecord, InputKind, InputRecord},
    digest::Digest,
    store::{BlobStore, Store},
};
use repro_toolchains::{capture::Allowed, fetch::Mirror, project::HostPattern};
use repro_verifier::{
    pack::{self, PackInputs, Sbom, WrittenPack},
    predicate::{
        provenance::BuilderId,
        reproducibility::{RebuildOf, RebuildOutcome, Verdict},
    },
    rebuild::{self, Agreement, Order, Rebuild, Rebuilt},
    report::{Compared, Report},
    uris,
    verify::VerifiedPack,
};

use crate::{
    ambient::{self, SystemClock},
    commands::{
        Context,
        build::{
            self, ContextArg, Evidence, Means, RunCount, SecretArg, SshArg, bisect,
            network::Wanted,
            request::{Asked, absolute},
            with_builder,
        },
    },
    error::CommandError,
    exit::ExitStatus,
    place::PlaceArgs,
    registries::RegistryArgs,
    signing::{KEY_FORMS, KeySource, PassphraseArgs, SigningArgs},
};
pub(super) use buildkit::verify as verify_buildkit;
use gather::{Gathered, gather};
use missing::refuse_others;
pub(super) use say::Document;

/// Options of a rebuild.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rebuild")]
pub(crate) struct RebuildArgs {
    /// Build again what was built, from inputs with the digests of the provenance, and compare
    ///
    /// Nothing is built for a pack that is refused. Exit 1 if the image is another one.
    #[arg(long)]
    rebuild: bool,
    /// The image was built by BuildKit: go by its provenance, in FILE or attached to the image
    ///
    /// An image is named then, as in `repro diff`, and no pack. That provenance is signed by nobody, so
    /// what counts is that the same comes out. Layers are written otherwise here: the files, their
    /// metadata and the settings of the image must be the same.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        requires = "rebuild"
    )]
    #[expect(
        clippy::option_option,
        reason = "an option that may be given without its value"
    )]
    buildkit: Option<Option<PathBuf>>,
    /// Take the context from this directory or archive; it must be the one that was built
    ///
    /// Unless given, that of the pack (`repro build --evidence-context`), or that of the store.
    #[arg(long, value_name = "DIR|FILE", requires = "rebuild")]
    context: Option<PathBuf>,
    /// Take what `repro build --build-context NAME=...` named from here; repeat for several names
    #[arg(
        long = "build-context",
        value_name = "NAME=SOURCE",
        requires = "rebuild"
    )]
    contexts: Vec<ContextArg>,
    /// Lend a secret to the steps that had it, as in `repro build`
    #[arg(
        long = "secret",
        value_name = "id=NAME[,src=FILE|,env=VARIABLE]",
        requires = "rebuild"
    )]
    secrets: Vec<SecretArg>,
    /// Let the steps that could talk to an ssh agent talk to this one
    #[arg(
        long = "ssh",
        value_name = "default|NAME[=SOCKET]",
        requires = "rebuild"
    )]
    agents: Vec<SshArg>,
    /// Fetch from this host what the steps were answered and the store does not have; repeat for several
    #[arg(
        long = "allow",
        value_name = "HOST",
        requires = "rebuild",
        value_delimiter = ' '
    )]
    allow: Vec<HostPattern>,
    /// Build this many times; with 1 the image is compared with that of the pack alone
    #[arg(long, value_enum, default_value_t, requires = "rebuild")]
    runs: RunCount,
    /// Write the evidence of the rebuild to this directory
    #[arg(
        long = "rebuild-evidence",
        id = "rebuild-evidence",
        value_name = "DIR",
        default_value = build::REBUILD_EVIDENCE,
        requires = "rebuild"
    )]
    evidence: PathBuf,
    /// Sign the evidence of the rebuild with this private key: a file, env:NAME for a variable that holds
    /// it, or signer:PROGRAM; with a key made for it alone unless given
    #[arg(long, value_name = KEY_FORMS, requires = "rebuild")]
    builder_key: Option<KeySource>,
    /// Name yourself in the evidence of the rebuild by this URI; independent builders have different ones
    #[arg(long, value_name = "URI", default_value_t, env = "REPRO_BUILDER_ID")]
    builder_id: BuilderId,
    /// Look for packages on this mirror first; repeat for several
    #[arg(
        long = "mirror",
        value_name = "URL",
        env = "REPRO_MIRROR",
        value_delimiter = ' '
    )]
    mirrors: Vec<Mirror>,
    /// Have this many steps of each run going at a time
    #[arg(long, value_name = "N", env = "REPRO_JOBS")]
    jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    place: PlaceArgs,
}

impl RebuildArgs {
    /// Whether it was asked for.
    pub(super) const fn wanted(&self) -> bool {
        self.rebuild
    }

    /// Whether it goes by provenance of BuildKit.
    pub(super) const fn of_buildkit(&self) -> bool {
        self.buildkit.is_some()
    }

    /// Who signs the evidence of the rebuild.
    fn signing(&self, passphrase: &PassphraseArgs) -> SigningArgs {
        SigningArgs::new(self.builder_key.as_ref(), passphrase)
    }

    fn means<'a>(&'a self, registries: &'a RegistryArgs) -> Means<'a> {
        Means {
            mirrors: &self.mirrors,
            registries,
            place: &self.place,
            jobs: self.jobs,
        }
    }
}

/// Options that a rebuild goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct With<'a> {
    pub(super) args: &'a RebuildArgs,
    pub(super) registries: &'a RegistryArgs,
    pub(super) passphrase: &'a PassphraseArgs,
}

/// A rebuild that came to an end.
#[derive(Debug)]
pub(super) struct Finished {
    order: Order,
    /// What the runs of the build say of each other that was attested.
    attested_verdict: Verdict,
    record: BuildRecord,
    report: Report,
    agreement: Agreement,
    /// Where each input came from.
    origins: Vec<gather::Origin>,
    evidence: PathBuf,
    written: WrittenPack,
    signed: Signature,
}

/// By which kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signature {
    /// One that others can know.
    Named,
    /// One that was made for the pack.
    Ephemeral,
}

impl Finished {
    /// The exit code: a rebuild that agrees with the image and not with itself is none that does.
    pub(super) const fn status(&self) -> ExitStatus {
        match (self.agreement.outcome, self.report.verdict) {
            (RebuildOutcome::NotBuilt, Verdict::BuildFailed) => ExitStatus::StepFailed,
            (RebuildOutcome::NotBuilt, _) => ExitStatus::Inconclusive,
            (RebuildOutcome::Differs, _) | (RebuildOutcome::Agrees, Verdict::NotReproducible) => {
                ExitStatus::NotReproducible
            }
            (RebuildOutcome::Agrees, _) => ExitStatus::Done,
        }
    }
}

/// Builds what `pack` says was built.
pub(super) fn run(
    by: With<'_>,
    context: &Context,
    pack: &VerifiedPack,
) -> Result<Finished, CommandError> {
    let With {
        args,
        registries,
        passphrase,
    } = by;
    let order = Order::of(pack)?;
    say::before(&context.settings.output, &order);
    // As in a build: better known now than in an hour.
    check_evidence(&args.evidence, pack.dir())?;
    let signing = args.signing(passphrase);
    signing.check(&context.settings.output)?;
    let store = context.open_store()?;
    let by = Local {
        args,
        registries,
        context,
        store: &store,
        used: RefCell::default(),
    };
    let options = build::options(&store);
    let (Rebuilt { record, report }, agreement) = rebuild::rebuild(pack, &order, &by, &options)?;
    let Used { origins, inputs } = by.used.into_inner();
    let (record, report, inputs) = build::redaction::of_rebuild((record, report), inputs, &store)?;
    let rebuild_of = RebuildOf {
        provenance: order.provenance,
        manifest: order.image,
        builder: order.builder.clone(),
        lineage: order.lineage.clone(),
        lineage_by: order.lineage_by.clone(),
        outcome: agreement.outcome,
    };
    let evidence = Evidence {
        dir: &args.evidence,
        signing: &signing,
        sbom: Sbom::Written,
        inputs: &inputs,
        rebuild_of: Some(&rebuild_of),
    };
    let written = build::write_pack(
        &evidence,
        &store,
        &record,
        &report,
        &build::builder_info(&args.builder_id)?,
    )?;
    Ok(Finished {
        order,
        attested_verdict: pack.verdict.predicate.verdict,
        record,
        report,
        agreement,
        origins,
        evidence: args.evidence.clone(),
        written,
        signed: match args.builder_key {
            Some(_) => Signature::Named,
            None => Signature::Ephemeral,
        },
    })
}

/// Refuses a place for the evidence that has something else, or what is judged: that is replaced by nobody.
fn check_evidence(evidence: &Path, judged: &Path) -> Result<(), CommandError> {
    if absolute(evidence)?.starts_with(absolute(judged)?) {
        let message = format!("{} is the evidence that is judged", evidence.display());
        return Err(
            CommandError::usage(message).hint("name another directory: --rebuild-evidence DIR")
        );
    }
    Ok(pack::check_replaceable(evidence)?)
}

/// What a rebuild went by.
#[derive(Debug, Default)]
struct Used {
    origins: Vec<gather::Origin>,
    inputs: PackInputs,
}

/// This program and this machine.
struct Local<'a> {
    args: &'a RebuildArgs,
    registries: &'a RegistryArgs,
    context: &'a Context,
    store: &'a Store,
    used: RefCell<Used>,
}

impl Rebuild for Local<'_> {
    type Error = CommandError;

    fn rebuild(&self, pack: &VerifiedPack, order: &Order) -> Result<Rebuilt, CommandError> {
        let invocation = ambient::invocation_id(&SystemClock)?;
        let Gathered {
            asked,
            origins,
            scratch: _scratch,
        } = gather(self, pack, order, invocation)?;
        let (record, report) = build_again(
            (self.args, self.registries),
            self.context,
            self.store,
            &asked,
            order.provenance,
            |inputs| refuse_others(order, inputs),
        )?;
        self.used.replace(Used {
            origins,
            inputs: asked.inputs,
        });
        Ok(Rebuilt { record, report })
    }

    fn blobs(&self) -> &dyn BlobStore {
        self.store.blobs()
    }
}

/// Builds what is asked for, from inputs that `check` accepts, with the provenance `judged` among them.
fn build_again(
    (args, registries): (&RebuildArgs, &RegistryArgs),
    context: &Context,
    store: &Store,
    asked: &Asked,
    judged: Digest,
    check: impl FnOnce(&[InputRecord]) -> Result<(), CommandError>,
) -> Result<(BuildRecord, Report), CommandError> {
    let options = build::options(store);
    let wanted = Wanted::Restore(Allowed::new(args.allow.iter().cloned()));
    let (mut record, findings) = with_builder(
        &args.means(registries),
        context,
        asked,
        store,
        wanted,
        |builder, request| {
            let build = builder.start_from(request, check)?;
            let findings = bisect::compare(&build.record(), store, &options)?;
            Ok::<_, CommandError>((build.finish(), findings))
        },
    )?;
    record.inputs.push(InputRecord {
        uri: uris::JUDGED.to_owned(),
        name: Some(uris::JUDGED.to_owned()),
        digest: judged,
        kind: InputKind::Judged,
        step: None,
        locked: true,
    });
    let compared = Compared {
        b: findings.b.as_ref(),
        control: None,
        bisection: None,
    };
    let report = Report::on(&record, compared)?;
    Ok((record, report))
}
