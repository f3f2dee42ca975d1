//! Which system calls a step may make.
//!
//! The rules are Docker's: what a build uses under Docker works, what Docker denies fails with the
//! same number. Sockets are stricter: a family that could reach past the step's network is
//! answered by the supervisor, so that the attempt is counted.

mod bpf;
pub(crate) mod notify;
mod table;
mod varied;

use repro_core::build::UserIds;
use serde::Serialize;

pub(crate) use bpf::{Instruction, Varying, program, stopped};
use table::Rule;
pub(crate) use varied::{Change, Clock, Word};

/// The rules, as the policy document shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// What a call that is not listed fails with.
    pub default: &'static str,
    /// Calls that are allowed whatever their arguments.
    pub allowed: Vec<&'static str>,
    /// Calls with a rule of their own, and the rule in words.
    pub special: Vec<(&'static str, &'static str)>,
    /// Calls that the supervisor answers, as far as they are of users, in the first ABI.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub emulated: Vec<&'static str>,
    /// Calls whose answers depend on the run, each with how, and whether in every run or only where
    /// the clock is shifted.
    pub varied: Varied,
    /// What calls by numbers of another ABI than the listed fail with.
    pub other_abis: &'static str,
    /// ABIs, each with the same rules.
    pub abis: Vec<&'static str>,
}

/// Calls whose answers depend on the run, and the rule in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Varied {
    /// In every run.
    pub always: Vec<(&'static str, &'static str)>,
    /// Beside these where the clock is shifted.
    pub clock: Vec<(&'static str, &'static str)>,
}

/// The rules as plain data.
pub(crate) fn document(users: UserIds) -> Document {
    let mut allowed: Vec<_> = table::allowed().collect();
    allowed.sort_unstable();
    Document {
        default: "EPERM",
        allowed,
        special: table::SPECIAL
            .iter()
            .map(|(name, rule)| (*name, rule.words()))
            .collect(),
        emulated: match users {
            UserIds::Range => Vec::new(),
            UserIds::One => table::EMULATED.iter().map(|(name, ..)| *name).collect(),
        },
        varied: {
            let words = |(name, rule): (_, Rule)| (name, rule.words());
            let always = varied::rules(Clock::Real).count();
            Varied {
                always: varied::rules(Clock::Real).map(words).collect(),
                clock: varied::rules(Clock::Shifted)
                    .skip(always)
                    .map(words)
                    .collect(),
            }
        },
        other_abis: "ENOSYS",
        abis: bpf::ABIS.iter().map(|abi| abi.name).collect(),
    }
}
