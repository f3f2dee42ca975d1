//! What surrounds the program: clock, environment, terminal, random numbers.
//!
//! Read here, once, and passed on as values: no other file of any crate looks at them, so that
//! nothing of the caller's surroundings can reach a byte of an image by accident.

use std::{
    ffi::OsString,
    io::IsTerminal as _,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use repro_core::build::{Clock, InvocationId, InvocationIdError};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// What a stream leads to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Stream {
    /// A file, a pipe, or a terminal that can neither colour nor move its cursor (`TERM=dumb`).
    #[default]
    Plain,
    /// A terminal.
    Terminal,
}

impl Stream {
    /// Whether it is a terminal that can colour and move its cursor.
    pub(crate) const fn is_terminal(self) -> bool {
        matches!(self, Self::Terminal)
    }
}

/// What the caller's variables say of the data that a build is made from and for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallersLineage {
    /// `DATA_SOURCE`.
    pub(crate) source: Option<OsString>,
    /// `DATA_PIPELINE`.
    pub(crate) transform: Option<OsString>,
    /// `DLP_POLICY_VERSION`.
    pub(crate) policy_version: Option<OsString>,
}

impl CallersLineage {
    /// Variable, name in the lineage and value of each that is set.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'static str, &'static str, &OsString)> {
        [
            ("DATA_SOURCE", "source", &self.source),
            ("DATA_PIPELINE", "transform", &self.transform),
            ("DLP_POLICY_VERSION", "policy-version", &self.policy_version),
        ]
        .into_iter()
        .filter_map(|(variable, name, value)| Some((variable, name, value.as_ref()?)))
    }
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Characters of a line.
    pub(crate) columns: usize,
    /// Lines.
    pub(crate) rows: usize,
}

impl Screen {
    fn of_stdout() -> Option<Self> {
        let (rows, columns) = console::Term::stdout().size_checked()?;
        Some(Self {
            columns: columns.into(),
            rows: rows.into(),
        })
    }
}

/// The surroundings at the start of the program.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ambient {
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub(crate) data_home: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) source_date_epoch: Option<OsString>,
    /// What the caller's variables say of the data.
    pub(crate) lineage: CallersLineage,
    /// `RUST_LOG`.
    pub(crate) log_filter: Option<String>,
    /// `NO_COLOR` (no-color.org): set and not empty.
    pub(crate) no_color: bool,
    /// What standard output is.
    pub(crate) stdout: Stream,
    /// What standard error is.
    pub(crate) stderr: Stream,
    /// How much the terminal of standard output shows, if it is one that says so.
    pub(crate) screen: Option<Screen>,
    /// `RUST_BACKTRACE`: set, not empty and not `0`.
    pub(crate) backtrace: bool,
}

impl Ambient {
    /// Reads the surroundings of this process.
    pub(crate) fn read() -> Self {
        let set = |name| variable(name).is_some_and(|value| !value.is_empty() && value != "0");
        let dumb = variable("TERM").is_some_and(|value| value == "dumb");
        let stream = |terminal| {
            if terminal && !dumb {
                Stream::Terminal
            } else {
                Stream::Plain
            }
        };
        Self {
            home: variable("HOME").map(PathBuf::from),
            data_home: variable("XDG_DATA_HOME").map(PathBuf::from),
            source_date_epoch: variable("SOURCE_DATE_EPOCH"),
            lineage: CallersLineage {
                source: variable("DATA_SOURCE"),
                transform: variable("DATA_PIPELINE"),
                policy_version: variable("DLP_POLICY_VERSION"),
            },
            log_filter: variable("RUST_LOG").and_then(|value| value.into_string().ok()),
            no_color: variable("NO_COLOR").is_some_and(|value| !value.is_empty()),
            stdout: stream(std::io::stdout().is_terminal()),
            stderr: stream(std::io::stderr().is_terminal()),
            screen: Screen::of_stdout(),
            backtrace: set("RUST_BACKTRACE"),
        }
    }
}

/// The caller's value of a build argument that is given by name alone.
pub(crate) fn build_argument(name: &str) -> Option<OsString> {
    // `var_os` panics on names that no variable can have.
    if name.is_empty() || name.contains(['=', '\0']) {
        return None;
    }
    variable(name)
}

/// The caller's value of a variable that holds a secret.
pub(crate) fn secret(name: &str) -> Option<OsString> {
    build_argument(name)
}

/// Whether somebody can be asked for a passphrase.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// The terminal as it was before the question that is open.
static BEFORE_QUESTION: Mutex<Option<Termios>> = Mutex::new(None);

/// Asks on the terminal for something that is not shown while it is typed.
pub(crate) fn ask_in_secret(question: &str) -> std::io::Result<zeroize::Zeroizing<String>> {
    let terminal = console::Term::stderr();
    *before_question() = Some(tcgetattr(std::io::stdin())?);
    let answer = terminal
        .write_str(question)
        .and_then(|()| terminal.read_secure_line());
    *before_question() = None;
    Ok(zeroize::Zeroizing::new(answer?))
}

/// Withdraws a question: the terminal shows again what is typed. `None` where none is open.
pub(crate) fn withdraw_question() -> Option<std::io::Result<()>> {
    let before = before_question().take()?;
    let restored = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    // The line of the question ends, as it does after an answer.
    let ended = console::Term::stderr().write_line("");
    Some(restored.map_err(Into::into).and(ended))
}

fn before_question() -> MutexGuard<'static, Option<Termios>> {
    BEFORE_QUESTION
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// Whether a CI runs the program: `CI`, as all of them set it.
pub(crate) fn in_ci() -> bool {
    variable("CI").is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// `SSH_AUTH_SOCK`: the socket of the caller's ssh agent.
pub(crate) fn agent_socket() -> Option<PathBuf> {
    variable("SSH_AUTH_SOCK")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

/// Where the caller keeps what is said to registries, and the programs that know it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<PathBuf>,
    /// `DOCKER_CONFIG`.
    pub(crate) docker_config: Option<PathBuf>,
    /// `PATH`.
    pub(crate) path: Vec<PathBuf>,
}

impl Surroundings {
    /// Where programs keep their configuration.
    pub(crate) fn config_dir(&self) -> Option<PathBuf> {
        let own = self.home.as_ref().map(|home| home.join(".config"));
        self.config_home.clone().or(own)
    }

    /// Where Docker keeps its configuration.
    pub(crate) fn docker_dir(&self) -> Option<PathBuf> {
        let own = self.home.as_ref().map(|home| home.join(".docker"));
        self.docker_config.clone().or(own)
    }
}

/// Reads the surroundings that are for registries.
pub(crate) fn surroundings() -> Surroundings {
    let dir = |name| {
        variable(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    Surroundings {
        home: dir("HOME"),
        runtime_dir: dir("XDG_RUNTIME_DIR"),
        config_home: dir("XDG_CONFIG_HOME"),
        // Docker takes a relative one from the working directory.
        docker_config: variable("DOCKER_CONFIG")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from),
        path: variable("PATH").map_or_else(Vec::new, |path| std::env::split_paths(&path).collect()),
    }
}

/// Reads the surroundings that are for container engines.
pub(crate) fn engines() -> repro_engine::Ambient {
    let path = |name| variable(name).map(PathBuf::from);
    repro_engine::Ambient {
        docker_host: variable("DOCKER_HOST"),
        docker_context: variable("DOCKER_CONTEXT"),
        docker_config: path("DOCKER_CONFIG"),
        docker_tls_verify: variable("DOCKER_TLS_VERIFY"),
        docker_cert_path: path("DOCKER_CERT_PATH"),
        container_host: variable("CONTAINER_HOST"),
        runtime_dir: path("XDG_RUNTIME_DIR"),
        home: path("HOME"),
        uid: rustix::process::getuid().as_raw(),
    }
}

fn variable(name: &str) -> Option<OsString> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the environment"
    )]
    std::env::var_os(name)
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> i64 {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the clock"
        )]
        let now = SystemTime::now();
        // A clock before 1970 is set wrong; statements then say 1970, which is as wrong and
        // does not fail the build.
        now.duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |past| i64::try_from(past.as_secs()).unwrap_or(i64::MAX))
    }
}

/// Why there is no name for an invocation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvocationError {
    /// The kernel gives no random bytes.
    #[error("cannot get random bytes from the kernel")]
    Random(#[from] getrandom::Error),
    /// The name made is none: a bug.
    #[error("the name made for this invocation is not one")]
    Name(#[from] InvocationIdError),
}

/// Random bytes of the kernel, for keys.
pub(crate) fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    Ok(getrandom::fill(bytes)?)
}

/// A new name for an invocation: the time, to sort by, and 64 random bits, to be the only one.
pub(crate) fn invocation_id(clock: &dyn Clock) -> Result<InvocationId, InvocationError> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random)?;
    let time: String = clock
        .rfc3339()
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .collect();
    let random = u64::from_be_bytes(random);
    Ok(InvocationId::try_from(format!("{time}-{random:016x}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Clock for Fixed {
        fn unix_seconds(&self) -> i64 {
            1_700_000_000
        }
    }

    #[test]
    fn invocations_sort_by_time_and_differ() {
        let one = invocation_id(&Fixed).unwrap().to_string();
        let two = invocation_id(&Fixed).unwrap().to_string();
        assert!(one.starts_with("20231114T221320Z-"), "{one}");
        assert_ne!(one, two);
    }
}
