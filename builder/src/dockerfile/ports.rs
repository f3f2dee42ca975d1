//! The arguments of `EXPOSE`.

use std::{collections::BTreeSet, fmt, net::IpAddr, ops::RangeInclusive};

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, also where none is named.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A port as image configurations list it: `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// 0 to 65535; Docker takes 0.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// Why a text names no ports.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not a number up to 65535, nor two of them.
    #[error("{0:?} is not a port: write 80, 80/udp or 8000-8010")]
    Port(String),
    /// Neither tcp nor udp nor sctp.
    #[error("{0:?} is not a protocol: there are tcp, udp and sctp")]
    Protocol(String),
    /// A range whose end comes before its start.
    #[error("the range {0} runs backwards")]
    Backwards(String),
    /// `host:container` ranges of different lengths.
    #[error("the ranges of {0} differ in length")]
    Lengths(String),
    /// `address:host:container` with no address.
    #[error("{0:?} is not an IP address")]
    Address(String),
}

/// The ports of one word: `80`, `80/udp`, `8000-8010/tcp`.
///
/// `[address:]host:container` is taken too, since Docker does; address and host port say nothing
/// in an image and are checked, then left out.
pub fn parse_ports(text: &str) -> Result<BTreeSet<Port>, PortError> {
    let (rest, container) = text.rsplit_once(':').unwrap_or(("", text));
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(PortError::Protocol(protocol.to_owned())),
    };
    let ports = range(port)?;
    let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    if !address.is_empty() {
        let bare = address
            .strip_prefix('[')
            .and_then(|bare| bare.strip_suffix(']'))
            .unwrap_or(address);
        if bare.parse::<IpAddr>().is_err() {
            return Err(PortError::Address(address.to_owned()));
        }
    }
    if !host.is_empty() {
        let host = range(host)?;
        if ports.len() > 1 && ports.len() != host.len() {
            return Err(PortError::Lengths(text.to_owned()));
        }
    }
    let port = |number| Port { number, protocol };
    Ok(ports.map(port).collect())
}

fn range(text: &str) -> Result<RangeInclusive<u16>, PortError> {
    let number = |digits: &str| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| plain);
        number.ok_or_else(|| PortError::Port(text.to_owned()))
    };
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number(low)?, number(high)?);
    if high < low {
        return Err(PortError::Backwards(text.to_owned()));
    }
    Ok(low..=high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, PortError> {
        Ok(parse_ports(text)?.iter().map(Port::to_string).collect())
    }

    #[test]
    fn ports_protocols_ranges() {
        for (text, expected) in [
            ("80", vec!["80/tcp"]),
            ("53/UDP", vec!["53/udp"]),
            ("1-3/sctp", vec!["1/sctp", "2/sctp", "3/sctp"]),
            ("80/", vec!["80/tcp"]),
            ("8080:80", vec!["80/tcp"]),
            ("127.0.0.1:8080:80/udp", vec!["80/udp"]),
            ("127.0.0.1::80", vec!["80/tcp"]),
            ("[::1]:8080:80", vec!["80/tcp"]),
            ("8000-8001:1-2", vec!["1/tcp", "2/tcp"]),
            ("8000-8010:80", vec!["80/tcp"]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(Into::into).collect();
            assert_eq!(shown(text), Ok(expected), "{text}");
        }
        assert_eq!(parse_ports("0-65535").map(|ports| ports.len()), Ok(65536));
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in [
            "", "http", "65536", "-1", "+80", "1-", "1-2-3", "/tcp", "80:", "1 2",
        ] {
            assert!(matches!(shown(text), Err(PortError::Port(_))), "{text}");
        }
        assert!(matches!(shown("80/icmp"), Err(PortError::Protocol(_))));
        assert!(matches!(shown("9-8"), Err(PortError::Backwards(_))));
        assert!(matches!(shown("1-3:1-2"), Err(PortError::Lengths(_))));
        assert!(matches!(shown("x:1:2"), Err(PortError::Address(_))));
    }
}
