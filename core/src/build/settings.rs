//! What the caller sets for every program of a build: the same in all runs, and part of what the
//! result depends on.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Settings of the programs that `RUN` starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunSettings {
    /// Lines of `/etc/hosts` besides those that every step has, in the caller's order: of two
    /// addresses of one name, programs take the first.
    pub hosts: Vec<HostEntry>,
    /// Bytes of `/dev/shm`; the policy's size unless given.
    pub shm_bytes: Option<u64>,
    /// Limits of a process, in place of the policy's.
    pub limits: BTreeMap<ProcessLimit, LimitRange>,
}

/// A line of `/etc/hosts`. Written `NAME:ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostEntry {
    name: String,
    address: IpAddr,
}

/// Why a text is no line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostEntryError {
    /// No name, or no address.
    #[error("write NAME:ADDRESS or NAME=ADDRESS, found {0:?}")]
    Form(String),
    /// A name that would be more than one word of the file, or none.
    #[error("{0:?} is no name of a host: A-Z a-z 0-9 . _ - and at most 253 of them")]
    Name(String),
    /// Docker's word for the machine that builds.
    #[error("host-gateway is the machine that builds, which no step can reach")]
    Gateway,
    /// Not an address.
    #[error("{0:?} is neither an IPv4 nor an IPv6 address")]
    Address(String),
}

impl HostEntry {
    /// Longest name (RFC 1035, 2.3.4, in text).
    const MAX_NAME: usize = 253;

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }
}

impl FromStr for HostEntry {
    type Err = HostEntryError;

    fn from_str(text: &str) -> Result<Self, HostEntryError> {
        let form = || HostEntryError::Form(text.to_owned());
        // The `=` may stand for the `:`, which addresses have too.
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .ok_or_else(form)?;
        if name.is_empty() || address.is_empty() {
            return Err(form());
        }
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if name.len() > Self::MAX_NAME || !name.bytes().all(good) {
            return Err(HostEntryError::Name(name.to_owned()));
        }
        if address == "host-gateway" {
            return Err(HostEntryError::Gateway);
        }
        let bare = address
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(address);
        Ok(Self {
            name: name.to_owned(),
            address: bare
                .parse()
                .map_err(|_| HostEntryError::Address(address.to_owned()))?,
        })
    }
}

impl fmt::Display for HostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.address)
    }
}

impl Serialize for HostEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HostEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

macro_rules! process_limits {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)*) => {
        /// A limit of a process, by the name that Docker gives it (`getrlimit(2)`).
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(rename_all = "lowercase")]
        pub enum ProcessLimit {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl ProcessLimit {
            /// Every limit, by name.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

process_limits! {
    /// Bytes of a core dump.
    Core = "core",
    /// Seconds of CPU.
    Cpu = "cpu",
    /// Bytes of data.
    Data = "data",
    /// Bytes of a file.
    Fsize = "fsize",
    /// File locks; without effect since Linux 2.4.
    Locks = "locks",
    /// Bytes of locked memory.
    Memlock = "memlock",
    /// Bytes of message queues.
    Msgqueue = "msgqueue",
    /// 20 less the lowest nice value.
    Nice = "nice",
    /// Open files.
    Nofile = "nofile",
    /// Processes of the user.
    Nproc = "nproc",
    /// Resident bytes; without effect since Linux 2.4.
    Rss = "rss",
    /// Highest real-time priority.
    Rtprio = "rtprio",
    /// Microseconds of CPU of a real-time process.
    Rttime = "rttime",
    /// Queued signals.
    Sigpending = "sigpending",
    /// Bytes of stack.
    Stack = "stack",
}

/// Soft and hard value of a limit; `None` is no limit. The soft one is never above the hard one.
/// Written `SOFT:HARD`, with -1 for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitRange {
    soft: Option<u64>,
    hard: Option<u64>,
}

impl LimitRange {
    /// The value in force.
    #[must_use]
    pub const fn soft(self) -> Option<u64> {
        self.soft
    }

    /// The value up to which a program may raise it.
    #[must_use]
    pub const fn hard(self) -> Option<u64> {
        self.hard
    }
}

/// A limit and its values: `NAME=SOFT[:HARD]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSetting {
    /// Which.
    pub limit: ProcessLimit,
    /// To what.
    pub range: LimitRange,
}

/// Why a text is no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// No `=`.
    #[error("write NAME=SOFT or NAME=SOFT:HARD, found {0:?}")]
    Form(String),
    /// An unknown name.
    #[error("{0:?} is not a limit; there are {names}", names = names())]
    Name(String),
    /// A value that is none.
    #[error("{0:?} is no value of a limit: a number, or -1 for none")]
    Value(String),
    /// The soft value is above the hard one.
    #[error("the soft limit {soft} is above the hard limit {hard}")]
    Order {
        /// As written.
        soft: String,
        /// As written.
        hard: String,
    },
}

fn names() -> String {
    let names: Vec<&str> = ProcessLimit::ALL.iter().map(|limit| limit.name()).collect();
    names.join(", ")
}

impl FromStr for LimitRange {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let value = |text: &str| match text {
            "-1" => Ok(None),
            // The largest number means no limit to the kernel.
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|number| *number < u64::MAX)
                .map(Some)
                .ok_or_else(|| LimitError::Value(digits.to_owned())),
            other => Err(LimitError::Value(other.to_owned())),
        };
        let (soft, hard) = text.split_once(':').unwrap_or((text, text));
        let range = Self {
            soft: value(soft)?,
            hard: value(hard)?,
        };
        let above = match (range.soft, range.hard) {
            (Some(soft), Some(hard)) => soft > hard,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if above {
            return Err(LimitError::Order {
                soft: soft.to_owned(),
                hard: hard.to_owned(),
            });
        }
        Ok(range)
    }
}

impl fmt::Display for LimitRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text =
            |value: Option<u64>| value.map_or_else(|| "-1".to_owned(), |value| value.to_string());
        write!(f, "{}:{}", text(self.soft), text(self.hard))
    }
}

impl Serialize for LimitRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LimitRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl FromStr for LimitSetting {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let (name, range) = text
            .split_once('=')
            .ok_or_else(|| LimitError::Form(text.to_owned()))?;
        let mut all = ProcessLimit::ALL.iter();
        let limit = all.find(|limit| limit.name() == name);
        Ok(Self {
            limit: *limit.ok_or_else(|| LimitError::Name(name.to_owned()))?,
            range: range.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_written_as_in_docker() {
        for (text, shown) in [
            ("db:10.0.0.1", "db:10.0.0.1"),
            ("db=10.0.0.1", "db:10.0.0.1"),
            ("db:::1", "db:::1"),
            ("db=[2001:db8::1]", "db:2001:db8::1"),
            ("a.b-c_d:127.0.0.1", "a.b-c_d:127.0.0.1"),
        ] {
            let entry: HostEntry = text.parse().unwrap();
            assert_eq!(entry.to_string(), shown);
            assert_eq!(shown.parse(), Ok(entry));
        }
        for (text, error) in [
            ("db", HostEntryError::Form("db".into())),
            (":10.0.0.1", HostEntryError::Form(":10.0.0.1".into())),
            ("db:", HostEntryError::Form("db:".into())),
            ("a b:10.0.0.1", HostEntryError::Name("a b".into())),
            ("a\nb:10.0.0.1", HostEntryError::Name("a\nb".into())),
            ("db:host-gateway", HostEntryError::Gateway),
            ("db:10.0.0", HostEntryError::Address("10.0.0".into())),
            ("db:db2", HostEntryError::Address("db2".into())),
        ] {
            assert_eq!(text.parse::<HostEntry>(), Err(error), "{text}");
        }
        let long = format!("{}:::1", "a".repeat(254));
        assert!(matches!(
            long.parse::<HostEntry>(),
            Err(HostEntryError::Name(_))
        ));
    }

    #[test]
    fn limits_are_written_as_in_docker() {
        for (text, shown) in [
            ("nofile=1024", "1024:1024"),
            ("nofile=1024:2048", "1024:2048"),
            ("core=0:-1", "0:-1"),
            ("cpu=-1", "-1:-1"),
        ] {
            let setting: LimitSetting = text.parse().unwrap();
            assert_eq!(setting.range.to_string(), shown);
            assert_eq!(shown.parse(), Ok(setting.range));
        }
        for text in [
            "nofile",
            "files=1",
            "nofile=",
            "nofile=x",
            "nofile=-2",
            "nofile=+1",
            "nofile=2:1",
            "nofile=-1:1",
            "nofile=1:2:3",
            "nofile=18446744073709551615",
        ] {
            assert!(text.parse::<LimitSetting>().is_err(), "{text}");
        }
        for limit in ProcessLimit::ALL {
            let json = serde_json::to_value(limit).unwrap();
            assert_eq!(json, limit.name());
        }
    }
}
