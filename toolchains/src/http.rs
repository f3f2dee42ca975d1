//! The one HTTP client, as all downloads use it.

use std::{sync::Arc, thread, time::Duration};

use ureq::{
    Agent,
    config::ConfigBuilder,
    http::{Response, header},
    tls::{RootCerts, TlsConfig},
    typestate::AgentScope,
};

/// Time for a name to be found and a connection to be made.
const CONNECT: Duration = Duration::from_secs(20);
/// Time for an answer to begin, and between two reads of its body.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);
/// A transfer slower than this, on average and after [`CONNECT`], is given up: a server that
/// sends a byte now and then would otherwise hold the build for days.
const SLOWEST: u64 = 8 << 10;
/// Between two looks at whether to stop, while waiting.
const TICK: Duration = Duration::from_millis(20);

/// What every client has in common: no waiting without end, and nothing but TLS of this program.
pub(crate) fn config(roots: RootCerts) -> ConfigBuilder<AgentScope> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Agent::config_builder()
        .user_agent(concat!("repro/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .tls_config(
            TlsConfig::builder()
                .unversioned_rustls_crypto_provider(provider)
                .root_certs(roots)
                .build(),
        )
}

/// The longest that a transfer of `size` bytes may take.
pub(crate) const fn longest(size: u64) -> Duration {
    Duration::from_secs(CONNECT.as_secs() + 60 + size / SLOWEST)
}

/// Whether a partial answer begins where our bytes end.
pub(crate) fn continues_at<T>(response: &Response<T>, have: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE);
    let range = range.and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {have}-")))
}

/// Waits, unless told to stop.
pub(crate) fn pause(time: Duration, stop: &dyn Fn() -> bool) {
    let mut left = time;
    while !left.is_zero() && !stop() {
        let tick = left.min(TICK);
        thread::sleep(tick);
        left -= tick;
    }
}
