//! Secrets that must not be written down: in URLs, and in headers.

use percent_encoding::percent_decode_str;

use crate::lock::REDACTED;

/// Parameters of queries whose values are secrets, in lower case.
const SECRET_PARAMETERS: [&str; 26] = [
    "access_key",
    "access_token",
    "accesstoken",
    "api-key",
    "api_key",
    "apikey",
    "auth_token",
    "authorization",
    "awsaccesskeyid",
    "client_secret",
    "googleaccessid",
    "jwt",
    "key",
    "password",
    "passwd",
    "private_token",
    "pwd",
    "secret",
    "sig",
    "signature",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

/// Least length of a caller's secret that is looked for: a shorter one would be found everywhere.
const LEAST_SECRET: usize = 6;

/// Takes secrets out of texts that are kept or shown.
#[derive(Default)]
pub struct Redactor {
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor(..)")
    }
}

impl Redactor {
    /// Takes out these values of the caller too, wherever they stand.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut secrets: Vec<String> = secrets
            .into_iter()
            .filter_map(|bytes| std::str::from_utf8(bytes).ok())
            .map(|text| text.trim().to_owned())
            .filter(|text| text.len() >= LEAST_SECRET)
            .collect();
        // One may be part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets }
    }

    /// A URL or a reference to one, without user, password, fragment, and values of parameters that
    /// are secrets.
    #[must_use]
    pub fn url(&self, url: &str) -> String {
        let url = url.split('#').next().unwrap_or_default();
        let (place, query) = match url.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (url, None),
        };
        let mut clean = without_user(place);
        if let Some(query) = query {
            let parameters: Vec<String> = query.split('&').map(parameter).collect();
            clean = format!("{clean}?{}", parameters.join("&"));
        }
        self.text(&clean)
    }

    /// Any text, without the secrets of the caller.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), REDACTED);
            }
        }
        text
    }
}

fn without_user(place: &str) -> String {
    let start = match place.find("//") {
        Some(at) => at + 2,
        None => return place.to_owned(),
    };
    let (scheme, rest) = place.split_at(start);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}{host}{path}")
}

fn parameter(pair: &str) -> String {
    let Some((name, _)) = pair.split_once('=') else {
        return pair.to_owned();
    };
    let plain = percent_decode_str(name)
        .decode_utf8_lossy()
        .to_ascii_lowercase();
    if SECRET_PARAMETERS.contains(&plain.as_str()) {
        format!("{name}={REDACTED}")
    } else {
        pair.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_the_rest_stays() {
        let redactor = Redactor::new([&b"hunter2-of-acme\n"[..], b"abc"]);
        for (url, clean) in [
            ("https://h/p?a=1&b=2", "https://h/p?a=1&b=2"),
            ("https://u:p@h:8/p", "https://h:8/p"),
            ("https://u@x@h/p@q", "https://h/p@q"),
            ("https://h/p?Token=x&a=b", "https://h/p?Token=REDACTED&a=b"),
            (
                "https://h/?X-Amz-Signature=0a&x=1",
                "https://h/?X-Amz-Signature=REDACTED&x=1",
            ),
            ("https://h/?%73ig=1#f", "https://h/?%73ig=REDACTED"),
            ("/next?access_token=x", "/next?access_token=REDACTED"),
            ("https://h/hunter2-of-acme/x", "https://h/REDACTED/x"),
            ("https://h/abc?x", "https://h/abc?x"),
        ] {
            assert_eq!(redactor.url(url), clean);
            // A URL that was redacted once is its own redacted form: replays are matched by it.
            assert_eq!(redactor.url(clean), clean);
        }
        assert_eq!(format!("{redactor:?}"), "Redactor(..)");
    }
}
