//! Summaries: of this verification, for others, and of another verifier, taken at his word.

use std::{
    fs,
    path::{Path, PathBuf},
};

use repro_core::digest::Digest;
use repro_verifier::{
    keys::Sign,
    summary::{self, Expected, IssueError, Issuer},
    terms::{Policy, TrustRules},
    uris,
    verify::{Check, Verification},
};

use crate::{
    error::{CommandError, ErrorKind, io_kind},
    files::{self, Limit},
    output::Output,
    signing::{KEY_FORMS, KeySource, PassphraseArgs},
};

/// Options on summaries.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Summaries")]
pub(super) struct SummaryArgs {
    /// Write the result to DIR for others, signed: vsa and svr, and vsa-reproduced where independent
    /// builders agree, each as Sigstore bundle and as DSSE envelope
    #[arg(long = "summary", value_name = "DIR", requires = "key")]
    dir: Option<PathBuf>,
    /// Sign summaries with this private key: a file, env:NAME for a variable that holds it, or
    /// signer:PROGRAM
    #[arg(
        id = "key",
        long = "sign-with",
        value_name = KEY_FORMS,
        env = "REPRO_SIGN_WITH"
    )]
    key: Option<KeySource>,
    /// Name yourself in summaries by this URI
    #[arg(long, value_name = "URI", default_value = uris::VERIFIER_LOCAL)]
    verifier_id: String,
    /// Where consumers get the image: written into summaries, and demanded of the one of --vsa
    #[arg(long, value_name = "URI")]
    resource_uri: Option<String>,
    /// Check this summary (VSA) of a verifier in the trust file
    #[arg(long, value_name = "FILE", requires = "resource_uri")]
    vsa: Option<PathBuf>,
    /// Demand that the summary is about the image with this digest; that of the packs unless given
    #[arg(long, value_name = "DIGEST", requires = "vsa")]
    digest: Option<Digest>,
}

/// What summaries are written with.
#[derive(Debug)]
pub(super) struct Signing<'a> {
    args: &'a SummaryArgs,
    dir: &'a PathBuf,
    key: &'a KeySource,
    passphrase: &'a PassphraseArgs,
}

impl SummaryArgs {
    /// Where summaries are to be written, and by whom. The key is opened when that is known to be needed:
    /// before, a rebuild may run the steps of somebody else.
    pub(super) fn signing<'a>(
        &'a self,
        passphrase: &'a PassphraseArgs,
        output: &Output,
    ) -> Result<Option<Signing<'a>>, CommandError> {
        let (Some(dir), Some(key)) = (&self.dir, &self.key) else {
            return Ok(None);
        };
        key.check(passphrase, output)?;
        // From here on what lies there is of before, whatever comes of this verification.
        remove(dir)?;
        Ok(Some(Signing {
            args: self,
            dir,
            key,
            passphrase,
        }))
    }

    /// Checks the summary that was given, if one was.
    pub(super) fn check(
        &self,
        rules: &TrustRules,
        policy: Option<&Policy>,
        verification: Option<&Verification>,
        now: i64,
    ) -> Result<Option<Check>, CommandError> {
        let (Some(path), Some(resource_uri)) = (&self.vsa, &self.resource_uri) else {
            return Ok(None);
        };
        let bytes = files::read(path, Limit::Summary)?;
        let reports = verification.map_or([].as_slice(), |verification| &verification.packs);
        let reports = reports.iter().map(|(_, report)| report);
        let statements: Vec<Digest> = reports
            .clone()
            .flat_map(|report| &report.statements)
            .map(|statement| statement.digest)
            .collect();
        let mut images = reports.clone().filter_map(|report| report.image);
        let image = self.digest.or_else(|| images.clone().next());
        if let Some(other) = images.find(|found| Some(*found) != image) {
            return Err(CommandError::message(
                ErrorKind::Refused,
                format!(
                    "the summary is to be about {}, and there is evidence about {other}",
                    image.map_or_else(String::new, |image| image.to_string())
                ),
            )
            .hint("verify one image at a time, by the digest that --digest says"));
        }
        // What options add is not what the other verifier can have gone by.
        let policy_file = policy.filter(|policy| policy.digest.is_some());
        let expected = Expected {
            rules,
            image,
            resource_uri,
            level: policy.and_then(|policy| policy.level.max(policy.asked_level)),
            policy: policy_file,
            statements: &statements,
            now,
        };
        Ok(Some(summary::check(&bytes, &expected)))
    }
}

impl Signing<'_> {
    /// Writes the summaries. Where nothing is known that they could be about, there are none, and
    /// that is said.
    pub(super) fn write(
        &self,
        verification: &Verification,
        now: i64,
        output: &Output,
    ) -> Result<(), CommandError> {
        let key: Box<dyn Sign> = self.key.open(self.passphrase)?;
        let issuer = Issuer {
            id: &self.args.verifier_id,
            version: env!("CARGO_PKG_VERSION"),
            time: now,
            resource_uri: self.args.resource_uri.as_deref(),
            key: key.as_ref(),
        };
        let summaries = match summary::issue(verification, &issuer) {
            Ok(summaries) => summaries,
            Err(error @ (IssueError::NoImage | IssueError::SeveralImages(..))) => {
                output.warning(&format!("no summary was written: {error}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        fs::create_dir_all(self.dir).map_err(|error| {
            CommandError::new(io_kind(&error), &error)
                .context(format!("cannot make {}", self.dir.display()))
        })?;
        for summary in &summaries {
            for (end, bytes) in [
                ("sigstore.json", &summary.bundle),
                ("dsse.json", &summary.envelope),
            ] {
                files::write(&self.dir.join(format!("{}.{end}", summary.name)), bytes)?;
            }
        }
        let names: Vec<&str> = summaries.iter().map(|summary| summary.name).collect();
        output.status(&format!(
            "{} signed in {}",
            names.join(", "),
            self.dir.display()
        ));
        Ok(())
    }
}

/// Removes the summaries of an earlier verification.
fn remove(dir: &Path) -> Result<(), CommandError> {
    for name in ["vsa", "vsa-reproduced", "svr"] {
        for end in ["sigstore.json", "dsse.json"] {
            let path = dir.join(format!("{name}.{end}"));
            match fs::remove_file(&path) {
                // No file, or no directory yet.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(CommandError::new(io_kind(&error), &error)
                        .context(format!("cannot replace {}", path.display())));
                }
                _ => {}
            }
        }
    }
    Ok(())
}
