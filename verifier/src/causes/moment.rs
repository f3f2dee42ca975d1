//! Dates, times of day and numbers of seconds, and whether they are those of the two runs.

use std::{ops::Range, sync::LazyLock};

use jiff::{
    civil::{DateTime, Time},
    tz::Offset,
};
use regex::bytes::{Captures, Regex};

use super::{
    Cause, Confidence, Facts,
    facts::{RunFacts, Window},
};

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
pub(super) const PATTERNS: [&str; 15] = [
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
    r"(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])[T_.-]?(?P<H>[01]\d|2[0-3])(?P<M>[0-5]\d)(?P<S>[0-5]\d)(?P<z>Z)?\b",
    // 20261123-2133, 20261123T2133Z
    r"(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>[0-2]\d|3[01])[T_-](?P<H>[01]\d|2[0-3])(?P<M>[0-5]\d)(?P<z>Z)?\b",
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
/// Longest run whose hours and minutes say something: a longer one shows too many of a day.
const LONGEST_RUN: i64 = 4 * 3600;
/// Length of `HH:MM`.
const TIME: usize = 5;
/// Numbers that are read as a moment without knowing when the runs were: from 2001, where they
/// have ten digits, to 2065.
const PLAUSIBLE: std::ops::Range<i64> = 1_000_000_000..3_000_000_000;

/// The zone that a text tells a time in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone<'a> {
    /// None is named.
    Unsaid,
    /// Seconds ahead of UTC.
    Offset(i64),
    /// An abbreviation, whose offset is not known.
    Name(&'a str),
}

/// What a text says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment<'a> {
    /// From and for how many seconds since 1970, read from a date; in UTC unless the text names
    /// an offset. A second, a minute, a day or a month.
    Date(i64, i64, Zone<'a>),
    /// Seconds since midnight.
    TimeOfDay(i64),
    /// Seconds since 1970, read from a bare number.
    Number(i64),
}

/// Words of a line that says when something was made, in lower case.
const MADE: [&str; 19] = [
    "built",
    "build",
    "building",
    "generated",
    "created",
    "compiled",
    "date",
    "dated",
    "time",
    "updated",
    "modified",
    "produced",
    "packaged",
    "installed",
    "released",
    "epoch",
    "stamp",
    "stamped",
    "logrotate",
];
/// What stands before such a word in one word with it: `mtime`, `timestamp`, `lastmodified`. Others, as in
/// `runtime`, make another word of it.
const BEFORE: [&str; 16] = [
    "", "a", "b", "c", "m", "build", "create", "creation", "compile", "date", "file", "last", "re",
    "release", "time", "unix",
];
/// What stands behind one, as in `createdat`.
const BEHIND: [&str; 3] = ["", "at", "on"];
/// The same in several words.
const PHRASES: [&str; 2] = ["made on", ".th "];
/// How words begin on a line on a date that a person chose.
const CHOSEN: [&str; 6] = ["until", "expire", "expiry", "since", "copyright", "valid"];

/// Whether a line says when something was made.
pub(super) fn says_when(line: &[u8]) -> bool {
    let words = words(line);
    let lower = line.to_ascii_lowercase();
    let phrase = |words: &&str| memchr::memmem::find(&lower, words.as_bytes()).is_some();
    let made = words.iter().any(|word| is_made(word)) || PHRASES.iter().any(phrase);
    let chosen = |word: &String| CHOSEN.iter().any(|begin| word.starts_with(begin));
    made && !words.iter().any(chosen)
}

fn is_made(word: &str) -> bool {
    let before = |text: &str| {
        let mut rests = MADE.iter().filter_map(|made| text.strip_suffix(made));
        rests.any(|rest| BEFORE.contains(&rest))
    };
    let mut texts = BEHIND.iter().filter_map(|behind| word.strip_suffix(behind));
    texts.any(before)
}

/// The words of a line in lower case, those of `buildTime` each by itself.
fn words(line: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, byte) in line.iter().enumerate() {
        let before = at.checked_sub(1).map_or(b' ', |before| line[before]);
        let behind = line.get(at + 1).copied().unwrap_or(b' ');
        let begins = byte.is_ascii_uppercase()
            && (before.is_ascii_lowercase()
                || before.is_ascii_uppercase() && behind.is_ascii_lowercase());
        if begins || !byte.is_ascii_alphabetic() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| byte.is_ascii_alphabetic()) {
            word.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The zone that is written behind a time, in a way that is no part of it in [`PATTERNS`].
static ZONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?-u) ?(?:[A-Z]{1,5}\b|[+-]\d\d(?::?\d\d)?\b)?(?:\[[A-Za-z0-9_/+-]+\])?")
        .expect("a constant pattern")
});
/// Words in capitals that stand behind a time and are no zone.
const NO_ZONES: [&[u8]; 8] = [
    b"AM", b"PM", b"INFO", b"WARN", b"DEBUG", b"ERROR", b"FATAL", b"TRACE",
];

/// The time at `range` with the hours that stand behind it as its zone: `-08` as `-0800`.
pub(super) fn with_hours(bytes: &[u8], range: &Range<usize>) -> Option<Vec<u8>> {
    let zone = &bytes[zone_behind(bytes, range.end)?];
    let hours = matches!(zone.trim_ascii_start(), [b'+' | b'-', _, _]);
    hours.then(|| [&bytes[range.clone()], zone, b"00"].concat())
}

/// Where the zone stands behind a time that ends at `end`.
pub(super) fn zone_behind(bytes: &[u8], end: usize) -> Option<Range<usize>> {
    let behind = bytes.get(end..)?;
    let length = ZONE.find(behind)?.len();
    let text = behind[..length].trim_ascii_start();
    (!text.is_empty() && !NO_ZONES.contains(&text)).then(|| end..end + length)
}

/// Whether `a` and `b`, which stand in `line`, are moments of the two runs.
pub(super) fn judge(a: &[u8], b: &[u8], line: &[u8], facts: &Facts) -> Option<(Cause, Confidence)> {
    let (a, b) = (parse(a)?, parse(b)?);
    // By the clocks of the programs, and by those of the machine, from which files have their times.
    let windows: Vec<(Window, Window)> = facts
        .a
        .windows()
        .flat_map(|a| facts.b.windows().map(move |b| (a, b)))
        .collect();
    let now = |confidence| Some((Cause::EmbeddedTimestamp, confidence));
    for &(window_a, window_b) in &windows {
        match (a, b) {
            (Moment::Number(a), Moment::Number(b)) if window_a.holds(a) && window_b.holds(b) => {
                return now(Confidence::Certain);
            }
            (Moment::Date(a, span, _), Moment::Date(b, ..))
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
            (Moment::TimeOfDay(a), Moment::TimeOfDay(b))
                if in_some_zone(a, b, (window_a, window_b)) =>
            {
                return now(Confidence::Likely);
            }
            _ => {}
        }
    }
    match (a, b) {
        (Moment::TimeOfDay(_), Moment::TimeOfDay(_)) if !windows.is_empty() => None,
        // By whatever clock and zone: nothing else lies just as far apart.
        (Moment::Date(a, span, _), Moment::Date(b, ..))
            if span <= DAY && is_shift(b - a, facts) =>
        {
            now(Confidence::Certain)
        }
        (Moment::Date(a, span, zone_a), Moment::Date(b, _, zone_b)) if span <= MINUTE => {
            if is_one_moment((a, zone_a), (b, zone_b), span) {
                return Some((Cause::LocalTime, Confidence::Likely));
            }
            // Two times that differ can hardly be anything else.
            now(Confidence::Likely)
        }
        (Moment::TimeOfDay(_), Moment::TimeOfDay(_)) => now(Confidence::Likely),
        // A day or a month may be one that a person wrote, a number anything.
        (Moment::Date(..), Moment::Date(..)) if says_when(line) => now(Confidence::Likely),
        (Moment::Number(a), Moment::Number(b))
            if windows.is_empty()
                && PLAUSIBLE.contains(&a)
                && PLAUSIBLE.contains(&b)
                && says_when(line) =>
        {
            now(Confidence::Likely)
        }
        _ => None,
    }
}

/// Whether the texts around two changes are hours and minutes as the clocks of their own runs show
/// them. Two numbers beside a colon can be anything, so nothing less is enough.
pub(super) fn judge_minutes(
    (a, range_a): (&[u8], &Range<usize>),
    (b, range_b): (&[u8], &Range<usize>),
    facts: &Facts,
) -> Option<Confidence> {
    let (a, b) = (minutes(a, range_a)?, minutes(b, range_b)?);
    let shows = |window: Window, time: i64| {
        let first = (window.start - 1).div_euclid(MINUTE);
        let last = (window.end + 1).div_euclid(MINUTE);
        let short = last - first <= LONGEST_RUN / MINUTE;
        short && (first..=last).any(|minute| (minute * MINUTE).rem_euclid(DAY) == time)
    };
    // Each by one clock of its run: the programs', or the machine's.
    let fits = |run: &RunFacts, time| run.windows().any(|window| shows(window, time));
    (fits(&facts.a, a) && fits(&facts.b, b)).then_some(Confidence::Likely)
}

/// Seconds since midnight of the `HH:MM` that `range` is a part of, which is no part of more.
fn minutes(bytes: &[u8], range: &Range<usize>) -> Option<i64> {
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
    let before = bytes
        .get(..range.start)?
        .iter()
        .rev()
        .take_while(|byte| part(byte));
    let behind = bytes.get(range.end..)?.iter().take_while(|byte| part(byte));
    let text =
        &bytes[range.start - before.take(TIME).count()..range.end + behind.take(TIME).count()];
    let &[h, hh, b':', m, mm] = text else {
        return None;
    };
    let number = |tens: u8, ones: u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h, hh)?, number(m, mm)?);
    (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * MINUTE)
}

/// Whether two texts tell one moment by the clocks of two places.
fn is_one_moment((a, zone_a): (i64, Zone<'_>), (b, zone_b): (i64, Zone<'_>), span: i64) -> bool {
    let apart = (a - b).abs();
    // Without seconds, times of two builds are as far apart too often.
    let by_a_zone =
        span == 0 && apart % ZONE_STEP == 0 && (ZONE_STEP..=ZONES_APART).contains(&apart);
    match (zone_a, zone_b) {
        (Zone::Unsaid, Zone::Unsaid) => by_a_zone,
        (Zone::Offset(_), Zone::Offset(_)) => zone_a != zone_b && apart == 0,
        (Zone::Name(_), Zone::Name(_) | Zone::Offset(_)) | (Zone::Offset(_), Zone::Name(_)) => {
            zone_a != zone_b && by_a_zone
        }
        (Zone::Unsaid, _) | (_, Zone::Unsaid) => false,
    }
}

/// Whether run B's clock was shifted, and by as much. A day more or less is that of a zone, of the time
/// between the runs, or of a date without a time.
fn is_shift(apart: i64, facts: &Facts) -> bool {
    let shift = facts.b.clock_shift_s.saturating_sub(facts.a.clock_shift_s);
    shift > 2 * DAY && apart.saturating_sub(shift).saturating_abs() <= DAY
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

fn parse(text: &[u8]) -> Option<Moment<'_>> {
    SHAPES
        .iter()
        .find_map(|shape| shape.captures(text))
        .and_then(|captures| read(&captures))
}

fn read<'a>(captures: &Captures<'a>) -> Option<Moment<'a>> {
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
    let zone = text("z").map_or(Zone::Unsaid, zone_of);
    let ahead = match zone {
        Zone::Offset(ahead) => ahead,
        // UTC is what a step sees.
        Zone::Unsaid | Zone::Name(_) => 0,
    };
    Some(Moment::Date(utc - ahead, span, zone))
}

fn month(name: &str) -> Option<i8> {
    const NAMES: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let index = NAMES.find(name.get(..3)?)? / 3;
    i8::try_from(index + 1).ok()
}

/// The zone that is written so.
fn zone_of(text: &str) -> Zone<'_> {
    match text {
        "Z" | "UTC" | "GMT" => Zone::Offset(0),
        _ => offset(text).map_or(Zone::Name(text), Zone::Offset),
    }
}

/// Seconds of `+HHMM` or `+HH:MM`; `None` for names of zones.
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
    fn lines_say_when_in_whole_words() {
        for line in [
            "mtime",
            "build_time",
            "build-time",
            "buildTime",
            "BUILD_TIME",
            "UNIXTime",
            "timestamp",
            "lastModified",
            "lastmodified",
            "createdAt",
            "created_at",
            "SOURCE_DATE_EPOCH",
            "Built on",
            "made on",
            ".TH X 1",
        ] {
            assert!(says_when(line.as_bytes()), "{line}");
        }
        for line in [
            "timeout=",
            "runtime ",
            "lifetime",
            "candidate",
            "update",
            "validUntil date",
            "expires at time",
            "builtin",
            "",
        ] {
            assert!(!says_when(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn zones_behind_a_time() {
        for (text, zone) in [
            ("x CET y", Some(" CET")),
            ("x-08 y", Some("-08")),
            ("x +0100", Some(" +0100")),
            ("x[Europe/Berlin]", Some("[Europe/Berlin]")),
            (
                "x-08[America/Los_Angeles]",
                Some("-08[America/Los_Angeles]"),
            ),
            ("x PM", None),
            ("x INFO y", None),
            ("x Makefile", None),
            ("x", None),
            ("x y", None),
            ("x\nCET", None),
        ] {
            let found = zone_behind(text.as_bytes(), 1).map(|range| &text[range]);
            assert_eq!(found, zone, "{text}");
        }
    }

    #[test]
    fn one_moment_of_two_zones_is_local_time() {
        let found = told("2023-11-14 17:13:20", "2023-11-15 07:13:20", "");
        assert_eq!(found, Some((Cause::LocalTime, Confidence::Likely)));
        let found = told("2023-11-14 17:13:20", "2023-11-15 07:13:21", "");
        assert_eq!(found, Some((Cause::EmbeddedTimestamp, Confidence::Likely)));
        for (a, b, cause) in [
            // One moment, and each says in which zone.
            (
                "2024-01-01T10:00:00+00:00",
                "2024-01-01T11:00:00+01:00",
                Cause::LocalTime,
            ),
            (
                "2024-01-01T10:00:00Z",
                "2024-01-01T15:30:00+05:30",
                Cause::LocalTime,
            ),
            (
                "Tue, 14 Nov 2023 10:00:00 +0100",
                "Tue, 14 Nov 2023 09:00:00 +0000",
                Cause::LocalTime,
            ),
            (
                "Tue Nov 14 17:13:20 EST 2023",
                "Wed Nov 15 07:13:20 JST 2023",
                Cause::LocalTime,
            ),
            // Two moments, whatever lies between them.
            (
                "2024-01-01T10:00:00+00:00",
                "2024-01-01T11:00:00+00:00",
                Cause::EmbeddedTimestamp,
            ),
            (
                "2024-01-01T00:00:00Z",
                "2024-01-02T00:00:00Z",
                Cause::EmbeddedTimestamp,
            ),
            (
                "2024-01-01T00:00:00Z",
                "2024-01-01T01:00:00+00:00",
                Cause::EmbeddedTimestamp,
            ),
            (
                "20240101T000000Z",
                "20240101T010000Z",
                Cause::EmbeddedTimestamp,
            ),
            (
                "2024-01-01T10:00:00+00:00",
                "2024-01-01T10:00:00+01:00",
                Cause::EmbeddedTimestamp,
            ),
            (
                "Tue Nov 14 17:13:20 EST 2023",
                "Tue Nov 14 18:13:20 EST 2023",
                Cause::EmbeddedTimestamp,
            ),
            // Minutes of two builds are often a multiple of 15 apart.
            (
                "2024-01-01 10:00",
                "2024-01-01 10:15",
                Cause::EmbeddedTimestamp,
            ),
            ("20240101-1000", "20240101-1100", Cause::EmbeddedTimestamp),
        ] {
            let expected = Some((cause, Confidence::Likely));
            assert_eq!(told(a, b, ""), expected, "{a} {b}");
            assert_eq!(told(b, a, ""), expected, "{b} {a}");
        }
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

    /// Run B reads a clock that is 398 days, 5 hours and 17 minutes ahead; files have the machine's.
    #[test]
    fn moments_of_a_shifted_clock_are_certain() {
        let mut facts = facts();
        facts.b.clock_shift_s = 34_406_220;
        let verdict = |a: &str, b: &str| {
            judge(a.as_bytes(), b.as_bytes(), b"", &facts).map(|(_, confidence)| confidence)
        };
        for (a, b) in [
            ("2026-11-23T21:33:27Z", "2027-12-27T02:50:29Z"),
            ("Nov 23 2026 21:33:27", "Dec 27 2027 02:50:29"),
            ("20261123-2133", "20271227-0250"),
            ("20261123T2133Z", "20271227T0250Z"),
            ("20261123_2133", "20271227_0250"),
            ("1795469607", "1829875829"),
            // Of the machine: the time of a file.
            ("1795469607", "1795469609"),
            // In another zone.
            ("2026-11-24 11:33:27", "2027-12-27 16:50:29"),
            ("2026-11-23", "2027-12-27"),
            ("November 23, 2026", "December 27, 2027"),
            ("23-Nov-2026", "27-Dec-2027"),
        ] {
            assert_eq!(verdict(a, b), Some(Confidence::Certain), "{a}");
        }
        assert_eq!(verdict("21:33:27", "02:50:29"), Some(Confidence::Likely));
        assert_eq!(verdict("1995-11-23", "2027-12-27"), None);
        assert_eq!(verdict("1795469607", "1829975829"), None);
    }

    #[test]
    fn hours_and_minutes_are_those_of_the_clocks_of_the_runs_or_nothing() {
        let mut facts = facts();
        facts.b.clock_shift_s = 34_406_220;
        let verdict = |a: &str, b: &str, part: &str, other: &str, facts: &Facts| {
            let (at, to) = (a.find(part).unwrap(), b.find(other).unwrap());
            judge_minutes(
                (a.as_bytes(), &(at..at + part.len())),
                (b.as_bytes(), &(to..to + other.len())),
                facts,
            )
        };
        let likely = Some(Confidence::Likely);
        assert_eq!(verdict("21:33\n", "02:50\n", "21", "02", &facts), likely);
        assert_eq!(
            verdict("at 21:33,", "at 02:50,", "33", "50", &facts),
            likely
        );
        // By the machine's clock in both.
        assert_eq!(verdict("21:33", "21:33", "33", "33", &facts), likely);
        for (a, b, part, other) in [
            ("20:33", "02:50", "20", "02"),
            ("21:33", "03:50", "21", "03"),
            ("21:33:07", "02:50:07", "21", "02"),
            ("a1:21:33", "a1:02:50", "33", "50"),
            ("121:33", "102:50", "33", "50"),
            ("21:33pm", "02:50pm", "33", "50"),
        ] {
            assert_eq!(verdict(a, b, part, other, &facts), None, "{a}");
        }
        assert_eq!(
            verdict("21:33", "02:50", "21", "02", &Facts::default()),
            None
        );
        // A run of a day shows every minute there is.
        facts.a.window = facts.a.window.map(|window| Window {
            end: window.start + DAY,
            ..window
        });
        assert_eq!(verdict("21:33", "02:50", "21", "02", &facts), None);
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
