//! Values of options of `repro build` that have a grammar of their own.

use std::{collections::BTreeSet, str::FromStr};

use clap::ValueEnum;
use repro_core::{
    build::{Axis, AxisError},
    epoch::{Epoch, EpochError},
    platform::{Platform, PlatformError},
};

/// `--runs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunCount {
    /// Build once, compare nothing
    #[value(name = "1")]
    One,
    /// Build twice and compare
    #[default]
    #[value(name = "2")]
    Two,
}

/// `--on-difference`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnDifference {
    /// End with exit code 1
    #[default]
    Fail,
    /// Say so, and end with exit code 0: how a CI begins
    Warn,
}

/// `NAME=VALUE`, or `NAME` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

/// A pair without a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write NAME=VALUE, or NAME alone")]
pub(crate) struct PairError;

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(PairError);
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

/// Why a text is not one platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OnePlatformError {
    /// Several, as Docker takes them.
    #[error("a build makes the image of one platform; build once for each")]
    Several,
    /// Not a platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

/// `--platform`.
pub(crate) fn one_platform(text: &str) -> Result<Platform, OnePlatformError> {
    if text.contains(',') {
        return Err(OnePlatformError::Several);
    }
    Ok(text.parse()?)
}

/// `--source-date-epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EpochArg {
    /// Seconds since 1970.
    Seconds(Epoch),
    /// The committer time of HEAD of the context's repository.
    Git,
}

/// A text that is no epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EpochArgError {
    /// Not a number.
    #[error("{0:?} is neither a number of seconds since 1970 nor git")]
    NotANumber(String),
    /// A number that is out of range.
    #[error(transparent)]
    Range(#[from] EpochError),
}

impl FromStr for EpochArg {
    type Err = EpochArgError;

    fn from_str(text: &str) -> Result<Self, EpochArgError> {
        if text == "git" {
            return Ok(Self::Git);
        }
        seconds(text).map(Self::Seconds)
    }
}

/// Seconds since 1970, in plain digits.
pub(crate) fn seconds(text: &str) -> Result<Epoch, EpochArgError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    let number = number.ok_or_else(|| EpochArgError::NotANumber(text.to_owned()))?;
    Ok(Epoch::new(number)?)
}

/// `--vary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vary(pub(crate) BTreeSet<Axis>);

/// A text that is no choice of axes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum VaryError {
    /// One of the names.
    #[error(transparent)]
    Axis(#[from] AxisError),
    /// `none` with company.
    #[error("none stands alone")]
    NoneAmongOthers,
    /// Something left out that was not in.
    #[error("-{0} leaves out an axis that is not varied; begin with all")]
    NotIn(Axis),
}

impl FromStr for Vary {
    type Err = VaryError;

    /// From left to right: `all` adds every axis, a name adds one, `-name` takes one away.
    fn from_str(text: &str) -> Result<Self, VaryError> {
        if text == "none" {
            return Ok(Self(BTreeSet::new()));
        }
        let mut axes = BTreeSet::new();
        for word in text.split(',') {
            match (word, word.strip_prefix('-')) {
                ("all", _) => axes.extend(Axis::VARIED),
                ("none", _) => return Err(VaryError::NoneAmongOthers),
                (_, Some(name)) => {
                    let left_out = name.parse()?;
                    if !axes.remove(&left_out) {
                        return Err(VaryError::NotIn(left_out));
                    }
                }
                (name, None) => {
                    axes.insert(name.parse()?);
                }
            }
        }
        Ok(Self(axes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_chosen_from_left_to_right() {
        let names = |text: &str| {
            text.parse::<Vary>().map(|vary| {
                vary.0
                    .iter()
                    .map(|axis| axis.name())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        let without = |left_out: &[Axis]| {
            let mut axes = BTreeSet::from(Axis::VARIED);
            axes.retain(|axis| !left_out.contains(axis));
            let axes: Vec<_> = axes.into_iter().map(Axis::name).collect();
            axes.join(" ")
        };
        assert_eq!(names("all").unwrap(), without(&[]));
        assert_eq!(names("none").unwrap(), "");
        assert_eq!(
            names("all,-clock,-cpus").unwrap(),
            without(&[Axis::Clock, Axis::Cpus])
        );
        assert_eq!(names("clock,cpus").unwrap(), "clock cpus");
        assert_eq!(names("none,clock"), Err(VaryError::NoneAmongOthers));
        assert_eq!(names("-clock"), Err(VaryError::NotIn(Axis::Clock)));
        for bad in ["", "moon", "all,", "clocks", "all,-moon"] {
            assert!(matches!(names(bad), Err(VaryError::Axis(_))), "{bad}");
        }
    }

    #[test]
    fn an_epoch_is_plain_digits_or_git() {
        assert_eq!("git".parse(), Ok(EpochArg::Git));
        let epoch = Epoch::new(1_700_000_000).unwrap();
        assert_eq!("1700000000".parse(), Ok(EpochArg::Seconds(epoch)));
        for bad in [
            "",
            "+1700000000",
            "-1",
            "1.5",
            "now",
            "99999999999999999999999",
            "0",
        ] {
            assert!(bad.parse::<EpochArg>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pair_has_a_name_and_may_have_a_value() {
        let pair = |name: &str, value: Option<&str>| {
            Ok(Pair {
                name: name.into(),
                value: value.map(Into::into),
            })
        };
        assert_eq!("A=b=c".parse(), pair("A", Some("b=c")));
        assert_eq!("A=".parse(), pair("A", Some("")));
        assert_eq!("A".parse(), pair("A", None));
        assert_eq!("=b".parse::<Pair>(), Err(PairError));
    }
}
