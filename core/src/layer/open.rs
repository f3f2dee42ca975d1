//! Layers of an image as entries.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::{LayerReader, Limits, raw::EndMarker};
use crate::{
    digest::Digest,
    image::{Compression, LayerDescriptor, MediaType},
    store::{BlobError, BlobStore, VerifyingReader},
};

/// Bytes read from a blob at once.
const BUFFER: usize = 64 << 10;

/// Why a layer cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenLayerError {
    /// The store's trouble.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// No layer, or compressed in a way that is not read.
    #[error("layer {digest} has media type {media_type}, which cannot be unpacked")]
    MediaType {
        /// Its blob.
        digest: Digest,
        /// Its type.
        media_type: MediaType,
    },
}

/// Opens a layer. Blob and tar are both held to their digests: the read that reaches the end
/// fails if either differs. A caller that acts on entries before the end must be able to take
/// it back.
pub fn open_layer(
    store: &dyn BlobStore,
    layer: &LayerDescriptor,
    limits: Limits,
) -> Result<LayerReader<Box<dyn Read + Send>>, OpenLayerError> {
    let tar = open_tar(store, layer, limits)?;
    let tar = VerifyingReader::new(tar, layer.diff_id.0);
    let tar: Box<dyn Read + Send> = Box::new(BufReader::with_capacity(BUFFER, tar));
    Ok(LayerReader::new(tar, limits).ending(EndMarker::Optional))
}

/// The uncompressed tar of a layer, held to the blob's digest and to the ratio, not to its
/// `diff_id`.
pub(crate) fn open_tar(
    store: &dyn BlobStore,
    layer: &LayerDescriptor,
    limits: Limits,
) -> Result<Box<dyn Read + Send>, OpenLayerError> {
    let compression = layer.media_type.layer_compression();
    let compression = compression.ok_or_else(|| OpenLayerError::MediaType {
        digest: layer.digest,
        media_type: layer.media_type.clone(),
    })?;
    let blob = store.open(layer.digest)?;
    Ok(decompress(blob, compression, layer.size, limits))
}

/// Unpacks `compressed`, which has `size` bytes, to at most [`Limits::max_ratio`] times as many.
#[must_use]
pub fn decompress(
    compressed: Box<dyn Read + Send>,
    compression: Compression,
    size: u64,
    limits: Limits,
) -> Box<dyn Read + Send> {
    let compressed = BufReader::with_capacity(BUFFER, compressed);
    let plain: Box<dyn Read + Send> = match compression {
        Compression::None => Box::new(compressed),
        Compression::Gzip => Box::new(MultiGzDecoder::new(compressed)),
        Compression::Zstd => Box::new(ZstdFrames::new(compressed)),
    };
    let allowed = size.saturating_mul(limits.max_ratio);
    Box::new(Bounded {
        inner: plain,
        left: allowed.saturating_add(Limits::RATIO_FREE),
        ratio: limits.max_ratio,
    })
}

/// A blob unpacks to more than its size allows. Wrapped in [`io::Error`] of kind `InvalidData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the layer unpacks to more than {0} times its size")]
pub struct DecompressionBomb(pub u64);

struct Bounded<R> {
    inner: R,
    left: u64,
    ratio: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                DecompressionBomb(self.ratio),
            )),
        }
    }
}

/// All zstd frames of an input, one behind the other, to the input's end. (The decoder alone
/// stops behind the first, and what follows would be taken by some readers and not by others.)
struct ZstdFrames<R: BufRead> {
    input: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            decoder: FrameDecoder::new(),
        }
    }

    /// Begins the next frame; `false` at the end of the input.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.input).take(length), &mut io::sink())?;
                    if skipped != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buf);
            }
            if self.decoder.is_finished() {
                if !self.next_frame()? {
                    return Ok(0);
                }
            } else {
                self.decoder
                    .decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
        }
    }
}
