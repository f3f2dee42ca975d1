//! The shapes, each with its name. Those of tokens are what their services document, prefix and length.

use super::Class;

/// One shape.
pub(super) struct Shape {
    /// In what replaces it and in messages.
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// Over bytes. The first group is what is replaced; without one, all of it.
    pub(super) regex: &'static str,
    /// Whether the place from the first to the second number is none after all.
    pub(super) except: fn(&[u8], usize, usize) -> bool,
}

const fn secret(name: &'static str, regex: &'static str) -> Shape {
    Shape {
        name,
        class: Class::Secret,
        regex,
        except: |_, _, _| false,
    }
}

/// All of them. What holds others comes first: a key in armour before a token inside of it.
pub(super) const SHAPES: &[Shape] = &[
    secret(
        "private-key",
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.)*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)",
    ),
    secret(
        "jwt",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    secret(
        "github-token",
        r"\b(?:gh[oprsu]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{29,})",
    ),
    secret(
        "gitlab-token",
        r"\bgl(?:agent|cbt|dt|ft|imt|oas|pat|ptt|rt|soat)-[A-Za-z0-9_-]{20,}",
    ),
    secret("aws-key-id", r"\b(?:ABIA|ACCA|AKIA|ASIA)[A-Z0-9]{16}\b"),
    secret(
        "aws-secret",
        r#"(?i)aws_?(?:secret|session)_?(?:access)?_?(?:key|token)["']?\s*[=:]\s*["']?([A-Za-z0-9/+=]{40,})"#,
    ),
    secret("slack-token", r"\bxox[abeoprs]-[A-Za-z0-9-]{15,}"),
    secret(
        "npm-token",
        r#"(?:\b(?:npm_[A-Za-z0-9]{36,})|_auth(?:Token)?\s*=\s*["']?[A-Za-z0-9+/=_.-]{8,})"#,
    ),
    secret("pypi-token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    secret("google-key", r"\bAIza[A-Za-z0-9_-]{35}"),
    secret("huggingface-token", r"\bhf_[A-Za-z0-9]{27,}"),
    secret(
        "bearer",
        r"(?i)(?:\bauthorization\s*[:=]\s*(?:basic|bearer|token)|\bbearer)\s+([A-Za-z0-9._~+/=-]{16,})",
    ),
    Shape {
        name: "url-password",
        class: Class::Secret,
        regex: r"(?i)\b[a-z][a-z0-9+.-]*://([^\s/?#:@]*:[^\s/?#]+)@",
        except: password_of_variables,
    },
    Shape {
        name: "url-token",
        class: Class::Secret,
        regex: r#"(?i)[?&](?:access_?token|api_?key|auth_?token|client_secret|password|private_?token|secret|sig|signature|token|x-amz-(?:credential|security-token|signature)|x-goog-(?:credential|signature))=([^&\s#"'<>]+)"#,
        except: no_token,
    },
    Shape {
        name: "email",
        class: Class::Personal,
        regex: r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b",
        except: no_address,
    },
];

/// `name:$PASSWORD`, as scripts have it: it says where a password comes from, and none.
fn password_of_variables(bytes: &[u8], start: usize, end: usize) -> bool {
    let mut parts = bytes[start..end].splitn(2, |&byte| byte == b':');
    parts.nth(1).is_some_and(only_variables)
}

/// What `repro lock` wrote in the place of a secret of a URL, and `$TOKEN`, as scripts have it.
fn no_token(bytes: &[u8], start: usize, end: usize) -> bool {
    let token = &bytes[start..end];
    token == b"REDACTED" || only_variables(token)
}

/// Whether all of `text` is `$NAME` or `${NAME}`. Words beside it, and defaults as in `${NAME:-word}`, could be
/// the secret.
fn only_variables(text: &[u8]) -> bool {
    let mut parts = text.split(|&byte| byte == b'$');
    let before = parts.next();
    let name = |part: &[u8]| {
        let inner = part.strip_prefix(b"{").map(|part| part.strip_suffix(b"}"));
        let name = inner.unwrap_or(Some(part)).unwrap_or_default();
        let first = name.first().copied();
        first.is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
            && name
                .iter()
                .all(|&byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    before == Some(b"") && text.len() > 1 && parts.all(name)
}

/// Endings of what systemd calls by names like `getty@tty1.service`.
const UNITS: [&[u8]; 7] = [
    b".mount",
    b".path",
    b".scope",
    b".service",
    b".slice",
    b".socket",
    b".timer",
];

/// What is written like an address and is none: a user in a URL, the user of a git server, a version in
/// a package URL, a unit of systemd.
fn no_address(bytes: &[u8], start: usize, end: usize) -> bool {
    let address = &bytes[start..end];
    let word = bytes[..start]
        .iter()
        .rposition(u8::is_ascii_whitespace)
        .map_or(0, |at| at + 1);
    let before = &bytes[word..start];
    let has = |part: &[u8]| before.windows(part.len()).any(|window| window == part);
    address.starts_with(b"git@")
        || has(b"pkg:")
        || has(b"://")
        || UNITS.iter().any(|unit| address.ends_with(unit))
}
