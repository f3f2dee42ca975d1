//! PAX extended headers: `LENGTH KEY=VALUE\n`, and which of their keys mean something here.

use std::collections::BTreeMap;

use super::LayerFault;

/// What the records of one extended header say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<u64>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

const XATTR: &[u8] = b"SCHILY.xattr.";
/// Longest name of an attribute (Linux `XATTR_NAME_MAX`).
const MAX_XATTR_NAME: usize = 255;

/// Splits an extended header into its records.
fn split(mut bytes: &[u8]) -> Result<BTreeMap<&[u8], &[u8]>, LayerFault> {
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|byte| *byte == b' ');
        let space = space.ok_or(LayerFault::PaxRecord)?;
        let length = decimal(&bytes[..space]).ok_or(LayerFault::PaxRecord)?;
        let length = usize::try_from(length).map_err(|_| LayerFault::PaxRecord)?;
        if length <= space + 1 || length > bytes.len() {
            return Err(LayerFault::PaxRecord);
        }
        let (record, rest) = bytes.split_at(length);
        let record = record[space + 1..]
            .strip_suffix(b"\n")
            .ok_or(LayerFault::PaxRecord)?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let equals = equals.filter(|at| *at > 0).ok_or(LayerFault::PaxRecord)?;
        // POSIX lets the last one count, some readers take the first, and no writer does it.
        if records
            .insert(&record[..equals], &record[equals + 1..])
            .is_some()
        {
            return Err(LayerFault::PaxTwice(shown(&record[..equals])));
        }
        bytes = rest;
    }
    Ok(records)
}

/// Reads the header of one entry (type `x`).
///
/// Keys that say nothing about what is unpacked (times of access and change, names of owners,
/// ACLs, comments, vendors' notes) are passed over, as POSIX asks; `LIBARCHIVE.xattr.*` among
/// them, which libarchive writes beside the same attribute under `SCHILY.xattr.*` and no engine
/// reads. Sparse files are refused: image-spec discourages them and readers disagree on them.
pub(super) fn entry_records(bytes: &[u8]) -> Result<Records, LayerFault> {
    let mut records = Records::default();
    for (key, value) in split(bytes)? {
        let number = || decimal(value).ok_or_else(|| LayerFault::PaxValue(shown(key)));
        let id = || {
            number().and_then(|id| u32::try_from(id).map_err(|_| LayerFault::PaxValue(shown(key))))
        };
        match key {
            // An empty value takes back what a global header said, and those say nothing here.
            _ if value.is_empty() && !key.starts_with(XATTR) => {}
            b"path" => records.path = Some(value.to_vec()),
            b"linkpath" => records.link = Some(value.to_vec()),
            b"size" => records.size = Some(number()?),
            b"uid" => records.uid = Some(id()?),
            b"gid" => records.gid = Some(id()?),
            b"mtime" => {
                let time = floor_seconds(value);
                records.mtime = Some(time.ok_or_else(|| LayerFault::PaxValue(shown(key)))?);
            }
            b"SCHILY.realsize" => return Err(LayerFault::Sparse),
            key if key.starts_with(b"GNU.sparse.") => return Err(LayerFault::Sparse),
            key => {
                if let Some(name) = key.strip_prefix(XATTR) {
                    if name.is_empty() || name.len() > MAX_XATTR_NAME || name.contains(&0) {
                        return Err(LayerFault::XattrName(shown(name)));
                    }
                    records.xattrs.insert(name.to_vec(), value.to_vec());
                }
            }
        }
    }
    Ok(records)
}

/// Checks a global header (type `g`). `git archive` leaves a comment in one, which is passed
/// over. Anything else is refused: GNU tar applies it to every entry behind it, Go's reader,
/// and so every engine, does not.
pub(super) fn check_global(bytes: &[u8]) -> Result<(), LayerFault> {
    match split(bytes)?.keys().find(|key| **key != b"comment") {
        Some(key) => Err(LayerFault::GlobalHeader(shown(key))),
        None => Ok(()),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// `[-]digits[.digits]`, rounded down to whole seconds; before 1970 becomes 1970.
fn floor_seconds(value: &[u8]) -> Option<u64> {
    let negative = value.strip_prefix(b"-");
    let digits = negative.unwrap_or(value);
    let dot = digits.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = digits.split_at(dot.unwrap_or(digits.len()));
    let whole = decimal(whole)?;
    if !fraction.iter().skip(1).all(u8::is_ascii_digit) {
        return None;
    }
    Some(if negative.is_some() { 0 } else { whole })
}

fn shown(key: &[u8]) -> String {
    crate::tree::show_bytes(&key[..key.len().min(80)]).into_owned()
}

/// One record; its length counts itself.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3; // space, equals sign, newline
    let mut length = body + 1;
    while body + length.to_string().len() != length {
        length = body + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        assert_eq!(record(b"mtime", b"1"), b"11 mtime=1\n");
        // Where one more digit of length makes the length one digit longer.
        for size in 0..1200 {
            let record = record(b"k", &vec![b'v'; size]);
            let text = String::from_utf8(record.clone()).unwrap();
            let length: usize = text.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(length, record.len());
        }
    }

    #[test]
    fn values() {
        let read =
            |key: &str, value: &str| entry_records(&record(key.as_bytes(), value.as_bytes()));
        assert_eq!(read("mtime", "12.999").unwrap().mtime, Some(12));
        assert_eq!(read("mtime", "-0.5").unwrap().mtime, Some(0));
        assert_eq!(
            read("size", "9999999999").unwrap().size,
            Some(9_999_999_999)
        );
        assert_eq!(read("size", "").unwrap().size, None);
        assert_eq!(
            read("LIBARCHIVE.xattr.user.x", "eA==").unwrap(),
            Records::default()
        );
        let xattrs = read("SCHILY.xattr.user.a=b", "v").unwrap().xattrs;
        assert_eq!(xattrs.into_keys().collect::<Vec<_>>(), [b"user.a"]);
        for (key, value) in [
            ("mtime", "1e3"),
            ("mtime", "1.2.3"),
            ("mtime", "x"),
            ("size", "-1"),
            ("size", "1.5"),
            ("size", "18446744073709551616"),
            ("uid", "4294967296"),
            ("gid", "-2"),
            ("GNU.sparse.major", "1"),
            ("SCHILY.realsize", "5"),
            ("SCHILY.xattr.", "x"),
        ] {
            assert!(read(key, value).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            &b"5 a=b\n"[..],
            b"7 a=b\n",
            b"6 a=b ",
            b"6 ab\n",
            b"5 =b\n",
            b"a=b\n",
            b" a=b\n",
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"2 ",
            b"+6 a=b\n",
            b"6 a=b\n\0",
        ] {
            assert!(entry_records(bytes).is_err(), "{bytes:?}");
        }
        let twice = [record(b"path", b"a"), record(b"path", b"b")].concat();
        assert!(matches!(
            entry_records(&twice),
            Err(LayerFault::PaxTwice(_))
        ));
    }

    #[test]
    fn a_global_header_may_only_comment() {
        assert!(check_global(&record(b"comment", b"0123")).is_ok());
        assert!(matches!(
            check_global(&record(b"path", b"x")),
            Err(LayerFault::GlobalHeader(_))
        ));
    }
}
