//! Why an image did not come from a registry, or did not get there.

use std::{fmt, io, path::PathBuf};

use repro_core::{
    digest::Digest, image::ImageError, platform::Platform, reference::ImageRef, store::BlobError,
};

use super::credentials::CredentialError;

/// What was being done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Reading.
    Pull,
    /// Writing.
    Push,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "read",
            Self::Push => "written",
        })
    }
}

/// A mirror that was asked in vain.
#[derive(Debug)]
pub struct MirrorTried {
    /// The mirror, without credentials.
    pub mirror: String,
    /// What came of it.
    pub error: RegistryError,
}

/// Why a registry was asked in vain.
///
/// No message holds a credential, a token or the query of a URL, where such things hide.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No answer.
    #[error("{host} cannot be reached: {why}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// The connection's trouble.
        why: String,
    },
    /// A TLS connection that is not to be trusted.
    #[error("{host} cannot be reached safely: {why}")]
    Untrusted {
        /// Host and port.
        host: String,
        /// What is wrong with the certificate.
        why: String,
    },
    /// Another status than success.
    #[error("{host} answered {status} to {what}{}", colon(message))]
    Status {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// The status.
        status: u16,
        /// The registry's own words, shortened; empty if there were none.
        message: String,
    },
    /// There is nothing of that name.
    #[error("{host} has no {what}")]
    NotFound {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// The registry wants to know who asks, and nothing is known that could be said.
    #[error(
        "{host} lets {repository} be {action} only by whom it knows, and there are no credentials \
         for it{}",
        looked(files)
    )]
    NoCredentials {
        /// Host and port.
        host: String,
        /// The repository.
        repository: String,
        /// What was being done.
        action: Action,
        /// The files that were looked at.
        files: Vec<PathBuf>,
    },
    /// The registry does not let this be done by whom it knows.
    #[error(
        "{host} does not let {repository} be {action} with the credentials of {from}{}",
        colon(message)
    )]
    Denied {
        /// Host and port.
        host: String,
        /// The repository.
        repository: String,
        /// What was being done.
        action: Action,
        /// Where the credentials are from.
        from: String,
        /// The registry's own words, shortened; empty if there were none.
        message: String,
    },
    /// Credentials cannot be read.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The registry asks to be told who asks in a way that is not known, or not safe.
    #[error("{host} cannot be answered: {why}")]
    Challenge {
        /// Host and port.
        host: String,
        /// What it wants.
        why: String,
    },
    /// The service that gives tokens gave none.
    #[error("{realm} gives no token for {host}: {why}")]
    Token {
        /// The registry.
        host: String,
        /// Host and port of the service.
        realm: String,
        /// Why.
        why: String,
    },
    /// An answer sends us where we do not go.
    #[error("{host} sends {what} to {to}: {why}")]
    Redirect {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// Scheme, host and port.
        to: String,
        /// Why we do not go there.
        why: &'static str,
    },
    /// More bytes than such a thing has, or than were announced.
    #[error("{what} of {host} has more than {limit} bytes")]
    TooLong {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// The bytes that it may have.
        limit: u64,
    },
    /// More entries than such a list has.
    #[error("{what} of {host} has more than {limit} entries")]
    TooMany {
        /// Host and port.
        host: String,
        /// The list.
        what: String,
        /// The entries that it may have.
        limit: usize,
    },
    /// Fewer bytes than were announced.
    #[error("{what} of {host} has {found} bytes, {expected} were announced")]
    Short {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// Bytes announced.
        expected: u64,
        /// Bytes that came.
        found: u64,
    },
    /// Other bytes than were asked for. Nothing was kept.
    #[error("{what} of {host} has the digest {found}, {expected} was asked for")]
    Digest {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// The digest asked for.
        expected: Digest,
        /// That of what came.
        found: Digest,
    },
    /// A manifest or index that cannot be used.
    #[error("{what} of {host} cannot be used")]
    Document {
        /// Host and port.
        host: String,
        /// What was asked for.
        what: String,
        /// Why.
        #[source]
        source: Box<ImageError>,
    },
    /// A layer that is to be taken from somewhere else.
    #[error(
        "layer {layer} of {what} is kept elsewhere, and layers are taken from the registry alone"
    )]
    Foreign {
        /// The image.
        what: String,
        /// The layer.
        layer: Digest,
    },
    /// The one image that there is, is for another platform.
    #[error("{reference} is for {found}, and {wanted} is wanted")]
    Platform {
        /// The image.
        reference: Box<ImageRef>,
        /// Its platform.
        found: String,
        /// The platform asked for.
        wanted: Platform,
    },
    /// An image of a list is not in the store, so that the list cannot be pushed.
    #[error("{reference} lists the image {missing}, which is not in the store")]
    Incomplete {
        /// The list.
        reference: Box<ImageRef>,
        /// What is missing.
        missing: Digest,
    },
    /// Both a tag and a digest, which is not that of the image.
    #[error("{reference} cannot name the image {found}")]
    OtherDigest {
        /// Where to.
        reference: Box<ImageRef>,
        /// The image.
        found: Digest,
    },
    /// An artifact that says of nothing that it is about it.
    #[error("manifest {0} has no subject, so that it refers to nothing")]
    NoSubject(Digest),
    /// The file system has less room than the blobs need.
    #[error("{needed} bytes are to be fetched, and the store has room for {free}")]
    NoRoom {
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A file with certificates cannot be used.
    #[error("the certificates of {} cannot be used: {why}", path.display())]
    Certificates {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The image in the store.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An unfinished file cannot be written.
    #[error("cannot write the unfinished download of {digest}")]
    Partial {
        /// The blob.
        digest: Digest,
        /// The operating system's word.
        #[source]
        source: io::Error,
    },
    /// No mirror and not the registry itself.
    #[error("{}", mirrors(tried))]
    Everywhere {
        /// The mirrors.
        tried: Vec<MirrorTried>,
        /// What the registry itself said.
        #[source]
        source: Box<Self>,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl RegistryError {
    /// Whether another place can do better.
    pub(super) const fn is_of_the_place(&self) -> bool {
        !matches!(
            self,
            Self::Blob(_)
                | Self::Image(_)
                | Self::Partial { .. }
                | Self::NoRoom { .. }
                | Self::Certificates { .. }
                | Self::Cancelled
        )
    }

    /// Whether it means that there is no such thing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            Self::Everywhere { source, .. } => source.is_not_found(),
            _ => false,
        }
    }

    /// Whether it means that there is such a thing, and that it is not what was asked for: another
    /// digest or size, or no document of that kind.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Digest { .. }
            | Self::Short { .. }
            | Self::TooLong { .. }
            | Self::TooMany { .. }
            | Self::Document { .. } => true,
            Self::Everywhere { source, .. } => source.is_damage(),
            _ => false,
        }
    }
}

fn colon(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

fn looked(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return ": no file for them is there".into();
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    format!(" in {}", files.join(", "))
}

fn mirrors(tried: &[MirrorTried]) -> String {
    let tried: Vec<String> = tried
        .iter()
        .map(|tried| {
            format!(
                "the mirror {} was asked in vain: {}",
                tried.mirror,
                chain(&tried.error)
            )
        })
        .collect();
    tried.join("; ")
}

/// An error with its reasons in one line.
fn chain(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}
