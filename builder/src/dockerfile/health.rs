//! `HEALTHCHECK`: its test and its times.

use std::fmt;

use repro_core::image::Healthcheck;

use super::ast::CommandLine;

/// The arguments of `HEALTHCHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// `NONE`: no test, not even the base's.
    None,
    /// `CMD`.
    Command {
        /// Shell or exec form, neither empty. The shell of the shell form is the runtime's choice:
        /// the image says only that it is one.
        command: CommandLine,
        /// When it is run, and how often it may fail.
        timing: HealthTiming,
    },
}

/// The options of `HEALTHCHECK`, in nanoseconds; `None` leaves it to the runtime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HealthTiming {
    /// `--interval`.
    pub interval: Option<i64>,
    /// `--timeout`.
    pub timeout: Option<i64>,
    /// `--start-period`.
    pub start_period: Option<i64>,
    /// `--start-interval`.
    pub start_interval: Option<i64>,
    /// `--retries`.
    pub retries: Option<i64>,
}

/// Why an option of `HEALTHCHECK` has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// Not a duration as Go writes them.
    #[error("{0:?} is not a duration: write 30s, 1m30s or 500ms")]
    Duration(String),
    /// A duration too short or too long for Docker.
    #[error("{0} is not a duration from 1ms to 292 years")]
    Range(String),
    /// `--retries` with something else than a number from 0 on.
    #[error("{0:?} is not a number of retries")]
    Retries(String),
    /// Neither `CMD` nor `NONE`.
    #[error("HEALTHCHECK takes CMD or NONE, found {0}")]
    Kind(String),
    /// `NONE` and more.
    #[error("HEALTHCHECK NONE stands alone")]
    NoneWithMore,
}

/// Shortest duration that Docker takes.
const SHORTEST: i128 = 1_000_000;

/// A duration in nanoseconds; zero is none, as in Docker.
pub(super) fn duration(text: &str) -> Result<Option<i64>, HealthError> {
    let malformed = || HealthError::Duration(text.to_owned());
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    if unsigned == "0" {
        return Ok(None);
    }
    let mut total: i128 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() || total == 0 && rest.len() == unsigned.len() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let unit: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return Err(malformed()),
        };
        total += part(number, unit).ok_or_else(malformed)?;
        if total > i64::MAX.into() {
            return Err(HealthError::Range(text.to_owned()));
        }
        rest = tail;
    }
    match i64::try_from(total) {
        Ok(0) => Ok(None),
        Ok(nanoseconds) if total >= SHORTEST => Ok(Some(nanoseconds)),
        _ => Err(HealthError::Range(text.to_owned())),
    }
}

/// `number` units in nanoseconds, fractions of one cut off.
fn part(number: &str, unit: i128) -> Option<i128> {
    // More digits are beyond every limit, or below every difference.
    const MOST_DIGITS: usize = 18;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = whole.trim_start_matches('0');
    if digits.len() > MOST_DIGITS {
        return Some(i128::from(i64::MAX) + 1);
    }
    let fraction = &fraction[..fraction.len().min(MOST_DIGITS)];
    let read = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<i128>().ok()
        }
    };
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    Some(read(digits)? * unit + read(fraction)? * unit / scale)
}

/// `--retries`; zero is none, as in Docker.
pub(super) fn retries(text: &str) -> Result<Option<i64>, HealthError> {
    match text.parse::<i32>() {
        Ok(0) => Ok(None),
        Ok(number) if number > 0 => Ok(Some(number.into())),
        _ => Err(HealthError::Retries(text.to_owned())),
    }
}

impl HealthTest {
    /// The field of the configuration. Nothing is taken over from the base's.
    #[must_use]
    pub fn config(&self) -> Healthcheck {
        let Self::Command { command, timing } = self else {
            return Healthcheck {
                test: vec!["NONE".into()],
                ..Healthcheck::default()
            };
        };
        let test = match command {
            CommandLine::Shell(text) | CommandLine::Heredocs(text, _) => {
                vec!["CMD-SHELL".into(), text.clone()]
            }
            CommandLine::Exec(arguments) => {
                let mut test = vec!["CMD".to_owned()];
                test.extend(arguments.iter().cloned());
                test
            }
        };
        Healthcheck {
            test,
            interval: timing.interval,
            timeout: timing.timeout,
            start_period: timing.start_period,
            start_interval: timing.start_interval,
            retries: timing.retries,
        }
    }
}

impl fmt::Display for HealthTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Command { command, timing } = self else {
            return f.write_str("NONE");
        };
        for (name, value) in [
            ("interval", timing.interval),
            ("timeout", timing.timeout),
            ("start-period", timing.start_period),
            ("start-interval", timing.start_interval),
        ] {
            if let Some(value) = value {
                write!(f, "--{name}={value}ns ")?;
            }
        }
        if let Some(retries) = timing.retries {
            write!(f, "--retries={retries} ")?;
        }
        write!(f, "CMD {command}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        const SECOND: i64 = 1_000_000_000;
        for (text, expected) in [
            ("0", Ok(None)),
            ("0s", Ok(None)),
            ("30s", Ok(Some(30 * SECOND))),
            ("+30s", Ok(Some(30 * SECOND))),
            ("1m30s", Ok(Some(90 * SECOND))),
            ("1.5h", Ok(Some(5_400 * SECOND))),
            (".5s", Ok(Some(SECOND / 2))),
            ("1.s", Ok(Some(SECOND))),
            ("1ms", Ok(Some(1_000_000))),
            ("2000µs", Ok(Some(2_000_000))),
            ("999us", Err(HealthError::Range("999us".into()))),
            ("9999999h", Err(HealthError::Range("9999999h".into()))),
            ("-1s", Err(HealthError::Duration("-1s".into()))),
            ("30", Err(HealthError::Duration("30".into()))),
            ("", Err(HealthError::Duration(String::new()))),
            ("s", Err(HealthError::Duration("s".into()))),
            (".s", Err(HealthError::Duration(".s".into()))),
            ("1..2s", Err(HealthError::Duration("1..2s".into()))),
            ("1d", Err(HealthError::Duration("1d".into()))),
            ("1s ", Err(HealthError::Duration("1s ".into()))),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
        let long = format!("{}s", "9".repeat(400));
        assert!(matches!(duration(&long), Err(HealthError::Range(_))));
    }

    #[test]
    fn retries_are_a_number() {
        assert_eq!(retries("0"), Ok(None));
        assert_eq!(retries("3"), Ok(Some(3)));
        for text in ["-1", "", "x", "99999999999"] {
            assert!(retries(text).is_err(), "{text}");
        }
    }
}
