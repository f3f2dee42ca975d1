//! The argument of `STOPSIGNAL`.

/// Signals of Linux by name, as Docker knows them.
const NAMES: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "UNUSED", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN",
];
/// Real-time signals behind `RTMIN`, and before `RTMAX`, that have names.
const BEHIND_RTMIN: u8 = 15;
const BEFORE_RTMAX: u8 = 14;

/// A text that is no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a signal: write a name such as SIGTERM, or a number")]
pub struct SignalError(String);

/// Whether a text names a signal: a number but 0, or a name with or without `SIG`.
pub fn check_signal(text: &str) -> Result<(), SignalError> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
    let good = if is_number {
        // Docker writes the text into the image as it is, whatever number it is.
        text.parse::<i32>().is_ok_and(|number| number != 0)
    } else {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMES.contains(&name)
            || name == "RTMAX"
            || is_offset(name.strip_prefix("RTMIN+"), BEHIND_RTMIN)
            || is_offset(name.strip_prefix("RTMAX-"), BEFORE_RTMAX)
    };
    good.then_some(())
        .ok_or_else(|| SignalError(text.to_owned()))
}

fn is_offset(text: Option<&str>, most: u8) -> bool {
    text.is_some_and(|text| {
        !text.starts_with(['0', '+'])
            && text
                .parse::<u8>()
                .is_ok_and(|number| (1..=most).contains(&number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for good in [
            "SIGTERM",
            "term",
            "SigUsr1",
            "9",
            "64",
            "RTMIN",
            "SIGRTMIN+3",
            "RTMAX-14",
            "rtmax",
        ] {
            assert_eq!(check_signal(good), Ok(()), "{good}");
        }
        for bad in [
            "", "0", "SIG", "NOPE", "RTMIN+16", "RTMIN+0", "RTMAX-15", "9x", "TERM ",
        ] {
            assert!(check_signal(bad).is_err(), "{bad}");
        }
    }
}
