//! From two contents to the causes of their difference.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::Range,
};

use memchr::memmem;
use repro_core::{build::Variation, tree::show_bytes};

use super::{
    Cause, Confidence, Facts,
    around::Around,
    binary::{binary_moment, is_packed},
    lexer::{Change, Changes, changes},
    moment, numbers, paths,
    random::{random_bytes, random_text, random_words},
    secrecy::secret_marker,
};

/// Largest content that is compared as a whole; of larger ones only the parts that differ.
const WHOLE: u64 = 1 << 20;
/// Bytes looked at on each side of a large content.
const PARTS: u64 = 1 << 20;
/// Bytes around a differing part that are looked at with it, to see the whole line.
const AROUND: u64 = 256;
/// Bytes read at a time.
const CHUNK: usize = 64 << 10;
/// Bytes by which chunks overlap, so that nothing of interest is cut in two: the marker of a
/// key, or a host or domain name (at most 64 bytes on Linux).
const OVERLAP: u64 = 128;
/// Longest excerpt, in bytes before escaping.
const EXCERPT: usize = 96;
/// Bytes of binary data in an excerpt: one line of a hex dump.
const BINARY_EXCERPT: usize = 16;
/// Words between two unrecognised changes that keep them from being one: a byte offset of a
/// hex dump is seven digits, so three separators are never one.
const GAP: usize = 3;

/// Whether excerpts of a file may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excerpts {
    /// They may.
    Allowed,
    /// Digests and offsets only.
    Refused,
}

/// Content that can be read at any place.
pub trait ContentView {
    /// Number of bytes.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`; an error if there are fewer bytes.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ContentView for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let part = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..)?.get(..buf.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(part);
        Ok(())
    }
}

/// What stands at the place of a difference, printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// In run A.
    pub a: String,
    /// In run B.
    pub b: String,
    /// The bytes around it, where they say more.
    pub around: Option<Around>,
}

/// One cause found in a pair of contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentFinding {
    /// The cause.
    pub cause: Cause,
    /// How sure it is.
    pub confidence: Confidence,
    /// Byte offset in the content of run A.
    pub offset: u64,
    /// What stands there, unless the file may not be shown.
    pub excerpt: Option<Excerpt>,
    /// The part of the content, as names from the outermost archive on, divided by `!`; absent
    /// for the content as it is.
    pub inside: Option<String>,
}

/// Finds the causes of the difference of `a` and `b`, most certain first; at least one,
/// [`Cause::Unknown`] where nothing was recognised. Equal contents have none.
pub fn find_causes(
    a: &dyn ContentView,
    b: &dyn ContentView,
    excerpts: Excerpts,
    facts: &Facts,
) -> io::Result<Vec<ContentFinding>> {
    let Some(scan) = scan(a, b, facts)? else {
        return Ok(Vec::new());
    };
    if scan.secret_a && scan.secret_b {
        return Ok(vec![ContentFinding {
            cause: Cause::GeneratedKey,
            confidence: Confidence::Likely,
            offset: scan.first,
            excerpt: None,
            inside: None,
        }]);
    }
    let excerpts = if scan.secret_a || scan.secret_b {
        Excerpts::Refused
    } else {
        excerpts
    };
    let mut collected = Collected::new(excerpts);
    for window in windows(a, b, &scan)? {
        window.judge(facts, &mut collected);
    }
    for (cause, offset) in scan.canaries {
        collected.add_beyond(cause, Confidence::Certain, offset);
    }
    Ok(collected.finish(scan.first))
}

/// Names the cause of two differing names of what is else one entry.
#[must_use]
pub fn name_cause(a: &[u8], b: &[u8], facts: &Facts) -> Option<(Cause, Confidence)> {
    let Changes::Words(found) = changes(a, b, &names(facts)) else {
        return None;
    };
    let window = Window::whole(a.to_vec(), b.to_vec());
    let named: Option<Vec<_>> = found
        .iter()
        .map(|change| window.name(change, facts))
        .collect();
    // Every part that differs must be explained, or the two are not one entry.
    named?.into_iter().min_by_key(|(_, confidence)| *confidence)
}

/// What one pass over both contents tells.
struct Scan {
    /// First byte that differs, or the end of the shorter content.
    first: u64,
    /// Parts that differ byte by byte, if both are of one length.
    parts: Vec<Range<u64>>,
    secret_a: bool,
    secret_b: bool,
    /// Where run B's content holds a value that only run B has, and run A's content none of its
    /// cause.
    canaries: BTreeMap<Cause, u64>,
}

fn scan(a: &dyn ContentView, b: &dyn ContentView, facts: &Facts) -> io::Result<Option<Scan>> {
    let canaries = canaries(facts);
    let mut in_a = BTreeSet::new();
    let mut scan = Scan {
        first: a.len().min(b.len()),
        parts: Vec::new(),
        secret_a: false,
        secret_b: false,
        canaries: BTreeMap::new(),
    };
    let mut differs = a.len() != b.len();
    let mut covered = 0;
    let (mut chunk_a, mut chunk_b) = (Vec::new(), Vec::new());
    let mut offset = 0;
    while offset < a.len().max(b.len()) {
        // Each chunk begins where a marker cut by the end of the last one would.
        let from = offset.saturating_sub(OVERLAP);
        fill(a, from, &mut chunk_a)?;
        fill(b, from, &mut chunk_b)?;
        scan.secret_a |= secret_marker(from, &chunk_a).is_some();
        scan.secret_b |= secret_marker(from, &chunk_b).is_some();
        for (cause, value) in &canaries {
            if memmem::find(&chunk_a, value).is_some() {
                in_a.insert(*cause);
            }
            if let Some(at) = memmem::find(&chunk_b, value) {
                scan.canaries.entry(*cause).or_insert(from + at as u64);
            }
        }
        for at in differing(&chunk_a, &chunk_b) {
            let at = from + at as u64;
            if !differs || at < scan.first {
                scan.first = scan.first.min(at);
                differs = true;
            }
            match scan.parts.last_mut() {
                Some(last) if at <= last.end + 2 * AROUND => last.end = last.end.max(at + 1),
                _ if covered > PARTS => {}
                _ => {
                    covered += 2 * AROUND;
                    scan.parts.push(at..at + 1);
                }
            }
        }
        offset = from + CHUNK as u64;
    }
    scan.canaries.retain(|cause, _| !in_a.contains(cause));
    Ok(differs.then_some(scan))
}

/// The values of run B that a file can have caught, where run A has others, with what their catching
/// is called. Those that no other machine has prove themselves also where nothing is known of the runs.
fn canaries(facts: &Facts) -> Vec<(Cause, &[u8])> {
    let names = [
        (&facts.a.hostname, &facts.b.hostname),
        (&facts.a.domainname, &facts.b.domainname),
    ];
    let names = names
        .into_iter()
        .filter(|(a, b)| a != b)
        .filter_map(|(_, b)| b.as_deref().map(str::as_bytes))
        .chain([Variation::HOSTNAME_CANARY.as_bytes()])
        .filter(|name| !name.is_empty());
    names
        .map(|name| (Cause::EmbeddedHostname, name))
        .chain(KERNEL.map(|name| (Cause::EmbeddedKernel, name.as_bytes())))
        .collect()
}

/// The host name in run A, also where nothing is known of the runs.
const RUN_A: &str = "repro-a";

/// What `uname -r` and `uname -v` say in run B.
const KERNEL: [&str; 2] = [Variation::KERNEL_CANARY, Variation::KERNEL_VERSION_CANARY];

/// Shortest name that is a word of its own inside of others: a shorter one is in too many by chance.
const SHORTEST_NAME: usize = 4;

/// What of the machines of the runs can stand in a word, with a date or a random text beside it.
fn names(facts: &Facts) -> Vec<&[u8]> {
    let hosts = [
        (&facts.a.hostname, &facts.b.hostname),
        (&facts.a.domainname, &facts.b.domainname),
    ];
    let hosts = hosts.into_iter().filter(|(a, b)| a != b);
    let of_a = hosts.filter_map(|(a, _)| a.as_deref().map(str::as_bytes));
    // Of a version the part that names the machine: the others are words that any kernel says.
    let of_b = canaries(facts)
        .into_iter()
        .filter_map(|(_, value)| value.rsplit(|byte| *byte == b' ').next());
    of_a.chain(of_b)
        .chain([RUN_A.as_bytes()])
        .filter(|name| <[u8]>::len(name) >= SHORTEST_NAME)
        .collect()
}

/// Reads up to [`CHUNK`] bytes at `offset`.
fn fill(content: &dyn ContentView, offset: u64, chunk: &mut Vec<u8>) -> io::Result<()> {
    let length = content.len().saturating_sub(offset).min(CHUNK as u64);
    chunk.resize(usize::try_from(length).unwrap_or(CHUNK), 0);
    content.read_at(offset, chunk)
}

fn differing<'a>(a: &'a [u8], b: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let equal = a == b;
    a.iter()
        .zip(b)
        .enumerate()
        .filter(move |(_, (a, b))| !equal && a != b)
        .map(|(at, _)| at)
}

/// Parts of both contents that are compared with each other.
struct Window {
    a: Vec<u8>,
    b: Vec<u8>,
    /// Offset of `a` in its content.
    offset: u64,
    /// Whether the whole content is compressed data.
    packed: bool,
    /// Whether both sides hold the whole content.
    whole: bool,
}

fn windows(a: &dyn ContentView, b: &dyn ContentView, scan: &Scan) -> io::Result<Vec<Window>> {
    let packed = {
        let mut head = vec![0; usize::try_from(a.len().min(8)).unwrap_or(0)];
        a.read_at(0, &mut head)?;
        is_packed(&head)
    };
    let load = |content: &dyn ContentView, range: Range<u64>| -> io::Result<Vec<u8>> {
        let length = range.end.min(content.len()).saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(length.min(PARTS)).unwrap_or(0)];
        content.read_at(range.start, &mut bytes)?;
        Ok(bytes)
    };
    if a.len() <= WHOLE && b.len() <= WHOLE {
        return Ok(vec![Window {
            packed,
            ..Window::whole(load(a, 0..a.len())?, load(b, 0..b.len())?)
        }]);
    }
    let part = |from: u64, to_a: u64, to_b: u64| -> io::Result<Window> {
        Ok(Window {
            a: load(a, from..to_a)?,
            b: load(b, from..to_b)?,
            offset: from,
            packed,
            whole: false,
        })
    };
    if a.len() != b.len() {
        // Everything behind the first difference is shifted: look at what follows it.
        let from = scan.first.saturating_sub(AROUND);
        return Ok(vec![part(from, from + PARTS, from + PARTS)?]);
    }
    let mut left = PARTS;
    let mut windows = Vec::new();
    for range in &scan.parts {
        let from = range.start.saturating_sub(AROUND);
        let to = (range.end + AROUND).min(from + left);
        if to <= range.start {
            break;
        }
        left -= to - from;
        windows.push(part(from, to, to)?);
    }
    Ok(windows)
}

impl Window {
    fn whole(a: Vec<u8>, b: Vec<u8>) -> Self {
        Self {
            a,
            b,
            offset: 0,
            packed: false,
            whole: true,
        }
    }

    fn judge(&self, facts: &Facts, collected: &mut Collected) {
        let found = match changes(&self.a, &self.b, &names(facts)) {
            Changes::Words(found) => found,
            Changes::Reordered { place, .. } if self.whole => {
                collected.add(Cause::LineOrder, Confidence::Likely, self, &place);
                return;
            }
            Changes::Reordered { first, .. } => vec![first],
        };
        let mut unnamed: Vec<Change> = Vec::new();
        let mut time: Option<Change> = None;
        for change in found {
            // Said with the time that it belongs to.
            if time
                .as_ref()
                .is_some_and(|time| self.is_zone_of(time, &change))
            {
                continue;
            }
            match self.name(&change, facts) {
                Some((cause, confidence)) => {
                    collected.add(cause, confidence, self, &change);
                    if matches!(cause, Cause::EmbeddedTimestamp | Cause::LocalTime) {
                        time = Some(change);
                    }
                }
                None => match unnamed.last_mut() {
                    Some(last) if self.belongs(last, &change) => {
                        last.a.end = change.a.end;
                        last.b.end = change.b.end;
                        last.binary |= change.binary;
                    }
                    _ => unnamed.push(change),
                },
            }
        }
        for change in self.by_line(&unnamed) {
            let (a, b) = (&self.a[change.a.clone()], &self.b[change.b.clone()]);
            let random = if change.binary {
                !self.packed && random_bytes(a, b)
            } else {
                random_text(a, b) && !paths::is_digest(&self.a, &change.a)
            };
            if random {
                collected.add(Cause::RandomContent, Confidence::Likely, self, &change);
            } else {
                collected.add(Cause::Unknown, Confidence::Unknown, self, &change);
            }
        }
    }

    /// Joins the changes without a name that stand on one line, where together they look drawn at
    /// random: letters that both sides have by chance cut such a text in pieces.
    fn by_line(&self, changes: &[Change]) -> Vec<Change> {
        let mut joined: Vec<Change> = Vec::new();
        for run in
            changes.chunk_by(|one, next| !one.binary && !next.binary && self.one_line(one, next))
        {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let whole = Change {
                a: first.a.start..last.a.end,
                b: first.b.start..last.b.end,
                binary: false,
            };
            if run.len() > 1 && random_text(&self.a[whole.a.clone()], &self.b[whole.b.clone()]) {
                joined.push(whole);
            } else {
                joined.extend_from_slice(run);
            }
        }
        joined
    }

    fn one_line(&self, one: &Change, next: &Change) -> bool {
        let between = |bytes: &[u8], from: usize, to: usize| {
            bytes
                .get(from..to)
                .is_some_and(|gap| !gap.iter().any(|byte| matches!(byte, b'\n' | 0)))
        };
        between(&self.a, one.a.end, next.a.start) && between(&self.b, one.b.end, next.b.start)
    }

    /// Whether a change is in the zones that are written behind a time that differs.
    fn is_zone_of(&self, time: &Change, change: &Change) -> bool {
        let holds = |bytes, end, part: &Range<usize>| {
            let zone = moment::zone_behind(bytes, end);
            zone.is_some_and(|zone| zone.start <= part.start && part.end <= zone.end)
        };
        holds(&self.a, time.a.end, &change.a) && holds(&self.b, time.b.end, &change.b)
    }

    /// Whether both sides name one zone behind a time.
    fn in_one_zone(&self, change: &Change) -> bool {
        fn zone(bytes: &[u8], end: usize) -> Option<&[u8]> {
            moment::zone_behind(bytes, end).map(|zone| &bytes[zone])
        }
        let (a, b) = (zone(&self.a, change.a.end), zone(&self.b, change.b.end));
        a.is_some() && a == b
    }

    /// Whether two changes without a name are parts of one: only separators lie between.
    fn belongs(&self, last: &Change, next: &Change) -> bool {
        let between = |bytes: &[u8], from: usize, to: usize| {
            bytes
                .get(from..to)
                .is_some_and(|gap| gap.len() <= GAP && !gap.iter().any(u8::is_ascii_alphanumeric))
        };
        between(&self.a, last.a.end, next.a.start) && between(&self.b, last.b.end, next.b.start)
    }

    /// Names the cause of one change, by the value that differs.
    fn name(&self, change: &Change, facts: &Facts) -> Option<(Cause, Confidence)> {
        let (a, b) = (&self.a[change.a.clone()], &self.b[change.b.clone()]);
        if let Some(cause) = self.canary(change, facts) {
            return Some((cause, Confidence::Certain));
        }
        if change.binary {
            return binary_moment((&self.a, &change.a), (&self.b, &change.b), facts)
                .map(|_| (Cause::EmbeddedTimestamp, Confidence::Likely));
        }
        let named = |cause| move |confidence| (cause, confidence);
        let line = line(&self.a, &change.a);
        let (number_a, number_b) = numbers::cores(a, b);
        let in_hours = || {
            let a = moment::with_hours(&self.a, &change.a)?;
            let b = moment::with_hours(&self.b, &change.b)?;
            moment::judge(&a, &b, line, facts)
        };
        in_hours()
            .or_else(|| moment::judge(a, b, line, facts))
            .map(|named| match named.0 {
                // Two moments by one clock.
                Cause::LocalTime if self.in_one_zone(change) => {
                    (Cause::EmbeddedTimestamp, Confidence::Likely)
                }
                _ => named,
            })
            .or_else(|| moment::judge(number_a, number_b, line, facts))
            .or_else(|| {
                moment::judge_minutes((&self.a, &change.a), (&self.b, &change.b), facts)
                    .map(named(Cause::EmbeddedTimestamp))
            })
            .or_else(|| {
                numbers::judge_cpus(number_a, number_b, line, facts)
                    .map(named(Cause::EmbeddedCpuCount))
            })
            .or_else(|| {
                numbers::judge_pids(number_a, number_b, facts).map(named(Cause::EmbeddedProcessId))
            })
            .or_else(|| numbers::judge_addresses(a, b).map(named(Cause::EmbeddedAddress)))
            .or_else(|| {
                let random = random_words(a, b) && !paths::is_digest(&self.a, &change.a);
                random.then_some((Cause::RandomContent, Confidence::Likely))
            })
            .or_else(|| {
                let path = paths::differ((&self.a, &change.a), (&self.b, &change.b));
                path.then_some((Cause::EmbeddedPath, Confidence::Likely))
            })
    }

    /// What is caught where the change is: a value that only run B has, and that run A's file does
    /// not hold there.
    fn canary(&self, change: &Change, facts: &Facts) -> Option<Cause> {
        let caught =
            |value| touches(&self.b, &change.b, value) && !touches(&self.a, &change.a, value);
        let mut canaries = canaries(facts).into_iter();
        match canaries.find(|(_, value)| caught(value)) {
            Some((cause, _)) => Some(cause),
            None => self.beside_kernel(change).then_some(Cause::EmbeddedKernel),
        }
    }

    /// Whether only run A has these words, on a line with run B's kernel: what run A's is called is not
    /// known, and most have a longer name.
    fn beside_kernel(&self, change: &Change) -> bool {
        let says = |bytes, range| {
            let line = line(bytes, range);
            KERNEL
                .iter()
                .any(|name| memmem::find(line, name.as_bytes()).is_some())
        };
        change.b.is_empty() && says(&self.b, &change.b) && !says(&self.a, &change.a)
    }
}

/// Whether `name` occurs in `bytes` so that it overlaps or meets `range`.
fn touches(bytes: &[u8], range: &Range<usize>, name: &[u8]) -> bool {
    if name.is_empty() || range.is_empty() {
        return false;
    }
    let start = range.start.saturating_sub(name.len() - 1);
    let end = (range.end + name.len() - 1).min(bytes.len());
    memmem::find(&bytes[start..end], name).is_some()
}

/// The line around `range`, at most [`EXCERPT`] bytes.
fn line<'a>(bytes: &'a [u8], range: &Range<usize>) -> &'a [u8] {
    let spare = EXCERPT.saturating_sub(range.len()) / 2;
    let floor = range.start.saturating_sub(spare);
    let ceiling = (range.end + spare).min(bytes.len());
    let start = bytes[floor..range.start]
        .iter()
        .rposition(|byte| matches!(byte, b'\n' | 0))
        .map_or(floor, |newline| floor + newline + 1);
    let end = bytes[range.end..ceiling]
        .iter()
        .position(|byte| matches!(byte, b'\n' | 0))
        .map_or(ceiling, |newline| range.end + newline);
    &bytes[start..end]
}

/// Findings by cause: the surest and first of each.
struct Collected {
    excerpts: Excerpts,
    findings: BTreeMap<Cause, ContentFinding>,
}

impl Collected {
    const fn new(excerpts: Excerpts) -> Self {
        Self {
            excerpts,
            findings: BTreeMap::new(),
        }
    }

    fn add(&mut self, cause: Cause, confidence: Confidence, window: &Window, change: &Change) {
        if let Some(known) = self.findings.get(&cause)
            && known.confidence >= confidence
        {
            return;
        }
        // Binary data is one change as a whole: what matters is where it begins to differ.
        let (a, b) = (&window.a[change.a.clone()], &window.b[change.b.clone()]);
        let equal = a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let skipped = if change.binary { equal } else { 0 };
        let around = Some(Around::of(
            (&window.a, change.a.start + skipped..change.a.end),
            (&window.b, change.b.start + skipped..change.b.end),
            window.offset,
        ));
        let excerpt = match self.excerpts {
            Excerpts::Refused => None,
            Excerpts::Allowed if change.binary => Some(Excerpt {
                a: hex(&window.a, window.offset, change.a.start + skipped),
                b: hex(&window.b, window.offset, change.b.start + skipped),
                around,
            }),
            Excerpts::Allowed => {
                let (a, b) = lines_shown((&window.a, &change.a), (&window.b, &change.b));
                Some(Excerpt { a, b, around })
            }
        };
        let finding = ContentFinding {
            cause,
            confidence,
            offset: window.offset + (change.a.start + skipped) as u64,
            excerpt,
            inside: None,
        };
        self.findings.insert(cause, finding);
    }

    /// A cause seen where no window was taken.
    fn add_beyond(&mut self, cause: Cause, confidence: Confidence, offset: u64) {
        self.findings.entry(cause).or_insert(ContentFinding {
            cause,
            confidence,
            offset,
            excerpt: None,
            inside: None,
        });
    }

    /// `first` is the first differing byte, for contents in which no window shows a change:
    /// what was looked at of large contents is limited.
    fn finish(self, first: u64) -> Vec<ContentFinding> {
        let mut findings: Vec<ContentFinding> = self.findings.into_values().collect();
        if findings.is_empty() {
            findings.push(ContentFinding {
                cause: Cause::Unknown,
                confidence: Confidence::Unknown,
                offset: first,
                excerpt: None,
                inside: None,
            });
        }
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.confidence), finding.offset));
        findings
    }
}

/// The lines of a change; with the white space around them where it is all that differs.
fn lines_shown(
    (a, range_a): (&[u8], &Range<usize>),
    (b, range_b): (&[u8], &Range<usize>),
) -> (String, String) {
    let shown = |line: &[u8]| show_bytes(&line[..line.len().min(EXCERPT)]).into_owned();
    let (line_a, line_b) = (line(a, range_a), line(b, range_b));
    let (text_a, text_b) = (line_a.trim_ascii(), line_b.trim_ascii());
    if text_a == text_b {
        return (shown(line_a), shown(line_b));
    }
    (shown(text_a), shown(text_b))
}

/// One line of a hex dump, of the bytes around a place.
fn hex(bytes: &[u8], offset: u64, at: usize) -> String {
    let aligned = (offset + at as u64) / BINARY_EXCERPT as u64 * BINARY_EXCERPT as u64;
    let from = usize::try_from(aligned.saturating_sub(offset)).unwrap_or(at);
    let from = from.min(bytes.len());
    let row = &bytes[from..bytes.len().min(from + BINARY_EXCERPT)];
    let mut pairs = String::new();
    for (index, byte) in row.iter().enumerate() {
        if index > 0 && index % 2 == 0 {
            pairs.push(' ');
        }
        for digit in [byte >> 4, byte & 15] {
            pairs.push(char::from_digit(digit.into(), 16).unwrap_or('?'));
        }
    }
    let text: String = row
        .iter()
        .map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        })
        .collect();
    format!("{:08x}: {pairs} |{text}|", offset + from as u64)
}

#[cfg(test)]
mod tests;
