//! Errors of registries.
//!
//! What a registry does not give is an input that is missing. What it does not let us write, for want of
//! credentials, is configuration: the image is there, and nothing but that has to change.

use repro_toolchains::registry::{Action, CredentialError, HelperError, RegistryError};

use super::io_kind;
use crate::{
    error::{CommandError, ErrorKind},
    exit::Signal,
};

/// Where credentials come from.
const LOGIN: &str = "log in with `podman login` or `docker login`, or name a file: --authfile FILE";

impl From<RegistryError> for CommandError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Blob(error) => return error.into(),
            RegistryError::Image(error) => return error.into(),
            RegistryError::Credentials(error) => return error.into(),
            RegistryError::Everywhere { tried, source } => {
                let mirrors = RegistryError::Everywhere {
                    tried,
                    source: Box::new(RegistryError::Cancelled),
                };
                return Self::from(*source).context(mirrors.to_string());
            }
            _ => {}
        }
        let kind = kind(&error);
        let result = Self::new(kind, &error);
        match hint(&error) {
            Some(hint) => result.hint(hint),
            None => result,
        }
    }
}

fn of_action(action: Action) -> ErrorKind {
    match action {
        Action::Pull => ErrorKind::Input,
        Action::Push => ErrorKind::Usage,
    }
}

fn kind(error: &RegistryError) -> ErrorKind {
    match error {
        RegistryError::NoCredentials { action, .. } | RegistryError::Denied { action, .. } => {
            of_action(*action)
        }
        RegistryError::OtherDigest { .. }
        | RegistryError::Certificates { .. }
        | RegistryError::NoSubject(_) => ErrorKind::Usage,
        RegistryError::NoRoom { .. } => ErrorKind::Inconclusive,
        RegistryError::Partial { source, .. } => match io_kind(source) {
            ErrorKind::Input => ErrorKind::Machine,
            kind => kind,
        },
        RegistryError::Cancelled => ErrorKind::Interrupted(Signal::Interrupt),
        _ => ErrorKind::Input,
    }
}

fn hint(error: &RegistryError) -> Option<String> {
    Some(match error {
        RegistryError::NoCredentials { .. } => LOGIN.to_owned(),
        RegistryError::Denied { .. } => {
            format!("see that they may do it, and are not outdated; {LOGIN}")
        }
        RegistryError::Untrusted { host, .. } => format!(
            "if that is its certificate, name whom to believe: --tls-ca FILE, or a file in \
             /etc/docker/certs.d/{host}/"
        ),
        RegistryError::Unreachable { .. } => {
            "see that the machine has a way there; a mirror is named by --registry-mirror HOST=URL"
                .to_owned()
        }
        RegistryError::Redirect { to, .. } if to.starts_with("http://") => format!(
            "if that is right, allow it: --plain-http {}",
            to.trim_start_matches("http://")
        ),
        RegistryError::Platform { found, .. } => format!("ask for it: --platform {found}"),
        RegistryError::Document { source, .. }
            if matches!(**source, repro_core::image::ImageError::NoPlatform { .. }) =>
        {
            "choose one: --platform OS/ARCH".to_owned()
        }
        RegistryError::Digest { .. }
        | RegistryError::TooLong { .. }
        | RegistryError::Short { .. } => "nothing of it was kept".to_owned(),
        RegistryError::Incomplete { .. } => {
            "bring all in: `repro pull --all-platforms REF`; or give one platform a name of its own"
                .to_owned()
        }
        RegistryError::NoRoom { .. } => {
            "make room, with `repro store gc` for one, or name another place: --store DIR"
                .to_owned()
        }
        _ => return None,
    })
}

impl From<CredentialError> for CommandError {
    fn from(error: CredentialError) -> Self {
        let hint = match &error {
            CredentialError::Io { .. } => {
                "see that the file can be read, or name another: --authfile FILE"
            }
            CredentialError::Form { .. } | CredentialError::Entry { .. } => LOGIN,
            CredentialError::Helper { source, .. } => match source {
                HelperError::Name(_) | HelperError::Missing(_) => {
                    "install it, or name another file of credentials: --authfile FILE"
                }
                _ => "ask it by hand: echo REGISTRY | docker-credential-NAME get",
            },
        };
        Self::new(ErrorKind::Usage, &error).hint(hint)
    }
}
