//! `repro.toml`: what a project asks for.

mod patterns;
mod raw;
mod toolchain;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use repro_core::{
    build::{Axis, ContextModes},
    epoch::Epoch,
    redact,
};

pub use self::{
    patterns::{HostPattern, HostPatternError, ImagePattern},
    toolchain::{Distribution, OwnToolchain, ToolchainSource},
};
use crate::{diagnostic::Diagnostic, purl::SourcePurl, text_file};

/// Name of the file, at the root of the context.
pub const FILE_NAME: &str = "repro.toml";

/// Largest `repro.toml`: hand-written, and far below this.
const MAX_SIZE: u64 = 1 << 20;

/// Why a `repro.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The file cannot be read.
    #[error("cannot read {file}")]
    Io {
        /// The file.
        file: String,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// Something in it is wrong.
    #[error(transparent)]
    Invalid(#[from] Diagnostic),
}

/// A project's wishes; all empty when there is no `repro.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// `[build]`.
    pub build: BuildSection,
    /// `[toolchain.NAME]`: what NAME stands for.
    pub toolchains: BTreeMap<String, ToolchainSource>,
    /// `[inputs]`.
    pub inputs: BTreeMap<String, SourcePurl>,
    /// `[network] allow`: hosts that `repro lock` may reach. A step reaches none.
    pub network: BTreeSet<HostPattern>,
    /// `[policy] base-images`; `None` allows every base image.
    pub base_images: Option<Vec<ImagePattern>>,
    /// `[lineage]`: goes into the provenance as it stands.
    pub lineage: BTreeMap<String, String>,
    /// `[redaction]`: what must not be signed, besides what never is.
    pub redaction: redact::Settings,
}

/// `[build]`: defaults for what the command line can say as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildSection {
    /// `dockerfile`, relative to the context.
    pub dockerfile: Option<String>,
    /// `source-date-epoch`.
    pub epoch: Option<EpochSetting>,
    /// `context-modes`.
    pub context_modes: ContextModes,
    /// `vary`.
    pub vary: Option<BTreeSet<Axis>>,
}

/// `source-date-epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochSetting {
    /// A number.
    Number(Epoch),
    /// `"git"`: the committer time of HEAD.
    Git,
}

impl Project {
    /// Reads `repro.toml` at the root of `context`; a context without one asks for nothing.
    pub fn load(context: &Path) -> Result<Self, ProjectError> {
        let path = context.join(FILE_NAME);
        let file = path.display().to_string();
        match text_file::read(&path, MAX_SIZE) {
            Ok(Some(text)) => Ok(Self::parse(&file, &text)?),
            Ok(None) => Ok(Self::default()),
            Err(source) => Err(ProjectError::Io { file, source }),
        }
    }

    /// Parses the text of `file`, the name in messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Diagnostic> {
        raw::parse(file, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Project, Diagnostic> {
        Project::parse("repro.toml", text)
    }

    #[test]
    fn every_section_is_read() {
        let project = parse(
            r#"
            [build]
            dockerfile = "docker/Dockerfile"
            source-date-epoch = 1700000000
            context-modes = "git"
            vary = ["clock", "hostname"]
            [toolchain.c]
            use = "debian-c"
            [inputs]
            zlib = { purl = "pkg:deb/debian/zlib@1:1.2.13.dfsg-1?arch=source" }
            [network]
            allow = ["packages.example", "*.mirror.example"]
            [policy]
            base-images = ["images.example/acme/*", "registry.example/base/**"]
            [lineage]
            source = "s3://exports/2026-11"
            [redaction]
            personal = "refuse"
            texts = "leave-out"
            pattern = [{ name = "badge", regex = "B[0-9]{6}", class = "personal" }]
            "#,
        )
        .unwrap();
        assert_eq!(
            project.build,
            BuildSection {
                dockerfile: Some("docker/Dockerfile".into()),
                epoch: Some(EpochSetting::Number(Epoch::new(1_700_000_000).unwrap())),
                context_modes: ContextModes::Git,
                vary: Some([Axis::Clock, Axis::Hostname].into()),
            }
        );
        let shipped = ToolchainSource::Shipped("debian-c".into());
        assert_eq!(project.toolchains["c"], shipped);
        assert_eq!(project.inputs["zlib"].name(), "zlib");
        assert!(
            project
                .network
                .iter()
                .any(|host| host.matches("a.mirror.example"))
        );
        let bases = project.base_images.unwrap();
        assert!(bases[0].matches(&"images.example/acme/x:1".parse().unwrap()));
        assert_eq!(project.lineage["source"], "s3://exports/2026-11");
        assert_eq!(project.redaction.personal, redact::Personal::Refuse);
        assert_eq!(project.redaction.texts, redact::Texts::LeaveOut);
        assert_eq!(project.redaction.patterns[0].class, redact::Class::Personal);
    }

    #[test]
    fn vary_takes_all_and_none() {
        let all = parse("build.vary = ['all']").unwrap().build.vary;
        assert_eq!(all, Some(Axis::VARIED.into()));
        let none = parse("build.vary = ['none']").unwrap().build.vary;
        assert_eq!(none, Some(BTreeSet::new()));
        assert!(parse("build.vary = ['all', 'clock']").is_err());
        assert!(parse("build.vary = ['moon']").is_err());
    }

    #[test]
    fn mistakes_are_shown_where_they_are() {
        for (text, line, column, word) in [
            ("[build]\ndockerfil = 'x'\n", 2, 1, "dockerfil"),
            ("[biuld]\n", 1, 2, "biuld"),
            ("\n[build]\nsource-date-epoch = 12\n", 3, 21, "4096"),
            ("[build]\nsource-date-epoch = 'head'\n", 2, 21, "git"),
            ("[toolchain.c]\nuse = 'debian-d'\n", 2, 7, "debian-c"),
            ("[toolchain.c]\nfrom = 'debian'\n", 1, 1, "suite"),
            ("[toolchain.c]\nfrom = 'moon'\n", 2, 8, "debian"),
            (
                "[toolchain.c]\nfrom = 'debian'\nsuite = 'x/y'\n",
                3,
                9,
                "suite",
            ),
            (
                "[toolchain.c]\nfrom = 'debian'\nsuite = 'x'\npackages = ['a b']\n",
                4,
                12,
                "package",
            ),
            (
                "[toolchain.c]\nuse = 'debian-c'\nsuite = 'x'\n",
                3,
                9,
                "use",
            ),
            ("[toolchain.c]\n", 1, 1, "use"),
            ("[toolchain.C]\nuse = 'debian-c'\n", 1, 12, "lower-case"),
            ("[inputs]\nz = { purl = 'pkg:npm/z@1' }\n", 2, 14, "pkg:deb"),
            ("[network]\nallow = ['a b']\n", 2, 9, "host"),
            ("[build]\ndockerfile = '../x'\n", 2, 14, "context"),
            ("[redaction]\npersonal = 'x'\n", 2, 12, "keep"),
            (
                "[[redaction.pattern]]\nname = 'a'\nregex = '('\n",
                1,
                1,
                "regular",
            ),
            (
                "[[redaction.pattern]]\nname = 'A'\nregex = 'x'\n",
                1,
                1,
                "name",
            ),
            ("x = [\n", 1, 6, "unclosed"),
        ] {
            let found = parse(text).unwrap_err();
            assert_eq!((found.line(), found.column()), (line, column), "{found}");
            assert!(found.message().contains(word), "{found}");
        }
    }

    #[test]
    fn one_name_means_one_thing() {
        let text = "[toolchain.z]\nuse = 'debian-c'\n[inputs]\n\
                    z = { purl = 'pkg:deb/debian/zlib@1.2-1?arch=source' }\n";
        let found = parse(text).unwrap_err();
        assert_eq!(found.line(), 4);
    }

    #[test]
    fn no_file_is_an_empty_project() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Project::load(dir.path()).unwrap(), Project::default());
        std::fs::create_dir(dir.path().join(FILE_NAME)).unwrap();
        assert!(matches!(
            Project::load(dir.path()),
            Err(ProjectError::Io { .. })
        ));
    }
}
