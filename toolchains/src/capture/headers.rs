//! Headers: which ones go where, and what the conditions and ranges of a client come to.

use std::collections::BTreeMap;

use hyper::{HeaderMap, header};

use super::redact::Redactor;

/// Headers of an answer that count for a client.
const KEPT: [&str; 17] = [
    "accept-ranges",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "git-protocol",
    "last-modified",
    "link",
    "location",
    "npm-notice",
    "www-authenticate",
    "x-linked-etag",
    "x-linked-size",
    "x-repo-commit",
];
/// Beginnings of names of such headers: of package indexes.
const KEPT_PREFIXES: [&str; 3] = ["x-checksum-", "x-goog-hash", "x-pypi-"];
/// Longest value that is kept.
const MAX_VALUE: usize = 8 << 10;

/// Headers of a request that the server does not get: those of the connection, those that make parts
/// or codings of the body, those that ask for nothing if something is unchanged.
const NOT_SENT: [&str; 19] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "a-im",
];

/// What of an answer is written down: names in lower case, values without secrets.
pub(super) fn kept(headers: &HeaderMap, redactor: &Redactor) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    for name in headers.keys() {
        let name = name.as_str();
        if !KEPT.contains(&name) && !KEPT_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let values: Vec<&str> = headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let value = values.join(", ");
        if value.is_empty() || value.len() > MAX_VALUE {
            continue;
        }
        let value = match name {
            "location" => redactor.url(&value),
            "www-authenticate" => challenge(&value),
            _ => redactor.text(&value),
        };
        kept.insert(name.to_owned(), value);
    }
    kept
}

/// A challenge without what is for one answer only.
fn challenge(value: &str) -> String {
    let parts = value.split(", ").map(|part| {
        let name = part.rsplit_once(' ').map_or(part, |(_, last)| last);
        let name = name.split('=').next().unwrap_or_default();
        if matches!(name.to_ascii_lowercase().as_str(), "nonce" | "opaque") {
            let scheme = part.split_once(' ').map_or("", |(scheme, _)| scheme);
            format!("{scheme} {name}=\"\"").trim_start().to_owned()
        } else {
            part.to_owned()
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// What of a request goes to the server.
pub(super) fn to_send(headers: &HeaderMap) -> HeaderMap {
    let listed: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(name, _)| !NOT_SENT.contains(&name.as_str()))
        .filter(|(name, _)| !listed.iter().any(|listed| listed == name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether the answer depends on what the client accepts.
pub(super) fn varies_by_accept(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::VARY)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case("accept"))
}

/// What the client says that it accepts, if it is anything in particular.
pub(super) fn accept(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::ACCEPT)?.to_str().ok()?;
    (value != "*/*" && !value.is_empty() && value.len() <= MAX_VALUE).then(|| value.to_owned())
}

/// Whether what the client has is what the answer would bring (RFC 9110, 13.1).
pub(super) fn is_unmodified(request: &HeaderMap, answer: &BTreeMap<String, String>) -> bool {
    let text = |name| request.get(name).and_then(|value| value.to_str().ok());
    if let Some(tags) = text(header::IF_NONE_MATCH) {
        let weak = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        return answer.get("etag").is_some_and(|own| {
            tags.trim() == "*" || tags.split(',').any(|tag| weak(tag) == weak(own))
        });
    }
    match (text(header::IF_MODIFIED_SINCE), answer.get("last-modified")) {
        (Some(since), Some(own)) => {
            let date = |text: &str| httpdate::parse_http_date(text).ok();
            matches!((date(since), date(own)), (Some(since), Some(own)) if own <= since)
        }
        _ => false,
    }
}

/// A part of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// From the first to the last byte, both included.
    Range(u64, u64),
    /// One that the body does not have.
    Beyond,
}

/// The part that a client asks for. Several at once are not cut: the whole is a valid answer (RFC 9110,
/// 14.2).
pub(super) fn part(request: &HeaderMap, answer: &BTreeMap<String, String>, size: u64) -> Part {
    let text = |name| request.get(name).and_then(|value| value.to_str().ok());
    let Some(range) = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")) else {
        return Part::Whole;
    };
    if let Some(known) = text(header::IF_RANGE) {
        let own = if known.starts_with('"') {
            answer.get("etag")
        } else {
            answer.get("last-modified")
        };
        if own.is_none_or(|own| own != known) {
            return Part::Whole;
        }
    }
    let Some((first, last)) = range.trim().split_once('-') else {
        return Part::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size => Part::Beyond,
        (Ok(first), Ok(last)) if first <= last => Part::Range(first, last.min(size - 1)),
        (Ok(first), Err(_)) if last.is_empty() => Part::Range(first, size - 1),
        (Err(_), Ok(0)) if first.is_empty() => Part::Beyond,
        (Err(_), Ok(_)) if first.is_empty() && size == 0 => Part::Beyond,
        (Err(_), Ok(count)) if first.is_empty() => {
            Part::Range(size.saturating_sub(count), size - 1)
        }
        _ => Part::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    #[test]
    fn parts_are_those_of_the_standard() {
        let answer = BTreeMap::from([("etag".to_owned(), "\"x\"".to_owned())]);
        for (range, size, expected) in [
            ("bytes=0-0", 10, Part::Range(0, 0)),
            ("bytes=2-", 10, Part::Range(2, 9)),
            ("bytes=-3", 10, Part::Range(7, 9)),
            ("bytes=-30", 10, Part::Range(0, 9)),
            ("bytes=5-99", 10, Part::Range(5, 9)),
            ("bytes=10-", 10, Part::Beyond),
            ("bytes=-0", 10, Part::Beyond),
            ("bytes=0-", 0, Part::Beyond),
            ("bytes=-5", 0, Part::Beyond),
            ("bytes=3-2", 10, Part::Whole),
            ("bytes=0-1,4-5", 10, Part::Whole),
            ("lines=0-1", 10, Part::Whole),
            ("bytes=", 10, Part::Whole),
        ] {
            assert_eq!(
                part(&map(&[("range", range)]), &answer, size),
                expected,
                "{range}"
            );
        }
        let range = |known: &str| {
            part(
                &map(&[("range", "bytes=0-0"), ("if-range", known)]),
                &answer,
                9,
            )
        };
        assert_eq!(range("\"x\""), Part::Range(0, 0));
        assert_eq!(range("\"y\""), Part::Whole);
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let answer = BTreeMap::from([
            ("etag".to_owned(), "W/\"x\"".to_owned()),
            (
                "last-modified".to_owned(),
                "Sat, 11 Jul 2026 10:16:37 GMT".to_owned(),
            ),
        ]);
        for (name, value, unmodified) in [
            ("if-none-match", "\"x\"", true),
            ("if-none-match", "\"y\", W/\"x\"", true),
            ("if-none-match", "\"y\"", false),
            ("if-modified-since", "Sat, 11 Jul 2026 10:16:37 GMT", true),
            ("if-modified-since", "Fri, 10 Jul 2026 10:16:37 GMT", false),
            ("if-modified-since", "yesterday", false),
        ] {
            assert_eq!(
                is_unmodified(&map(&[(name, value)]), &answer),
                unmodified,
                "{value}"
            );
        }
    }

    #[test]
    fn what_is_kept_has_no_secrets() {
        let headers = map(&[
            ("set-cookie", "session=1"),
            ("date", "now"),
            ("content-type", "text/plain"),
            ("location", "https://u:p@h/?sig=1"),
            ("www-authenticate", "Digest realm=\"r\", nonce=\"abc\""),
            ("x-pypi-last-serial", "7"),
        ]);
        let kept = kept(&headers, &Redactor::default());
        let shown: Vec<String> = kept
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            shown,
            [
                "content-type: text/plain",
                "location: https://h/?sig=REDACTED",
                "www-authenticate: Digest realm=\"r\", nonce=\"\"",
                "x-pypi-last-serial: 7",
            ]
        );
    }

    #[test]
    fn the_connection_is_not_the_servers() {
        let headers = map(&[
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("range", "bytes=0-1"),
            ("accept-encoding", "gzip"),
            ("authorization", "Basic x"),
            ("user-agent", "curl"),
        ]);
        let sent = to_send(&headers);
        let names: Vec<&str> = sent.keys().map(header::HeaderName::as_str).collect();
        assert_eq!(names, ["authorization", "user-agent"]);
    }
}
