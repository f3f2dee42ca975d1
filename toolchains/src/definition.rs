//! Shipped toolchains: what they are made of, and the locks that say which bytes that is.

mod file;

use repro_core::digest::Digest;

pub use file::{Definition, DefinitionImage, Method, TreeAdditions};

use crate::{
    diagnostic::Diagnostic,
    lock::{LockError, ToolchainLock},
};

/// Text of a definition and of its lock, as committed under `toolchains/defs/`.
struct Shipped {
    name: &'static str,
    definition: &'static str,
    lock: &'static str,
}

macro_rules! shipped {
    ($name:literal) => {
        Shipped {
            name: $name,
            definition: include_str!(concat!("../defs/", $name, ".toml")),
            lock: include_str!(concat!("../defs/", $name, ".lock")),
        }
    };
}

const SHIPPED: [Shipped; 2] = [shipped!("busybox"), shipped!("debian-c")];

/// A shipped toolchain, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippedToolchain {
    /// What it is made of.
    pub definition: Definition,
    /// Which bytes that is.
    pub lock: ToolchainLock,
    /// Digest of the lock file: names the toolchain in a project's lock.
    pub lock_digest: Digest,
}

/// Names of the shipped toolchains, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|shipped| shipped.name)
}

/// The shipped toolchain `name`; `None` if there is none.
///
/// An error is a mistake in this program's own files, which its tests look for.
pub fn shipped(name: &str) -> Result<Option<ShippedToolchain>, LockError> {
    let Some(found) = SHIPPED.iter().find(|shipped| shipped.name == name) else {
        return Ok(None);
    };
    let definition_file = format!("{name}.toml");
    let definition = Definition::parse(&definition_file, found.definition)?;
    let lock_file = format!("{name}.lock");
    let lock = ToolchainLock::parse(&lock_file, found.lock)?;
    let digest = Digest::of(found.definition.as_bytes());
    let refuse = |message: String| {
        LockError::Invalid(Diagnostic::new(&lock_file, found.lock, None, message))
    };
    if lock.definition != digest {
        return Err(refuse(format!(
            "made from a definition with the digest {}, {definition_file} has {digest}",
            lock.definition
        )));
    }
    if lock.name != definition.name || definition.name != name {
        return Err(refuse(format!(
            "is the lock of {}, not of {name}",
            lock.name
        )));
    }
    Ok(Some(ShippedToolchain {
        definition,
        lock,
        lock_digest: Digest::of(found.lock.as_bytes()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_toolchain_has_a_lock_of_its_definition() {
        for name in names() {
            let toolchain = shipped(name).unwrap().unwrap();
            for wanted in &toolchain.definition.packages {
                let locked = toolchain
                    .lock
                    .packages
                    .iter()
                    .any(|have| have.name == *wanted);
                assert!(locked, "{name}: {wanted}");
            }
        }
        assert_eq!(shipped("moon").unwrap(), None);
    }

    #[test]
    fn names_are_sorted() {
        assert!(names().is_sorted());
    }
}
