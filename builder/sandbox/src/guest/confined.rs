//! What the engine was told is measured: a container that holds a step less than it should is refused
//! before the step's program starts.

use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

use crate::{
    policy,
    protocol::{Failure, FailureKind},
};

/// Highest number of a capability that a kernel may have (they are kept in 64 bits).
const LAST_CAPABILITY: u32 = 63;

/// Refuses a container with a network, with more capabilities than a step has, or without a filter of
/// system calls.
pub(super) fn check() -> Result<(), Failure> {
    let devices = read("/proc/self/net/dev")?;
    if let Some(interface) = interfaces(&devices).find(|name| *name != "lo") {
        return Err(refused(&format!("has the network interface {interface:?}")));
    }
    let status = read("/proc/self/status")?;
    if field(&status, "Seccomp") != Some("2") {
        return Err(refused("has no filter of system calls"));
    }
    let allowed = policy::capabilities();
    for number in 0..=LAST_CAPABILITY {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        // Beyond the last one that this kernel has.
        let Ok(is_there) = capability_is_in_bounding_set(capability) else {
            break;
        };
        if is_there && !allowed.contains(capability) {
            return Err(refused(&format!("can have the capability {number}")));
        }
    }
    Ok(())
}

/// Names in `/proc/net/dev`, after its two lines of headings.
fn interfaces(devices: &str) -> impl Iterator<Item = &str> {
    let lines = devices.lines().skip(2);
    lines.filter_map(|line| Some(line.split_once(':')?.0.trim()))
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
}

fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::io(format!("read({path:?})"), &error))
}

fn refused(what: &str) -> Failure {
    Failure::new(
        FailureKind::Machine {
            hint: "the engine does not hold containers to what it is told: see its configuration and its \
                   version with `repro doctor`, or use --executor native"
                .to_owned(),
        },
        format!("the step's container {what}, which the policy of steps denies"),
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_and_fields_are_found_where_the_kernel_writes_them() {
        let devices = "Inter-|   Receive\n face |bytes\n    lo:       0       0\n  eth0: 7 0\n";
        assert_eq!(interfaces(devices).collect::<Vec<_>>(), ["lo", "eth0"]);
        let status = "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "Missing"), None);
    }
}
