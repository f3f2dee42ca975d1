//! The type URIs of everything that is signed or reported. They begin with one constant, so
//! that moving them is one edit.

macro_rules! uri {
    ($path:literal) => {
        concat!("https://intelgraph.io/repro/", $path)
    };
}

/// What all of them begin with.
pub const BASE: &str = uri!("");
/// Build type of the provenance: a Dockerfile built in sandboxes without a network
/// (`docs/provenance.md`).
pub const DOCKERFILE_BUILD: &str = uri!("dockerfile-build/v1");
/// Predicate type of the verdict on two runs.
pub const REPRODUCIBILITY: &str = uri!("reproducibility/v1");
/// Predicate type of the statement on an evidence pack, and schema of its `index.json`.
pub const EVIDENCE_INDEX: &str = uri!("evidence-index/v1");
/// Name of the dependency that is the provenance of a build that was done again.
pub const JUDGED: &str = "judged";
/// Builder id: this program on a machine of its user, steps in its own sandbox.
pub const BUILDER_LOCAL: &str = uri!("builder/local/v1");
/// Builder id: the same where the kernel grants one id for all users of a step, and so keeps them apart
/// no more.
pub const BUILDER_LOCAL_ONE_ID: &str = uri!("builder/local-one-id/v1");
/// Builder id: this program, steps in containers of a Docker engine that its user named.
pub const BUILDER_DOCKER: &str = uri!("builder/docker/v1");
/// Builder id: the same with Podman.
pub const BUILDER_PODMAN: &str = uri!("builder/podman/v1");
/// Builders that this version knows: what a key that is given alone may speak for.
pub const BUILDERS: &[&str] = &[
    BUILDER_LOCAL,
    BUILDER_LOCAL_ONE_ID,
    BUILDER_DOCKER,
    BUILDER_PODMAN,
];
/// Type of the monitor in runtime traces: the sandbox's own counters of what a step asks the network
/// for.
pub const NETWORK_MONITOR: &str = uri!("network-monitor/v1");
/// What the names of bills of materials begin with.
pub const SBOM: &str = uri!("sbom/");
/// Schema of `report.json`.
pub const REPORT: &str = uri!("report/v1");
/// Schema of what `repro diff --json` writes.
pub const DIFF: &str = uri!("diff/v1");
/// Verifier id of summaries, unless the caller has one of his own.
pub const VERIFIER_LOCAL: &str = uri!("verifier/local/v1");
/// What a summary names where no policy was given: that everything holds (`docs/policy.md`).
pub const DEFAULT_POLICY: &str = uri!("policy/default/v1");
/// What a summary names where the policy that was given has no URI of its own.
pub const POLICY: &str = uri!("policy/v1");
