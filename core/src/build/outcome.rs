//! How a build ended, in words that stay.

use serde::{Deserialize, Serialize};

/// Stable reason code of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Both runs gave the same image.
    Reproduced,
    /// The runs gave different images.
    Differs,
    /// One run was asked for: nothing was compared.
    NotCompared,
    /// Both runs gave the same image, in environments that did not differ: that proves little.
    NotVaried,
    /// Runs A and B gave the same image, and a run equal to A gave another one, or failed.
    DiffersByChance,
    /// Run B failed under variation and succeeded without.
    FailsUnderVariation,
    /// A step of the build failed.
    StepFailed,
    /// The command line or a file of the project is wrong.
    Configuration,
    /// An input is missing, unlocked, changed or has another digest.
    Input,
    /// This machine lacks something.
    Machine,
    /// The machine ran out of something.
    Exhausted,
    /// The user stopped the build.
    Cancelled,
    /// A bug.
    Internal,
}

/// Whether doing the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// The same again gives the same.
    Useless,
    /// The same again may succeed.
    Sensible,
}

/// What a build used, both runs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// Milliseconds of CPU of all steps.
    pub cpu_ms: u64,
    /// Largest resident set of one process of any step, in bytes.
    pub peak_rss_bytes: u64,
    /// Bytes of layers written.
    pub layer_bytes: u64,
}

/// How a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Why it ended so.
    pub reason: Reason,
    /// Whether to try again.
    pub retry: Retry,
    /// What it used.
    pub cost: Cost,
}

impl Outcome {
    /// An outcome; whether a retry makes sense follows from the reason.
    #[must_use]
    pub const fn new(reason: Reason, cost: Cost) -> Self {
        let retry = match reason {
            Reason::Exhausted | Reason::Cancelled => Retry::Sensible,
            _ => Retry::Useless,
        };
        Self {
            reason,
            retry,
            cost,
        }
    }
}
