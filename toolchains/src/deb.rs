//! Binary packages: an `ar` archive of a version, a control tar and a data tar (deb(5)).

mod ar;

use std::io::{self, Read};

use repro_core::{
    layer::{LayerReader, Limits},
    tree::EntrySource,
};

use crate::codec::Codec;

/// Longest `debian-binary` that is read: it is `2.0` and a newline.
const MAX_VERSION: u64 = 64;

/// Limits on the files of one package. Debian's largest have some hundred thousand files and a
/// few GiB; a package is locked by digest, so this is against mistakes more than malice.
const LIMITS: Limits = Limits {
    max_entries: 1_000_000,
    max_extended_header: 1 << 20,
    max_xattr_bytes: 64 << 10,
    max_content: 16 << 30,
    max_ratio: 1100,
};

/// Why bytes are not a package. Wrapped in [`io::Error`] of kind `InvalidData`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DebError {
    /// Not an `ar` archive.
    #[error("not a Debian package: the bytes do not begin as an ar archive does")]
    Magic,
    /// The header of a member.
    #[error("the header of member {0} is malformed")]
    Header(u32),
    /// Another version of the format.
    #[error("a package of version {0:?}, not 2.x")]
    Version(String),
    /// A member that is not there or comes in another place.
    #[error("member {found:?} where {expected} should be")]
    Member {
        /// What deb(5) has here.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A compression that dpkg does not know either.
    #[error("member {0:?} is compressed in a way that is not known")]
    Compression(String),
}

impl From<DebError> for io::Error {
    fn from(error: DebError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Reads the package `deb` and hands the entries of its data tar to `take`; then reads on to the
/// end of `deb`, so that a reader that verifies has verified everything.
pub fn read_data(
    deb: &mut dyn Read,
    take: &mut dyn FnMut(&mut dyn EntrySource) -> io::Result<()>,
) -> io::Result<()> {
    let mut archive = ar::Reader::new(deb)?;
    let (name, member) = archive.next_member()?;
    if name != "debian-binary" {
        return Err(unexpected("debian-binary", name));
    }
    let mut version = String::new();
    member.take(MAX_VERSION).read_to_string(&mut version)?;
    if !version.starts_with("2.") {
        let shown = version.trim_end().chars().take(20).collect();
        return Err(DebError::Version(shown).into());
    }
    let (name, mut member) = archive.next_member()?;
    if !name.starts_with("control.tar") {
        return Err(unexpected("control.tar", name));
    }
    io::copy(&mut member, &mut io::sink())?;
    let (name, member) = archive.next_member()?;
    let Some(suffix) = name.strip_prefix("data.tar") else {
        return Err(unexpected("data.tar", name));
    };
    let Some(codec) = Codec::of_suffix(suffix) else {
        return Err(DebError::Compression(name).into());
    };
    take(&mut LayerReader::new(codec.decode(member)?, LIMITS))?;
    archive.finish()
}

fn unexpected(expected: &'static str, found: String) -> io::Error {
    DebError::Member { expected, found }.into()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use repro_core::{
        layer::LayerWriter,
        ruleset::Ruleset,
        tree::{Entry, EntryKind, EntrySink as _, Meta, TreePath},
    };

    use super::*;

    fn data_tar() -> Vec<u8> {
        let mut writer = LayerWriter::new(Vec::new(), Ruleset::V1);
        let entry = Entry {
            path: TreePath::parse(b"usr").unwrap(),
            kind: EntryKind::File { size: 5 },
            meta: Meta::default(),
        };
        writer.entry(&entry, &mut &b"hello"[..]).unwrap();
        writer.finish().unwrap()
    }

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = b"!<arch>\n".to_vec();
        for (name, content) in members {
            let size = content.len();
            writeln!(
                bytes,
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`",
                0, 0, 0, 100_644
            )
            .unwrap();
            bytes.extend_from_slice(content);
            if size % 2 == 1 {
                bytes.push(b'\n');
            }
        }
        bytes
    }

    fn read(deb: &[u8]) -> io::Result<Vec<String>> {
        let mut found = Vec::new();
        read_data(&mut &*deb, &mut |source| {
            while source.next_entry(&mut |entry, content| {
                let mut text = String::new();
                content.read_to_string(&mut text)?;
                found.push(format!("{} {text}", entry.path));
                Ok(())
            })? {}
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn every_compression_of_dpkg_is_read() {
        let tar = data_tar();
        let gz = {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(&tar).unwrap();
            writer.finish().unwrap()
        };
        let xz = {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 1);
            writer.write_all(&tar).unwrap();
            writer.finish().unwrap()
        };
        let zst =
            ruzstd::encoding::compress_to_vec(&*tar, ruzstd::encoding::CompressionLevel::Fastest);
        for (name, data) in [
            ("data.tar", tar),
            ("data.tar.gz", gz),
            ("data.tar.xz", xz),
            ("data.tar.zst", zst),
        ] {
            let deb = archive(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar.xz", b"odd"),
                (name, &data),
            ]);
            assert_eq!(read(&deb).unwrap(), ["usr hello"], "{name}");
            for cut in [0, 7, 8, 60, 100, deb.len() - 600.min(data.len())] {
                assert!(read(&deb[..cut]).is_err(), "{name} cut to {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_package() {
        let tar = data_tar();
        let good: [(&str, &[u8]); 3] = [
            ("debian-binary", b"2.0\n"),
            ("control.tar", b""),
            ("data.tar", &tar),
        ];
        read(&archive(&good)).unwrap();
        let mut version = good;
        version[0].1 = b"3.0\n";
        let mut order = good;
        order.swap(1, 2);
        let mut codec = good;
        codec[2].0 = "data.tar.lz4";
        for (members, word) in [
            (&version[..], "version \"3.0\""),
            (&order, "control.tar"),
            (&codec, "compressed"),
            (&good[..2], "data.tar"),
            (&good[1..], "debian-binary"),
        ] {
            let error = read(&archive(members)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(read(b"MZ").is_err());
        let mut size = archive(&good);
        size[8 + 48..8 + 58].copy_from_slice(b"-000000001");
        assert!(read(&size).unwrap_err().to_string().contains("member 1"));
    }
}
