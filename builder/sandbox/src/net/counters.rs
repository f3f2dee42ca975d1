//! What the kernel counted in the step's network namespace.

use std::{fs, io};

/// Packets and connections for which there was no route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    ipv4: u64,
    ipv6: u64,
}

impl Counters {
    /// Reads the counters of the namespace of this process. A kernel without IPv6 has none for it.
    pub(crate) fn read() -> io::Result<Self> {
        let ipv4 = fs::read_to_string("/proc/self/net/snmp")?;
        let ipv6 = match fs::read_to_string("/proc/self/net/snmp6") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            text => Some(text?),
        };
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "OutNoRoutes is not there");
        Ok(Self {
            ipv4: in_columns(&ipv4, "Ip:", "OutNoRoutes").ok_or_else(missing)?,
            ipv6: match ipv6 {
                None => 0,
                Some(text) => in_lines(&text, "Ip6OutNoRoutes").ok_or_else(missing)?,
            },
        })
    }

    /// Both families together.
    pub(crate) const fn no_route(self) -> u64 {
        self.ipv4.saturating_add(self.ipv6)
    }

    /// What came after `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            ipv4: self.ipv4.saturating_sub(earlier.ipv4),
            ipv6: self.ipv6.saturating_sub(earlier.ipv6),
        }
    }
}

/// `snmp`: a line of names and a line of values for each protocol.
fn in_columns(text: &str, protocol: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(protocol));
    let (names, values) = (lines.next()?, lines.next()?);
    names
        .split_ascii_whitespace()
        .zip(values.split_ascii_whitespace())
        .find(|(column, _)| *column == name)
        .and_then(|(_, value)| value.parse().ok())
}

/// `snmp6`: a name and a value in each line.
fn in_lines(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(char::is_whitespace)?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layouts() {
        let snmp = "Ip: Forwarding OutNoRoutes Other\nIp: 2 17 3\nTcp: A\nTcp: 1\n";
        assert_eq!(in_columns(snmp, "Ip:", "OutNoRoutes"), Some(17));
        assert_eq!(in_columns(snmp, "Ip:", "Nothing"), None);
        let snmp6 = "Ip6InReceives  \t1\nIp6OutNoRoutes                  \t5\n";
        assert_eq!(in_lines(snmp6, "Ip6OutNoRoutes"), Some(5));
    }

    #[test]
    fn this_kernel_has_the_counters() {
        Counters::read().unwrap();
    }
}
