//! The argument of `--chmod`.

/// Why a text is not a mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChmodError {
    /// More than 07777, or no number in base 8.
    #[error("{0:?} is not a mode: --chmod takes 0 to 7777 in base 8")]
    Invalid(String),
    /// `u=rwX,go=rX` and the like.
    #[error("--chmod={0} is not supported yet: only modes in base 8 are")]
    SymbolicNotYet(String),
}

/// Permission bits, set-id bits and sticky bit: at most 07777.
pub(super) fn parse(text: &str) -> Result<u16, ChmodError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits {
        return match u16::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 => Ok(mode),
            _ => Err(ChmodError::Invalid(text.to_owned())),
        };
    }
    let symbolic = text.contains(['=', '+', '-'])
        && text.bytes().all(|b| b"ugoarwxXst=+-,01234567".contains(&b));
    Err(if symbolic {
        ChmodError::SymbolicNotYet(text.to_owned())
    } else {
        ChmodError::Invalid(text.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, mode) in [("644", 0o644), ("0755", 0o755), ("4755", 0o4755), ("0", 0)] {
            assert_eq!(parse(text), Ok(mode), "{text}");
        }
        for text in ["", "8", "10000", "77777777777", "0o644", "rwx", "x"] {
            assert!(matches!(parse(text), Err(ChmodError::Invalid(_))), "{text}");
        }
        for text in ["u=rwX,go=rX", "+x"] {
            assert!(
                matches!(parse(text), Err(ChmodError::SymbolicNotYet(_))),
                "{text}"
            );
        }
    }
}
