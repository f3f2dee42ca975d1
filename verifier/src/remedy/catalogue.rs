//! What can be done about a cause without a choice to make.

use crate::causes::Cause;

use super::command::Program;

/// One mechanical remedy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// A program of the step is called in its reproducible form.
    Rewrite(Program),
    /// Variables are set for a step that has one of these words; none fit every step.
    Export {
        words: &'static [&'static str],
        /// Each as `NAME=value`.
        variables: &'static [&'static str],
        /// What they keep away, by a part of its path. Where else it differs may have other reasons.
        keeps_away: Option<&'static str>,
    },
    /// What a program keeps for itself is removed at the end of the step.
    Remove(&'static [Leftover]),
    /// Files that differ and lie where temporary ones do are removed at the end of the step.
    RemoveTemporary,
    /// Files that differ from beginning to end are left empty, to be filled when a container starts:
    /// a constant in place of a secret would be worse than a difference.
    Empty(&'static [&'static str]),
    /// A command for each file that differs, `{}` being its path.
    OnPaths(&'static str),
    /// The same for the ids of a machine, which an empty file asks for.
    EmptyIds,
    /// What `find` and `ls` write is sorted.
    SortListings,
}

/// What a program keeps for itself: nothing is made from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leftover {
    /// Where, as a pattern of the shell with at most one `*` in its last part.
    pub(super) place: &'static str,
    /// When it is of no use any more.
    pub(super) spent: Spent,
}

/// When a leftover is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    /// At once.
    Always,
    /// When the step has installed, and no later one does so.
    Installed,
    /// Unless a later step must do without the network.
    Online,
}

const fn always(place: &'static str) -> Leftover {
    Leftover {
        place,
        spent: Spent::Always,
    }
}

/// Variables for steps with one of these words, which may not be the whole answer.
const fn export(words: &'static [&'static str], variables: &'static [&'static str]) -> Act {
    Act::Export {
        words,
        variables,
        keeps_away: None,
    }
}

const PYTHON_SEED: Act = export(&["python", "python3"], &["PYTHONHASHSEED=0"]);
const PERL_SEED: Act = export(&["perl"], &["PERL_HASH_SEED=0", "PERL_PERTURB_KEYS=0"]);
const PLAIN_ORDER: Act = export(&["sort"], &["LC_ALL=C"]);
const PLAIN_TIME: Act = export(&[], &["TZ=UTC"]);
/// For what is built in a directory of a random name, which no map of prefixes can name beforehand.
const NO_DEBUG: Act = export(
    &["pip", "pip3", "python", "python3"],
    &["CFLAGS=\"${CFLAGS:-} -g0\""],
);
const GO_BUILD: Act = export(
    &["go"],
    &["GOFLAGS=\"${GOFLAGS:-} -trimpath -buildvcs=false\""],
);
const NO_PYC: Act = export(
    &["pip", "pip3", "python", "python3"],
    &["PYTHONDONTWRITEBYTECODE=1", "PIP_NO_COMPILE=1"],
);
/// Parts of the paths of caches that variables keep away.
const PIP: &str = "/.cache/pip/";
const UV: &str = "/.cache/uv/";
const PYC: &str = "/__pycache__/";
const NO_PIP_CACHE: Act = Act::Export {
    words: &["pip", "pip3"],
    variables: &["PIP_NO_CACHE_DIR=1"],
    keeps_away: Some(PIP),
};
const NO_UV_CACHE: Act = Act::Export {
    words: &["uv"],
    variables: &["UV_NO_CACHE=1"],
    keeps_away: Some(UV),
};

const NPM: [Leftover; 3] = [
    Leftover {
        place: "/root/.npm/_cacache/*",
        spent: Spent::Online,
    },
    always("/root/.npm/_logs/*"),
    always("/root/.npm/_update-notifier-last-checked"),
];
const DPKG_LOG: [Leftover; 1] = [always("/var/log/dpkg.log")];
const APT_LOG: [Leftover; 2] = [
    always("/var/log/apt/*.log"),
    always("/var/log/apt/eipp.log.xz"),
];
const ALTERNATIVES_LOG: [Leftover; 1] = [always("/var/log/alternatives.log")];
const APT: [Leftover; 2] = [
    Leftover {
        place: "/var/lib/apt/lists/*",
        spent: Spent::Installed,
    },
    always("/var/cache/apt/*.bin"),
];
const LDCONFIG: [Leftover; 1] = [always("/var/cache/ldconfig/aux-cache")];

/// Whether `path` is among what a pattern names, or below that.
pub(super) fn is_at(path: &str, place: &str) -> bool {
    let place = &place[1..];
    match place.split_once('*') {
        None => path == place,
        Some((before, "")) => path.len() > before.len() && path.starts_with(before),
        Some((before, after)) => path
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(|name| !name.is_empty() && !name.contains('/')),
    }
}

/// Everything that remedies remove.
const LEFTOVERS: [&[Leftover]; 6] = [
    &NPM,
    &DPKG_LOG,
    &APT_LOG,
    &ALTERNATIVES_LOG,
    &APT,
    &LDCONFIG,
];

/// Whether remedies are there to keep what is at `path` out of an image, also where it is equal in two
/// runs: of a cache they leave nothing.
pub(super) fn is_leftover(path: &str) -> bool {
    let parts = [PIP, UV, PYC].map(|part| part.trim_end_matches('/'));
    let rooted = format!("/{path}");
    let mut leftovers = LEFTOVERS.into_iter().flatten();
    leftovers.any(|leftover| is_at(path, leftover.place))
        || parts.iter().any(|part| rooted.contains(part))
}

/// The remedies of `cause`: every call that can be rewritten is; where there is none, the first of the
/// others that fits is taken. None for those that need a decision, or where what is left by a step may
/// be what a later one is made from.
pub(super) fn acts(cause: Cause) -> &'static [Act] {
    use Act::{Empty, EmptyIds, OnPaths, Remove, RemoveTemporary, Rewrite, SortListings};
    match cause {
        Cause::EmbeddedTimestamp | Cause::CompiledDate => &[Rewrite(Program::Date)],
        Cause::EmbeddedHostname => &[Rewrite(Program::Hostname)],
        Cause::EmbeddedCpuCount => &[Rewrite(Program::Nproc)],
        Cause::RandomContent => &[Empty(&["urandom", "random", "uuid", "uuidgen", "openssl"])],
        Cause::MachineId => &[EmptyIds],
        // Lines that something else writes may stand in an order that means something.
        Cause::LineOrder => &[SortListings, PYTHON_SEED, PERL_SEED, PLAIN_ORDER],
        Cause::ListOrder | Cause::JsonOrder => &[PYTHON_SEED, PERL_SEED],
        Cause::LocalTime => &[PLAIN_TIME],
        Cause::FileTime => &[OnPaths("touch -h -d @$SOURCE_DATE_EPOCH {}")],
        Cause::GzipHeader => &[Rewrite(Program::Gzip)],
        Cause::ArchiveTime => &[Rewrite(Program::TarTime), Rewrite(Program::Ar)],
        Cause::ArchiveOwner => &[Rewrite(Program::TarOwner), Rewrite(Program::Ar)],
        Cause::ArchiveOrder => &[Rewrite(Program::TarOrder)],
        Cause::ArchiveExtra => &[Rewrite(Program::Zip), Rewrite(Program::Cpio)],
        Cause::DebugPath => &[Rewrite(Program::CompilerPath), NO_DEBUG],
        Cause::EmbeddedPath => &[Rewrite(Program::CompilerPath)],
        Cause::LtoSymbol => &[Rewrite(Program::CompilerSeed)],
        Cause::LinkerBuildId => &[Rewrite(Program::LinkerId)],
        Cause::GoBuildId => &[GO_BUILD],
        Cause::JavadocDate => &[Rewrite(Program::Javadoc)],
        Cause::PycSourceTime | Cause::PycCode => &[Rewrite(Program::Compileall), NO_PYC],
        Cause::PipCache => &[NO_PIP_CACHE, NO_UV_CACHE],
        Cause::NpmCache => &[Remove(&NPM)],
        Cause::DpkgLog => &[Remove(&DPKG_LOG)],
        Cause::AptLog => &[Remove(&APT_LOG)],
        Cause::AlternativesLog => &[Remove(&ALTERNATIVES_LOG)],
        Cause::AptCache => &[Remove(&APT)],
        Cause::LdconfigCache => &[Remove(&LDCONFIG)],
        Cause::TemporaryFile => &[RemoveTemporary],
        _ => &[],
    }
}
