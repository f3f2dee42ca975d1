//! Dates, times of day and numbers of seconds, and whether they are those of the two runs.

use std::sync::LazyLock;

use jiff::{
    civil::{DateTime, Time},
    tz::Offset,
};
use regex::bytes::{Captures, Regex};

use super::{Cause, Confidence, Facts, facts::Window};

/// Names of months, short and long.
macro_rules! months {
    () => {
        r"(?P<n>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
    };
}

/// The shapes of a moment. The group names say what a part is: `y` year, `m` month number,
/// `n` month name, `d` day, `H` `M` `S` time of day, `p` AM or PM, `z` zone, `e` a number since
/// 1970 in the unit that its length tells. What a shape has not is not known of the moment.
///
/// First the longer shapes, since the first that fits wins.
pub(super) const PATTERNS: [&str; 14] = [
    // 2026-11-23T21:33:27.5+01:00, 2026/11/23 21:33 UTC
    r"(?P<y>\d{4})[-/](?P<m>\d\d)[-/](?P<d>\d\d)[T _-] ?(?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,]\d{1,9})?)?(?: ?(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d))?\b",
    // Mon Nov 23 21:33:27 UTC 2026, Mon Nov 23 21:33:27.5 2026
    concat!(
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? ",
        months!(),
        r" +(?P<d>\d{1,2}) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?:\.\d{1,9})? (?:(?P<z>[A-Z]{2,5}|[+-]\d{4}) )?(?P<y>\d{4})\b"
    ),
    // Mon, 23 Nov 2026 21:33:27 +0000, Mon 23 Nov 2026 09:33:27 PM UTC
    concat!(
        r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?(?P<d>\d{1,2})[ -]",
        months!(),
        r"[ -](?P<y>\d{4}) (?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d))?(?: (?P<p>AM|PM))?(?: (?P<z>UTC|GMT|[+-]\d{4}))?\b"
    ),
    // Nov 23 2026 21:33:27, November 23, 2026 21:33
    concat!(
        months!(),
        r" +(?P<d>\d{1,2}),? (?P<y>\d{4})[ ,]+(?P<H>\d\d):(?P<M>\d\d)(?::(?P<S>\d\d))?\b"
    ),
    // 23/Nov/2026:21:33:27 +0000
    r"(?P<d>\d\d)/(?P<n>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/(?P<y>\d{4}):(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?: (?P<z>[+-]\d{4}))?\b",
    // 20261123213327, 20261123T213327Z, 20261123-213327
    r"(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])[T_.-]?(?P<H>[01]\d|2[0-3])(?P<M>[0-5]\d)(?P<S>[0-5]\d)Z?\b",
    // 2026-11-23
    r"(?P<y>(?:19|20)\d\d)[-/](?P<m>0?[1-9]|1[0-2])[-/](?P<d>[0-2]?\d|3[01])\b",
    // 11/23/2026
    r"(?P<m>0?[1-9]|1[0-2])/(?P<d>[0-2]?\d|3[01])/(?P<y>(?:19|20)\d\d)\b",
    // 23 November 2026
    concat!(
        r"(?P<d>\d{1,2})[ -]",
        months!(),
        r"[ -](?P<y>(?:19|20)\d\d)\b"
    ),
    // November 23, 2026, November 2026
    concat!(months!(), r"(?: +(?P<d>\d{1,2}),?)? (?P<y>(?:19|20)\d\d)\b"),
    // 21:33:27
    r"(?P<H>[01]\d|2[0-3]):(?P<M>[0-5]\d):(?P<S>[0-5]\d)(?:\.\d{1,9})?\b",
    // 20261123
    r"(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])\b",
    // 1795469607.123456789
    r"(?P<e>\d{10})\.\d{1,9}\b",
    // 1795469607, and the same in milliseconds, microseconds, nanoseconds
    r"(?P<e>\d{19}|\d{16}|\d{13}|\d{10})\b",
];

static SHAPES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    PATTERNS
        .iter()
        .map(|pattern| Regex::new(&format!("^(?-u){pattern}$")).expect("a constant pattern"))
        .collect()
});

/// Offsets of time zones are multiples of this many seconds.
const ZONE_STEP: i64 = 15 * 60;
/// The widest zones are UTC-12 and UTC+14, which are this far apart.
const WIDEST_ZONE: i64 = 14 * 3600;
const ZONES_APART: i64 = 26 * 3600;
const MINUTE: i64 = 60;
const DAY: i64 = 24 * 3600;
/// Numbers that are read as a moment without knowing when the runs were: from 2001, where they
/// have ten digits, to 2065.
const PLAUSIBLE: std::ops::Range<i64> = 1_000_000_000..3_000_000_000;

/// What a text says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// From and for how many seconds since 1970, read from a date; in UTC unless the text names
    /// an offset. A second, a minute, a day or a month.
    Date(i64, i64),
    /// Seconds since midnight.
    TimeOfDay(i64),
    /// Seconds since 1970, read from a bare number.
    Number(i64),
}

/// Words of a line that says when something was made, in lower case.
const MADE: [&str; 18] = [
    "built",
    "build",
    "generated",
    "created",
    "compiled",
    "date",
    "time",
    "updated",
    "modified",
    "made on",
    "produced",
    "packaged",
    "installed",
    "released",
    "epoch",
    "stamp",
    "logrotate",
    ".th ",
];
/// Words of a line on a date that a person chose.
const CHOSEN: [&str; 6] = ["until", "expire", "expiry", "since", "copyright", "valid"];

/// Whether a line says when something was made.
pub(super) fn says_when(line: &[u8]) -> bool {
    let line = line.to_ascii_lowercase();
    let says = |word: &&str| memchr::memmem::find(&line, word.as_bytes()).is_some();
    MADE.iter().any(says) && !CHOSEN.iter().any(says)
}

/// Whether `a` and `b`, which stand in `line`, are moments of the two runs.
pub(super) fn judge(a: &[u8], b: &[u8], line: &[u8], facts: &Facts) -> Option<(Cause, Confidence)> {
    let (a, b) = (parse(a)?, parse(b)?);
    let windows = facts.a.window.zip(facts.b.window);
    let now = |confidence| Some((Cause::EmbeddedTimestamp, confidence));
    if let Some((window_a, window_b)) = windows {
        match (a, b) {
            (Moment::Number(a), Moment::Number(b)) if window_a.holds(a) && window_b.holds(b) => {
                return now(Confidence::Certain);
            }
            (Moment::Date(a, span), Moment::Date(b, _))
                if meets(window_a, a, span) && meets(window_b, b, span) =>
            {
                // A month, or two days that follow each other, can be those of the runs by chance.
                let exact = span <= MINUTE || (span == DAY && (a - b).abs() > DAY);
                return now(if exact {
                    Confidence::Certain
                } else {
                    Confidence::Likely
                });
            }
            (Moment::TimeOfDay(a), Moment::TimeOfDay(b)) => {
                let likely = in_some_zone(a, b, (window_a, window_b));
                return likely.then_some((Cause::EmbeddedTimestamp, Confidence::Likely));
            }
            _ => {}
        }
    }
    match (a, b) {
        (Moment::Date(a, span), Moment::Date(b, _)) if span <= MINUTE => {
            let apart = (a - b).abs();
            // The same moment, told by clocks of two places.
            if apart % ZONE_STEP == 0 && (ZONE_STEP..=ZONES_APART).contains(&apart) {
                return Some((Cause::LocalTime, Confidence::Likely));
            }
            // Two times that differ can hardly be anything else.
            now(Confidence::Likely)
        }
        (Moment::TimeOfDay(_), Moment::TimeOfDay(_)) => now(Confidence::Likely),
        // A day or a month may be one that a person wrote, a number anything.
        (Moment::Date(..), Moment::Date(..)) if says_when(line) => now(Confidence::Likely),
        (Moment::Number(a), Moment::Number(b))
            if windows.is_none()
                && PLAUSIBLE.contains(&a)
                && PLAUSIBLE.contains(&b)
                && says_when(line) =>
        {
            now(Confidence::Likely)
        }
        _ => None,
    }
}

/// Whether a part of the run falls into `span` seconds from `start`; a day is one of some zone.
fn meets(window: Window, start: i64, span: i64) -> bool {
    let zone = if span < DAY { 0 } else { WIDEST_ZONE };
    window.start - 1 <= start + span + zone && window.end + 1 >= start - zone
}

/// Whether both times of day lie in their runs for one and the same zone.
fn in_some_zone(a: i64, b: i64, (window_a, window_b): (Window, Window)) -> bool {
    let holds = |window: Window, time: i64, zone: i64| {
        let midnight = window.start.div_euclid(DAY) * DAY;
        [-DAY, 0, DAY]
            .iter()
            .any(|day| window.holds(midnight + day + time - zone))
    };
    (-WIDEST_ZONE / ZONE_STEP..=WIDEST_ZONE / ZONE_STEP)
        .map(|step| step * ZONE_STEP)
        .any(|zone| holds(window_a, a, zone) && holds(window_b, b, zone))
}

fn parse(text: &[u8]) -> Option<Moment> {
    SHAPES
        .iter()
        .find_map(|shape| shape.captures(text))
        .and_then(|captures| read(&captures))
}

fn read(captures: &Captures<'_>) -> Option<Moment> {
    let text = |name| {
        captures
            .name(name)
            .and_then(|part| std::str::from_utf8(part.as_bytes()).ok())
    };
    let number = |name| text(name)?.parse::<i16>().ok();
    if let Some(digits) = text("e") {
        return Some(Moment::Number(digits[..10].parse().ok()?));
    }
    let small = |name| i8::try_from(number(name)?).ok();
    let time = match text("H") {
        Some(_) => {
            let mut hour = small("H")?;
            match text("p") {
                Some("PM") if hour < 12 => hour += 12,
                Some("AM") if hour == 12 => hour = 0,
                _ => {}
            }
            // A leap second is the last second of its minute here.
            let second = small("S").unwrap_or(0).min(59);
            Some(Time::new(hour, small("M")?, second, 0).ok()?)
        }
        None => None,
    };
    let Some(year) = number("y") else {
        let time = time?;
        let since_midnight = i64::from(time.hour()) * 3600
            + i64::from(time.minute()) * 60
            + i64::from(time.second());
        return Some(Moment::TimeOfDay(since_midnight));
    };
    let month = match text("n") {
        Some(name) => month(name)?,
        None => small("m")?,
    };
    let date = jiff::civil::Date::new(year, month, small("d").unwrap_or(1)).ok()?;
    let span = match (&time, text("S"), text("d")) {
        (Some(_), Some(_), _) => 0,
        (Some(_), None, _) => MINUTE,
        (None, _, Some(_)) => DAY,
        (None, _, None) => DAY * i64::from(date.days_in_month()),
    };
    let local = DateTime::from_parts(date, time.unwrap_or(Time::midnight()));
    let utc = Offset::UTC.to_timestamp(local).ok()?.as_second();
    Some(Moment::Date(
        utc - text("z").and_then(offset).unwrap_or(0),
        span,
    ))
}

fn month(name: &str) -> Option<i8> {
    const NAMES: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let index = NAMES.find(name.get(..3)?)? / 3;
    i8::try_from(index + 1).ok()
}

/// Seconds of `+HHMM` or `+HH:MM`; `None` for names of zones, which are taken for UTC because
/// that is what a step sees.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let (hours, minutes) = digits.split_at_checked(2)?;
    Some(sign * (hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::RunFacts;

    /// 2026-11-23T21:33:27Z and two seconds later, each the middle of its run.
    fn facts() -> Facts {
        let run = |second: i64| RunFacts {
            window: Some(Window {
                start: second - 5,
                end: second + 5,
            }),
            ..RunFacts::default()
        };
        Facts {
            a: run(1_795_469_607),
            b: run(1_795_469_609),
        }
    }

    fn verdict(a: &str, b: &str) -> Option<Confidence> {
        judge(a.as_bytes(), b.as_bytes(), b"", &facts()).map(|(_, confidence)| confidence)
    }

    fn told(a: &str, b: &str, line: &str) -> Option<(Cause, Confidence)> {
        let line = format!("{line} {a}");
        judge(
            a.as_bytes(),
            b.as_bytes(),
            line.as_bytes(),
            &Facts::default(),
        )
    }

    #[test]
    fn days_and_months_need_a_line_that_says_so() {
        for (a, b) in [
            ("2026-11-23", "2027-12-27"),
            ("11/23/2026", "12/27/2027"),
            ("23 November 2026", "27 December 2027"),
            ("November 23, 2026", "December 27, 2027"),
            ("November 2026", "December 2027"),
            ("20261123", "20271227"),
            ("1795469607", "1829875827"),
            ("1795469607.25", "1829875827.75"),
        ] {
            let made = told(a, b, "Generated on");
            assert_eq!(
                made,
                Some((Cause::EmbeddedTimestamp, Confidence::Likely)),
                "{a}"
            );
            assert_eq!(told(a, b, "valid until the date"), None, "{a}");
            assert_eq!(told(a, b, "x"), None, "{a}");
        }
    }

    #[test]
    fn days_of_runs_that_are_days_apart_are_certain() {
        let mut facts = facts();
        let later = 34_406_220;
        facts.b.window = facts.a.window.map(|window| Window {
            start: window.start + later,
            end: window.end + later,
        });
        let judge = |a: &str, b: &str| judge(a.as_bytes(), b.as_bytes(), b"", &facts);
        let at = |confidence| Some((Cause::EmbeddedTimestamp, confidence));
        assert_eq!(judge("2026-11-23", "2027-12-27"), at(Confidence::Certain));
        assert_eq!(
            judge("November 2026", "December 2027"),
            at(Confidence::Likely)
        );
        assert_eq!(judge("2026-11-23", "2027-12-30"), None);
    }

    #[test]
    fn one_moment_of_two_zones_is_local_time() {
        let found = told("2023-11-14 17:13:20", "2023-11-15 07:13:20", "");
        assert_eq!(found, Some((Cause::LocalTime, Confidence::Likely)));
        let found = told("2023-11-14 17:13:20", "2023-11-15 07:13:21", "");
        assert_eq!(found, Some((Cause::EmbeddedTimestamp, Confidence::Likely)));
    }

    #[test]
    fn moments_of_the_runs_are_certain_in_every_shape() {
        for (a, b) in [
            ("2026-11-23T21:33:27Z", "2026-11-23T21:33:29Z"),
            ("2026-11-23 21:33:27.123", "2026-11-23 21:33:29.9"),
            ("2026-11-23T22:33:27+01:00", "2026-11-23T22:33:29+01:00"),
            (
                "Mon Nov 23 21:33:27 UTC 2026",
                "Mon Nov 23 21:33:29 UTC 2026",
            ),
            ("Mon Nov 23 21:33:27 2026", "Mon Nov 23 21:33:29 2026"),
            (
                "Mon, 23 Nov 2026 21:33:27 +0000",
                "Mon, 23 Nov 2026 21:33:29 +0000",
            ),
            (
                "Mon 23 Nov 2026 09:33:27 PM UTC",
                "Mon 23 Nov 2026 09:33:29 PM UTC",
            ),
            ("Nov 23 2026 21:33:27", "Nov 23 2026 21:33:29"),
            ("23/Nov/2026:21:33:27 +0000", "23/Nov/2026:21:33:29 +0000"),
            ("20261123213327", "20261123213329"),
            ("20261123T213327Z", "20261123T213329Z"),
            ("1795469607", "1795469609"),
            ("1795469607.25", "1795469609.75"),
            ("1795469607000", "1795469609000"),
            ("1795469607000000000", "1795469609000000000"),
        ] {
            assert_eq!(verdict(a, b), Some(Confidence::Certain), "{a}");
        }
    }

    #[test]
    fn other_moments_are_at_most_likely() {
        for (a, b) in [
            ("2001-01-01T00:00:00Z", "2001-01-01T00:00:02Z"),
            (
                "Mon Nov 23 22:33:27 CET 2026",
                "Mon Nov 23 22:33:29 CET 2026",
            ),
            ("21:33:27", "21:33:29"),
            ("22:33:27", "22:33:29"),
        ] {
            assert_eq!(verdict(a, b), Some(Confidence::Likely), "{a}");
        }
    }

    #[test]
    fn numbers_that_are_no_moment_of_the_runs_are_not_named() {
        for (a, b) in [
            ("1234567890", "2234567890"),
            ("21:10:27", "21:50:29"),
            ("8", "1"),
            ("2026-13-23T21:33:27Z", "2026-13-23T21:33:29Z"),
            ("1795469607", "2026"),
        ] {
            assert_eq!(verdict(a, b), None, "{a}");
        }
    }
}
