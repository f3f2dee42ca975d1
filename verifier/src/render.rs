//! The reports for people and machines: text, Markdown, JSON, SARIF, `JUnit` and HTML.
//!
//! File names, instructions and contents come from the images that are judged: every form
//! escapes what could end its frame, and none lets a control character through.

mod aside;
mod axes;
mod catalogue;
mod escape;
mod html;
mod junit;
mod markdown;
mod sarif;
mod sheet;
mod style;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub(crate) use escape::{printable, shortened};

pub use catalogue::{axis_text, cause_text, list_text};
pub use html::{html, pair_html};
pub use junit::{junit, pair_junit};
pub use markdown::{markdown, pair_markdown};
pub(crate) use sarif::{document as sarif_document, message as sarif_message};
pub use sarif::{pair_sarif, sarif};
pub use style::{Line, Span, Style};
pub use text::{TextOptions, pair_text, text};

use repro_core::json::CanonicalError;

use crate::{
    pack::layout::ReportFormat,
    report::{PairReport, Report},
};

/// The report on a build in one of its forms.
pub fn report(report: &Report, format: ReportFormat) -> Result<Vec<u8>, CanonicalError> {
    Ok(match format {
        ReportFormat::Json => report.to_json()?,
        ReportFormat::Markdown => markdown(report).into_bytes(),
        ReportFormat::Html => html(report).into_bytes(),
        ReportFormat::Sarif => sarif(report, &report.dockerfile)?,
        ReportFormat::Junit => junit(report).into_bytes(),
    })
}

/// The report on a pair in one of its forms.
pub fn pair(report: &PairReport, format: ReportFormat) -> Result<Vec<u8>, CanonicalError> {
    Ok(match format {
        ReportFormat::Json => report.to_json()?,
        ReportFormat::Markdown => pair_markdown(report).into_bytes(),
        ReportFormat::Html => pair_html(report).into_bytes(),
        ReportFormat::Sarif => pair_sarif(report)?,
        ReportFormat::Junit => pair_junit(report).into_bytes(),
    })
}
