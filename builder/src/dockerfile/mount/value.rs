//! Values of the keys of a mount, and what they come to.

use std::str::FromStr;

use repro_core::build::{MountAccess, MountFacts};

use super::{Mount, MountError, Need};

/// Largest numeric user or group (Docker takes no larger one).
const MAX_ID: u32 = i32::MAX as u32;
/// Digits of a size: more make no difference of a byte.
const MAX_DIGITS: usize = 18;
/// Where secrets are by default.
const SECRETS: &str = "/run/secrets/";
/// The agent that is meant where none is named.
const DEFAULT_AGENT: &str = "default";

/// The type of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }

    pub(super) const fn has_need(self) -> bool {
        matches!(self, Self::Secret | Self::Ssh)
    }

    pub(super) const fn has_size(self) -> bool {
        matches!(self, Self::Tmpfs)
    }
}

impl FromStr for Kind {
    type Err = MountError;

    fn from_str(text: &str) -> Result<Self, MountError> {
        [
            Self::Bind,
            Self::Cache,
            Self::Tmpfs,
            Self::Secret,
            Self::Ssh,
        ]
        .into_iter()
        .find(|kind| kind.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| MountError::Type(text.to_owned()))
    }
}

/// How builds at the same time share a cache. Every step here has its own, which is what each of
/// the three allows; so the value is checked and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sharing;

impl FromStr for Sharing {
    type Err = MountError;

    fn from_str(text: &str) -> Result<Self, MountError> {
        if ["shared", "private", "locked"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(text))
        {
            return Ok(Self);
        }
        Err(invalid("sharing", text, "it is shared, private or locked"))
    }
}

/// What the keys say.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) access: Option<MountAccess>,
    pub(super) need: Need,
    pub(super) size: Option<u64>,
    pub(super) id: String,
    pub(super) sharing: Option<Sharing>,
    pub(super) mode: Option<u16>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) env: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            source: String::new(),
            target: String::new(),
            access: None,
            need: Need::Optional,
            size: None,
            id: String::new(),
            sharing: None,
            mode: None,
            uid: None,
            gid: None,
            env: None,
        }
    }
}

impl Settings {
    /// Decides what was not said, and refuses what does not go together.
    pub(super) fn finish(self, from: Option<&str>) -> Result<Mount, MountError> {
        let of = self.kind.name();
        if !matches!(self.kind, Kind::Cache | Kind::Secret | Kind::Ssh) {
            for (key, given) in [
                ("mode", self.mode.is_some()),
                ("uid", self.uid.is_some()),
                ("gid", self.gid.is_some()),
            ] {
                if given {
                    return Err(MountError::Misplaced { key, of });
                }
            }
        }
        if self.sharing.is_some() && self.kind != Kind::Cache {
            return Err(MountError::Misplaced { key: "sharing", of });
        }
        let facts = |mode| MountFacts {
            mode: self.mode.unwrap_or(mode),
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
        };
        let needs_target = matches!(self.kind, Kind::Bind | Kind::Cache | Kind::Tmpfs);
        if needs_target && self.target.is_empty() {
            return Err(MountError::Target(of));
        }
        let (cache, secret, socket) = (facts(0o755), facts(0o400), facts(0o600));
        let writable = self.access.unwrap_or(MountAccess::ReadWrite);
        Ok(match self.kind {
            Kind::Bind => Mount::Bind {
                access: self.access.unwrap_or(MountAccess::ReadOnly),
                source: self.source,
                target: self.target,
            },
            Kind::Cache => Mount::Cache {
                id: some(self.id),
                source: self.source,
                target: self.target,
                access: writable,
                facts: cache,
            },
            Kind::Tmpfs => Mount::Tmpfs {
                size: self.size,
                target: self.target,
                access: writable,
            },
            Kind::Secret => {
                if from.is_some() {
                    return Err(MountError::Misplaced { key: "from", of });
                }
                self.secret(secret)?
            }
            Kind::Ssh => {
                if !self.source.is_empty() {
                    return Err(MountError::Misplaced { key: "source", of });
                }
                Mount::Agent {
                    id: some(self.id).unwrap_or_else(|| DEFAULT_AGENT.to_owned()),
                    target: some(self.target),
                    need: self.need,
                    facts: socket,
                }
            }
        })
    }

    fn secret(self, facts: MountFacts) -> Result<Mount, MountError> {
        let id = match (some(self.source), some(self.id)) {
            (Some(_), Some(_)) => return Err(MountError::SecretNames),
            (Some(name), None) | (None, Some(name)) => name,
            (None, None) => base_name(&self.target).ok_or(MountError::SecretName)?,
        };
        if let Some(name) = &self.env
            && (name.is_empty() || name.contains(['=', '\0']))
        {
            return Err(MountError::Variable(name.clone()));
        }
        let by_default = || base_name(&id).map(|name| format!("{SECRETS}{name}"));
        let file = match (some(self.target), &self.env) {
            (Some(target), _) => Some(target),
            (None, Some(_)) => None,
            (None, None) => Some(by_default().ok_or(MountError::SecretName)?),
        };
        Ok(Mount::Secret {
            id,
            file,
            variable: self.env,
            need: self.need,
            facts,
        })
    }
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The last name of a path.
fn base_name(path: &str) -> Option<String> {
    let name = path.trim_end_matches('/').rsplit('/').next()?;
    Some(name.to_owned()).filter(|name| !matches!(name.as_str(), "" | "." | ".."))
}

fn invalid(key: &str, value: &str, wants: &'static str) -> MountError {
    MountError::Invalid {
        key: key.to_owned(),
        value: value.chars().take(40).collect(),
        wants,
    }
}

/// What Go's `ParseBool` takes.
pub(super) fn boolean(key: &str, text: &str) -> Result<bool, MountError> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(invalid(key, text, "it is true or false")),
    }
}

/// Octal permissions.
pub(super) fn mode(text: &str) -> Result<u16, MountError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    u16::from_str_radix(text, 8)
        .ok()
        .filter(|mode| digits && *mode <= 0o7777)
        .ok_or_else(|| invalid("mode", text, "it is an octal number up to 7777"))
}

/// A numeric user or group.
pub(super) fn identifier(key: &str, text: &str) -> Result<u32, MountError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|id| digits && *id <= MAX_ID)
        .ok_or_else(|| invalid(key, text, "it is a number"))
}

/// Bytes as Docker writes them: `64m`, `1.5GiB`, `1000`; units are powers of 1024. 0 is no limit.
pub(super) fn size(text: &str) -> Result<Option<u64>, MountError> {
    parse_size(text)
        .map(|size| Some(size).filter(|size| *size > 0))
        .ok_or_else(|| {
            invalid(
                "size",
                text,
                "it is a number of bytes, or one with k, m, g, t or p",
            )
        })
}

fn parse_size(text: &str) -> Option<u64> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let letter = unit.strip_suffix('b').unwrap_or(&unit);
    let letter = match letter.strip_suffix('i') {
        Some("") => return None,
        Some(letter) => letter,
        None => letter,
    };
    let shift = match letter {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() > MAX_DIGITS
        || fraction.len() > MAX_DIGITS
        || (whole.len() + fraction.len()) == 0
    {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<u128>().ok()
        }
    };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let all = digits(whole)?.checked_mul(scale)? + digits(fraction)?;
    u64::try_from((all << shift) / scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_writes_them() {
        for (text, bytes) in [
            ("1000", Some(Some(1000))),
            ("64k", Some(Some(64 << 10))),
            ("64KB", Some(Some(64 << 10))),
            ("1.5GiB", Some(Some(3 << 29))),
            (".5m", Some(Some(1 << 19))),
            ("2 g", Some(Some(2 << 30))),
            ("7b", Some(Some(7))),
            ("0", Some(None)),
            ("", None),
            (".", None),
            ("m", None),
            ("1.2.3", None),
            ("-1", None),
            ("1x", None),
            ("1ib", None),
            ("1e3", None),
            ("999999999999999999p", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(mode("0755").unwrap(), 0o755);
        for bad in ["", "+755", "8", "10000", "u+x"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
        assert_eq!(identifier("uid", "1000").unwrap(), 1000);
        for bad in ["", "+1", "-1", "root", "2147483648"] {
            assert!(identifier("uid", bad).is_err(), "{bad}");
        }
    }
}
