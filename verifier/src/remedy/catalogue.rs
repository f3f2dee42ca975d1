//! What can be done about a cause without a choice to make.

use crate::causes::Cause;

use super::command::Program;

/// One mechanical remedy. Patterns are texts of which the step must have one where a word begins; an
/// empty list fits every step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// A program of the step is called in its reproducible form.
    Rewrite(Program),
    /// Variables are set for the step.
    Export(&'static [&'static str], &'static [&'static str]),
    /// These files are removed at the end of the step.
    Remove(&'static str),
    /// The files that differ are removed at the end of the step.
    RemovePaths,
    /// The same, as the directories that they are kept in: a cache has more files than a line of
    /// a Dockerfile can name. The names are the last ones of such a directory.
    RemoveBelow(&'static [&'static str]),
    /// Files that differ from beginning to end are left empty, to be filled when a container starts:
    /// a constant in place of a secret would be worse than a difference.
    Empty(&'static [&'static str], &'static str),
    /// A command for each file that differs, `{}` being its path.
    OnPaths(&'static [&'static str], &'static str),
    /// The same for static libraries, where the step makes archives of objects.
    OnLibraries(&'static str),
    /// What `find` and `ls` write is sorted.
    SortListings,
    /// The files are removed, and must be made when a container starts.
    RemoveAtStart(&'static str),
}

const FILL: &str = "left empty, to be written when a container starts";
const MAKE: &str = "removed, to be made when a container starts";

/// The remedies of `cause`: every call that can be rewritten is; where there is none, the first of the
/// others that fits is taken. None for those that need a decision.
pub(super) fn acts(cause: Cause) -> &'static [Act] {
    use Act::{
        Empty, Export, OnLibraries, OnPaths, Remove, RemoveAtStart, RemoveBelow, RemovePaths,
        Rewrite, SortListings,
    };
    match cause {
        Cause::EmbeddedTimestamp | Cause::CompiledDate => &[Rewrite(Program::Date)],
        Cause::EmbeddedHostname => &[Rewrite(Program::Hostname)],
        Cause::EmbeddedCpuCount => &[Rewrite(Program::Nproc)],
        Cause::RandomContent => &[Empty(
            &[
                "/dev/urandom",
                "/dev/random",
                "uuidgen",
                "/random/uuid",
                "openssl rand",
            ],
            FILL,
        )],
        Cause::GeneratedKey | Cause::SnakeoilCertificate | Cause::SshHostKey => {
            &[RemoveAtStart(MAKE)]
        }
        Cause::MachineId => &[OnPaths(&[], ": > {}")],
        // Lines that something else writes may stand in an order that means something.
        Cause::LineOrder => &[
            SortListings,
            Export(&["python"], &["PYTHONHASHSEED=0"]),
            Export(&["perl"], &["PERL_HASH_SEED=0", "PERL_PERTURB_KEYS=0"]),
            Export(&["sort"], &["LC_ALL=C"]),
        ],
        Cause::ListOrder | Cause::JsonOrder => &[
            Export(&["python"], &["PYTHONHASHSEED=0"]),
            Export(&["perl"], &["PERL_HASH_SEED=0", "PERL_PERTURB_KEYS=0"]),
        ],
        Cause::LocalTime => &[Export(&[], &["TZ=UTC"])],
        Cause::FileTime => &[OnPaths(&[], "touch -h -d @$SOURCE_DATE_EPOCH {}")],
        Cause::GzipHeader => &[Rewrite(Program::Gzip)],
        Cause::ArchiveTime | Cause::ArchiveOwner => &[
            Rewrite(Program::Tar),
            Rewrite(Program::Ar),
            OnLibraries("objcopy --enable-deterministic-archives {}"),
        ],
        Cause::ArchiveOrder => &[Rewrite(Program::Tar)],
        Cause::ArchiveExtra => &[Rewrite(Program::Zip), Rewrite(Program::Cpio)],
        Cause::DebugPath => &[
            Rewrite(Program::CompilerPath),
            // Built in a directory of a random name, which no map of prefixes can name beforehand.
            Export(&["pip ", "pip3 ", "python"], &["CFLAGS=-g0"]),
        ],
        Cause::EmbeddedPath => &[Rewrite(Program::CompilerPath)],
        Cause::LtoSymbol => &[Rewrite(Program::CompilerSeed)],
        Cause::LinkerBuildId => &[Rewrite(Program::LinkerId)],
        Cause::GoBuildId => &[Export(&["go "], &["GOFLAGS='-trimpath -buildvcs=false'"])],
        Cause::JavadocDate => &[Rewrite(Program::Javadoc)],
        // Versions of shadow before 4.13 do not read SOURCE_DATE_EPOCH.
        Cause::ShadowDay => &[OnPaths(
            &[],
            r"sed -i -E 's/^([^:]*:[^:]*:)[0-9]+:/\1'$((SOURCE_DATE_EPOCH / 86400))':/' {}",
        )],
        Cause::PycSourceTime | Cause::PycCode => &[
            Rewrite(Program::Compileall),
            Export(
                &["pip", "python"],
                &["PYTHONDONTWRITEBYTECODE=1", "PIP_NO_COMPILE=1"],
            ),
        ],
        Cause::PipCache => &[
            Export(&["pip", "uv "], &["PIP_NO_CACHE_DIR=1", "UV_NO_CACHE=1"]),
            RemoveBelow(&[".cache/pip", ".cache/uv"]),
        ],
        Cause::NpmCache => &[RemoveBelow(&[".npm"])],
        Cause::NodeCompileCache => &[RemoveBelow(&["node-compile-cache"])],
        Cause::GradleState => &[RemoveBelow(&[".gradle"])],
        Cause::KernelList => &[Remove("/etc/apt/apt.conf.d/01autoremove-kernels")],
        Cause::JavaPropertiesDate => &[OnPaths(
            &[],
            "sed -i '/^#[A-Z][a-z][a-z] [A-Z][a-z][a-z] /d' {}",
        )],
        Cause::DpkgLog => &[Remove("/var/log/dpkg.log")],
        Cause::AptLog => &[Remove("/var/log/apt")],
        Cause::AlternativesLog => &[Remove("/var/log/alternatives.log")],
        Cause::BootstrapLog => &[Remove("/var/log/bootstrap.log")],
        Cause::DnfLog => &[Remove("/var/log/dnf* /var/log/yum* /var/log/zypp*")],
        Cause::AptCache => &[Remove("/var/lib/apt/lists/* /var/cache/apt/*")],
        Cause::LdconfigCache => &[Remove("/var/cache/ldconfig/aux-cache")],
        Cause::FontconfigCache => &[Remove("/var/cache/fontconfig")],
        Cause::DebconfCache => &[Remove("/var/cache/debconf/*-old")],
        Cause::StatusBackup => &[Remove("/var/lib/dpkg/*-old")],
        Cause::ManIndex => &[Remove("/var/cache/man")],
        Cause::AccountBackup
        | Cause::UpdateStamp
        | Cause::GemLog
        | Cause::MavenState
        | Cause::CondaHistory
        | Cause::TemporaryFile => &[RemovePaths],
        _ => &[],
    }
}
