//! The hosts that the program knows by name, all of them. Every other one comes from the user.

/// The registry that an image reference without a host means (Docker's default).
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// The older name of [`DEFAULT_REGISTRY`], which old references still have.
pub const DEFAULT_REGISTRY_ALIAS: &str = "index.docker.io";

/// Where the interface of [`DEFAULT_REGISTRY`] is, which is not at the host that references name.
pub const DEFAULT_REGISTRY_API: &str = "registry-1.docker.io";

/// What Docker's configuration files and credential helpers call [`DEFAULT_REGISTRY`].
pub const DEFAULT_REGISTRY_LOGIN: &str = "https://index.docker.io/v1/";

/// The archive that keeps every state of Debian's archive since 2005: a pool path that every
/// mirror has dropped is still found there, and nowhere else. Slow and throttled, hence the last
/// to be asked.
pub const SNAPSHOT_ARCHIVE: &str = "https://snapshot.debian.org/archive/debian";
