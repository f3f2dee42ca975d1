//! The catalogue: each cause with its code, title, meaning, detection, remedy and links.
//!
//! The codes are here, their texts in one file for each family.

mod content;
mod images;
mod languages;
mod layers;
mod links;
mod packages;
#[cfg(test)]
mod sources;

use std::{fmt, str::FromStr};

use repro_core::build::Axis;
use serde::{Deserialize, Serialize};

/// The families, in the order of the catalogue.
const FAMILIES: [&[(Cause, CauseInfo)]; 5] = [
    content::CONTENT,
    images::IMAGES,
    layers::LAYERS,
    packages::PACKAGES,
    languages::LANGUAGES,
];

/// Makes [`Cause`] and what follows from its list of codes.
macro_rules! catalogue {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// A coded cause of a difference. The kebab-case code is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Cause {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl Cause {
            /// Every cause, in the order of the catalogue.
            pub const ALL: [Self; [$($code),*].len()] = [$(Self::$name),*];

            /// The stable code, as in reports and for `repro explain`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

catalogue! {
    /// The time of the build is in the content.
    EmbeddedTimestamp = "embedded-timestamp",
    /// The host or domain name is in the content.
    EmbeddedHostname = "embedded-hostname",
    /// A time is told by the clock of a place.
    LocalTime = "local-time",
    /// The name or version of the kernel is in the content.
    EmbeddedKernel = "embedded-kernel",
    /// The number of CPUs is in the content.
    EmbeddedCpuCount = "embedded-cpu-count",
    /// A process id is in the content or the name.
    EmbeddedProcessId = "embedded-process-id",
    /// An address of the program's memory is in the content.
    EmbeddedAddress = "embedded-address",
    /// Random bytes are in the content or the name.
    RandomContent = "random-content",
    /// Key material was made during the build.
    GeneratedKey = "generated-key",
    /// The same lines stand in another order.
    LineOrder = "line-order",
    /// The modification time differs.
    FileTime = "file-time",
    /// An entry is on one side only.
    MissingFile = "missing-file",
    /// One layer writes an entry that the other leaves as it was.
    OneSidedWrite = "one-sided-write",
    /// The same layer is compressed differently.
    LayerCompression = "layer-compression",
    /// The content was not taken apart, because a limit was reached.
    LimitReached = "limit-reached",
    /// The build fails in the varied environment and succeeds in the plain one.
    FailsUnderVariation = "fails-under-variation",
    /// The build succeeds and fails in the same environment.
    FailsByChance = "fails-by-chance",
    /// The configuration holds the time of the build.
    ImageCreated = "image-created",
    /// The history names another builder or another text.
    HistoryText = "history-text",
    /// A label or field names the builder.
    BuilderLabel = "builder-label",
    /// An annotation of the manifest differs.
    ImageAnnotation = "image-annotation",
    /// The configuration names the container it was made in.
    LegacyContainer = "legacy-container",
    /// One image is in Docker's form, the other in OCI's.
    MediaTypeForm = "media-type-form",
    /// The platform is written differently.
    PlatformField = "platform-field",
    /// A platform is in one of the indexes only.
    PlatformMissing = "platform-missing",
    /// The same files are split into other layers.
    LayerSplit = "layer-split",
    /// The same values stand in another order.
    ListOrder = "list-order",
    /// A label holds the date of the build.
    DateLabel = "date-label",
    /// The documents say the same in other bytes.
    DocumentForm = "document-form",
    /// The entries of the layer stand in another order.
    EntryOrder = "entry-order",
    /// The layer holds names of owners.
    OwnerName = "owner-name",
    /// The tars are of different dialects.
    TarFormat = "tar-format",
    /// Extended headers differ.
    PaxHeader = "pax-header",
    /// The tars end with other padding.
    TarPadding = "tar-padding",
    /// Permissions follow the umask of the caller.
    ModeUmask = "mode-umask",
    /// Directories inherit the set-group-id bit.
    SetgidDirectory = "setgid-directory",
    /// The owner differs.
    OwnerId = "owner-id",
    /// The capabilities of a file differ.
    FileCapability = "file-capability",
    /// Extended attributes differ.
    ExtendedAttribute = "extended-attribute",
    /// The names of one file are linked the other way round.
    HardlinkLayout = "hardlink-layout",
    /// A hard link became a copy.
    HardlinkBroken = "hardlink-broken",
    /// A directory is removed as a whole, or entry by entry.
    OpaqueRemoval = "opaque-removal",
    /// A place that the runtime mounts differs.
    MountPoint = "mount-point",
    /// Dpkg logs with times.
    DpkgLog = "dpkg-log",
    /// Apt logs with times.
    AptLog = "apt-log",
    /// Update-alternatives logs with times.
    AlternativesLog = "alternatives-log",
    /// The installation of the base system was logged.
    BootstrapLog = "bootstrap-log",
    /// Dnf, yum or zypper log with times.
    DnfLog = "dnf-log",
    /// Lists and caches of apt are kept.
    AptCache = "apt-cache",
    /// Ldconfig remembers inodes and times.
    LdconfigCache = "ldconfig-cache",
    /// Fontconfig caches the times of directories.
    FontconfigCache = "fontconfig-cache",
    /// A machine id was made.
    MachineId = "machine-id",
    /// The day of the last password change is kept.
    ShadowDay = "shadow-day",
    /// A password hash has a random salt.
    PasswordHash = "password-hash",
    /// A self-signed certificate was made.
    SnakeoilCertificate = "snakeoil-certificate",
    /// Host keys of SSH were made.
    SshHostKey = "ssh-host-key",
    /// A Java key store holds dates.
    JavaKeystore = "java-keystore",
    /// Apk keeps scripts in an archive with times.
    ApkScripts = "apk-scripts",
    /// A virtual package is named after the time.
    ApkVirtual = "apk-virtual",
    /// The database of apk differs.
    ApkDatabase = "apk-database",
    /// The database of rpm holds times.
    RpmDatabase = "rpm-database",
    /// State of dnf is kept.
    DnfState = "dnf-state",
    /// Pacman keeps dates and keys.
    PacmanState = "pacman-state",
    /// Debconf keeps the previous state.
    DebconfCache = "debconf-cache",
    /// Dpkg keeps the state before the last change.
    StatusBackup = "status-backup",
    /// The index of manual pages differs.
    ManIndex = "man-index",
    /// A cache made by a trigger differs.
    TriggerCache = "trigger-cache",
    /// A stamp or seed of the first start.
    UpdateStamp = "update-stamp",
    /// Backups of account files are kept.
    AccountBackup = "account-backup",
    /// A service was set up with the host's name.
    MailName = "mail-name",
    /// Another version of a package is installed.
    PackageVersion = "package-version",
    /// A list of kernels names the running one.
    KernelList = "kernel-list",
    /// An initial RAM disk was made.
    InitramfsImage = "initramfs-image",
    /// An image of a file system has an id and times.
    FilesystemImage = "filesystem-image",
    /// Compiled Python holds the source's time.
    PycSourceTime = "pyc-source-time",
    /// Compiled Python differs in its code.
    PycCode = "pyc-code",
    /// Pip or uv recorded the installation.
    WheelMetadata = "wheel-metadata",
    /// A cache of pip or uv is kept.
    PipCache = "pip-cache",
    /// A virtual environment holds its own path.
    VenvPath = "venv-path",
    /// A cache or log of npm is kept.
    NpmCache = "npm-cache",
    /// Node's compile cache is kept.
    NodeCompileCache = "node-compile-cache",
    /// A package manager's state in `node_modules`.
    NodeModulesState = "node-modules-state",
    /// A bundler made a random build id.
    BundlerId = "bundler-id",
    /// A log of a Ruby extension's build.
    GemLog = "gem-log",
    /// A gem specification holds a date.
    GemDate = "gem-date",
    /// Maven's local repository keeps state.
    MavenState = "maven-state",
    /// A properties file begins with its date.
    JavaPropertiesDate = "java-properties-date",
    /// A jar's manifest holds a date or builder.
    ManifestDate = "manifest-date",
    /// Gradle keeps caches and locks.
    GradleState = "gradle-state",
    /// An archive holds the times of its members.
    ArchiveTime = "archive-time",
    /// The members of an archive stand in another order.
    ArchiveOrder = "archive-order",
    /// An archive holds owner or permissions of the builder.
    ArchiveOwner = "archive-owner",
    /// An archive holds extra fields of the file system.
    ArchiveExtra = "archive-extra",
    /// A gzip header holds time or name.
    GzipHeader = "gzip-header",
    /// The same data is compressed to other bytes.
    CompressionForm = "compression-form",
    /// Composer names its loader by a random suffix.
    ComposerSuffix = "composer-suffix",
    /// A Go program's build id differs.
    GoBuildId = "go-build-id",
    /// A compiled program holds its date.
    CompiledDate = "compiled-date",
    /// Debug data holds the path of the build.
    DebugPath = "debug-path",
    /// A path of the build is in the file.
    EmbeddedPath = "embedded-path",
    /// The build id of a program follows its content.
    LinkerBuildId = "linker-build-id",
    /// Link-time optimisation makes random names.
    LtoSymbol = "lto-symbol",
    /// The same symbols stand in another order.
    SymbolOrder = "symbol-order",
    /// Generated documentation holds its date.
    JavadocDate = "javadoc-date",
    /// A message catalogue holds its date.
    GettextDate = "gettext-date",
    /// A PNG image holds its date.
    PngTime = "png-time",
    /// A PDF holds its date or a random id.
    PdfDate = "pdf-date",
    /// A database differs in its layout.
    SqliteLayout = "sqlite-layout",
    /// Git's own files are in the image.
    GitState = "git-state",
    /// A bill of materials has an id and a date.
    SbomId = "sbom-id",
    /// A JSON document has its keys in another order.
    JsonOrder = "json-order",
    /// An XML document says the same in another form.
    XmlForm = "xml-form",
    /// Something temporary was left.
    TemporaryFile = "temporary-file",
    /// An interface of a Haskell module differs.
    HaskellInterface = "haskell-interface",
    /// A signature was made during the build.
    EmbeddedSignature = "embedded-signature",
    /// Conda keeps its history.
    CondaHistory = "conda-history",
    /// An R package says when it was built.
    RPackageDate = "r-package-date",
    /// Caches of TeX, Emacs or Info differ.
    CompiledForms = "compiled-forms",
    /// A list of checksums follows other files.
    DerivedChecksum = "derived-checksum",
    /// None of the above was recognised.
    Unknown = "unknown",
}

/// How sure a named cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Nothing was recognised.
    Unknown,
    /// The shape of the values fits.
    Likely,
    /// The values are those of the two runs: a canary, or a time within each run.
    Certain,
}

impl Confidence {
    /// The word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Likely => "likely",
            Self::Certain => "certain",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CauseInfo {
    /// One line, without a full stop.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// By what it is recognised.
    pub detection: &'static str,
    /// What to change.
    pub remedy: &'static str,
    /// The axis of variation that brings it to light, if there is one.
    pub axis: Option<Axis>,
    /// Where more is written on it.
    pub links: &'static [&'static str],
}

/// Causes of the clock that do not say that it is a time what differs: their place alone tells them,
/// and other things lie there too, or an id that was drawn at random stands beside the time.
const NOT_ONLY_TIMES: [Cause; 15] = [
    Cause::CompiledForms,
    Cause::DnfState,
    Cause::FilesystemImage,
    Cause::GemLog,
    Cause::GitState,
    Cause::GradleState,
    Cause::InitramfsImage,
    Cause::MavenState,
    Cause::NodeModulesState,
    Cause::NpmCache,
    Cause::PacmanState,
    Cause::PdfDate,
    Cause::PipCache,
    Cause::SbomId,
    Cause::UpdateStamp,
];

impl Cause {
    /// Whether what differs is a time, which then differs between any two runs.
    #[must_use]
    pub fn is_time(self) -> bool {
        self.info().axis == Some(Axis::Clock) && !NOT_ONLY_TIMES.contains(&self)
    }

    /// The entry of the catalogue.
    ///
    /// # Panics
    ///
    /// Never: each cause has an entry, to which a test holds the catalogue.
    #[must_use]
    pub fn info(self) -> CauseInfo {
        let mut entries = FAMILIES.into_iter().flatten();
        let entry = entries.find(|(cause, _)| *cause == self);
        entry
            .map(|(_, info)| *info)
            .expect("each cause has an entry")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A text that is no code of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cause; the causes are {all}", all = codes())]
pub struct UnknownCause(String);

fn codes() -> String {
    Cause::ALL.map(Cause::code).join(", ")
}

impl FromStr for Cause {
    type Err = UnknownCause;

    fn from_str(code: &str) -> Result<Self, UnknownCause> {
        Self::ALL
            .into_iter()
            .find(|cause| cause.code() == code)
            .ok_or_else(|| UnknownCause(code.chars().take(80).collect()))
    }
}

/// The long text on one cause, as `repro explain` prints it.
#[must_use]
pub fn explain(cause: Cause) -> String {
    let info = cause.info();
    let axis = info.axis.map_or_else(
        || "none: it shows by chance, or without variation".to_owned(),
        |axis| axis.to_string(),
    );
    let links = info.links.join(
        "
  ",
    );
    format!(
        "{cause}: {}\n\nWhat it means\n  {}\n\nHow it is recognised\n  {}\n\nWhat to do\n  {}\n\nAxis of variation\n  {axis}\n\nMore\n  {links}\n",
        info.title, info.meaning, info.detection, info.remedy,
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_the_same_in_text_and_json() {
        let codes: BTreeSet<&str> = Cause::ALL.map(Cause::code).into();
        assert_eq!(codes.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert_eq!(cause.code().parse(), Ok(cause));
            let json = serde_json::to_string(&cause).unwrap();
            assert_eq!(json, format!("\"{cause}\""));
        }
        assert!("embedded".parse::<Cause>().is_err());
    }

    #[test]
    fn each_cause_has_one_entry() {
        for cause in Cause::ALL {
            let entries = FAMILIES.into_iter().flatten();
            assert_eq!(entries.filter(|(of, _)| *of == cause).count(), 1, "{cause}");
            assert!(!cause.info().title.ends_with('.'), "{cause}");
        }
    }

    #[test]
    fn what_only_a_place_tells_is_no_time() {
        for cause in NOT_ONLY_TIMES {
            assert_eq!(cause.info().axis, Some(Axis::Clock), "{cause}");
            assert!(!cause.is_time(), "{cause}");
        }
        assert!(!Cause::TemporaryFile.is_time());
        assert!(Cause::EmbeddedTimestamp.is_time() && Cause::DpkgLog.is_time());
    }

    #[test]
    fn remedies_fit_what_was_seen() {
        // An id drawn at random follows from nothing.
        assert!(explain(Cause::LinkerBuildId).contains("--build-id=sha1"));
        // No time is known to differ.
        assert!(!explain(Cause::Unknown).contains("source-date-epoch"));
        // A plain file has nothing in it to unpack.
        assert!(explain(Cause::LimitReached).contains("a file with `cmp`"));
    }

    #[test]
    fn explanations_name_meaning_and_remedy() {
        for cause in Cause::ALL {
            let text = explain(cause);
            assert!(text.starts_with(cause.code()), "{text}");
            assert!(text.contains(cause.info().remedy), "{text}");
        }
    }
}
