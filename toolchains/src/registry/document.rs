//! Manifests and indexes, there and back.

use repro_core::{
    digest::Digest,
    image::{Descriptor, Document, ImageError, MAX_DOCUMENT, MediaType},
    store::{BlobError, BlobStore, read_small},
};
use ureq::http::{Method, StatusCode, header};

use super::{
    RegistryError,
    client::{Payload, read_body},
    session::Session,
};

/// The documents that are understood.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// The header in which registries say what digest something has.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A manifest or index as it arrived.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
    pub(super) document: Document,
}

/// Fetches what `name`, a tag or a digest, means.
pub(super) fn by_name(session: &Session<'_>, name: &str) -> Result<Fetched, RegistryError> {
    let expected: Option<Digest> = name.parse().ok();
    let what = format!("manifest {name}");
    let call = session.call(Method::GET, &format!("manifests/{name}"), &what);
    let call = call.header(header::ACCEPT, ACCEPT);
    let mut response = session.expect(&call, &[StatusCode::OK])?;
    let text = |name: &str| {
        let value = response.headers().get(name)?;
        Some(value.to_str().unwrap_or_default().trim().to_owned())
    };
    let announced = text("content-type").map(|value| {
        let name = value.split(';').next().unwrap_or_default();
        MediaType::from(name.trim().to_owned())
    });
    let said = text(CONTENT_DIGEST);
    let host = session.host();
    let bytes = read_body(&mut response, host, &call.what, MAX_DOCUMENT)?;
    let found = Digest::of(&bytes);
    // A tag has no digest of its own; what the registry says it has must be true all the same. It
    // may say one of another algorithm, which says nothing here.
    let said = said.and_then(|said| said.parse().ok());
    if let Some(expected) = expected.or(said)
        && expected != found
    {
        return Err(RegistryError::Digest {
            host: host.to_owned(),
            what: call.what,
            expected,
            found,
        });
    }
    let document = parse(session, &call.what, &bytes, announced.as_ref())?;
    let media_type = announced.unwrap_or_else(|| MediaType::from(&document));
    Ok(Fetched {
        descriptor: Descriptor::new(media_type, found, bytes.len() as u64),
        bytes,
        document,
    })
}

/// The document of a descriptor: from the store if it is there, else from the registry.
pub(super) fn by_descriptor(
    session: &Session<'_>,
    wanted: &Descriptor,
    store: Option<&dyn BlobStore>,
) -> Result<Fetched, RegistryError> {
    let what = format!("manifest {} of {}", wanted.digest, session.place.repository);
    if wanted.size > MAX_DOCUMENT {
        return Err(RegistryError::TooLong {
            host: session.host().to_owned(),
            what,
            limit: MAX_DOCUMENT,
        });
    }
    let fetched = match store
        .map(|store| stored(store, wanted.digest))
        .transpose()?
    {
        Some(Some(bytes)) => {
            let document = parse(session, &what, &bytes, Some(&wanted.media_type))?;
            Fetched {
                descriptor: wanted.clone(),
                bytes,
                document,
            }
        }
        _ => by_name(session, &wanted.digest.to_string())?,
    };
    if fetched.bytes.len() as u64 != wanted.size {
        return Err(RegistryError::Short {
            host: session.host().to_owned(),
            what,
            expected: wanted.size,
            found: fetched.bytes.len() as u64,
        });
    }
    // The list and the answer must agree on what it is (CVE-2021-41190).
    let (found, wanted_type) = (&fetched.descriptor.media_type, &wanted.media_type);
    if found != wanted_type {
        return Err(RegistryError::Document {
            host: session.host().to_owned(),
            what,
            source: Box::new(ImageError::MediaType(format!(
                "{found} under {wanted_type}"
            ))),
        });
    }
    Ok(Fetched {
        descriptor: wanted.clone(),
        ..fetched
    })
}

/// The document of the store with this digest, if it is there.
pub(super) fn of_store(
    store: &dyn BlobStore,
    digest: Digest,
) -> Result<Option<Fetched>, RegistryError> {
    let Some(bytes) = stored(store, digest)? else {
        return Ok(None);
    };
    let document = Document::parse(&bytes, None)?;
    Ok(Some(Fetched {
        descriptor: Descriptor::new(MediaType::from(&document), digest, bytes.len() as u64),
        bytes,
        document,
    }))
}

/// A small document of the store; `None` if it is not there, or damaged, which fetching mends.
pub(super) fn stored(store: &dyn BlobStore, digest: Digest) -> Result<Option<Vec<u8>>, BlobError> {
    match read_small(store, digest, MAX_DOCUMENT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(BlobError::Missing(_) | BlobError::Corrupt { .. } | BlobError::TooLarge { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn parse(
    session: &Session<'_>,
    what: &str,
    bytes: &[u8],
    announced: Option<&MediaType>,
) -> Result<Document, RegistryError> {
    Document::parse(bytes, announced).map_err(|source| RegistryError::Document {
        host: session.host().to_owned(),
        what: what.to_owned(),
        source: Box::new(source),
    })
}

/// Sends a document under `name`, a tag or its digest. Gives the digest of its subject, if the registry
/// says that it put it on the list of that.
pub(super) fn put(
    session: &Session<'_>,
    name: &str,
    media_type: &MediaType,
    bytes: &[u8],
) -> Result<Option<Digest>, RegistryError> {
    let what = format!("manifest {name}");
    let call = session
        .call(Method::PUT, &format!("manifests/{name}"), &what)
        .header(header::CONTENT_TYPE, media_type.to_string())
        .payload(Payload::Bytes(bytes));
    let response = session.expect(&call, &[StatusCode::CREATED, StatusCode::OK])?;
    let digest = |name: &str| {
        let value = response.headers().get(name)?.to_str().ok()?;
        value.trim().parse::<Digest>().ok()
    };
    let expected = Digest::of(bytes);
    match digest(CONTENT_DIGEST) {
        Some(found) if found != expected => Err(RegistryError::Digest {
            host: session.host().to_owned(),
            what: call.what,
            expected,
            found,
        }),
        _ => Ok(digest("oci-subject")),
    }
}
