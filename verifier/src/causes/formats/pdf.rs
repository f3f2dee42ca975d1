//! PDF: objects with their streams unpacked; dates and the file's id apart.

use std::{io::Read as _, sync::LazyLock};

use memchr::memmem;
use regex::bytes::Regex;

use super::{Budget, Format, NotOpened, Part, Role, counted};
use crate::causes::{Cause, Confidence};

/// PDF (ISO 32000).
pub(super) struct Pdf;

/// Values that say when a file was made, or which one it is, in dictionaries and in XMP.
static DATED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?s-u)/(?:CreationDate|ModDate)\s*(?:\([^)]{0,64}\)|<[^>]{0,128}>)",
        r"|/ID\s*\[[^\]]{0,512}\]",
        r#"|(?:CreateDate|ModifyDate|MetadataDate|DocumentID|InstanceID|VersionID)(?:>[^<]{0,128}<|="[^"]{0,128}")"#,
    ))
    .expect("a constant pattern")
});
static OBJECT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)\b(\d{1,10})\s+(\d{1,5})\s+obj\b").expect("a constant pattern")
});
static LENGTH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?-u)/Length\s+(\d{1,10})\s*(/|>>|\s\D)").expect("a constant pattern")
});

impl Format for Pdf {
    fn matches(&self, _: &[u8], head: &[u8]) -> bool {
        head.starts_with(b"%PDF-")
    }

    fn open<'a>(&self, bytes: &'a [u8], budget: &mut Budget) -> Result<Vec<Part<'a>>, NotOpened> {
        let first_line = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).next();
        let mut parts = vec![Part::content("version", first_line.unwrap_or_default())];
        let mut at = 0;
        while let Some(found) = OBJECT.captures_at(bytes, at) {
            let (Some(whole), Some(number)) = (found.get(0), found.get(1)) else {
                break;
            };
            outside(&bytes[at..whole.start()], &mut parts)?;
            let name = format!("object {}", String::from_utf8_lossy(number.as_bytes()));
            at = object(bytes, whole.end(), &name, &mut parts, budget)?;
            counted(&parts)?;
        }
        if parts.len() == 1 {
            return Err(NotOpened::Damaged);
        }
        outside(&bytes[at..], &mut parts)?;
        Ok(parts)
    }

    fn form(&self) -> Option<Cause> {
        // Offsets, which follow from what lies between, and compression.
        Some(Cause::DocumentForm)
    }

    fn alone(&self) -> (Cause, Confidence) {
        (Cause::Unknown, Confidence::Unknown)
    }
}

/// Takes apart the object whose content begins at `start`; gives where it ends.
fn object<'a>(
    bytes: &'a [u8],
    start: usize,
    name: &str,
    parts: &mut Vec<Part<'a>>,
    budget: &mut Budget,
) -> Result<usize, NotOpened> {
    let rest = &bytes[start..];
    let end = memmem::find(rest, b"endobj").unwrap_or(rest.len());
    let stream = memmem::find(&rest[..end], b"stream").filter(|at| {
        let head = rest[..*at].trim_ascii_end();
        head.ends_with(b">>")
    });
    let Some(stream) = stream else {
        dictionary(name, &rest[..end], parts);
        return Ok(start + end);
    };
    let head = &rest[..stream];
    let data = stream + b"stream".len();
    let data = match rest.get(data..) {
        Some([b'\r', b'\n', ..]) => data + 2,
        Some([b'\n' | b'\r', ..]) => data + 1,
        _ => data,
    };
    // The length can be in another object, or wrong: then the word behind the data counts.
    let said = LENGTH
        .captures(head)
        .and_then(|found| {
            std::str::from_utf8(found.get(1)?.as_bytes())
                .ok()?
                .parse()
                .ok()
        })
        .and_then(|length: usize| data.checked_add(length))
        .filter(|end| {
            let behind = rest.get(*end..).unwrap_or_default();
            behind[..behind.len().min(32)]
                .trim_ascii_start()
                .starts_with(b"endstream")
        });
    let data_end = said.unwrap_or_else(|| {
        memmem::find(&rest[data.min(rest.len())..], b"endstream").map_or(rest.len(), |at| data + at)
    });
    let packed = rest.get(data..data_end).unwrap_or_default();
    let holds = |word: &[u8]| memmem::find(head, word).is_some();
    // Offsets of objects, which follow from what lies before them.
    let offsets = holds(b"/XRef");
    if offsets {
        parts.extend(dated(name, head).map(|(name, value)| field(name, value)));
    } else {
        let without_length = LENGTH.replace(head, &b"$2"[..]).into_owned();
        dictionary_owned(name, without_length, parts);
        let unpacked = if holds(b"/FlateDecode") && !holds(b"/DecodeParms") {
            inflate(packed, budget)?
        } else {
            None
        };
        let stream_name = format!("{name} stream");
        match unpacked {
            Some(data) => dictionary_owned(&stream_name, data, parts),
            None => parts.push(Part::content(stream_name, packed)),
        }
    }
    let behind = memmem::find(&rest[data_end.min(rest.len())..], b"endobj");
    Ok(start + behind.map_or(rest.len(), |at| data_end + at))
}

/// What a stream unpacks to; `None` where it does not.
fn inflate(packed: &[u8], budget: &mut Budget) -> Result<Option<Vec<u8>>, NotOpened> {
    let limit = budget.bytes().saturating_add(1);
    let mut data = Vec::new();
    let read = flate2::read::ZlibDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut data);
    budget.take(data.len() as u64)?;
    Ok(read.is_ok().then_some(data))
}

/// Cross-reference tables, of which only the trailer's id is no offset.
fn outside<'a>(bytes: &'a [u8], parts: &mut Vec<Part<'a>>) -> Result<(), NotOpened> {
    if let Some(at) = memmem::find(bytes, b"trailer") {
        let end = memmem::find(&bytes[at..], b"startxref").map_or(bytes.len(), |end| at + end);
        dictionary("trailer", &bytes[at..end], parts);
    }
    counted(parts)
}

fn field<'a>(name: String, value: &[u8]) -> Part<'a> {
    Part {
        name,
        role: Role::Field(Cause::PdfDate),
        bytes: value.to_vec().into(),
    }
}

/// The dates and ids in `bytes`, each with a name of its own.
fn dated<'b>(name: &str, bytes: &'b [u8]) -> impl Iterator<Item = (String, &'b [u8])> {
    DATED.find_iter(bytes).map(move |found| {
        let value = found.as_bytes();
        let key = value
            .split(|byte| !byte.is_ascii_alphabetic() && *byte != b'/')
            .next()
            .unwrap_or_default();
        (format!("{name} {}", String::from_utf8_lossy(key)), value)
    })
}

fn dictionary<'a>(name: &str, bytes: &'a [u8], parts: &mut Vec<Part<'a>>) {
    if DATED.is_match(bytes) {
        dictionary_owned(name, bytes.to_vec(), parts);
    } else {
        parts.push(Part::content(name, bytes.trim_ascii()));
    }
}

fn dictionary_owned(name: &str, bytes: Vec<u8>, parts: &mut Vec<Part<'_>>) {
    parts.extend(dated(name, &bytes).map(|(name, value)| field(name, value)));
    let rest = if DATED.is_match(&bytes) {
        DATED.replace_all(&bytes, &b""[..]).into_owned()
    } else {
        bytes
    };
    parts.push(Part::content(name, rest.trim_ascii().to_vec()));
}
