//! `repro keygen`

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use repro_verifier::keys::{KeyKind, SigningKey};

use super::Context;
use crate::{
    ambient,
    args::JsonArgs,
    error::{CommandError, ErrorKind, io_kind},
    exit::ExitStatus,
    output::Format,
    signing::new_passphrase,
    text,
};

/// Permissions of the private key: its owner alone.
const PRIVATE: u32 = 0o600;
/// Permissions of the public key, less the caller's umask.
const PUBLIC: u32 = 0o644;

/// Make a key pair for signing evidence
///
/// Writes NAME.key, which signs and which nobody else may read, and NAME.pub, which verifies. A
/// file that is there is never replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  repro keygen
  repro keygen release --type ed25519
  repro keygen --encrypt
  repro build --key repro.key .
  repro verify repro-out --key repro.pub")]
pub(crate) struct Args {
    /// Path of both files, without their endings
    #[arg(default_value = "repro")]
    name: PathBuf,
    /// Algorithm: p256 or ed25519
    #[arg(long = "type", value_name = "TYPE", default_value = "p256")]
    kind: KeyKind,
    /// Encrypt the private key with a passphrase: that of the file, of the variable
    /// `REPRO_KEY_PASSPHRASE`, else asked for on the terminal
    #[arg(long)]
    encrypt: bool,
    /// Read the passphrase from this file
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    key_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitStatus, CommandError> {
    let output = &context.settings.output;
    let [private, public] = ["key", "pub"].map(|ending| with_ending(&args.name, ending));
    // Looked at first, so that no half of a pair is written beside a foreign half.
    for path in [&private, &public] {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
    }
    let key = SigningKey::generate(args.kind, &mut ambient::fill_random)?;
    let pem = if args.encrypt {
        let passphrase = new_passphrase(args.key_passphrase_file.as_deref())?;
        key.to_encrypted_pem(passphrase.as_bytes(), &mut ambient::fill_random)?
    } else {
        key.to_pem()?
    };
    write_new(&private, PRIVATE, pem.as_bytes())?;
    if let Err(error) = write_new(&public, PUBLIC, key.public_key().to_pem().as_bytes()) {
        // A private key without its public half is of use to nobody but a thief.
        drop(std::fs::remove_file(&private));
        return Err(error);
    }
    let id = key.public_key().id().to_string();
    match output.format() {
        Format::Json => output.json(
            "cli/keygen/v1",
            &serde_json::json!({"private": private, "public": public, "type": args.kind.to_string(), "keyId": id}),
        )?,
        Format::Text => output.text(&format!(
            "{}  signs; keep it secret\n{}  verifies; give it to whoever checks\nkey id {id}",
            text::one_line(&private.display().to_string()),
            text::one_line(&public.display().to_string()),
        ))?,
    }
    Ok(ExitStatus::Done)
}

/// `NAME.key`, also where NAME has a dot of its own.
fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

fn exists(path: &Path) -> CommandError {
    CommandError::usage(format!("{} exists and is not replaced", path.display()))
        .hint("give another name: `repro keygen NAME`")
}

/// Writes a file that must not be there: the kernel checks, so that no race replaces a key.
fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), CommandError> {
    let write = || -> io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return exists(path);
        }
        let kind = match io_kind(&error) {
            ErrorKind::Input => ErrorKind::Usage,
            kind => kind,
        };
        CommandError::new(kind, &error).context(format!("cannot write {}", path.display()))
    })
}
