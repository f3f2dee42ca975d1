//! What refers to a manifest (OCI 1.1): its own list of the registry, or the tag that stands for one.

use repro_core::{
    digest::Digest,
    event::EventSink,
    image::{Descriptor, Document, Index, MAX_DOCUMENT, MediaType},
    json::canonical,
    reference::ImageRef,
    store::BlobStore,
};
use ureq::http::{Method, StatusCode, header};

use super::{
    RegistryError,
    client::{Call, read_body},
    document,
    place::Url,
    push::{self, Pushed},
    session::Session,
};

/// Most pages of one list.
const MAX_PAGES: usize = 100;
/// Most entries of one list. Whoever may write to a repository can make it longer than any.
const MAX_LISTED: usize = 10_000;
/// How often the tag is written anew where others write it at the same time.
const ATTEMPTS: u32 = 5;

/// What refers to a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// The manifests, with artifact type and annotations, in the registry's order.
    pub manifests: Vec<Descriptor>,
    /// Whether the registry keeps the list itself.
    pub source: ReferrersSource,
}

/// Who keeps a list of referrers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferrersSource {
    /// The registry.
    Registry,
    /// Those who push, under the tag that [`fallback_tag`] names.
    Tag,
}

/// The tag that stands for the list of what refers to `subject` (distribution-spec, "Referrers Tag
/// Schema").
#[must_use]
pub fn fallback_tag(subject: Digest) -> String {
    format!("sha256-{}", subject.hex())
}

pub(super) fn list(
    session: &Session<'_>,
    subject: Digest,
    artifact_type: Option<&str>,
) -> Result<Referrers, RegistryError> {
    let (mut manifests, source) = match of_registry(session, subject)? {
        Some(manifests) => (manifests, ReferrersSource::Registry),
        None => (of_tag(session, subject)?, ReferrersSource::Tag),
    };
    // Registries may filter, and need not: here the answer is the same for all of them.
    if let Some(wanted) = artifact_type {
        manifests.retain(|found| found.artifact_type.as_deref() == Some(wanted));
    }
    Ok(Referrers { manifests, source })
}

/// The registry's own list; `None` if it keeps none.
fn of_registry(
    session: &Session<'_>,
    subject: Digest,
) -> Result<Option<Vec<Descriptor>>, RegistryError> {
    let what = format!("referrers of {subject}");
    let mut call = session.call(Method::GET, &format!("referrers/{subject}"), &what);
    let mut manifests = Vec::new();
    for _ in 0..MAX_PAGES {
        call = call.header(header::ACCEPT, MediaType::OciIndex.as_str());
        let mut response = session.send(&call)?;
        match response.status() {
            StatusCode::OK => {}
            // Registries without such lists answer with either.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if manifests.is_empty() => {
                return Ok(None);
            }
            _ => return Err(session.bad(&call, response)),
        }
        let of_index = |value: &header::HeaderValue| {
            value.to_str().is_ok_and(|name| {
                name.split(';').next().unwrap_or_default().trim() == MediaType::OciIndex.as_str()
            })
        };
        if !response
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(of_index)
        {
            // A page for people at that address is no list (distribution-spec, "Listing Referrers").
            return Ok(None);
        }
        let next = next_page(&call, response.headers().get(header::LINK));
        let bytes = read_body(&mut response, session.host(), &call.what, MAX_DOCUMENT)?;
        manifests.extend(parse(session, &call.what, &bytes)?.manifests);
        if manifests.len() > MAX_LISTED {
            return Err(RegistryError::TooMany {
                host: session.host().to_owned(),
                what: call.what,
                limit: MAX_LISTED,
            });
        }
        match next {
            Some(url) if url.origin == session.place.origin => {
                call = Call::new(Method::GET, url, call.what.clone());
            }
            _ => return Ok(Some(manifests)),
        }
    }
    Err(RegistryError::TooLong {
        host: session.host().to_owned(),
        what,
        limit: MAX_PAGES as u64 * MAX_DOCUMENT,
    })
}

/// The next page of a list (RFC 8288): `<URL>; rel="next"`.
fn next_page(call: &Call<'_>, link: Option<&header::HeaderValue>) -> Option<Url> {
    let text = link?.to_str().ok()?;
    let (target, rest) = text.strip_prefix('<')?.split_once('>')?;
    rest.replace(['"', ' '], "")
        .contains("rel=next")
        .then(|| call.url.join(target))?
}

fn parse(session: &Session<'_>, what: &str, bytes: &[u8]) -> Result<Index, RegistryError> {
    Index::parse(bytes, Some(&MediaType::OciIndex)).map_err(|source| RegistryError::Document {
        host: session.host().to_owned(),
        what: what.to_owned(),
        source: Box::new(source),
    })
}

fn of_tag(session: &Session<'_>, subject: Digest) -> Result<Vec<Descriptor>, RegistryError> {
    let tag = fallback_tag(subject);
    match document::by_name(session, &tag) {
        Ok(fetched) => Ok(parse(session, &tag, &fetched.bytes)?.manifests),
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

pub(super) fn push(
    session: &Session<'_>,
    artifact: Digest,
    name: &ImageRef,
    store: &dyn BlobStore,
    events: &dyn EventSink,
) -> Result<Pushed, RegistryError> {
    let missing = || RegistryError::Incomplete {
        reference: Box::new(name.clone()),
        missing: artifact,
    };
    let fetched = document::of_store(store, artifact)?.ok_or_else(missing)?;
    let Document::Manifest(manifest) = &fetched.document else {
        return Err(repro_core::image::ImageError::NotAManifest.into());
    };
    let Some(subject) = &manifest.subject else {
        return Err(RegistryError::NoSubject(artifact));
    };
    let title = format!("pushing {} of {}", artifact.short(), name.familiar());
    let mut pushed = push::send_parts(session, &title, manifest, store, events)?;
    pushed.digest = artifact;
    let media_type = &fetched.descriptor.media_type;
    let listed = document::put(session, &artifact.to_string(), media_type, &fetched.bytes)?;
    if listed != Some(subject.digest) {
        let mut entry = fetched.descriptor.clone();
        entry.annotations.clone_from(&manifest.annotations);
        let config = &manifest.config.media_type;
        let own = manifest.artifact_type.clone();
        entry.artifact_type = own.or_else(|| Some(config.to_string()));
        add_to_tag(session, subject.digest, &entry)?;
    }
    Ok(pushed)
}

/// Puts an entry on the list that the tag means. There is no way to do so at once: what others wrote
/// in between is seen afterwards, and put on the list again by whoever misses it.
fn add_to_tag(
    session: &Session<'_>,
    subject: Digest,
    entry: &Descriptor,
) -> Result<(), RegistryError> {
    let tag = fallback_tag(subject);
    for _ in 0..ATTEMPTS {
        let mut manifests = of_tag(session, subject)?;
        if manifests.iter().any(|known| known.digest == entry.digest) {
            return Ok(());
        }
        manifests.push(entry.clone());
        let bytes =
            canonical(&Index::new(manifests)).map_err(repro_core::image::ImageError::from)?;
        document::put(session, &tag, &MediaType::OciIndex, &bytes)?;
    }
    let manifests = of_tag(session, subject)?;
    if manifests.iter().any(|known| known.digest == entry.digest) {
        return Ok(());
    }
    Err(RegistryError::Status {
        host: session.host().to_owned(),
        what: format!("the list of referrers of {subject}"),
        status: StatusCode::CONFLICT.as_u16(),
        message: "others write it at the same time".into(),
    })
}
