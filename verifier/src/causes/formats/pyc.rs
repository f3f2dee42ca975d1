//! Compiled Python (PEP 552).

use super::{Budget, Format, NotOpened, Part, Role};
use crate::causes::Cause;

/// `.pyc`.
pub(super) struct Pyc;

/// Bytes of the header: magic, flags, and time and size, or a hash.
const HEADER: usize = 16;

impl Format for Pyc {
    fn matches(&self, path: &[u8], head: &[u8]) -> bool {
        path.ends_with(b".pyc") && head.len() >= HEADER && head[2..4] == *b"\r\n"
    }

    fn open<'a>(&self, bytes: &'a [u8], _: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let timed = bytes[4..8] == [0; 4];
        let cause = if timed {
            Cause::PycSourceTime
        } else {
            Cause::PycCode
        };
        Ok(vec![
            Part::content("version and flags", &bytes[..8]),
            Part::field("source", cause, &bytes[8..12]),
            Part::field("size of the source", Cause::PycCode, &bytes[12..HEADER]),
            Part {
                name: "code".into(),
                role: Role::Paths(Cause::PycCode),
                bytes: bytes[HEADER..].into(),
            },
        ])
    }
}
