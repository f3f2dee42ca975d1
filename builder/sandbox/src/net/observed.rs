//! Attempts to reach further, as they come in.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use repro_core::{build::NetworkObservation, tree::show_bytes};

use super::counters::Counters;

/// Different names, and different addresses, that are kept. A program that looks for a million names
/// shall not fill memory or report.
const MAX_KEPT: usize = 100;
/// What stands for those beyond.
const OTHERS: &str = "(others)";

/// Collects what a step tried.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    sockets: BTreeMap<String, u64>,
    abstract_sockets: u64,
    names: BTreeMap<String, u64>,
    addresses: BTreeMap<String, u64>,
}

impl Observed {
    /// `socket()` of a family or type that would reach past the step.
    pub(crate) fn refused_socket(&mut self, kind: &'static str) {
        *self.sockets.entry(kind.to_owned()).or_default() += 1;
    }

    /// A connection to an abstract name of which no socket of the step is.
    pub(crate) fn abstract_socket(&mut self) {
        self.abstract_sockets += 1;
    }

    /// A name that was asked for.
    pub(crate) fn name(&mut self, name: &[u8]) {
        count(&mut self.names, show_bytes(name).into_owned());
    }

    /// An address that was to be connected to. Loopback is inside the step.
    pub(crate) fn address(&mut self, address: SocketAddr) {
        if !is_inside(address.ip()) {
            count(&mut self.addresses, address.to_string());
        }
    }

    /// Everything, with what the kernel counted since the namespace was made.
    pub(crate) fn finish(self, counters: Counters) -> NetworkObservation {
        NetworkObservation {
            no_route: counters.no_route(),
            refused_sockets: self.sockets,
            abstract_sockets: self.abstract_sockets,
            names: self.names,
            addresses: self.addresses,
            replayed: None,
        }
    }
}

/// Loopback, also as IPv4 inside IPv6, and "any", which connects to loopback.
fn is_inside(address: IpAddr) -> bool {
    let address = address.to_canonical();
    address.is_loopback() || address.is_unspecified()
}

fn count(counts: &mut BTreeMap<String, u64>, key: String) {
    // One of the places is for what has no other.
    let full = counts.len() >= MAX_KEPT - 1 && !counts.contains_key(&key);
    let key = if full { OTHERS.to_owned() } else { key };
    *counts.entry(key).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_attempt_is_lost_and_memory_is_bounded() {
        let mut observed = Observed::default();
        for index in 0..1000 {
            observed.name(format!("{index}.example").as_bytes());
        }
        let seen = observed.finish(Counters::default());
        assert_eq!(seen.names.len(), MAX_KEPT);
        assert_eq!(seen.attempts(), 1000);
        assert_eq!(seen.names[OTHERS], 1000 - (MAX_KEPT as u64 - 1));
    }

    #[test]
    fn loopback_is_no_attempt() {
        let mut observed = Observed::default();
        for inside in [
            "127.0.0.1:80",
            "[::1]:80",
            "[::ffff:127.0.0.1]:80",
            "0.0.0.0:80",
        ] {
            observed.address(inside.parse().unwrap());
        }
        observed.address("169.254.169.254:80".parse().unwrap());
        let seen = observed.finish(Counters::default());
        assert_eq!(
            seen.addresses,
            BTreeMap::from([("169.254.169.254:80".to_owned(), 1)])
        );
    }

    #[test]
    fn a_hostile_name_is_shown_safely() {
        let mut observed = Observed::default();
        observed.name(b"\x1b[31m");
        let seen = observed.finish(Counters::default());
        assert_eq!(seen.names.keys().next().unwrap(), "\\x1b[31m");
    }
}
