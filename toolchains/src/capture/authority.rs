//! The certificate authority of one invocation.
//!
//! Its key is made for the invocation, stays in memory and is trusted by the steps of that invocation
//! alone. Certificates are valid from 1980 to 2100, so that a step whose clock is shifted by years
//! takes them.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};

/// Years between which certificates are valid.
const YEARS: (i32, i32) = (1980, 2100);
/// Certificates that are kept. A step that asks for more hosts gets new ones, a little slower.
const MAX_KEPT: usize = 1000;

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// By the library for certificates.
    #[error("a certificate cannot be made")]
    Certificate(#[from] rcgen::Error),
    /// By the library for TLS.
    #[error("a certificate cannot be used")]
    Tls(#[from] rustls::Error),
}

/// Signs certificates for whatever host a step asks for.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: Vec<u8>,
    /// The key of all servers: one, since making keys takes time.
    server_key: KeyPair,
    configs: Mutex<BTreeMap<String, Arc<ServerConfig>>>,
}

impl Authority {
    pub(super) fn generate() -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params(Vec::new())?;
        params.distinguished_name = name("repro: certificates for one build");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            server_key: KeyPair::generate()?,
            configs: Mutex::default(),
        })
    }

    /// The authority's certificate, in DER.
    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The authority's certificate.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// How to speak TLS as `host`, a name or an address.
    pub(super) fn server(&self, host: &str) -> Result<Arc<ServerConfig>, AuthorityError> {
        // Entries are added whole.
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(host) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.new_server(host)?);
        if configs.len() < MAX_KEPT {
            configs.insert(host.to_owned(), Arc::clone(&config));
        }
        Ok(config)
    }

    fn new_server(&self, host: &str) -> Result<ServerConfig, AuthorityError> {
        let mut params = params(vec![host.to_owned()])?;
        // Longer names do not fit, and nobody reads them there.
        let common = if host.len() <= 64 { host } else { "host" };
        params.distinguished_name = name(common);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate: CertificateDer<'static> =
            params.signed_by(&self.server_key, &self.issuer)?.into();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.server_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn params(hosts: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    // An IPv6 address stands in brackets in a URL.
    let bare = |host: String| {
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        match inner {
            Some(inner) if inner.parse::<IpAddr>().is_ok() => inner.to_owned(),
            _ => host,
        }
    };
    let hosts: Vec<String> = hosts.into_iter().map(bare).collect();
    let mut params = CertificateParams::new(hosts)?;
    params.not_before = date_time_ymd(YEARS.0, 1, 1);
    params.not_after = date_time_ymd(YEARS.1, 1, 1);
    Ok(params)
}

fn name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_once_for_each_host() {
        let authority = Authority::generate().unwrap();
        assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
        for host in ["a.example", "127.0.0.1", "[::1]", &"a.".repeat(60)] {
            let one = authority.server(host).unwrap();
            let two = authority.server(host).unwrap();
            assert!(Arc::ptr_eq(&one, &two), "{host}");
            assert_eq!(one.alpn_protocols, [b"http/1.1"]);
        }
    }
}
