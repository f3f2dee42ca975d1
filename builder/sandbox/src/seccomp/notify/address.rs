//! Reading socket addresses of a step.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Where a connection was to go.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// An internet address.
    Internet(SocketAddr),
    /// A Unix socket without a file; the name without its leading NUL.
    Abstract(&'a [u8]),
}

/// Reads a `struct sockaddr`; `None` for what stays inside in any case, and for what is cut.
pub(super) fn target(address: &[u8]) -> Option<Target<'_>> {
    let (family, rest) = address.split_first_chunk::<2>()?;
    let port = |rest: &[u8]| Some(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    match i32::from(u16::from_ne_bytes(*family)) {
        libc::AF_INET => {
            let ip: [u8; 4] = rest.get(2..6)?.try_into().ok()?;
            let ip = IpAddr::from(Ipv4Addr::from(ip));
            Some(Target::Internet(SocketAddr::new(ip, port(rest)?)))
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = rest.get(6..22)?.try_into().ok()?;
            let ip = IpAddr::from(Ipv6Addr::from(ip));
            Some(Target::Internet(SocketAddr::new(ip, port(rest)?)))
        }
        libc::AF_UNIX => match rest.split_first() {
            Some((0, name)) if !name.is_empty() => Some(Target::Abstract(name)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a socket of this network namespace has the abstract name. If that cannot be read, the
/// attempt counts.
pub(super) fn is_bound(name: &[u8]) -> bool {
    fs::read("/proc/self/net/unix").is_ok_and(|table| is_listed(&table, name))
}

/// The table shows an abstract name behind an `@`, and each NUL in it as another.
fn is_listed(table: &[u8], name: &[u8]) -> bool {
    let mut shown = vec![b'@'];
    shown.extend(
        name.iter()
            .map(|byte| if *byte == 0 { b'@' } else { *byte }),
    );
    table
        .split(|byte| *byte == b'\n')
        .any(|line| line.ends_with(&[b" ", &shown[..]].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_each_family() {
        let four = [&2_u16.to_ne_bytes()[..], &[0, 80, 10, 0, 0, 1], &[0; 8]].concat();
        assert_eq!(
            target(&four),
            Some(Target::Internet("10.0.0.1:80".parse().unwrap()))
        );
        let mut six = [&10_u16.to_ne_bytes()[..], &[1, 187], &[0; 24]].concat();
        six[23] = 1;
        assert_eq!(
            target(&six),
            Some(Target::Internet("[::1]:443".parse().unwrap()))
        );
        let unix = [&1_u16.to_ne_bytes()[..], b"\0name"].concat();
        assert_eq!(target(&unix), Some(Target::Abstract(b"name")));
        let file = [&1_u16.to_ne_bytes()[..], b"/run/x\0"].concat();
        assert_eq!(target(&file), None);
    }

    #[test]
    fn a_cut_address_is_none() {
        for length in 0..8 {
            let four = [&2_u16.to_ne_bytes()[..], &[0, 80, 10, 0, 0, 1]].concat();
            assert_eq!(target(&four[..length]), None, "{length}");
        }
    }

    #[test]
    fn names_in_the_kernels_table() {
        let table = b"Num RefCount\n0: 00000002 00000000 00010000 0001 01 123 @a@b\n";
        assert!(is_listed(table, b"a\0b"));
        assert!(!is_listed(table, b"b"));
    }
}
