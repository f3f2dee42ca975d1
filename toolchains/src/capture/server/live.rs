//! Answers of servers, passed on and kept at once.

use std::{
    io::{self, Read, Write as _},
    time::{Duration, Instant},
};

use hyper::{Method, Response, StatusCode, body::Bytes, header};
use repro_core::store::{BlobStore as _, StoredBlob};
use tokio::sync::oneshot;

use super::{Asked, RefusalReason, Serving, locked, plain, refuse, response};
use crate::{
    capture::{
        Mode,
        body::{AnswerBody, CHUNK, Chunks},
        headers,
        session::UsedFetch,
        upstream::UpstreamError,
    },
    lock::{FetchKey, LockedFetch},
};

/// Longest body of an answer.
const MAX_ANSWER: u64 = 16 << 30;
/// How long an answer may take that nobody waits for any more.
const AFTER_THE_STEP: Duration = Duration::from_mins(1);

/// Why a body is not kept.
enum Broken {
    Server(io::Error),
    Store(io::Error),
    TooLarge,
    /// The step ended long ago.
    Abandoned,
}

/// Asks the server; the answer goes to the client as it comes, and into the store. Blocks.
pub(super) fn capture(
    serving: &Serving,
    asked: &Asked,
    turn: u32,
    reply: oneshot::Sender<Response<AnswerBody>>,
) {
    let shared = &serving.shared;
    let Mode::Capture {
        upstream, recorder, ..
    } = shared.mode.as_ref()
    else {
        return;
    };
    let url = asked.key.url.clone();
    let failed = |why: &str| {
        let why = shared.redactor.text(why);
        let text = format!("{url} gave no answer: {why}");
        shared.failed(url.clone(), why);
        plain(StatusCode::BAD_GATEWAY, &text)
    };
    // A client that is gone gets no answer; everything else happens all the same.
    let say = |reply: oneshot::Sender<_>, response| drop(reply.send(response));
    let to_send = headers::to_send(&asked.headers);
    let answer = match upstream.send(&asked.method, &asked.url, &to_send, &asked.body) {
        Ok(answer) => answer,
        Err(UpstreamError::Address(address)) => {
            let refusal = asked.refusal(RefusalReason::Address(address));
            return say(reply, refuse(serving, refusal));
        }
        Err(UpstreamError::Connection(why)) => return say(reply, failed(&why)),
    };
    let (head, mut body) = answer.into_parts();
    let accept = headers::varies_by_accept(&head.headers)
        .then(|| asked.key.accept.clone())
        .flatten();
    let mut fields = headers::kept(&head.headers, &shared.redactor);
    let length = head
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<u64>().ok());
    if asked.method == Method::HEAD
        && let Some(length) = length
    {
        fields.insert("content-length".to_owned(), length.to_string());
    }
    let fetch = |blob: StoredBlob| LockedFetch {
        key: FetchKey {
            accept: accept.clone(),
            ..asked.key.clone()
        },
        turn,
        status: head.status.as_u16(),
        size: blob.size,
        sha256: blob.digest,
        headers: fields.clone(),
    };
    let no_body = asked.method == Method::HEAD
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
    // A part is cut from the whole, which has to be there for it.
    let whole_first = no_body
        || asked.headers.contains_key(header::RANGE)
        || headers::is_unmodified(&asked.headers, &fields);
    let (reply, chunks) = if whole_first {
        (Some(reply), None)
    } else {
        let (chunks, streamed) = AnswerBody::streamed(length);
        say(reply, response(head.status, &fields, streamed));
        (None, Some(chunks))
    };
    let kept = if no_body {
        keep(serving, &mut io::empty(), None)
    } else {
        keep(serving, &mut body.as_reader(), chunks.as_ref())
    };
    match (kept, reply) {
        (Ok((blob, last)), reply) => {
            let fetch = fetch(blob);
            recorder.add(&shared.step, fetch.clone());
            if let Some(reply) = reply {
                say(reply, locked::give(serving, asked, &fetch));
                return;
            }
            shared.answered(head.status.is_success().then_some(UsedFetch {
                url: fetch.key.url,
                sha256: fetch.sha256,
            }));
            if let (Some(chunks), Some(last)) = (chunks, last) {
                drop(chunks.blocking_send(Ok(last)));
            }
        }
        (Err(broken), reply) => {
            let (response, error) = match broken {
                Broken::Server(error) => (failed(&error.to_string()), error),
                Broken::Store(error) => {
                    let why = format!("what it sent cannot be kept: {error}");
                    (failed(&why), error)
                }
                Broken::TooLarge => (
                    refuse(serving, asked.refusal(RefusalReason::TooLarge)),
                    io::ErrorKind::FileTooLarge.into(),
                ),
                Broken::Abandoned => (
                    failed("the step ended before it was there"),
                    io::ErrorKind::TimedOut.into(),
                ),
            };
            match (reply, chunks) {
                (Some(reply), _) => say(reply, response),
                (None, Some(chunks)) => drop(chunks.blocking_send(Err(error))),
                (None, None) => {}
            }
        }
    }
}

/// Reads a body to its end into the store, and gives all of it but the last chunk to the client: that
/// one is given when the whole is kept.
fn keep(
    serving: &Serving,
    body: &mut dyn Read,
    chunks: Option<&Chunks>,
) -> Result<(StoredBlob, Option<Bytes>), Broken> {
    let store = |error: repro_core::store::BlobError| Broken::Store(error.into());
    let mut writer = serving.shared.blobs.create().map_err(store)?;
    let mut client = chunks;
    let mut held: Option<Bytes> = None;
    let mut size = 0_u64;
    let mut ended: Option<Instant> = None;
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Broken::Server(error)),
        };
        size += read as u64;
        if size > MAX_ANSWER {
            return Err(Broken::TooLarge);
        }
        writer.write_all(&buffer[..read]).map_err(Broken::Store)?;
        if let Some(chunks) = client {
            let chunk = Bytes::copy_from_slice(&buffer[..read]);
            if let Some(held) = held.replace(chunk)
                && chunks.blocking_send(Ok(held)).is_err()
            {
                client = None;
            }
        }
        if serving.shared.is_closing() {
            let since = ended.get_or_insert_with(Instant::now);
            if since.elapsed() > AFTER_THE_STEP {
                return Err(Broken::Abandoned);
            }
        }
    }
    Ok((writer.commit().map_err(store)?, held))
}
