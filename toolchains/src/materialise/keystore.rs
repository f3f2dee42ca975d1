//! Java's keystore of certificates, with one date for all entries.
//!
//! ca-certificates-java notes for each certificate when it was imported, down to the millisecond.
//! A JKS file is a list of entries and a digest of it, keyed with a password that everybody knows;
//! the entries are kept as they are, dated by the lock, and the digest is made again. (There is no
//! option of keytool for it, and leaving the file out would leave Java without certificates.)

use sha1::{Digest as _, Sha1};

const MAGIC: u32 = 0xFEED_FEED;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;

/// The password of `/etc/ssl/certs/java/cacerts`, Java's default.
const PASSWORD: &str = "changeit";

/// Length of the digest at the end.
const DIGEST: usize = 20;

/// Largest keystore that is read; Debian's has 150 KiB.
pub(super) const MAX: u64 = 16 << 20;

/// Why a file is not a keystore that can be dated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeystoreError {
    /// Another format, or none.
    #[error("it is no JKS keystore of trusted certificates")]
    Format,
    /// Another password, or damage.
    #[error("its digest does not fit")]
    Digest,
}

/// The keystore `bytes` with the date `seconds` on every entry.
pub(super) fn dated(bytes: &[u8], seconds: u64) -> Result<Vec<u8>, KeystoreError> {
    let at = bytes.len().checked_sub(DIGEST);
    let (entries, digest) = bytes.split_at(at.ok_or(KeystoreError::Format)?);
    if digest != keyed(entries) {
        return Err(KeystoreError::Digest);
    }
    let mut dated = entries.to_vec();
    for place in dates(entries).ok_or(KeystoreError::Format)? {
        let millis = seconds.saturating_mul(1000);
        dated[place..place + 8].copy_from_slice(&millis.to_be_bytes());
    }
    let digest = keyed(&dated);
    dated.extend(digest);
    Ok(dated)
}

/// Where the dates of the entries are.
fn dates(entries: &[u8]) -> Option<Vec<usize>> {
    let mut at = 0_usize;
    let mut take = |count: usize| {
        let taken = entries.get(at..at.checked_add(count)?)?;
        at += count;
        Some((at - count, taken))
    };
    let mut number = |count: usize| {
        let (place, taken) = take(count)?;
        let value = taken
            .iter()
            .fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        Some((place, value))
    };
    if number(4)?.1 != u64::from(MAGIC) || number(4)?.1 != u64::from(VERSION) {
        return None;
    }
    let count = number(4)?.1;
    let mut places = Vec::new();
    for _ in 0..count {
        if number(4)?.1 != u64::from(TRUSTED_CERTIFICATE) {
            return None;
        }
        // The alias, the date, the type of the certificate and the certificate.
        skip(&mut number, 2)?;
        places.push(number(8)?.0);
        skip(&mut number, 2)?;
        skip(&mut number, 4)?;
    }
    (at == entries.len()).then_some(places)
}

/// Skips bytes whose length, of `width` bytes, stands before them.
fn skip(number: &mut impl FnMut(usize) -> Option<(usize, u64)>, width: usize) -> Option<()> {
    let length = usize::try_from(number(width)?.1).ok()?;
    number(length).map(drop)
}

fn keyed(entries: &[u8]) -> [u8; DIGEST] {
    let mut sha1 = Sha1::new();
    for unit in PASSWORD.encode_utf16() {
        sha1.update(unit.to_be_bytes());
    }
    sha1.update(b"Mighty Aphrodite");
    sha1.update(entries);
    sha1.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keystore(millis: u64, entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = [MAGIC, VERSION, u32::try_from(entries.len()).unwrap()]
            .map(u32::to_be_bytes)
            .concat();
        let text = |text: &str| {
            let length = u16::try_from(text.len()).unwrap();
            [&length.to_be_bytes()[..], text.as_bytes()].concat()
        };
        for (alias, certificate) in entries {
            bytes.extend(TRUSTED_CERTIFICATE.to_be_bytes());
            bytes.extend(text(alias));
            bytes.extend(millis.to_be_bytes());
            bytes.extend(text("X.509"));
            bytes.extend(u32::try_from(certificate.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(certificate);
        }
        let digest = keyed(&bytes);
        bytes.extend(digest);
        bytes
    }

    #[test]
    fn entries_stay_and_dates_become_one() {
        let entries: [(&str, &[u8]); 2] =
            [("debian:one.pem", b"certificate"), ("debian:two.pem", b"")];
        let one = keystore(1_795_000_000_123, &entries);
        let two = keystore(1_795_000_999_999, &entries);
        assert_ne!(one, two);
        let expected = keystore(1_700_000_000_000, &entries);
        for bytes in [one, two] {
            assert_eq!(dated(&bytes, 1_700_000_000), Ok(expected.clone()));
        }
        assert_eq!(dated(&keystore(0, &[]), 1), Ok(keystore(0, &[])));
    }

    #[test]
    fn what_is_no_keystore_is_refused() {
        let good = keystore(1, &[("a", b"certificate")]);
        let resealed = |bytes: &[u8]| [bytes, &keyed(bytes)].concat();
        let entries = &good[..good.len() - DIGEST];
        let mut flipped = good.clone();
        flipped[20] ^= 1;
        for (bytes, error) in [
            (Vec::new(), KeystoreError::Format),
            (vec![0; 10], KeystoreError::Format),
            (flipped, KeystoreError::Digest),
            (
                resealed(&entries[..entries.len() - 1]),
                KeystoreError::Format,
            ),
            (resealed(&[entries, b"x"].concat()), KeystoreError::Format),
            (resealed(b"PK\x03\x04"), KeystoreError::Format),
        ] {
            assert_eq!(dated(&bytes, 1), Err(error));
        }
    }
}
