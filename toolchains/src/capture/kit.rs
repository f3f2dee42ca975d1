//! What a step's tools are told: where the proxy is, and whom to trust.
//!
//! Tools are told by their own variables and by files of ours, never by a file of the image: a mount
//! over the bundle of the system could not be replaced by the package that owns it (`rename` onto a
//! mount is refused), so that installing `ca-certificates` would fail.

use repro_core::build::{NetworkFile, NetworkKit};

use super::{authority::Authority, java};

/// Where the proxy listens. The number is not in the range that a system gives out by itself, and no
/// common service has it.
const PORT: u16 = 3190;
const AUTHORITY: &str = "ca.pem";
const APT: &str = "apt.conf";
const WGET: &str = "wgetrc";
const JAVA: &str = "ca.jks";

/// Variables with the URL of the proxy. Tools read one or the other spelling; curl reads no
/// `HTTP_PROXY`, since servers set it from what a client sent.
const PROXY: [&str; 8] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "ftp_proxy",
    "FTP_PROXY",
    "npm_config_proxy",
    "npm_config_https_proxy",
];
/// Variables with what is not asked for by way of the proxy.
const NO_PROXY: [&str; 3] = ["no_proxy", "NO_PROXY", "npm_config_noproxy"];
/// Variables with the file of trusted certificates.
const TRUST: [&str; 19] = [
    // OpenSSL, and with it Python, Ruby and others; Go; rustls.
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "UV_NATIVE_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "YARN_HTTPS_CA_FILE_PATH",
    "CARGO_HTTP_CAINFO",
    "GIT_SSL_CAINFO",
    "GIT_PROXY_SSL_CAINFO",
    "BUNDLE_SSL_CA_CERT",
    "PERL_LWP_SSL_CA_FILE",
    "HTTPS_CA_FILE",
    "COMPOSER_CAFILE",
    "AWS_CA_BUNDLE",
    "NIX_SSL_CERT_FILE",
    "DENO_CERT",
    // Of apk and pkg.
    "SSL_CA_CERT_FILE",
];

/// Variables with options for the virtual machine of Java's build tools. `JAVA_TOOL_OPTIONS` would reach
/// all programs, and each would say so on its standard error, which steps write to files.
const JAVA_OPTIONS: [&str; 4] = ["MAVEN_OPTS", "GRADLE_OPTS", "ANT_OPTS", "SBT_OPTS"];

/// The kit of every step of an invocation, with the authority's certificate.
pub(super) fn kit(authority: &Authority) -> NetworkKit {
    let proxy = format!("http://127.0.0.1:{PORT}");
    let trust = NetworkKit::path(AUTHORITY);
    let set = |names: &[&str], value: &str| -> Vec<(String, String)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), value.to_owned()))
            .collect()
    };
    let mut variables = set(&PROXY, &proxy);
    variables.extend(set(&NO_PROXY, "localhost,127.0.0.1,::1"));
    variables.extend(set(&TRUST, &trust));
    variables.extend(set(&["APT_CONFIG"], &NetworkKit::path(APT)));
    // Debian's wget is linked with GnuTLS and reads no variable for certificates.
    variables.extend(set(&["SYSTEM_WGETRC"], &NetworkKit::path(WGET)));
    // Node uses proxies of the environment only if told so.
    variables.extend(set(&["NODE_USE_ENV_PROXY"], "1"));
    variables.extend(set(
        &JAVA_OPTIONS,
        &java::options(PORT, &NetworkKit::path(JAVA)),
    ));
    let file = |name: &str, content: Vec<u8>| NetworkFile {
        name: name.to_owned(),
        content,
    };
    NetworkKit {
        port: PORT,
        variables,
        files: vec![
            file(AUTHORITY, authority.pem().into()),
            file(APT, apt(&proxy, &trust).into()),
            file(
                WGET,
                format!("ca_certificate = {trust}\npassive_ftp = on\n").into(),
            ),
            file(JAVA, java::key_store(authority.der())),
        ],
    }
}

/// Which bytes apt gets is the lock's to decide, so their dates are not looked at: under a shifted
/// clock, or in a year, the release that was captured is out of date, and still the one.
fn apt(proxy: &str, trust: &str) -> String {
    format!(
        "Acquire::http::Proxy \"{proxy}\";\n\
         Acquire::https::Proxy \"{proxy}\";\n\
         Acquire::https::CaInfo \"{trust}\";\n\
         Acquire::http::Proxy-Auto-Detect \"\";\n\
         Acquire::Check-Valid-Until \"false\";\n\
         Acquire::Check-Date \"false\";\n\
         Acquire::http::Pipeline-Depth \"0\";\n\
         Acquire::EnableSrvRecords \"false\";\n"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_variable_once_and_every_path_a_file() {
        let kit = kit(&Authority::generate().unwrap());
        let names: BTreeSet<&str> = kit
            .variables
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names.len(), kit.variables.len());
        let files: BTreeSet<String> = kit
            .files
            .iter()
            .map(|file| NetworkKit::path(&file.name))
            .collect();
        for (name, value) in &kit.variables {
            assert!(!value.starts_with('/') || files.contains(value), "{name}");
        }
    }
}
