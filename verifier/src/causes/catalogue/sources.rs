//! Where differences come from, and which cause names each: held against the catalogue, and written
//! to `docs/causes.md`.

use std::{collections::BTreeSet, env, fmt::Write as _, fs, path::Path};

use super::{Cause, FAMILIES};
use Named::{By, Not};

/// How a source is named.
enum Named {
    /// By one of these causes.
    By(&'static [Cause]),
    /// By none, for this reason.
    Not(&'static str),
}

/// A family of sources: the name of each, what differs, and the cause.
type Family = (&'static str, &'static [(&'static str, &'static str, Named)]);

/// Every known source of a difference that lies in the two results.
const SOURCES: &[Family] = &[
    (
        "Images",
        &[
            (
                "created",
                "the time in the configuration",
                By(&[Cause::ImageCreated]),
            ),
            (
                "history times",
                "times in the history",
                By(&[Cause::ImageCreated]),
            ),
            (
                "history texts",
                "the builder's words in the history",
                By(&[Cause::HistoryText]),
            ),
            (
                "annotations",
                "time, name or builder in annotations of the manifest",
                By(&[Cause::ImageAnnotation]),
            ),
            (
                "labels of builders",
                "version of the builder in a label or field",
                By(&[Cause::BuilderLabel]),
            ),
            (
                "container of the classic builder",
                "host name and container in the configuration",
                By(&[Cause::LegacyContainer]),
            ),
            (
                "media types",
                "Docker's or OCI's types for the same bytes",
                By(&[Cause::MediaTypeForm]),
            ),
            (
                "attestation manifests",
                "an index lists statements on a build beside its image",
                Not(
                    "the image of each platform is compared, and statements are listed apart: they differ by design",
                ),
            ),
            (
                "compression",
                "other bytes of one layer",
                By(&[Cause::LayerCompression]),
            ),
            (
                "header of a compressed layer",
                "time, name or system in a gzip header",
                By(&[Cause::LayerCompression, Cause::GzipHeader]),
            ),
            (
                "split of layers",
                "the same files in other layers",
                By(&[Cause::LayerSplit]),
            ),
            (
                "platform",
                "variant or version of the system",
                By(&[Cause::PlatformField]),
            ),
            (
                "order of lists and maps",
                "environment, ports, volumes or labels in another order",
                By(&[Cause::ListOrder]),
            ),
            (
                "form of documents",
                "white space and order of keys",
                By(&[Cause::DocumentForm, Cause::XmlForm]),
            ),
            (
                "label with a date",
                "a date that was given as an argument",
                By(&[Cause::DateLabel]),
            ),
        ],
    ),
    (
        "Layers",
        &[
            ("times", "modification times", By(&[Cause::FileTime])),
            (
                "times of the base",
                "a builder wrote the base layers anew",
                By(&[Cause::FileTime]),
            ),
            (
                "times of removals",
                "whiteouts with the time of the build",
                By(&[Cause::FileTime]),
            ),
            (
                "opaque removals",
                "a directory removed as a whole or entry by entry",
                By(&[Cause::OpaqueRemoval]),
            ),
            (
                "mount points",
                "directories and files that the runtime mounts on",
                By(&[Cause::MountPoint]),
            ),
            (
                "parents",
                "directories that COPY and WORKDIR make on the way",
                By(&[Cause::FileTime]),
            ),
            (
                "order of entries",
                "entries in the order of the directory",
                By(&[Cause::EntryOrder]),
            ),
            ("numbers of owners", "other owners", By(&[Cause::OwnerId])),
            (
                "names of owners",
                "names from the builder's accounts",
                By(&[Cause::OwnerName]),
            ),
            (
                "permissions",
                "permissions after a umask",
                By(&[Cause::ModeUmask]),
            ),
            (
                "type in the mode",
                "the type of an entry written into its mode",
                By(&[Cause::TarFormat]),
            ),
            (
                "set-group-id",
                "directories that inherit the bit",
                By(&[Cause::SetgidDirectory]),
            ),
            (
                "capabilities",
                "capabilities of files, lost or kept",
                By(&[Cause::FileCapability]),
            ),
            (
                "leaked attributes",
                "labels of the host in extended attributes",
                By(&[Cause::ExtendedAttribute]),
            ),
            (
                "layout of hard links",
                "which name of a file comes first",
                By(&[Cause::HardlinkLayout]),
            ),
            (
                "broken hard links",
                "a copy in place of a link",
                By(&[Cause::HardlinkBroken]),
            ),
            (
                "sparse files",
                "holes written as such",
                By(&[Cause::TarFormat, Cause::PaxHeader]),
            ),
            (
                "extended headers",
                "process id, times of access in PAX records",
                By(&[Cause::PaxHeader]),
            ),
            ("dialect", "ustar, GNU or PAX", By(&[Cause::TarFormat])),
            (
                "prefix of paths",
                "`./` or `/` before names",
                By(&[Cause::TarFormat]),
            ),
            ("padding", "bytes behind the end", By(&[Cause::TarPadding])),
            (
                "numbers of devices",
                "device and inode numbers in an archive",
                By(&[Cause::ArchiveExtra]),
            ),
            (
                "absolute links",
                "a link to a path of the build",
                By(&[Cause::EmbeddedPath]),
            ),
            (
                "missing entries",
                "an entry on one side",
                By(&[Cause::MissingFile]),
            ),
            (
                "a write that depends on a condition",
                "an entry that one layer has and the other leaves to those below",
                By(&[Cause::OneSidedWrite]),
            ),
        ],
    ),
    (
        "Packages of distributions",
        &[
            ("dpkg's log", "a time on each line", By(&[Cause::DpkgLog])),
            (
                "apt's logs",
                "times, and what a terminal showed",
                By(&[Cause::AptLog]),
            ),
            (
                "alternatives' log",
                "a time on each line",
                By(&[Cause::AlternativesLog]),
            ),
            (
                "log of the installation",
                "what debootstrap said",
                By(&[Cause::BootstrapLog]),
            ),
            (
                "lists and caches of apt",
                "state of the archive, images of memory",
                By(&[Cause::AptCache]),
            ),
            (
                "cache of ldconfig",
                "inodes and times",
                By(&[Cause::LdconfigCache]),
            ),
            (
                "cache of fontconfig",
                "times of directories",
                By(&[Cause::FontconfigCache]),
            ),
            ("machine id", "drawn at random", By(&[Cause::MachineId])),
            (
                "day of a password",
                "days since 1970",
                By(&[Cause::ShadowDay]),
            ),
            (
                "hash of a password",
                "a random salt",
                By(&[Cause::PasswordHash]),
            ),
            (
                "self-signed certificate",
                "key, name of the host, dates",
                By(&[Cause::SnakeoilCertificate]),
            ),
            ("host keys", "keys of SSH", By(&[Cause::SshHostKey])),
            (
                "Java's key store",
                "dates of entries",
                By(&[Cause::JavaKeystore]),
            ),
            (
                "apk's scripts",
                "times in an archive",
                By(&[Cause::ApkScripts]),
            ),
            (
                "apk's virtual packages",
                "named after the time",
                By(&[Cause::ApkVirtual]),
            ),
            (
                "apk's database",
                "order of entries",
                By(&[Cause::ApkDatabase]),
            ),
            (
                "rpm's database",
                "times of installation",
                By(&[Cause::RpmDatabase]),
            ),
            ("dnf's logs", "times", By(&[Cause::DnfLog, Cause::DnfState])),
            (
                "pacman",
                "dates of installation, keys",
                By(&[Cause::PacmanState]),
            ),
            ("debconf", "previous answers", By(&[Cause::DebconfCache])),
            (
                "dpkg's backups",
                "the state before",
                By(&[Cause::StatusBackup]),
            ),
            (
                "index of manual pages",
                "times of pages",
                By(&[Cause::ManIndex]),
            ),
            (
                "caches of triggers",
                "order of directories",
                By(&[Cause::TriggerCache]),
            ),
            (
                "running kernel",
                "its name in a configuration of apt",
                By(&[Cause::KernelList]),
            ),
            (
                "stamps of the first start",
                "times, seeds",
                By(&[Cause::UpdateStamp]),
            ),
            (
                "backups of accounts",
                "accounts before the last change",
                By(&[Cause::AccountBackup]),
            ),
            (
                "name of the mail system",
                "the name of the host",
                By(&[Cause::MailName]),
            ),
            (
                "floating versions",
                "the archive moved on",
                By(&[Cause::PackageVersion]),
            ),
        ],
    ),
    (
        "Languages and programs",
        &[
            (
                "time in compiled Python",
                "the source's time",
                By(&[Cause::PycSourceTime]),
            ),
            (
                "path in compiled Python",
                "the source's name",
                By(&[Cause::PycCode]),
            ),
            (
                "references in compiled Python",
                "counters of references, order of sets",
                By(&[Cause::PycCode]),
            ),
            (
                "notes of an installation",
                "where a wheel came from, and digests",
                By(&[Cause::WheelMetadata, Cause::DerivedChecksum]),
            ),
            (
                "caches of pip and uv",
                "what was fetched and when",
                By(&[Cause::PipCache]),
            ),
            (
                "virtual environments",
                "their own path",
                By(&[Cause::VenvPath]),
            ),
            (
                "caches and logs of npm",
                "times, and names that hold them",
                By(&[Cause::NpmCache]),
            ),
            (
                "compile cache of Node",
                "what V8 made",
                By(&[Cause::NodeCompileCache]),
            ),
            (
                "state of pnpm and yarn",
                "times",
                By(&[Cause::NodeModulesState]),
            ),
            (
                "ids of bundlers",
                "drawn at random",
                By(&[Cause::BundlerId]),
            ),
            (
                "gems",
                "dates, logs of extensions",
                By(&[Cause::GemDate, Cause::GemLog]),
            ),
            (
                "Maven",
                "state of the local repository, dates",
                By(&[
                    Cause::MavenState,
                    Cause::ManifestDate,
                    Cause::JavaPropertiesDate,
                ]),
            ),
            ("Gradle", "caches and locks", By(&[Cause::GradleState])),
            (
                "zip and jar",
                "times, fields and order of members",
                By(&[
                    Cause::ArchiveTime,
                    Cause::ArchiveOrder,
                    Cause::ArchiveOwner,
                    Cause::ArchiveExtra,
                ]),
            ),
            (
                "Composer",
                "a suffix drawn at random",
                By(&[Cause::ComposerSuffix]),
            ),
            ("Go", "build id, state of git", By(&[Cause::GoBuildId])),
            (
                "Rust",
                "paths in debug data and messages",
                By(&[Cause::DebugPath, Cause::EmbeddedPath]),
            ),
            (
                "date macros",
                "`__DATE__` and `__TIME__`",
                By(&[Cause::CompiledDate]),
            ),
            (
                "paths in C and C++",
                "debug data and `__FILE__`",
                By(&[Cause::DebugPath, Cause::EmbeddedPath]),
            ),
            (
                "build ids",
                "follow from the rest",
                By(&[Cause::LinkerBuildId]),
            ),
            (
                "link-time optimisation",
                "names drawn at random",
                By(&[Cause::LtoSymbol]),
            ),
            (
                "static libraries",
                "times and owners of members",
                By(&[Cause::ArchiveTime, Cause::ArchiveOwner, Cause::ArchiveOrder]),
            ),
            (
                "order of linking",
                "objects in the order of the directory",
                By(&[Cause::SymbolOrder]),
            ),
            (
                "races",
                "rules that do not wait for each other",
                By(&[Cause::LineOrder, Cause::ArchiveOrder, Cause::SymbolOrder]),
            ),
            (
                "order of hash tables",
                "the same lines, words or values",
                By(&[Cause::LineOrder, Cause::ListOrder, Cause::JsonOrder]),
            ),
            (
                "Haskell",
                "interfaces in the order of compilation",
                By(&[Cause::HaskellInterface]),
            ),
            ("javadoc", "dates of pages", By(&[Cause::JavadocDate])),
            ("gettext", "dates of catalogues", By(&[Cause::GettextDate])),
            ("PNG", "the time of an image", By(&[Cause::PngTime])),
            ("PDF", "dates and ids", By(&[Cause::PdfDate])),
            (
                "memory that was never written",
                "padding of structures",
                Not(
                    "a few bytes that no rule tells from data: only a third run equal to the first separates chance from variation",
                ),
            ),
            (
                "the processor",
                "code for the machine of the build",
                Not(
                    "the code of two processors differs as that of two programs does: only an axis of variation could tell",
                ),
            ),
            (
                "captured environment",
                "name of the host, kernel, processors, process ids, paths",
                By(&[
                    Cause::EmbeddedHostname,
                    Cause::EmbeddedKernel,
                    Cause::EmbeddedCpuCount,
                    Cause::EmbeddedProcessId,
                    Cause::EmbeddedPath,
                    Cause::EmbeddedAddress,
                ]),
            ),
            (
                "collation",
                "lists sorted by a locale",
                By(&[Cause::LineOrder]),
            ),
            (
                "time zones",
                "one moment in two places",
                By(&[Cause::LocalTime]),
            ),
            (
                "sqlite",
                "order of pages, counters",
                By(&[Cause::SqliteLayout]),
            ),
            ("git", "index, logs, packs", By(&[Cause::GitState])),
            ("bills of materials", "ids and times", By(&[Cause::SbomId])),
            (
                "dates of builds",
                "in files",
                By(&[Cause::EmbeddedTimestamp]),
            ),
            (
                "random content",
                "ids, tokens, keys, names of temporary files",
                By(&[Cause::RandomContent, Cause::GeneratedKey]),
            ),
            (
                "leftovers",
                "histories, temporary files",
                By(&[Cause::TemporaryFile]),
            ),
            (
                "TeX, Emacs, Info",
                "caches and compiled forms",
                By(&[Cause::CompiledForms]),
            ),
            (
                "conda and R",
                "histories and dates",
                By(&[Cause::CondaHistory, Cause::RPackageDate]),
            ),
            (
                "signatures",
                "keys and numbers of one use",
                By(&[Cause::EmbeddedSignature]),
            ),
            (
                "images of file systems",
                "ids, seeds, times",
                By(&[Cause::FilesystemImage]),
            ),
            (
                "initial RAM disks",
                "times and inodes",
                By(&[Cause::InitramfsImage]),
            ),
            (
                "drift of the network",
                "what was fetched has changed",
                Not(
                    "a step has no network: what it needs is locked by digest, and an attempt to reach further is counted",
                ),
            ),
            (
                "lists of digests",
                "follow from other files",
                By(&[Cause::DerivedChecksum]),
            ),
            (
                "compressed data",
                "level and version of the compressor",
                By(&[Cause::CompressionForm]),
            ),
        ],
    ),
];

/// Causes that name a finding, and no source of it.
const FINDINGS: &[Cause] = &[
    Cause::FailsByChance,
    Cause::FailsUnderVariation,
    Cause::LimitReached,
    Cause::PlatformMissing,
    Cause::Unknown,
];

#[test]
fn every_source_has_a_cause_or_a_reason_and_every_cause_a_source() {
    let mut named: BTreeSet<Cause> = FINDINGS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    for (name, _, by) in SOURCES.iter().flat_map(|(_, sources)| *sources) {
        assert!(seen.insert(name), "{name} stands there twice");
        match by {
            By(causes) => {
                assert!(!causes.is_empty(), "{name}");
                named.extend(*causes);
            }
            Not(reason) => assert!(reason.len() > 40, "{name}: {reason}"),
        }
    }
    assert!(seen.len() >= 113, "{} sources", seen.len());
    let without: Vec<Cause> = Cause::ALL
        .into_iter()
        .filter(|cause| !named.contains(cause))
        .collect();
    assert!(without.is_empty(), "causes of no source: {without:?}");
}

#[test]
fn docs_list_every_source_and_cause() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/causes.md");
    let text = page();
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch of this test, not of the program"
    )]
    if env::var_os("UPDATE").is_some() {
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == text,
        "docs/causes.md is out of date: UPDATE=1 cargo test -p repro-verifier docs"
    );
}

fn page() -> String {
    let mut text = String::from(
        "# Why images differ\n\n\
         Written by a test from the catalogue: `UPDATE=1 cargo test -p repro-verifier docs`.\n\n\
         `repro explain CODE` says more on one cause.\n\n## Sources\n",
    );
    for (family, sources) in SOURCES {
        write!(
            text,
            "\n### {family}\n\n| source | what differs | cause |\n|---|---|---|\n"
        )
        .unwrap();
        for (name, what, by) in *sources {
            let by = match by {
                By(causes) => {
                    let codes = causes.iter().map(|cause| format!("`{cause}`"));
                    codes.collect::<Vec<_>>().join(", ")
                }
                Not(reason) => format!("none: {reason}"),
            };
            writeln!(text, "| {name} | {what} | {by} |").unwrap();
        }
    }
    text.push_str("\n## Causes\n\n| code | title | recognised by | axis |\n|---|---|---|---|\n");
    for (cause, info) in FAMILIES.into_iter().flatten() {
        let axis = info.axis.map_or_else(String::new, |axis| axis.to_string());
        let detection = info.detection.replace('|', "\\|");
        writeln!(
            text,
            "| `{cause}` | {} | {detection} | {axis} |",
            info.title
        )
        .unwrap();
    }
    text
}
