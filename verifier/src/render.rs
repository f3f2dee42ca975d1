//! The report for people and machines: text, Markdown, HTML and SARIF. JSON is
//! [`crate::report::Report::to_json`].
//!
//! File names, instructions and contents come from the images that are judged: every form
//! escapes what could end its frame, and none lets a control character through.

mod axes;
mod escape;
mod html;
mod markdown;
mod pair;
mod sarif;
mod style;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use html::html;
pub use markdown::markdown;
pub use pair::{pair_html, pair_markdown, pair_text};
pub use sarif::sarif;
pub use style::{Line, Span, Style};
pub use text::{TextOptions, text};
