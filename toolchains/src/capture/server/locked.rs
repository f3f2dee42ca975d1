//! Answers out of a lock.

use hyper::{Method, Response, StatusCode};
use repro_core::store::{BlobError, BlobStore as _};

use super::{Asked, RefusalReason, Serving, refuse, response};
use crate::{
    capture::{
        Mode,
        body::{AnswerBody, send_part},
        headers::{self, Part},
        replay::{Book, Found},
        session::UsedFetch,
    },
    lock::LockedFetch,
};

/// What the lock has for the request.
pub(super) fn answer(serving: &Serving, book: &Book, asked: &Asked) -> Response<AnswerBody> {
    let found = book.next(
        &serving.shared.step,
        &asked.key,
        &mut serving.shared.turns(),
    );
    let reason = match found {
        Found::Answer(fetch) => return give(serving, asked, fetch),
        Found::Nothing => RefusalReason::NotLocked,
        Found::TooOften => RefusalReason::TooOften,
        Found::Ambiguous => RefusalReason::Ambiguous,
    };
    refuse(serving, asked.refusal(reason))
}

/// What an older lock has for a request of a capture, if the store has it too.
pub(super) fn known(serving: &Serving, known: &Book, asked: &Asked) -> Option<LockedFetch> {
    let shared = &serving.shared;
    match known.next(&shared.step, &asked.key, &mut shared.known_turns()) {
        Found::Answer(fetch)
            if shared.blobs.size(fetch.sha256).ok().flatten() == Some(fetch.size) =>
        {
            Some(fetch.clone())
        }
        _ => None,
    }
}

/// Keeps an answer of an older lock, and gives it.
pub(super) fn again(
    serving: &Serving,
    asked: &Asked,
    turn: u32,
    fetch: &LockedFetch,
) -> Response<AnswerBody> {
    if let Mode::Capture { recorder, .. } = serving.shared.mode.as_ref() {
        let fetch = LockedFetch {
            turn,
            ..fetch.clone()
        };
        recorder.add(&serving.shared.step, fetch);
    }
    give(serving, asked, fetch)
}

/// Gives a client what it asked for of an answer that is in the store.
pub(super) fn give(serving: &Serving, asked: &Asked, fetch: &LockedFetch) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(fetch.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut fields = fetch.headers.clone();
    if asked.method == Method::HEAD {
        serving.shared.answered(None);
        if fetch.key.method != "HEAD" {
            fields.insert("content-length".to_owned(), fetch.size.to_string());
        }
        return response(status, &fields, AnswerBody::empty());
    }
    // As long as the lock says: an entry that was edited is refused before it is read.
    match serving.shared.blobs.size(fetch.sha256) {
        Ok(Some(size)) if size == fetch.size => {}
        Ok(_) | Err(_) => {
            let reason = RefusalReason::Damaged(fetch.sha256);
            return refuse(serving, asked.refusal(reason));
        }
    }
    let whole = status == StatusCode::OK && asked.method == Method::GET;
    serving
        .shared
        .answered(status.is_success().then(|| UsedFetch {
            url: fetch.key.url.clone(),
            sha256: fetch.sha256,
        }));
    if whole && headers::is_unmodified(&asked.headers, &fetch.headers) {
        return response(StatusCode::NOT_MODIFIED, &fields, AnswerBody::empty());
    }
    let part = if whole {
        headers::part(&asked.headers, &fetch.headers, fetch.size)
    } else {
        Part::Whole
    };
    let (status, first, count) = match part {
        Part::Whole => (status, 0, fetch.size),
        Part::Range(first, last) => {
            let range = format!("bytes {first}-{last}/{}", fetch.size);
            fields.insert("content-range".to_owned(), range);
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Part::Beyond => {
            let range = format!("bytes */{}", fetch.size);
            fields.insert("content-range".to_owned(), range);
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return response(status, &fields, AnswerBody::empty());
        }
    };
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if bodiless.contains(&status) {
        return response(status, &fields, AnswerBody::empty());
    }
    response(
        status,
        &fields,
        stored(serving, asked, fetch, (first, count)),
    )
}

/// A part of a body in the store. One that is damaged ends the connection and the build.
fn stored(serving: &Serving, asked: &Asked, fetch: &LockedFetch, part: (u64, u64)) -> AnswerBody {
    let (chunks, body) = AnswerBody::streamed(Some(part.1));
    let digest = fetch.sha256;
    let damaged = asked.refusal(RefusalReason::Damaged(digest));
    let serving = serving.clone();
    let handle = serving.handle.clone();
    drop(handle.spawn_blocking(move || {
        let blobs = &serving.shared.blobs;
        let opened = blobs.open(digest).map_err(|error: BlobError| error.into());
        if let Err(error) = opened.and_then(|source| send_part(source, part, &chunks)) {
            serving.shared.refused(damaged);
            // A client that is gone needs no error.
            drop(chunks.blocking_send(Err(error)));
        }
    }));
    body
}
