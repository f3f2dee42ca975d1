//! The argument of `--chmod`: a number, or changes as of `chmod(1)`.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest symbolic mode: what a person writes has a dozen clauses at most.
const MAX_BYTES: usize = 1024;

const SET_UID: u16 = 0o4000;
const SET_GID: u16 = 0o2000;
const STICKY: u16 = 0o1000;

/// What becomes of permission bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModeChange {
    /// These bits, at most 07777.
    Bits(u16),
    /// Each of these in order.
    Symbolic(Vec<ModeClause>),
}

/// One operation of a symbolic mode, such as `go=rX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModeClause {
    /// The bits that it may touch.
    mask: u16,
    operator: Operator,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Operator {
    Add,
    Remove,
    Set,
}

/// The right side of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    /// Bits of all three classes; with `x_if_any`, `X` was among them.
    Bits { bits: u16, x_if_any: bool },
    /// The three bits of a class as they are, by how far they are shifted.
    Copy(u16),
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModeError {
    /// A number that is not in base 8, or above 07777.
    #[error("{0:?} is not a mode: a number is from 0 to 7777 in base 8")]
    Number(String),
    /// Not of the form `[ugoa]*[-+=][rwxXst]*`, with commas between.
    #[error("{0:?} is not a mode: write 755, or changes such as u=rwX,go=rX")]
    Symbolic(String),
}

impl ModeChange {
    /// The mode of an entry that had `mode`, at most 07777.
    ///
    /// A clause without a class means all classes: there is no umask, as in `BuildKit`'s daemon.
    #[must_use]
    pub fn apply(&self, mode: u16, is_directory: bool) -> u16 {
        match self {
            Self::Bits(bits) => *bits,
            Self::Symbolic(clauses) => clauses.iter().fold(mode & 0o7777, |mode, clause| {
                clause.apply(mode, is_directory)
            }),
        }
    }
}

impl ModeClause {
    fn apply(self, mode: u16, is_directory: bool) -> u16 {
        let bits = match self.what {
            What::Bits { bits, x_if_any } if x_if_any && (is_directory || mode & 0o111 != 0) => {
                bits | 0o111
            }
            What::Bits { bits, .. } => bits,
            What::Copy(shift) => ((mode >> shift) & 0o7) * 0o111,
        };
        let bits = bits & self.mask;
        match self.operator {
            Operator::Add => mode | bits,
            Operator::Remove => mode & !bits,
            Operator::Set => mode & !self.mask | bits,
        }
    }
}

impl FromStr for ModeChange {
    type Err = ModeError;

    fn from_str(text: &str) -> Result<Self, ModeError> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let octal = text.bytes().all(|b| b.is_ascii_digit());
            let bits = u16::from_str_radix(text, 8).ok().filter(|_| octal);
            return match bits.filter(|bits| *bits <= 0o7777) {
                Some(bits) => Ok(Self::Bits(bits)),
                None => Err(ModeError::Number(text.to_owned())),
            };
        }
        let wrong = || ModeError::Symbolic(text.chars().take(40).collect());
        if text.is_empty() || text.len() > MAX_BYTES {
            return Err(wrong());
        }
        let mut clauses = Vec::new();
        for part in text.split(',') {
            read_part(part, &mut clauses).ok_or_else(wrong)?;
        }
        Ok(Self::Symbolic(clauses))
    }
}

/// `[ugoa]*` and at least one operator with what it puts, adds or removes.
fn read_part(part: &str, clauses: &mut Vec<ModeClause>) -> Option<()> {
    let operators = ['+', '-', '='];
    let at = part.find(operators)?;
    let (who, mut rest) = part.split_at(at);
    let mut mask = 0;
    for c in who.chars() {
        mask |= match c {
            'u' => SET_UID | 0o700,
            'g' => SET_GID | 0o070,
            'o' => STICKY | 0o007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who.is_empty() {
        mask = 0o7777;
    }
    while let Some(c) = rest.chars().next() {
        let operator = match c {
            '+' => Operator::Add,
            '-' => Operator::Remove,
            _ => Operator::Set,
        };
        let end = rest[1..].find(operators).map_or(rest.len(), |at| at + 1);
        let what = read_what(&rest[1..end])?;
        clauses.push(ModeClause {
            mask,
            operator,
            what,
        });
        rest = &rest[end..];
    }
    Some(())
}

fn read_what(text: &str) -> Option<What> {
    match text {
        "u" => return Some(What::Copy(6)),
        "g" => return Some(What::Copy(3)),
        "o" => return Some(What::Copy(0)),
        _ => {}
    }
    let (mut bits, mut x_if_any) = (0, false);
    for c in text.chars() {
        match c {
            'r' => bits |= 0o444,
            'w' => bits |= 0o222,
            'x' => bits |= 0o111,
            'X' => x_if_any = true,
            's' => bits |= SET_UID | SET_GID,
            't' => bits |= STICKY,
            _ => return None,
        }
    }
    Some(What::Bits { bits, x_if_any })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal() {
        for (text, mode) in [("644", 0o644), ("0755", 0o755), ("4755", 0o4755), ("0", 0)] {
            assert_eq!(text.parse(), Ok(ModeChange::Bits(mode)), "{text}");
        }
        for text in ["8", "10000", "77777777777", "0o644", "07x"] {
            let error = text.parse::<ModeChange>().unwrap_err();
            assert!(matches!(error, ModeError::Number(_)), "{text}");
        }
    }

    #[test]
    fn changes_are_made_as_chmod_makes_them() {
        for (text, is_directory, before, after) in [
            ("u=rwX,go=rX", false, 0o600, 0o644),
            ("u=rwX,go=rX", false, 0o700, 0o755),
            ("u=rwX,go=rX", true, 0o600, 0o755),
            ("+x", false, 0o644, 0o755),
            ("a-x", false, 0o755, 0o644),
            ("go-rwx", false, 0o777, 0o700),
            ("g=u", false, 0o740, 0o770),
            ("o=g-w", false, 0o770, 0o775),
            ("u+s,g+s,+t", true, 0o755, 0o7755),
            ("u=rw", false, 0o4755, 0o655),
            ("a=", false, 0o7777, 0),
            ("=r", false, 0o777, 0o444),
            ("u=rw+x", false, 0, 0o700),
        ] {
            let change: ModeChange = text.parse().unwrap();
            assert_eq!(change.apply(before, is_directory), after, "{text}");
        }
        assert_eq!(ModeChange::Bits(0o640).apply(0o7777, true), 0o640);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", "x", "rwx", "u", "z+x", "u+q", "u=rx,", "u=ug", ",", "-é",
        ] {
            let error = text.parse::<ModeChange>().unwrap_err();
            assert!(matches!(error, ModeError::Symbolic(_)), "{text}");
        }
    }
}
