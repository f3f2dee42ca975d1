//! Who is believed when a lock is made.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use repro_core::build::Clock;
use repro_toolchains::archive::{Expiry, Keyring, Trust};

use crate::{
    error::CommandError,
    files::{self, Limit},
};

/// The keys of Debian's archive, where its package puts them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Options of commands that read a signed archive.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Trust")]
pub(crate) struct TrustArgs {
    /// Believe releases that are signed by a key of FILE, OpenPGP keys as apt has them
    #[arg(long, value_name = "FILE", default_value = KEYRING, env = "REPRO_KEYRING")]
    keyring: PathBuf,
    /// How many keys of the keyring must have signed
    #[arg(long, value_name = "N", default_value = "1")]
    threshold: NonZeroUsize,
    /// Accept a release whose Valid-Until is over, and keys that expired since they signed it
    #[arg(long)]
    allow_expired: bool,
}

impl TrustArgs {
    /// Reads the keyring.
    pub(crate) fn resolve(&self, clock: &dyn Clock) -> Result<Trust, CommandError> {
        let bytes = files::read(&self.keyring, Limit::Keyring).map_err(|error| {
            error.hint(
                "install the package debian-archive-keyring, or name the keys of the archive: \
                 --keyring FILE",
            )
        })?;
        let keyring = Keyring::parse(&bytes).map_err(|error| {
            CommandError::from(error).context(format!("cannot use {}", self.keyring.display()))
        })?;
        Ok(Trust {
            keyring,
            threshold: self.threshold,
            expiry: if self.allow_expired {
                Expiry::Accept
            } else {
                Expiry::Refuse
            },
            now: clock.unix_seconds(),
        })
    }
}
