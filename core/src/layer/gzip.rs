//! The gzip encoder of ruleset 1 (rule 15).
//!
//! `miniz_oxide`, called directly and pinned to one version: through flate2 the choice of encoder
//! would belong to whichever crate of the program turns on a feature. It has no code that
//! depends on the CPU. What was measured, and what was rejected, is in `docs/ruleset-1.md`.

use std::{
    fmt,
    io::{self, Write},
};

use crc32fast::Hasher;
use gzip_v1::{
    MZError, MZFlush, MZStatus,
    deflate::{
        core::{CompressorOxide, create_comp_flags_from_zip_params},
        stream::deflate,
    },
};

/// Compression level; see `docs/ruleset-1.md` for the measurement.
const LEVEL: i32 = 4;
/// Raw deflate: the gzip header and trailer are written here.
const RAW: i32 = -15;
/// Default strategy of deflate.
const STRATEGY: i32 = 0;

/// Magic, deflate, no flags, time 0, no extra flags, unknown system (RFC 1952, 2.3.1): nothing
/// that tells when, where or how hard it was compressed.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses with the encoder of ruleset 1, as a stream, in constant memory.
pub struct GzipWriter<W> {
    inner: W,
    encoder: Box<CompressorOxide>,
    crc: Hasher,
    size: u64,
    out: Box<[u8]>,
}

impl<W> fmt::Debug for GzipWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipWriter").finish_non_exhaustive()
    }
}

impl<W: Write> GzipWriter<W> {
    /// Writes the header to `inner`.
    pub fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&HEADER)?;
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW, STRATEGY);
        Ok(Self {
            inner,
            encoder: Box::new(CompressorOxide::new(flags)),
            crc: Hasher::new(),
            size: 0,
            out: vec![0; 64 << 10].into_boxed_slice(),
        })
    }

    /// Writes what is left and the trailer, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        while self.step(&[], MZFlush::Finish)?.1 != MZStatus::StreamEnd {}
        self.inner.write_all(&self.crc.finalize().to_le_bytes())?;
        // The size modulo 2^32 (RFC 1952, ISIZE).
        self.inner.write_all(&self.size.to_le_bytes()[..4])?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    /// Gives the encoder some input; how much of it was taken.
    fn step(&mut self, input: &[u8], flush: MZFlush) -> io::Result<(usize, MZStatus)> {
        let result = deflate(&mut self.encoder, input, &mut self.out, flush);
        self.inner.write_all(&self.out[..result.bytes_written])?;
        match result.status {
            Ok(status) => Ok((result.bytes_consumed, status)),
            // No progress was possible: nothing given and nothing pending.
            Err(MZError::Buf) => Ok((result.bytes_consumed, MZStatus::Ok)),
            Err(error) => Err(io::Error::other(format!("deflate: {error:?}"))),
        }
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < buf.len() {
            taken += self.step(&buf[taken..], MZFlush::None)?.0;
        }
        self.crc.update(buf);
        self.size += buf.len() as u64;
        Ok(buf.len())
    }

    /// Flushes nothing: a flush point would be bytes that depend on when it was called.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
