//! Values that should not stand in a build argument, since those are recorded in clear.

use std::fmt;

use repro_core::redact;

/// Parts of a name that say secret.
const NAMES: [&str; 13] = [
    "apikey",
    "auth",
    "credential",
    "credentials",
    "key",
    "passphrase",
    "passwd",
    "password",
    "pat",
    "pword",
    "pwd",
    "secret",
    "token",
];
/// Parts of a name that say the rest is no secret.
const PUBLIC: [&str; 6] = ["public", "pub", "url", "file", "path", "version"];
/// Why an argument looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSign {
    /// By its name, such as `DB_PASSWORD`.
    Name,
    /// By its value: a private key, a token of a known service, an address with a password.
    Value,
}

impl fmt::Display for SecretSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "by its name",
            Self::Value => "by its value",
        })
    }
}

/// Whether a build argument looks like a secret. An empty value never does.
#[must_use]
pub fn looks_like_secret(name: &str, value: &str) -> Option<SecretSign> {
    if value.is_empty() {
        return None;
    }
    if says_secret(name) {
        return Some(SecretSign::Name);
    }
    redact::builtin().refused(value).map(|_| SecretSign::Value)
}

/// Whether a name says that its value is a secret.
fn says_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let parts = || name.split(['_', '-', '.']);
    parts().any(|part| NAMES.contains(&part)) && !parts().any(|part| PUBLIC.contains(&part))
}

/// Whether a name breaks the rule `SecretsUsedInArgOrEnv`. Its words are BuildKit's, so that a
/// Dockerfile that makes findings errors is refused by both or by neither.
pub(super) fn breaks_rule(name: &str) -> bool {
    const SECRET: [&str; 10] = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "passwd",
        "password",
        "pword",
        "secret",
        "token",
    ];
    const ALLOWED: [&str; 3] = ["public", "file", "version"];
    let name = name.to_ascii_lowercase();
    let has = |words: &[&str]| name.split('_').any(|part| words.contains(&part));
    has(&SECRET) && !has(&ALLOWED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_narrower_than_the_refusal() {
        for name in ["API_KEY", "auth_x", "TOKEN_URL", "PWORD"] {
            assert!(breaks_rule(name), "{name}");
        }
        for name in [
            "KEYS",
            "PUBLIC_KEY",
            "KEY_FILE",
            "TOKEN_VERSION",
            "my-key",
            "PWD",
            "PAT",
        ] {
            assert!(!breaks_rule(name), "{name}");
        }
    }

    #[test]
    fn names_and_values_that_look_secret() {
        let aws = format!("AKIA{}", "Q".repeat(16));
        for (name, value, sign) in [
            ("NPM_TOKEN", "x", Some(SecretSign::Name)),
            ("db-password", "x", Some(SecretSign::Name)),
            ("AWS_SECRET_ACCESS_KEY", "x", Some(SecretSign::Name)),
            ("AWS_SESSION_TOKEN", "x", Some(SecretSign::Name)),
            ("AWS_REGION", "eu-central-1", None),
            ("PUBLIC_KEY", "x", None),
            ("TOKEN_URL", "https://example.org/token", None),
            ("TOKEN", "", None),
            ("TOKENS", "4096", None),
            ("MONKEY", "x", None),
            ("VERSION", "1.2.3", None),
            ("ID", aws.as_str(), Some(SecretSign::Value)),
            ("REPO", "https://u:p@example.org/x", Some(SecretSign::Value)),
            ("REPO", "https://u@example.org/x:y@z", None),
            (
                "PEM",
                "-----BEGIN EC PRIVATE KEY-----\n",
                Some(SecretSign::Value),
            ),
        ] {
            assert_eq!(looks_like_secret(name, value), sign, "{name}={value}");
        }
    }
}
