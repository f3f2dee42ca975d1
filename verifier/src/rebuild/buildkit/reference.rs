//! What URIs of BuildKit's provenance name.

use repro_core::{platform::Platform, reference::ImageRef};

/// Whether a context is a repository: BuildKit tells it by the scheme or the end of the path.
pub(super) fn is_git(uri: &str) -> bool {
    let place = uri.split('#').next().unwrap_or(uri);
    uri.starts_with("git") || place.strip_suffix(".git").is_some()
}

/// A repository, and the directory in it that the fragment names: `URL#REF:DIRECTORY`, or the same as a
/// query.
pub(super) fn repository(uri: &str) -> (String, Option<String>) {
    let (url, fragment) = uri.split_once('#').unwrap_or((uri, ""));
    let subdir = fragment.split_once(':').map(|(_, dir)| dir);
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let of_query = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("subdir="));
    let subdir = subdir.or(of_query).filter(|dir| !dir.is_empty());
    (url.to_owned(), subdir.map(decode))
}

/// Whether a dependency is the repository `url`.
pub(super) fn same_repository(uri: &str, url: &str) -> bool {
    repository(uri).0.trim_start_matches("git+") == url.trim_start_matches("git+")
}

/// The image that a package URL names, and its platform: `pkg:docker/NAME@TAG?platform=OS%2FARCH`.
pub(super) fn image(uri: &str, otherwise: &Platform) -> Option<(ImageRef, Platform)> {
    let purl = uri.strip_prefix("pkg:docker/")?;
    let (place, query) = purl.split_once('?').unwrap_or((purl, ""));
    if query.split('&').any(|pair| pair == "ref_type=blob") {
        return None;
    }
    let value = |key: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(name, _)| *name == key)
            .map(|(_, value)| decode(value))
    };
    let platform = match value("platform") {
        Some(text) => text.parse().ok()?,
        None => otherwise.clone(),
    };
    let (name, version) = place.split_once('@').unwrap_or((place, ""));
    let (name, version) = (decode(name), decode(version));
    let reference = match version.as_str() {
        "" => name,
        digest if digest.starts_with("sha256:") => format!("{name}@{digest}"),
        tag => format!("{name}:{tag}"),
    };
    Some((reference.parse().ok()?, platform))
}

/// Percent-decodes; what is no escape stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match (first, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(*high), digit(*low));
                high.zip(low)
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_name_images() {
        let host: Platform = "linux/arm64".parse().unwrap();
        for (uri, name, platform) in [
            (
                "pkg:docker/alpine@3.17?platform=linux%2Famd64",
                "docker.io/library/alpine:3.17",
                "linux/amd64",
            ),
            (
                "pkg:docker/registry.example/acme/x@1",
                "registry.example/acme/x:1",
                "linux/arm64",
            ),
            (
                "pkg:docker/host.x%3A5000/a/b@1?platform=linux%2Farm%2Fv7",
                "host.x:5000/a/b:1",
                "linux/arm/v7",
            ),
        ] {
            let (found, of) = image(uri, &host).unwrap();
            assert_eq!(
                (found.to_string(), of.to_string()),
                (name.into(), platform.into())
            );
        }
        for other in [
            "https://example.org/x.tar",
            "pkg:oci/x@1",
            "pkg:docker/x@1?ref_type=blob",
            "pkg:docker/A B@1",
            "pkg:docker/x@1?platform=%zz",
        ] {
            assert_eq!(image(other, &host), None, "{other}");
        }
    }

    #[test]
    fn repositories_have_a_place_and_a_directory() {
        let of = |uri: &str| repository(uri);
        assert_eq!(
            of("https://example.org/a.git#refs/tags/v1:sub/dir"),
            ("https://example.org/a.git".into(), Some("sub/dir".into()))
        );
        assert_eq!(of("https://example.org/a.git#main").1, None);
        assert_eq!(of("https://example.org/a.git#main:").1, None);
        assert_eq!(
            of("https://example.org/a.git?ref=main&subdir=x%20y").1,
            Some("x y".into())
        );
        assert!(is_git("https://example.org/a.git#x") && is_git("git://example.org/a"));
        assert!(!is_git("https://example.org/a.tar.gz"));
        assert!(same_repository(
            "git+https://example.org/a.git#x",
            "https://example.org/a.git"
        ));
    }
}
