//! Where more is written. Pages of the field's own documentation, by subject.

pub(super) const GENERAL: &[&str] = &["https://reproducible-builds.org/docs/source-date-epoch/"];
pub(super) const ARCHIVES: &[&str] = &["https://reproducible-builds.org/docs/archives/"];
pub(super) const DISTRO: &[&str] = &["https://reproducible-builds.org/docs/system-images/"];
pub(super) const IMAGE: &[&str] = &["https://specs.opencontainers.org/image-spec/config/"];
pub(super) const JVM: &[&str] = &["https://reproducible-builds.org/docs/jvm/"];
pub(super) const ORDER: &[&str] = &["https://reproducible-builds.org/docs/stable-inputs/"];
pub(super) const PATHS: &[&str] = &["https://reproducible-builds.org/docs/build-path/"];
pub(super) const PYTHON: &[&str] = &["https://peps.python.org/pep-0552/"];
pub(super) const TOOLS: &[&str] = &["https://reproducible-builds.org/tools/"];
