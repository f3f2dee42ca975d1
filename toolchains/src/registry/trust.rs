//! Whose certificates are believed.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use repro_core::fs::sorted_names;
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

use super::RegistryError;
use crate::text_file;

/// Largest file of certificates: the roots of a whole system have 250 KiB.
const MAX_FILE: u64 = 8 << 20;

/// Certificate authorities besides those of the machine.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Files with certificates (PEM) of authorities that are believed for every registry.
    pub files: Vec<PathBuf>,
    /// Directories like Docker's `certs.d`: the files `HOST[:PORT]/*.crt` in them are believed for
    /// that registry. Those that are not there are passed over.
    pub dirs: Vec<PathBuf>,
}

impl Trust {
    /// The files that say whom to believe for `host`, besides those of the machine.
    pub(super) fn files_for(&self, host: &str) -> Result<Vec<PathBuf>, RegistryError> {
        let mut files = self.files.clone();
        for dir in &self.dirs {
            // A host that a registry redirects to is a name of its choice.
            if host.starts_with('.') {
                break;
            }
            let dir = dir.join(host);
            let names = match sorted_names(&dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result.map_err(|error| unusable(&dir, &error))?,
            };
            let certificates = names.into_iter().map(|name| dir.join(name));
            files.extend(certificates.filter(|path| path.extension().is_some_and(|e| e == "crt")));
        }
        Ok(files)
    }

    /// Whom to believe for `host`: the machine's authorities, which `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` can name, and those given.
    pub(super) fn roots(&self, host: &str) -> Result<RootCerts, RegistryError> {
        let files = self.files_for(host)?;
        if files.is_empty() {
            return Ok(RootCerts::PlatformVerifier);
        }
        // A machine without roots of its own can still have those that were given.
        let native = rustls_native_certs::load_native_certs().certs;
        let mut roots: Vec<Certificate<'static>> = native
            .iter()
            .map(|der| Certificate::from_der(der).to_owned())
            .collect();
        for path in files {
            roots.extend(read(&path)?);
        }
        Ok(RootCerts::Specific(Arc::new(roots)))
    }
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> RegistryError {
    RegistryError::Certificates {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<Certificate<'static>>, RegistryError> {
    let text = text_file::read(path, MAX_FILE)
        .map_err(|error| unusable(path, &error))?
        .ok_or_else(|| unusable(path, &"no such file"))?;
    let mut found = Vec::new();
    for item in parse_pem(text.as_bytes()) {
        match item {
            Ok(PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(unusable(path, &error)),
        }
    }
    if found.is_empty() {
        return Err(unusable(path, &"there is no certificate in it"));
    }
    Ok(found)
}
