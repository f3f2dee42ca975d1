//! Summaries of a verification: written and signed for those who take the verifier's word, and read
//! where another verifier's word is taken.

mod issue;
mod read;
#[cfg(test)]
mod tests;

pub use issue::{IssueError, Issuer, Summary, issue};
pub use read::{Expected, check};
