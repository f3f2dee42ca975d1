//! Shipped toolchains: what they are made of, and the locks that say which bytes that is.

mod file;

use repro_core::digest::Digest;

pub(crate) use file::is_name;
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

const SHIPPED: [Shipped; 8] = [
    shipped!("busybox"),
    shipped!("debian"),
    shipped!("debian-c"),
    shipped!("debian-go"),
    shipped!("debian-java"),
    shipped!("debian-node"),
    shipped!("debian-python"),
    shipped!("debian-rust"),
];

/// A toolchain with its packages: a shipped one, one of a project's own, or one of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedToolchain {
    /// What it is made of.
    pub definition: Definition,
    /// Which bytes that is.
    pub lock: ToolchainLock,
    /// Digest of the text of the lock: names a shipped toolchain in a project's lock.
    pub lock_digest: Digest,
}

/// Names of the shipped toolchains, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|shipped| shipped.name)
}

/// The shipped toolchain `name`; `None` if there is none.
///
/// An error is a mistake in this program's own files, which its tests look for.
pub fn shipped(name: &str) -> Result<Option<PinnedToolchain>, LockError> {
    let Some(found) = SHIPPED.iter().find(|shipped| shipped.name == name) else {
        return Ok(None);
    };
    let (definition_file, lock_file) = (format!("{name}.toml"), format!("{name}.lock"));
    let pinned = PinnedToolchain::parse(
        (&definition_file, found.definition),
        (&lock_file, found.lock),
    )?;
    if pinned.definition.name != name {
        let message = format!(
            "is the definition of {}, not of {name}",
            pinned.definition.name
        );
        return Err(Diagnostic::new(&definition_file, found.definition, None, message).into());
    }
    Ok(Some(pinned))
}

/// The text of the definition that is shipped as `name`; `None` if there is none.
#[must_use]
pub fn shipped_text(name: &str) -> Option<&'static str> {
    let found = SHIPPED.iter().find(|shipped| shipped.name == name)?;
    Some(found.definition)
}

impl PinnedToolchain {
    /// Parses a definition and the lock that was made of it: the name of each in messages, and
    /// its text.
    pub fn parse(definition: (&str, &str), lock: (&str, &str)) -> Result<Self, LockError> {
        let (definition_file, text) = definition;
        let digest = Digest::of(text.as_bytes());
        let definition = Definition::parse(definition_file, text)?;
        let (lock_file, text) = lock;
        let lock = ToolchainLock::parse(lock_file, text)?;
        let refuse = |message: String| {
            LockError::OtherDefinition(Diagnostic::new(lock_file, text, None, message))
        };
        if lock.name != definition.name {
            let message = format!("is the lock of {}, not of {}", lock.name, definition.name);
            return Err(refuse(message));
        }
        if lock.definition != digest {
            return Err(refuse(format!(
                "made from a definition with the digest {}, {definition_file} has {digest}",
                lock.definition
            )));
        }
        Ok(Self {
            definition,
            lock,
            lock_digest: Digest::of(text.as_bytes()),
        })
    }
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
