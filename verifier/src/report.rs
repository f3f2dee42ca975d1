//! The report: what was built, compared and found, as one document (`report/v1`).

mod build;
mod model;
mod pair;
#[cfg(test)]
mod tests;

pub use build::ReportError;
pub use model::{
    AxesReport, CauseSummary, FailureReport, Hermetic, ImageSummary, InputSummary, NetworkMode,
    Report, RunReport, StepNetwork, StepReport,
};
pub use pair::{Equality, PairReport};
