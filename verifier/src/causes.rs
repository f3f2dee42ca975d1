//! Why files differ: the catalogue of causes as data, and the detectors that name one.
//!
//! A detector names a cause only from what lies in the two files and from what is known of the
//! two runs; nothing is executed. `unknown` is an answer, with the bytes that led to it.

mod align;
mod around;
mod binary;
mod catalogue;
mod content;
mod deep;
mod facts;
mod formats;
mod lexer;
mod moment;
mod numbers;
mod paths;
mod random;
mod secrecy;
mod segments;
mod shapes;
mod traces;

pub use around::{Around, Bytes};
pub use catalogue::{Cause, CauseInfo, Confidence, UnknownCause, explain};
pub use content::{ContentFinding, ContentView, Excerpt, Excerpts, find_causes, name_cause};
pub use deep::find_file_causes;
pub use facts::{Facts, FactsError, RunFacts, Window};
pub(crate) use formats::column_of_sqlite;
pub use secrecy::{SecretMarker, excerpts_by_name, secret_marker};
pub(crate) use traces::trace_of_entry;
