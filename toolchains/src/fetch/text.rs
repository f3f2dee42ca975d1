//! A small file whose bytes nobody knows beforehand.

use std::io::{self, Read as _};

use ureq::http::{StatusCode, header};

use super::{Answer, ArchivePath, Fetcher, Mirror};

/// Why a small file is not there.
#[derive(Debug)]
pub(crate) enum TextFailure {
    /// What the mirror answered in its place.
    Answer(Answer),
    /// The caller asked to stop.
    Cancelled,
}

impl Fetcher {
    /// The file at `path` of `mirror`, of at most `limit` bytes. The caller has another way than
    /// a digest to tell whether it is the right one.
    pub(crate) fn text(
        &self,
        mirror: &Mirror,
        path: &ArchivePath,
        limit: u64,
    ) -> Result<Vec<u8>, TextFailure> {
        let mut wait = self.settings.retry.first_wait;
        let mut attempt = 1;
        loop {
            if self.cancelled() {
                return Err(TextFailure::Cancelled);
            }
            match self.text_once(mirror, path, limit) {
                Ok(bytes) => return Ok(bytes),
                Err(answer) if attempt < self.settings.retry.attempts && is_passing(&answer) => {
                    std::thread::sleep(wait);
                    wait *= 2;
                    attempt += 1;
                }
                Err(answer) => return Err(TextFailure::Answer(answer)),
            }
        }
    }

    fn text_once(
        &self,
        mirror: &Mirror,
        path: &ArchivePath,
        limit: u64,
    ) -> Result<Vec<u8>, Answer> {
        let broken = |error: &dyn std::fmt::Display| Answer::Connection(error.to_string());
        let mut request = self.agent.get(mirror.url(path));
        // A cache in between must ask whether it is still the newest.
        request = request.header(header::CACHE_CONTROL, "max-age=0");
        if let Some(value) = mirror.authorization() {
            request = request.header(header::AUTHORIZATION, value);
        }
        let mut response = request.call().map_err(|error| broken(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Answer::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        let mut body = response.body_mut().as_reader().take(limit + 1);
        body.read_to_end(&mut bytes)
            .map_err(|error: io::Error| broken(&error))?;
        if bytes.len() as u64 > limit {
            return Err(Answer::Long);
        }
        Ok(bytes)
    }
}

/// Whether asking again can help.
fn is_passing(answer: &Answer) -> bool {
    match answer {
        Answer::Connection(_) | Answer::Status(429 | 500..) => true,
        Answer::Status(_) | Answer::Short(_) | Answer::Long | Answer::Digest(_) => false,
    }
}
