//! `repro build`

mod annotation;
pub(crate) mod bisect;
mod call;
mod contexts;
mod docker;
mod docker_table;
mod grants;
pub(crate) mod inputs;
mod lineage;
mod load;
pub(crate) mod network;
pub(crate) mod outputs;
pub(crate) mod place;
mod push;
pub(crate) mod redaction;
pub(crate) mod request;
pub(crate) mod results;
mod run;
mod same;
pub(crate) mod suggest;
mod values;

pub(crate) use contexts::{ContextArg, contexts};
pub(crate) use grants::{SecretArg, SshArg, grants};
pub(crate) use run::{Evidence, Means, builder_info, options, run, with_builder, write_pack};
use values::OnDifference;
pub(crate) use values::{Pair, RunCount, one_platform};

use std::{num::NonZeroUsize, path::PathBuf};

use repro_core::{platform::Platform, reference::ImageRef};

use repro_toolchains::fetch::Mirror;
use repro_verifier::predicate::provenance::BuilderId;

use super::lock;
use crate::{
    args::{JsonArgs, ProgressArgs},
    place::PlaceArgs,
    registries::RegistryArgs,
    reports::ReportArgs,
    signing::SigningArgs,
};
use annotation::AnnotationArg;
use bisect::MoreRuns;
use call::Call;
use docker::DockerArgs;
use load::LoadArg;
use outputs::OutputArg;
use push::EvidenceArgs;
use same::SameArgs;
use values::{EpochArg, Vary};

/// Where evidence goes unless something else is said; never part of a context.
pub(crate) const EVIDENCE: &str = "repro-out";

/// Where the evidence of a rebuild goes unless something else is said.
pub(crate) const REBUILD_EVIDENCE: &str = "repro-rebuild";

/// Build an image twice, compare the runs and write signed evidence
///
/// Builds the Dockerfile of CONTEXT in two sandboxes that have no network and differ in what must
/// not matter. Exit 0 means that both runs gave the same image; exit 1 that they did not, and that
/// the report says why. The image delivered is always that of the first run.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
#[command(after_help = "\
Examples:
  repro build .
  repro build -t acme/app:1 -o docker-archive:app.tar --key repro.key .
  repro build -t acme/app:1 --load .
  repro build -q --iidfile app.id -o type=oci,dest=app.tar app
  git archive HEAD | repro build -
  repro build --vary all,-clock --build-arg VERSION=2 app
  repro build --control --bisect-axes .
  repro build --on-difference warn --json . > report.json
  repro build --report markdown=summary.md --report junit=repro.xml .")]
pub(crate) struct Args {
    /// Directory with the files that the Dockerfile may copy; - takes a tar, or a Dockerfile alone, from
    /// standard input
    #[arg(value_name = "CONTEXT")]
    pub(crate) context: PathBuf,
    /// Read this Dockerfile; CONTEXT/Dockerfile unless given here or in repro.toml; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Name the image in the store, if it is reproducible; repeat for several names
    #[arg(short, long = "tag", value_name = "REF")]
    pub(crate) tags: Vec<ImageRef>,
    /// Build this stage; the last one unless given
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// Set a build argument; NAME alone takes the value from the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(crate) arguments: Vec<Pair>,
    /// Allow a build argument that looks like a secret: its value is signed in clear
    #[arg(long = "allow-arg", value_name = "NAME")]
    pub(crate) allowed: Vec<String>,
    /// Set a label of the image
    #[arg(long = "label", value_name = "NAME[=VALUE]")]
    pub(crate) labels: Vec<Pair>,
    /// Lend a secret to the steps that mount it; its value stays out of image, logs and evidence
    ///
    /// `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`; with `id=NAME` alone the variable NAME, else the
    /// file NAME.
    #[arg(long = "secret", value_name = "id=NAME[,src=FILE|,env=VARIABLE]")]
    pub(crate) secrets: Vec<SecretArg>,
    /// Let the steps that ask for it talk to an ssh agent: that of `SSH_AUTH_SOCK` unless a socket is
    /// given
    #[arg(long = "ssh", value_name = "default|NAME[=SOCKET]")]
    pub(crate) agents: Vec<SshArg>,
    /// Let a name of FROM and --from mean a directory, an image in the store or one of an OCI layout;
    /// repeat for several names
    ///
    /// SOURCE is a path, `docker-image://REF` or `oci-layout://DIR[:TAG]`.
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub(crate) contexts: Vec<ContextArg>,
    /// Build for this platform; a stage with RUN must be for that of this machine
    #[arg(long, value_name = "OS/ARCH", env = "REPRO_PLATFORM", value_parser = one_platform)]
    pub(crate) platform: Option<Platform>,
    /// Also write the image: oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:REF],
    /// rootfs:FILE or `docker://REF`; - for FILE is standard output; repeat for several
    ///
    /// Or as in Docker: type=oci|docker|tar|local|image|registry with dest=, tar=, name= and push=, a
    /// directory for the files of the image, or - for a tar of them. To a registry goes only an image
    /// that is reproducible.
    #[arg(short, long, value_name = "DEST")]
    pub(crate) output: Vec<OutputArg>,
    /// Send the image to registries under the names of -t, if it is reproducible and when its evidence
    /// is written
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    push: Option<bool>,
    /// Give the image to the container engine of this machine under the names of -t, if the runs do not
    /// differ and when its evidence is written
    ///
    /// To docker or podman if one is named, else to the one that is there: of `DOCKER_HOST`, the docker
    /// context, `CONTAINER_HOST` or the usual sockets.
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    load: Option<LoadArg>,
    #[command(flatten)]
    attach: EvidenceArgs,
    /// Annotate the manifest, or its entry in the index of a layout
    #[arg(long = "annotation", value_name = "[TYPE:]KEY=VALUE")]
    annotations: Vec<AnnotationArg>,
    /// Write the id of the image, the digest of its configuration, to this file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write digests and names of the image to this file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// Build, or only look at the Dockerfile: build, check or targets, with ,format=json if need be
    #[arg(long, value_name = "METHOD")]
    call: Option<Call>,
    /// Say which rules the Dockerfile breaks, and build nothing: --call=check
    #[arg(long, conflicts_with = "call")]
    check: bool,
    /// Have this many steps of each run going at a time, where stages do not wait for each other;
    /// as many as there are processors unless given. The image does not depend on it
    #[arg(long, value_name = "N", env = "REPRO_JOBS")]
    pub(crate) jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) place: PlaceArgs,

    /// Run the build this many times; with 1 nothing is compared
    #[arg(
        long,
        value_enum,
        default_value_t,
        help_heading = "Comparison",
        env = "REPRO_RUNS"
    )]
    pub(crate) runs: RunCount,
    /// Vary these axes between the runs: all, none, or names separated by commas; -NAME leaves one
    /// out. With none, equal images prove little: the verdict is inconclusive, the exit code 0
    #[arg(
        long,
        value_name = "AXES",
        help_heading = "Comparison",
        allow_hyphen_values = true,
        env = "REPRO_VARY"
    )]
    pub(crate) vary: Option<Vary>,
    #[command(flatten)]
    pub(crate) more: MoreRuns,
    /// End with exit code 1, or 0, if the runs differ
    #[arg(
        long,
        value_enum,
        value_name = "WHAT",
        default_value_t,
        help_heading = "Comparison",
        env = "REPRO_ON_DIFFERENCE"
    )]
    pub(crate) on_difference: OnDifference,
    /// If the runs differ, write remedies that are mechanical to DOCKERFILE.repro.patch in the context
    ///
    /// The change is built first, twice: a patch is written only where less differs with it, every step
    /// still ends well, and nothing else in the image is another. Nothing is applied. An older patch of that
    /// name is removed first, and it is never part of the context.
    #[arg(long, help_heading = "Comparison", env = "REPRO_SUGGEST")]
    pub(crate) suggest: bool,

    /// Take this time for "now" everywhere in the image: seconds since 1970, or git for the time of
    /// the last commit
    #[arg(long, value_name = "T", help_heading = "Inputs")]
    pub(crate) source_date_epoch: Option<EpochArg>,
    /// Refuse every input that repro.lock does not pin
    #[arg(long, help_heading = "Inputs", env = "REPRO_LOCKED")]
    pub(crate) locked: bool,
    /// Look for packages on this mirror first; repeat for several
    #[arg(
        long = "mirror",
        value_name = "URL",
        help_heading = "Inputs",
        env = "REPRO_MIRROR",
        value_delimiter = ' '
    )]
    pub(crate) mirrors: Vec<Mirror>,

    #[command(flatten)]
    pub(crate) signing: SigningArgs,
    /// Say of the data what source, transform or policy-version it has; other names are yours
    ///
    /// Signed in the provenance, as said: nothing of it is measured. Comes before the variables
    /// `DATA_SOURCE` (source), `DATA_PIPELINE` (transform) and `DLP_POLICY_VERSION` (policy-version), and
    /// these before [lineage] of repro.toml; an empty value takes an entry away.
    #[arg(long = "lineage", value_name = "NAME=VALUE", help_heading = "Evidence")]
    pub(crate) lineage: Vec<Pair>,
    /// Write the evidence pack to this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = EVIDENCE,
        help_heading = "Evidence",
        env = "REPRO_EVIDENCE"
    )]
    pub(crate) evidence: PathBuf,
    /// Name yourself in the provenance by this URI; verifiers trust pairs of key and builder
    #[arg(
        long,
        value_name = "URI",
        default_value_t,
        help_heading = "Evidence",
        env = "REPRO_BUILDER_ID"
    )]
    pub(crate) builder_id: BuilderId,
    /// Put the context into the evidence pack too, so that the pack alone is enough to build again
    ///
    /// Whoever has the pack has the sources then. Without it `repro verify --rebuild` asks for them:
    /// --context DIR.
    #[arg(long, help_heading = "Evidence", env = "REPRO_EVIDENCE_CONTEXT")]
    pub(crate) evidence_context: bool,

    /// Also write the report to FILE, in one of the forms text, markdown, json, sarif, junit and html;
    /// - for FILE is standard output; repeat for several
    ///
    /// In the variable several stand with spaces between them. The evidence pack has the report in
    /// every form but text as well. In SARIF, lines are those of the Dockerfile as seen from the working directory:
    /// for code scanning build from the top of the checkout.
    #[arg(
        long = "report",
        value_name = "FORM=FILE",
        help_heading = "Evidence",
        env = "REPRO_REPORT"
    )]
    pub(crate) reports: Vec<ReportArgs>,

    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
    #[command(flatten)]
    same: SameArgs,
    #[command(flatten)]
    docker: DockerArgs,
    #[command(flatten)]
    pub(crate) progress: ProgressArgs,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

impl Args {
    /// The one build that a lock is made by.
    pub(crate) fn of_lock(lock: &lock::Args) -> Self {
        Self {
            context: lock.context.clone(),
            file: lock.file.clone(),
            tags: Vec::new(),
            target: lock.target.clone(),
            arguments: lock.arguments.clone(),
            allowed: lock.allowed.clone(),
            labels: Vec::new(),
            secrets: lock.secrets.clone(),
            agents: lock.agents.clone(),
            contexts: lock.contexts.clone(),
            platform: lock.platform.clone(),
            output: Vec::new(),
            push: None,
            load: None,
            attach: EvidenceArgs::default(),
            annotations: Vec::new(),
            iidfile: None,
            metadata_file: None,
            call: None,
            check: false,
            jobs: lock.jobs,
            place: lock.place.clone(),
            runs: RunCount::One,
            vary: None,
            more: MoreRuns::default(),
            on_difference: OnDifference::default(),
            suggest: false,
            source_date_epoch: None,
            locked: false,
            mirrors: lock.mirrors.clone(),
            signing: SigningArgs::default(),
            lineage: Vec::new(),
            evidence: PathBuf::from(EVIDENCE),
            builder_id: BuilderId::default(),
            evidence_context: false,
            registries: lock.registries.clone(),
            reports: Vec::new(),
            same: SameArgs::default(),
            docker: DockerArgs::default(),
            progress: lock.progress,
            json: lock.json,
        }
    }

    /// What the build does its work with.
    pub(crate) fn means(&self) -> Means<'_> {
        Means {
            mirrors: &self.mirrors,
            registries: &self.registries,
            place: &self.place,
            jobs: self.jobs,
        }
    }

    /// What is done with the Dockerfile.
    fn call(&self) -> Call {
        if self.check {
            Call::CHECK
        } else {
            self.call.unwrap_or_default()
        }
    }
}
