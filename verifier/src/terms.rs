//! What a verifier brings to a verification: whose word it takes and what it demands.
//!
//! Both come from files of the verifier alone. Nothing of what is judged, a pack or a project, is
//! asked for them: who writes the rules by which he is judged is judged by nobody.

pub mod document;
pub mod kyverno;
pub mod patterns;
pub mod policy;
pub mod trust;

use crate::keys::PublicKey;

pub use document::DocumentError;
pub use policy::Policy;
pub use trust::TrustRules;

/// Whose word is taken.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// Statements signed by one of these keys, of any builder that this version knows: the short
    /// form of rules without windows, with Build level 1 at most.
    Keys(&'a [PublicKey]),
    /// Statements of these builders, each by its own keys.
    Rules(&'a TrustRules),
    /// Statements signed by the key that lies in the pack itself. That shows that the pack is
    /// whole and nothing on who made it, so it is never verified.
    Embedded,
}

impl Trust<'_> {
    /// The rules that the caller gave; of nobody where the key is taken from the pack.
    #[must_use]
    pub fn rules(&self) -> TrustRules {
        match *self {
            Self::Keys(keys) => TrustRules::of_keys(keys),
            Self::Rules(rules) => rules.clone(),
            Self::Embedded => TrustRules::default(),
        }
    }
}

/// Everything that a verification goes by besides what is judged.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Whose word is taken.
    pub trust: Trust<'a>,
    /// What is demanded beyond that everything holds.
    pub policy: Option<&'a Policy>,
    /// Seconds since 1970.
    pub now: i64,
}

impl<'a> Terms<'a> {
    /// Without a policy.
    #[must_use]
    pub const fn new(trust: Trust<'a>, now: i64) -> Self {
        Self {
            trust,
            policy: None,
            now,
        }
    }
}
