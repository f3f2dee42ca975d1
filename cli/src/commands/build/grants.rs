//! `--secret` and `--ssh`: what the caller lends to steps, spelt as in Docker.

use std::{
    collections::BTreeMap,
    os::unix::{ffi::OsStringExt, fs::FileTypeExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use repro_builder::dockerfile::csv_fields;
use repro_core::build::{Grants, SecretValue};
use zeroize::Zeroizing;

use crate::{
    ambient,
    error::{CommandError, ErrorKind, io_kind},
    files::{self, Limit},
};

/// `--secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretArg {
    id: String,
    source: SecretSource,
}

/// Where the value is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of the caller.
    Variable(String),
    /// In the variable with the secret's name, or else in the file with that name.
    Either,
}

/// A text that is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SecretArgError {
    /// The commas and quotes.
    #[error("a quote is not closed, or stands inside a word")]
    Csv,
    /// A part without `=`.
    #[error("{0:?} is not KEY=VALUE")]
    Pair(String),
    /// A key that there is not.
    #[error("{0:?} is not a key of a secret; there are id, src, env and type")]
    Key(String),
    /// `type=` with another value.
    #[error("{0:?} is not a type of secret; there are file and env")]
    Type(String),
    /// No name.
    #[error("a secret needs an id")]
    Id,
    /// Two sources.
    #[error("a secret has one source: src or env")]
    Sources,
}

impl FromStr for SecretArg {
    type Err = SecretArgError;

    fn from_str(text: &str) -> Result<Self, SecretArgError> {
        let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
        for field in csv_fields(text).ok_or(SecretArgError::Csv)? {
            let Some((key, value)) = field.split_once('=') else {
                return Err(SecretArgError::Pair(field));
            };
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            match key.to_ascii_lowercase().as_str() {
                "id" => id = value,
                "src" | "source" => file = value,
                "env" => variable = value,
                "type" => kind = value,
                other => return Err(SecretArgError::Key(other.to_owned())),
            }
        }
        match kind.as_deref() {
            None | Some("file") => {}
            // The variable may be given as the source.
            Some("env") => variable = variable.or_else(|| file.take()),
            Some(other) => return Err(SecretArgError::Type(other.to_owned())),
        }
        Ok(Self {
            id: id.ok_or(SecretArgError::Id)?,
            source: match (file, variable) {
                (Some(_), Some(_)) => return Err(SecretArgError::Sources),
                (Some(file), None) => SecretSource::File(file.into()),
                (None, Some(variable)) => SecretSource::Variable(variable),
                (None, None) => SecretSource::Either,
            },
        })
    }
}

/// `--ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SshArg {
    id: String,
    /// `SSH_AUTH_SOCK` if not given.
    socket: Option<PathBuf>,
}

/// A text that is no agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write default, or NAME=SOCKET")]
pub(crate) struct SshArgError;

impl FromStr for SshArg {
    type Err = SshArgError;

    fn from_str(text: &str) -> Result<Self, SshArgError> {
        let (id, socket) = match text.split_once('=') {
            Some((_, "")) => return Err(SshArgError),
            Some((id, socket)) => (id, Some(PathBuf::from(socket))),
            None => (text, None),
        };
        if id.is_empty() {
            return Err(SshArgError);
        }
        Ok(Self {
            id: id.to_owned(),
            socket,
        })
    }
}

/// Reads the secrets, and finds the sockets. The last of a name counts.
pub(crate) fn grants(secrets: &[SecretArg], agents: &[SshArg]) -> Result<Grants, CommandError> {
    let secret = |arg: &SecretArg| Ok((arg.id.clone(), value(arg)?));
    let agent = |arg: &SshArg| Ok((arg.id.clone(), socket(arg)?));
    Ok(Grants {
        secrets: secrets
            .iter()
            .map(secret)
            .collect::<Result<BTreeMap<_, _>, CommandError>>()?,
        agents: agents
            .iter()
            .map(agent)
            .collect::<Result<BTreeMap<_, _>, CommandError>>()?,
    })
}

fn value(arg: &SecretArg) -> Result<SecretValue, CommandError> {
    let from_file = |path: &Path| files::read(path, Limit::Secret);
    let bytes = match &arg.source {
        SecretSource::File(path) => from_file(path),
        SecretSource::Variable(name) => ambient::secret(name)
            .map(OsStringExt::into_vec)
            .ok_or_else(|| {
                let message = format!("the variable {name} is not set");
                CommandError::message(ErrorKind::Input, message)
            }),
        SecretSource::Either => match ambient::secret(&arg.id) {
            Some(value) => Ok(value.into_vec()),
            None => from_file(Path::new(&arg.id)),
        },
    };
    let failed = |error: CommandError| error.context(format!("cannot use the secret {}", arg.id));
    SecretValue::new(Zeroizing::new(bytes.map_err(failed)?))
        .map_err(|error| failed(CommandError::new(ErrorKind::Usage, &error)))
}

fn socket(arg: &SshArg) -> Result<PathBuf, CommandError> {
    let id = &arg.id;
    let Some(path) = arg.socket.clone().or_else(ambient::agent_socket) else {
        let message = format!("there is no ssh agent for {id}: SSH_AUTH_SOCK is not set");
        return Err(CommandError::message(ErrorKind::Input, message)
            .hint("start one: eval $(ssh-agent); ssh-add"));
    };
    let shown = path.display().to_string();
    let metadata = path.metadata().map_err(|error| {
        CommandError::new(io_kind(&error), &error)
            .context(format!("cannot use {shown} as the ssh agent {id}"))
    })?;
    if !metadata.file_type().is_socket() {
        let message = format!("{shown}, given as the ssh agent {id}, is not a socket");
        return Err(CommandError::usage(message)
            .hint("keys are used through an agent only: ssh-add KEY, then --ssh default"));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn secrets_are_spelt_as_in_docker() {
        let parse = |text: &str| text.parse::<SecretArg>().map(|arg| (arg.id, arg.source));
        let file = |path: &str| SecretSource::File(path.into());
        let variable = |name: &str| SecretSource::Variable(name.into());
        for (text, source) in [
            ("id=x,src=/a", file("/a")),
            ("ID=x,source=a b", file("a b")),
            ("type=file,id=x,src=/a", file("/a")),
            ("id=x,env=Y", variable("Y")),
            ("type=env,id=x,src=Y", variable("Y")),
            ("type=env,id=x,env=Y", variable("Y")),
            ("id=x", SecretSource::Either),
            ("\"src=a,b\",id=x", file("a,b")),
        ] {
            assert_eq!(parse(text), Ok(("x".into(), source)), "{text}");
        }
        for (text, error) in [
            ("x", SecretArgError::Pair("x".into())),
            ("", SecretArgError::Pair(String::new())),
            ("src=/a", SecretArgError::Id),
            ("id=,src=/a", SecretArgError::Id),
            ("id=x,file=/a", SecretArgError::Key("file".into())),
            ("id=x,type=vault", SecretArgError::Type("vault".into())),
            ("id=x,src=a,env=B", SecretArgError::Sources),
            ("\"id=x", SecretArgError::Csv),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_a_missing_input() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let arg =
            |path: &Path| -> SecretArg { format!("id=x,src={}", path.display()).parse().unwrap() };
        let error = grants(&[arg(&path)], &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        fs::write(&path, "value").unwrap();
        let lent = grants(&[arg(&path)], &[]).unwrap();
        assert_eq!(lent.secrets["x"].expose(), b"value");
        fs::write(&path, vec![0; 501 << 10]).unwrap();
        assert_eq!(
            grants(&[arg(&path)], &[]).unwrap_err().kind(),
            ErrorKind::Usage
        );
        let unset = "id=x,env=REPRO_TEST_NO_SUCH_VARIABLE".parse().unwrap();
        assert_eq!(grants(&[unset], &[]).unwrap_err().kind(), ErrorKind::Input);
    }

    #[test]
    fn an_agent_is_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (key, socket) = (dir.path().join("key"), dir.path().join("agent"));
        fs::write(&key, "").unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        let arg = |path: &Path| -> SshArg { format!("x={}", path.display()).parse().unwrap() };
        assert_eq!(grants(&[], &[arg(&socket)]).unwrap().agents["x"], socket);
        assert_eq!(
            grants(&[], &[arg(&key)]).unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            grants(&[], &[arg(&dir.path().join("none"))])
                .unwrap_err()
                .kind(),
            ErrorKind::Input
        );
        assert_eq!("default".parse::<SshArg>().unwrap().socket, None);
        for bad in ["", "=x", "x="] {
            assert_eq!(bad.parse::<SshArg>(), Err(SshArgError), "{bad}");
        }
    }
}
