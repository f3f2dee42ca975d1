//! Decompression of what Debian's archive holds.

use std::io::{self, BufReader, Read};

use liblzma::stream::{CONCATENATED, Stream};

/// Memory for one xz stream: `xz -9`, the most that Debian uses, needs 65 MiB; the format allows
/// headers that ask for 4 GiB.
const XZ_MEMORY: u64 = 256 << 20;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    /// By what follows `.tar` in a name.
    pub(crate) fn of_suffix(suffix: &str) -> Option<Self> {
        match suffix {
            "" => Some(Self::Plain),
            ".gz" => Some(Self::Gzip),
            ".bz2" => Some(Self::Bzip2),
            ".xz" => Some(Self::Xz),
            ".zst" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The decompressed bytes of `inner`.
    pub(crate) fn decode<'a>(self, inner: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        let inner = BufReader::with_capacity(64 << 10, inner);
        Ok(match self {
            Self::Plain => Box::new(inner),
            Self::Gzip => Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(inner))),
            Self::Bzip2 => Box::new(BufReader::new(bzip2::bufread::MultiBzDecoder::new(inner))),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)
                    .map_err(io::Error::other)?;
                let decoder = liblzma::bufread::XzDecoder::new_stream(inner, stream);
                Box::new(BufReader::new(decoder))
            }
            Self::Zstd => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(inner)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                Box::new(BufReader::new(decoder))
            }
        })
    }
}
