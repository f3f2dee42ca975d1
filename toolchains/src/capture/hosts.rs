//! Which servers a capture may ask.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::project::HostPattern;

/// Hosts that the user allows.
///
/// A name alone allows no address that is not public: whoever owns a name can let it point to a
/// service of this machine or its network (DNS rebinding). Such an address has to be allowed by
/// itself, or, for this machine, as `localhost`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(BTreeSet<HostPattern>);

impl Allowed {
    /// Allows what one of the patterns matches.
    pub fn new(patterns: impl IntoIterator<Item = HostPattern>) -> Self {
        Self(patterns.into_iter().collect())
    }

    /// Whether requests may be made to `host`, a name or an address without port.
    #[must_use]
    pub fn host(&self, host: &str) -> bool {
        let bare = host.trim_end_matches('.');
        self.0.iter().any(|pattern| pattern.matches(bare))
    }

    /// Whether it is on the list itself: `*.169.254` is a pattern of names, and allows no address.
    fn names(&self, host: &str) -> bool {
        self.0.iter().any(|pattern| pattern.to_string() == host)
    }

    /// Whether a connection may be made to the address that a host turned out to have.
    #[must_use]
    pub fn address(&self, address: IpAddr) -> bool {
        let address = plain(address);
        is_public(address)
            || self.names(&address.to_string())
            || (address.is_loopback() && self.names("localhost"))
    }
}

/// Whether an address is one of the internet: not of this machine, its network or link, of a
/// provider's inner network, and no group of receivers.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match plain(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || a == 0
        || a >= 240
        // Shared by providers (RFC 6598), protocol assignments, benchmarks.
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        // Site-local, as it was once.
        || (segments[0] & 0xffc0) == 0xfec0)
}

/// An address of version 4 that stands in one of version 6 is what it is: mapped, translated (RFC
/// 6052) or tunnelled (6to4).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else {
        return address.to_canonical();
    };
    let segments = v6.segments();
    let v4 = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => v4(high, low),
        _ => IpAddr::V6(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(patterns: &[&str]) -> Allowed {
        Allowed::new(patterns.iter().map(|pattern| pattern.parse().unwrap()))
    }

    #[test]
    fn addresses_of_machine_and_network_are_not_public() {
        for inner in [
            "127.0.0.1",
            "127.9.9.9",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "198.18.0.1",
            "192.0.0.1",
            "240.0.0.1",
        ] {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
        for outer in [
            "9.9.9.9",
            "2620:fe::fe",
            "172.32.0.1",
            "::ffff:9.9.9.9",
            "100.128.0.1",
        ] {
            assert!(is_public(outer.parse().unwrap()), "{outer}");
        }
    }

    #[test]
    fn a_name_does_not_allow_the_machine_behind_it() {
        let named = allowed(&["packages.example", "*.mirror.example"]);
        assert!(named.host("packages.example") && named.host("a.mirror.example."));
        assert!(!named.host("other.example"));
        assert!(!named.address("127.0.0.1".parse().unwrap()));
        assert!(!named.address("169.254.169.254".parse().unwrap()));
        let below = allowed(&["*.254.169.254"]);
        assert!(!below.address("169.254.169.254".parse().unwrap()));
        let local = allowed(&["localhost", "10.1.2.3"]);
        assert!(local.address("127.0.0.1".parse().unwrap()));
        assert!(local.address("10.1.2.3".parse().unwrap()));
        assert!(!local.address("10.1.2.4".parse().unwrap()));
    }
}
