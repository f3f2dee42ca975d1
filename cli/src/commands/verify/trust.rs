//! Whose word is taken: the keys that the verifier brings.

use std::path::PathBuf;

use repro_verifier::keys::PublicKey;

use crate::{error::CommandError, files};

/// Options that say whose statements count.
#[derive(Debug, clap::Args)]
pub(crate) struct TrustArgs {
    /// Accept statements signed by this public key; repeat for several
    #[arg(
        long = "key",
        value_name = "FILE",
        required_unless_present = "buildkit"
    )]
    keys: Vec<PathBuf>,
}

impl TrustArgs {
    /// Reads what they name.
    pub(super) fn resolve(&self) -> Result<Vec<PublicKey>, CommandError> {
        let read = |path: &PathBuf| {
            let pem = files::read_text(path, files::Limit::Key)?;
            PublicKey::from_pem(&pem).map_err(|error| {
                CommandError::from(error).context(format!("cannot use {}", path.display()))
            })
        };
        self.keys.iter().map(read).collect()
    }
}
