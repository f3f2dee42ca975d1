//! Databases of `SQLite`: counters of the header apart from the pages.

use super::{Budget, Format, NotOpened, Part, Role};
use crate::causes::Cause;

/// `SQLite` 3.
pub(super) struct Sqlite;

/// Bytes of the header ("Database File Format", 1.3).
const HEADER: usize = 100;

impl Format for Sqlite {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"SQLite format 3\0") && head.len() >= HEADER
    }

    fn open<'a>(&self, bytes: &'a [u8], _: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let counters = [&bytes[24..28], &bytes[32..40], &bytes[92..HEADER]].concat();
        Ok(vec![
            Part {
                name: "counters".into(),
                role: Role::Follows(Cause::SqliteLayout),
                bytes: counters.into(),
            },
            Part::content("database pages", &bytes[HEADER..]),
        ])
    }

    fn form(&self) -> Option<Cause> {
        Some(Cause::SqliteLayout)
    }
}
