//! `--export` and `--import`: locks as others write and read them.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_core::{build::Clock as _, digest::Digest};
use repro_toolchains::lock::{LockDraft, ProjectLock, SourcePolicy, spdx};

use crate::{
    ambient::SystemClock,
    commands::{Context, build::request::Asked},
    error::{CommandError, ErrorKind},
    files::{self, Limit},
};

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A source policy of BuildKit.
    BuildkitPolicy,
    /// SPDX 2.3.
    Spdx,
}

/// `FORM:FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FormatArg {
    form: Form,
    file: PathBuf,
}

/// Not a form and a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a form and a file, buildkit-policy:FILE or spdx:FILE, - for standard output")]
pub(crate) struct FormatError;

impl FromStr for FormatArg {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        let (form, file) = text.split_once(':').ok_or(FormatError)?;
        let form = match form {
            "buildkit-policy" => Form::BuildkitPolicy,
            "spdx" => Form::Spdx,
            _ => return Err(FormatError),
        };
        if file.is_empty() {
            return Err(FormatError);
        }
        Ok(Self {
            form,
            file: file.into(),
        })
    }
}

impl FormatArg {
    /// Writes a lock in this form.
    pub(super) fn write(&self, context: &Context, lock: &ProjectLock) -> Result<(), CommandError> {
        let internal = |error: serde_json::Error| CommandError::new(ErrorKind::Internal, &error);
        let document = match self.form {
            Form::BuildkitPolicy => {
                serde_json::to_value(SourcePolicy::of_lock(lock)).map_err(internal)?
            }
            Form::Spdx => {
                let text = files::read(Path::new(lock.file()), Limit::Lock)?;
                spdx(lock, Digest::of(&text), &SystemClock.rfc3339())?
            }
        };
        let mut text = serde_json::to_string_pretty(&document).map_err(internal)?;
        text.push('\n');
        if self.file == Path::new("-") {
            context.settings.output.data(text.as_bytes())
        } else {
            files::write(&self.file, text.as_bytes())
        }
    }
}

/// What a source policy pins, and the lock shall say too.
#[derive(Debug, Default)]
pub(super) struct Imported(repro_toolchains::lock::Pins);

impl Imported {
    /// Reads `--import`.
    pub(super) fn read(context: &Context, file: Option<&Path>) -> Result<Self, CommandError> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let bytes = files::read(file, Limit::Lock)?;
        let pins = SourcePolicy::parse(&bytes).and_then(|policy| policy.pins());
        let pins = pins.map_err(|error| {
            CommandError::new(ErrorKind::Usage, &error)
                .context(format!("cannot import {}", file.display()))
        })?;
        for ignored in &pins.ignored {
            let warning = format!("the rule for {ignored} pins nothing, and is left out");
            context.settings.output.warning(&warning);
        }
        Ok(Self(pins))
    }

    /// Pins bases as the policy does.
    pub(super) fn pin(&self, asked: &Asked, draft: &mut LockDraft) {
        for (reference, digest) in &self.0.images {
            let key = (reference.clone(), asked.request.platform.clone());
            draft.bases.insert(key, *digest);
        }
    }

    /// What was captured has to be what the policy says.
    pub(super) fn check(&self, draft: &LockDraft) -> Result<(), CommandError> {
        let fetches = draft.steps.iter().flat_map(|step| &step.fetches);
        for fetch in fetches.filter(|fetch| fetch.can_be_fetched()) {
            let url = &fetch.key.url;
            match self.0.files.get(url) {
                Some(digest) if *digest != fetch.sha256 => {
                    let message = format!(
                        "{url} has the digest {}, the policy says {digest}",
                        fetch.sha256
                    );
                    return Err(CommandError::message(ErrorKind::Input, message)
                        .hint("the lock was not written"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
