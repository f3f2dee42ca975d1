//! What is known of the two runs: the values that a file would hold if it captured them.

use std::num::NonZeroU32;

use jiff::Timestamp;
use repro_core::build::{BuildRecord, Cpus, RunId, RunRecord};

/// Seconds since 1970 between which a run took place, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Start of the run.
    pub start: i64,
    /// End of the run.
    pub end: i64,
}

impl Window {
    /// Whether `seconds` since 1970 lie in the run; a second is allowed on both sides because
    /// start and end are recorded in whole seconds.
    #[must_use]
    pub const fn holds(self, seconds: i64) -> bool {
        seconds >= self.start - 1 && seconds <= self.end + 1
    }
}

/// What is known of one run. Everything is optional: two images can be compared without any
/// knowledge of how they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFacts {
    /// Host name inside the steps.
    pub hostname: Option<String>,
    /// Domain name inside the steps.
    pub domainname: Option<String>,
    /// Number of CPUs that the steps could use.
    pub cpus: Option<NonZeroU32>,
    /// Id of the first process of a step.
    pub first_pid: Option<u32>,
    /// When the run took place.
    pub window: Option<Window>,
}

/// What is known of the two runs that are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Run A.
    pub a: RunFacts,
    /// Run B.
    pub b: RunFacts,
}

/// Why a record holds no facts that can be used.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// A time that is not RFC 3339.
    #[error("the record of run {run} holds the time {text:?}, which is not RFC 3339")]
    Time {
        /// The run.
        run: RunId,
        /// What stands there.
        text: String,
        /// Why it is none.
        #[source]
        source: jiff::Error,
    },
}

impl Facts {
    /// The facts of the runs A and B of a record. `host_cpus` is the number of CPUs that the
    /// caller may use, which a run without restriction had.
    pub fn of(record: &BuildRecord, host_cpus: Option<NonZeroU32>) -> Result<Self, FactsError> {
        let run = |id| record.runs.iter().find(|run: &&RunRecord| run.id == id);
        Self::between(run(RunId::A), run(RunId::B), host_cpus)
    }

    /// The facts of two runs of one build.
    pub fn between(
        a: Option<&RunRecord>,
        b: Option<&RunRecord>,
        host_cpus: Option<NonZeroU32>,
    ) -> Result<Self, FactsError> {
        let facts = |run| match run {
            Some(run) => RunFacts::of(run, host_cpus),
            None => Ok(RunFacts::default()),
        };
        Ok(Self {
            a: facts(a)?,
            b: facts(b)?,
        })
    }
}

impl RunFacts {
    fn of(run: &RunRecord, host_cpus: Option<NonZeroU32>) -> Result<Self, FactsError> {
        let seconds = |text: &str| match text.parse::<Timestamp>() {
            Ok(time) => Ok(time.as_second()),
            Err(source) => Err(FactsError::Time {
                run: run.id,
                text: text.chars().take(80).collect(),
                source,
            }),
        };
        Ok(Self {
            hostname: Some(run.variation.hostname.clone()),
            domainname: Some(run.variation.domainname.clone()),
            cpus: match run.variation.cpus {
                Cpus::All => host_cpus,
                Cpus::One => Some(NonZeroU32::MIN),
            },
            first_pid: Some(run.variation.first_pid),
            window: Some(Window {
                start: seconds(&run.started_on)?,
                end: seconds(&run.finished_on)?,
            }),
        })
    }
}
