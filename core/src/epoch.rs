//! `SOURCE_DATE_EPOCH` and the ticks that keep the order of steps (ruleset 1, rules 1 and 2).

use serde::{Deserialize, Serialize};

/// Ticks below the epoch; also the largest number of file-system instructions in a chain.
pub const TICKS: u64 = 4096;

/// Seconds since 1970 that stand for "now" everywhere in an image.
///
/// At least [`Epoch::MIN`]: zip archives know no older time, and tools that write them fail
/// or write nonsense below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(u64);

/// Why a number is not usable as an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Below 4096: the ticks of the first instructions would be negative.
    #[error("SOURCE_DATE_EPOCH {0} is below 4096, the room that the order of steps needs")]
    TooSmall(u64),
    /// Beyond what ustar and Docker hold (the year 2242).
    #[error("SOURCE_DATE_EPOCH {0} is beyond the year 2242, the end of the tar format's times")]
    TooLarge(u64),
}

impl Epoch {
    /// 1980-01-01T00:00:00Z, the default when neither user nor base image says more.
    pub const MIN: Self = Self(315_532_800);

    /// The last one: no time of a file is later.
    pub const LATEST: Self = Self(Self::MAX);

    /// Largest time that eleven octal digits hold (tar header field `mtime`).
    const MAX: u64 = 0o77_777_777_777;

    /// Takes `seconds` since 1970.
    pub const fn new(seconds: u64) -> Result<Self, EpochError> {
        if seconds < TICKS {
            return Err(EpochError::TooSmall(seconds));
        }
        if seconds > Self::MAX {
            return Err(EpochError::TooLarge(seconds));
        }
        Ok(Self(seconds))
    }

    /// Seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// RFC 3339 in UTC with whole seconds, as the image configuration wants it.
    #[must_use]
    pub fn rfc3339(self) -> String {
        i64::try_from(self.0)
            .ok()
            .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
            // Unreachable: an Epoch ends in the year 2242, jiff's times in 9999.
            .unwrap_or(jiff::Timestamp::MAX)
            .to_string()
    }
}

/// The position of a file-system instruction in its stage chain: k of rule 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(u64);

/// More file-system instructions in one chain than rule 2 has ticks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {TICKS} file-system instructions in one chain of stages")]
pub struct TooManyTicks;

impl Tick {
    /// The first file-system instruction of a chain.
    pub const FIRST: Self = Self(0);

    /// The tick of the next instruction.
    pub const fn next(self) -> Result<Self, TooManyTicks> {
        if self.0 + 1 > TICKS {
            Err(TooManyTicks)
        } else {
            Ok(Self(self.0 + 1))
        }
    }

    /// `T(k) = SDE - 4096 + k`, in seconds since 1970.
    #[must_use]
    pub const fn time(self, epoch: Epoch) -> u64 {
        epoch.0 - TICKS + self.0
    }

    /// k itself.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_end_at_the_epoch() {
        let mut tick = Tick::FIRST;
        assert_eq!(tick.time(Epoch::MIN), 315_532_800 - 4096);
        for _ in 0..TICKS {
            tick = tick.next().unwrap();
        }
        assert_eq!(tick.time(Epoch::MIN), 315_532_800);
        assert_eq!(tick.next(), Err(TooManyTicks));
    }

    #[test]
    fn bounds_are_errors() {
        assert_eq!(Epoch::new(4095), Err(EpochError::TooSmall(4095)));
        assert!(Epoch::new(4096).is_ok());
        assert!(Epoch::new(0o77_777_777_777).is_ok());
        assert!(Epoch::new(0o100_000_000_000).is_err());
        assert_eq!(Epoch::MIN.rfc3339(), "1980-01-01T00:00:00Z");
    }
}
