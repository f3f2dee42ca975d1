//! Whose word is taken: the keys that the verifier brings.

use std::path::{Path, PathBuf};

use repro_verifier::{keys::PublicKey, terms::TrustRules};

use crate::{
    error::{self, CommandError},
    files::{self, Limit},
};

/// Options that say whose statements count.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Trust")]
pub(crate) struct TrustArgs {
    /// Accept statements signed by this public key, with SLSA Build level 1 at most; repeat for several
    #[arg(
        long = "key",
        value_name = "FILE",
        required_unless_present_any = ["trust", "buildkit"]
    )]
    keys: Vec<PathBuf>,
    /// Accept statements of the builders in this file, each by its own keys and up to its own level
    #[arg(long, value_name = "FILE", env = "REPRO_TRUST")]
    trust: Option<PathBuf>,
}

impl TrustArgs {
    /// Reads what they name.
    pub(super) fn resolve(&self) -> Result<TrustRules, CommandError> {
        let read = |path: &PathBuf| {
            let pem = files::read_text(path, Limit::Key)?;
            PublicKey::from_pem(&pem).map_err(|error| {
                CommandError::from(error).context(format!("cannot use {}", path.display()))
            })
        };
        let keys = self.keys.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let rules = match &self.trust {
            Some(path) => trust_file(path)?,
            None => TrustRules::default(),
        };
        Ok(rules.with_keys(&keys))
    }
}

fn trust_file(path: &Path) -> Result<TrustRules, CommandError> {
    let text = files::read_text(path, Limit::Terms)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let mut read = |name: &Path| {
        files::read_text(&dir.join(name), Limit::Key).map_err(|error| error.to_string())
    };
    TrustRules::parse(&text, &mut read).map_err(|error| {
        error::in_document(&error, path, &text)
            .context(format!("cannot use the trust file {}", path.display()))
    })
}
