//! Options of Docker that ask for what is always so. Each accepts what is the case and refuses the
//! rest with the reason: nothing is read and forgotten.

use clap::ValueEnum;
use repro_core::build::{HostEntry, LimitSetting, RunSettings};
use repro_verifier::pack::Sbom;

/// Options of Docker that a build has besides its own.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "As in Docker (docs/docker-flags.md has all of them)")]
pub(crate) struct SameArgs {
    /// Add a line to /etc/hosts of every step; repeat for several
    #[arg(long = "add-host", value_name = "NAME:ADDRESS", value_delimiter = ',')]
    pub(crate) hosts: Vec<HostEntry>,
    /// Size of /dev/shm in every step: bytes, or a number with k, m or g
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) shm_size: Option<u64>,
    /// Set a limit of the processes of every step; repeat for several
    #[arg(long = "ulimit", value_name = "NAME=SOFT[:HARD]")]
    pub(crate) ulimits: Vec<LimitSetting>,
    /// No step has a network: none is the only one
    #[arg(long, value_name = "none", value_parser = network, hide_short_help = true)]
    network: Option<()>,
    /// Accepted: every step is run
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", hide = true)]
    no_cache: Option<bool>,
    /// Accepted: every step is run
    #[arg(long, value_name = "STAGE", hide = true)]
    no_cache_filter: Vec<String>,
    /// Accepted: images come from the store, by digest
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", hide = true)]
    pub(crate) pull: Option<bool>,
    /// Accepted: nothing of a step is left behind
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = removed, hide = true)]
    rm: Option<()>,
    /// Accepted: nothing of a step is left behind
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", hide = true)]
    force_rm: Option<bool>,
    /// Accepted: an image is what its digest says
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = untrusted, hide = true)]
    disable_content_trust: Option<()>,
    /// Accepted: default is the only one
    #[arg(long, value_enum, value_name = "default", hide = true)]
    isolation: Option<Isolation>,
    /// Accepted: provenance is written to the evidence, and never into the image
    #[arg(long, value_name = "MODE", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = provenance, hide = true)]
    pub(crate) provenance: Option<Provenance>,
    /// Write a list of the packages in the image to the evidence; false leaves it out
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = sbom, help_heading = "Evidence")]
    sbom: Option<Packages>,
    /// As --provenance and --sbom
    #[arg(long = "attest", value_name = "type=TYPE[,...]", value_parser = attest, hide = true)]
    attest: Vec<Attest>,
}

/// One `--attest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attest {
    /// `type=provenance`.
    Provenance(Provenance),
    /// `type=sbom`.
    Packages(Packages),
}

/// Whether packages are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packages {
    /// They are.
    Listed,
    /// They are not.
    NotListed,
}

/// `--isolation`.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Isolation {
    /// Namespaces of Linux.
    Default,
}

/// Whether provenance was asked for. It is written either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provenance {
    /// It was.
    Wanted,
    /// None in the image, and there is none.
    NotInImage,
}

/// Why a value of one of these options cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SameError {
    /// `--shm-size`.
    #[error("write a number above 0, with b, k, m or g behind it if need be")]
    Size,
    /// `--network` with something else.
    #[error(
        "steps have no network, so that a build is made of what it names; fetch first, and copy \
         the files in"
    )]
    Network,
    /// `--rm=false`.
    #[error("there are no containers to keep; `repro inspect --files` shows what each step did")]
    Keep,
    /// `--disable-content-trust=false`.
    #[error("no names are signed; an image is what its digest says")]
    Trust,
    /// `--provenance` with something else.
    #[error("write true, false, mode=min or mode=max")]
    Provenance,
    /// `--sbom` with something else.
    #[error(
        "write true or false: the list of packages is made by repro itself, and no scanner is run"
    )]
    Sbom,
    /// `--attest` of another type.
    #[error("write type=provenance or type=sbom")]
    Attest,
}

fn size(text: &str) -> Result<u64, SameError> {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match bare.as_bytes().last() {
        Some(b'k') => (&bare[..bare.len() - 1], 10),
        Some(b'm') => (&bare[..bare.len() - 1], 20),
        Some(b'g') => (&bare[..bare.len() - 1], 30),
        _ => (bare, 0),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let number: Option<u64> = if plain { digits.parse().ok() } else { None };
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .filter(|bytes| (1..=i64::MAX.unsigned_abs()).contains(bytes))
        .ok_or(SameError::Size)
}

fn network(text: &str) -> Result<(), SameError> {
    if text == "none" {
        Ok(())
    } else {
        Err(SameError::Network)
    }
}

fn removed(text: &str) -> Result<(), SameError> {
    if text == "true" {
        Ok(())
    } else {
        Err(SameError::Keep)
    }
}

fn untrusted(text: &str) -> Result<(), SameError> {
    if text == "true" {
        Ok(())
    } else {
        Err(SameError::Trust)
    }
}

fn provenance(text: &str) -> Result<Provenance, SameError> {
    match text {
        "true" | "mode=min" | "mode=max" => Ok(Provenance::Wanted),
        "false" => Ok(Provenance::NotInImage),
        _ => Err(SameError::Provenance),
    }
}

fn sbom(text: &str) -> Result<Packages, SameError> {
    match text {
        "true" => Ok(Packages::Listed),
        "false" => Ok(Packages::NotListed),
        _ => Err(SameError::Sbom),
    }
}

fn attest(text: &str) -> Result<Attest, SameError> {
    let mut fields = text.split(',');
    let (kind, rest) = (fields.next(), fields.collect::<Vec<_>>());
    match (kind, rest.as_slice()) {
        (Some("type=provenance"), ["disabled=true"]) => {
            Ok(Attest::Provenance(Provenance::NotInImage))
        }
        (Some("type=provenance"), []) => Ok(Attest::Provenance(Provenance::Wanted)),
        (Some("type=provenance"), [mode]) => Ok(Attest::Provenance(provenance(mode)?)),
        (Some("type=sbom"), []) => Ok(Attest::Packages(Packages::Listed)),
        (Some("type=sbom"), ["disabled=true"]) => Ok(Attest::Packages(Packages::NotListed)),
        (Some("type=sbom"), _) => Err(SameError::Sbom),
        _ => Err(SameError::Attest),
    }
}

impl SameArgs {
    /// What every program of the build is given. The last value of a limit counts.
    pub(crate) fn settings(&self) -> RunSettings {
        let limits = self.ulimits.iter();
        RunSettings {
            hosts: self.hosts.clone(),
            shm_bytes: self.shm_size,
            limits: limits.map(|set| (set.limit, set.range)).collect(),
        }
    }

    /// What the user may take for more than it is.
    pub(crate) fn notes(&self) -> Vec<&'static str> {
        let mut notes = Vec::new();
        if self.pull == Some(true) {
            notes.push("--pull: images come from the store, or by digest from their registry; no tag is looked up");
        }
        let attested = Attest::Provenance(Provenance::Wanted);
        if self.provenance == Some(Provenance::Wanted) || self.attest.contains(&attested) {
            notes.push("provenance is written to the evidence, and not into the image");
        }
        let listed = Attest::Packages(Packages::Listed);
        if self.sbom == Some(Packages::Listed) || self.attest.contains(&listed) {
            notes.push("the list of packages is written to the evidence, and not into the image");
        }
        notes
    }

    /// Whether packages are listed in the evidence: unless one of the options says no.
    pub(crate) fn sbom(&self) -> Sbom {
        let left_out = Attest::Packages(Packages::NotListed);
        if self.sbom == Some(Packages::NotListed) || self.attest.contains(&left_out) {
            Sbom::LeftOut
        } else {
            Sbom::Written
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_in_docker() {
        for (text, bytes) in [
            ("1", 1),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("2G", 2 << 30),
            ("10k", 10 << 10),
            ("7b", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "0",
            "m",
            "-1",
            "1.5g",
            "1t",
            "99999999999g",
            "+1",
            "1 m",
        ] {
            assert_eq!(size(bad), Err(SameError::Size), "{bad}");
        }
    }

    #[test]
    fn attestations_are_those_in_the_evidence_and_no_others() {
        let provenance_is = |wanted| Ok(Attest::Provenance(wanted));
        let packages_are = |listed| Ok(Attest::Packages(listed));
        for (text, means) in [
            ("type=provenance", provenance_is(Provenance::Wanted)),
            (
                "type=provenance,mode=max",
                provenance_is(Provenance::Wanted),
            ),
            (
                "type=provenance,disabled=true",
                provenance_is(Provenance::NotInImage),
            ),
            ("type=sbom", packages_are(Packages::Listed)),
            ("type=sbom,disabled=true", packages_are(Packages::NotListed)),
            ("type=sbom,generator=x", Err(SameError::Sbom)),
            ("sbom", Err(SameError::Attest)),
        ] {
            assert_eq!(attest(text), means, "{text}");
        }
        assert_eq!(sbom("yes"), Err(SameError::Sbom));
        let mut args = SameArgs::default();
        assert_eq!(args.sbom(), Sbom::Written);
        args.sbom = Some(Packages::NotListed);
        assert_eq!(args.sbom(), Sbom::LeftOut);
        assert_eq!(provenance("mode=most"), Err(SameError::Provenance));
    }
}
