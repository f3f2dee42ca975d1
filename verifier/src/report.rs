//! The report: what was built, compared and found, as one document (`report/v1`).

mod axes;
mod build;
mod model;
mod pair;
#[cfg(test)]
mod tests;

pub use axes::{AxesReport, AxisRun, BisectionReport, BrokenPath, ControlReport, WhyNot};
pub(crate) use build::differing_paths;
pub use build::{Compared, ReportError};
pub use model::{
    CauseSummary, FailureReport, Hermetic, ImageSummary, InputSummary, NetworkMode, Report,
    RunReport, StepNetwork, StepReport,
};
pub use pair::{Equality, PairReport};
