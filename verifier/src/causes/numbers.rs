//! Numbers that tell of the environment: CPU counts, process ids, memory addresses.

use super::{Confidence, Facts};

/// Words of a line that speaks of CPUs, in lower case.
const CPU_WORDS: [&[u8]; 8] = [
    b"cpu",
    b"nproc",
    b"jobs",
    b"parallel",
    b"processor",
    b"thread",
    b"worker",
    b"core",
];

/// Most CPUs that a number is taken for where run A's count is not known.
const MOST_CPUS: u32 = 4096;
/// Process ids that one step is thought to hand out, counted from its first.
const MOST_PIDS: u32 = 3_000;
/// How far the same process may be apart in the two runs, counted from the first of each.
const PID_SPREAD: u32 = 200;

/// Whether `a` and `b` are the numbers of CPUs of the two runs; `line` is where `a` stands.
pub(super) fn judge_cpus(a: &[u8], b: &[u8], line: &[u8], facts: &Facts) -> Option<Confidence> {
    let (a, b) = (decimal(a)?, decimal(b)?);
    let cpus_b = facts.b.cpus?.get();
    if b != cpus_b || a == b {
        return None;
    }
    let line = line.to_ascii_lowercase();
    let said = CPU_WORDS
        .iter()
        .any(|word| line.windows(word.len()).any(|part| part == *word));
    match facts.a.cpus {
        Some(cpus_a) if cpus_a.get() != a => None,
        Some(_) if said => Some(Confidence::Certain),
        Some(_) => Some(Confidence::Likely),
        // The count of run A is not known: the line must be the number, or speak of CPUs.
        None if a > MOST_CPUS => None,
        None => (said || decimal(line.trim_ascii()).is_some()).then_some(Confidence::Likely),
    }
}

/// Whether `a` and `b` are ids of processes of the two runs.
pub(super) fn judge_pids(a: &[u8], b: &[u8], facts: &Facts) -> Option<Confidence> {
    let (first_a, first_b) = (facts.a.first_pid?, facts.b.first_pid?);
    if first_a.abs_diff(first_b) <= MOST_PIDS {
        return None;
    }
    let turn_a = decimal(a)?.checked_sub(first_a)?;
    let turn_b = decimal(b)?.checked_sub(first_b)?;
    (turn_a < MOST_PIDS && turn_b < MOST_PIDS && turn_a.abs_diff(turn_b) <= PID_SPREAD)
        .then_some(Confidence::Likely)
}

/// Whether `a` and `b`, written `0x...`, are addresses of a process.
pub(super) fn judge_addresses(a: &[u8], b: &[u8]) -> Option<Confidence> {
    let is_address = |word: &[u8]| {
        let address = hexadecimal(word)?;
        // Linux puts position-independent programs and their heaps at 0x55... and 0x56...
        // (x86-64) or 0xaaaa... (arm64), libraries and stacks at 0x7... or 0xffff... .
        let known = matches!(
            address,
            0x5500_0000_0000..0x5700_0000_0000
                | 0x7000_0000_0000..0x8000_0000_0000
                | 0xaaaa_0000_0000..0xaaac_0000_0000
                | 0xffff_0000_0000..0x1_0000_0000_0000
        );
        known.then_some(())
    };
    is_address(a)?;
    is_address(b)?;
    Some(Confidence::Likely)
}

/// The numbers in two words that are equal before and behind them, such as `j8` and `j1`.
pub(super) fn cores<'a>(a: &'a [u8], b: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let same = |(a, b): &(&u8, &u8)| a == b && !a.is_ascii_digit();
    let before = a.iter().zip(b).take_while(same).count();
    let (a, b) = (&a[before..], &b[before..]);
    let behind = a.iter().rev().zip(b.iter().rev()).take_while(same).count();
    (&a[..a.len() - behind], &b[..b.len() - behind])
}

fn decimal(word: &[u8]) -> Option<u32> {
    // A leading zero or plus sign is not how a count is printed.
    if word.is_empty()
        || !word.iter().all(u8::is_ascii_digit)
        || (word.len() > 1 && word.starts_with(b"0"))
    {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn hexadecimal(word: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(word).ok()?;
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::causes::RunFacts;

    fn facts(cpus_a: Option<u32>) -> Facts {
        Facts {
            a: RunFacts {
                cpus: cpus_a.and_then(NonZeroU32::new),
                first_pid: Some(2),
                ..RunFacts::default()
            },
            b: RunFacts {
                cpus: NonZeroU32::new(1),
                first_pid: Some(20_011),
                ..RunFacts::default()
            },
        }
    }

    #[test]
    fn cpu_counts() {
        let judge = |a: &[u8], b: &[u8], line: &[u8], known| judge_cpus(a, b, line, &facts(known));
        assert_eq!(
            judge(b"8", b"1", b"nproc: 8\n", Some(8)),
            Some(Confidence::Certain)
        );
        assert_eq!(judge(b"8", b"1", b"8\n", Some(8)), Some(Confidence::Likely));
        assert_eq!(judge(b"8", b"1", b"8\n", None), Some(Confidence::Likely));
        assert_eq!(judge(b"7", b"1", b"nproc: 7\n", Some(8)), None);
        assert_eq!(judge(b"8", b"1", b"version 8\n", None), None);
        assert_eq!(judge(b"8", b"2", b"8\n", None), None);
        assert_eq!(judge(b"1", b"1", b"1\n", Some(1)), None);
    }

    #[test]
    fn process_ids() {
        let judge = |a: &[u8], b: &[u8]| judge_pids(a, b, &facts(None));
        assert_eq!(judge(b"9", b"20018"), Some(Confidence::Likely));
        assert_eq!(judge(b"9", b"20900"), None);
        assert_eq!(judge(b"9", b"19"), None);
        assert_eq!(judge(b"20018", b"20018"), None);
        assert_eq!(judge(b"1", b"20010"), None);
    }

    #[test]
    fn numbers_are_found_in_words() {
        assert_eq!(cores(b"j8", b"j1"), (&b"8"[..], &b"1"[..]));
        assert_eq!(cores(b"x12y", b"x345y"), (&b"12"[..], &b"345"[..]));
        assert_eq!(cores(b"ab", b"ab"), (&b""[..], &b""[..]));
    }

    #[test]
    fn addresses() {
        assert_eq!(
            judge_addresses(b"0x7ffff7dd5000", b"0x7f1200dd5000"),
            Some(Confidence::Likely)
        );
        assert_eq!(judge_addresses(b"0x1234", b"0x4321"), None);
        assert_eq!(judge_addresses(b"7ffff7dd5000", b"7f1200dd5000"), None);
    }
}
