use super::*;
use crate::{keys::KeyKind, testing::key};

fn pem(seed: u8) -> String {
    key(KeyKind::P256, seed).public_key().to_pem()
}

fn parse(text: &str) -> Result<TrustRules, DocumentError> {
    TrustRules::parse(text, &mut |path| match path.to_str() {
        Some("one.pub") => Ok(pem(1)),
        Some("two.pub") => Ok(pem(2)),
        Some("private.key") => Ok(key(KeyKind::P256, 1).to_pem().unwrap().to_string()),
        Some("trailing.pub") => Ok(format!("{}{}", pem(1), pem(2))),
        _ => Err("no such file".into()),
    })
}

fn builder(id: &str, more: &str) -> String {
    format!("[[builder]]\nid = {id:?}\n{more}\n")
}

#[test]
fn pairs_are_exact_and_levels_are_the_files() {
    let rules = parse(&format!(
        "version = 1\n{}{}",
        builder(
            "https://acme.example/ci",
            "slsa-build-level = 3\noperator = \"acme\"\nkey = [{ file = \"one.pub\" }]"
        ),
        builder("https://other.example/ci", "key = [{ file = \"two.pub\" }]"),
    ))
    .unwrap();
    let [one, two] = [1, 2].map(|seed| key(KeyKind::P256, seed).public_key().id());
    let level = |key, id: &str| {
        rules
            .standing(key, id)
            .map(|standing| standing.level.number())
    };
    assert_eq!(level(one, "https://acme.example/ci"), Some(3));
    assert_eq!(level(two, "https://other.example/ci"), Some(1));
    for (key, id) in [
        (two, "https://acme.example/ci"),
        (one, "https://other.example/ci"),
        (one, "https://acme.example/ci/"),
        (one, "https://acme.example/c"),
        (one, "https://ACME.example/ci"),
        (one, ""),
        (one, uris::BUILDER_LOCAL),
    ] {
        assert_eq!(level(key, id), None, "{id}");
    }
    // A key on the command line speaks for what this version knows, at level 1.
    let short = rules.with_keys(&[key(KeyKind::P256, 3).public_key()]);
    let three = key(KeyKind::P256, 3).public_key().id();
    assert_eq!(
        short.standing(three, uris::BUILDER_LOCAL).unwrap().level,
        BuildLevel::ONE
    );
    assert_eq!(short.standing(three, "https://acme.example/ci"), None);
    assert_eq!(short.builder_keys().len(), 3);
}

#[test]
fn windows_and_revocations_are_read() {
    let rules = parse(&format!(
        "version = 1\n{}[[revoked]]\nfile = \"two.pub\"\nreason = \"the laptop is gone\"\n",
        builder(
            "b",
            "[[builder.key]]\nfile = \"one.pub\"\nnot-before = 2026-01-01T00:00:00Z\n\
             not-after = \"2027-01-01T00:00:00Z\""
        ),
    ))
    .unwrap();
    let [one, two] = [1, 2].map(|seed| key(KeyKind::P256, seed).public_key().id());
    let window = rules.standing(one, "b").unwrap().window;
    let (start, end) = (1_767_225_600, 1_798_761_600);
    for (time, good) in [
        (start - 1, false),
        (start, true),
        (end, true),
        (end + 1, false),
    ] {
        assert_eq!(window.holds(time), good, "{time}");
    }
    assert_eq!(
        window.to_string(),
        "from 2026-01-01T00:00:00Z until 2027-01-01T00:00:00Z"
    );
    assert_eq!(rules.revoked(two), Some("the laptop is gone"));
    assert_eq!(rules.revoked(one), None);
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    let key_of = |more: &str| builder("b", &format!("key = [{{ {more} }}]"));
    let p521 = "pem = \"-----BEGIN PUBLIC KEY-----\\nMBYwEAYHKoZIzj0CAQYFK4EEACMDAgAE\\n-----END PUBLIC KEY-----\\n\"";
    for (text, message) in [
        (String::new(), "names neither a builder nor a verifier"),
        ("[[builder]]".into(), "missing field `id`"),
        (builder("b", ""), "missing field `key`"),
        (builder("b", "key = []"), "has no key"),
        (builder("", "key = [{ file = \"one.pub\" }]"), "is empty"),
        (key_of("file = \"one.pub\"").repeat(2), "is there twice"),
        (
            key_of("file = \"one.pub\" }, { file = \"one.pub\""),
            "has this key twice",
        ),
        (
            key_of("file = \"none.pub\""),
            "cannot read none.pub: no such file",
        ),
        (key_of("file = \"private.key\""), "this is a private key"),
        (
            key_of("file = \"trailing.pub\""),
            "data behind the end of the key",
        ),
        (key_of("pem = \"x\""), "no PEM block"),
        (key_of(p521), "P-521"),
        (
            key_of("file = \"one.pub\", pem = \"x\""),
            "either a file or a pem",
        ),
        (
            key_of("not-before = 2026-01-01T00:00:00Z"),
            "either a file or a pem",
        ),
        (
            key_of("file = \"one.pub\", not-after = \"soon\""),
            "is not a time in RFC 3339",
        ),
        (
            key_of("file = \"one.pub\", not-after = 2026-01-01"),
            "is not a time in RFC 3339",
        ),
        (
            key_of(
                "file = \"one.pub\", not-before = 2027-01-01T00:00:00Z, not-after = 2026-01-01T00:00:00Z",
            ),
            "not-after is before not-before",
        ),
        (
            key_of("file = \"one.pub\", comment = \"x\""),
            "unknown field `comment`",
        ),
        (
            builder("b", "slsa-build-level = 4\nkey = [{ file = \"one.pub\" }]"),
            "not a level",
        ),
        (
            builder("b", "level = 3\nkey = [{ file = \"one.pub\" }]"),
            "unknown field `level`",
        ),
        (
            key_of("file = \"one.pub\"") + "[[revoked]]\nfile = \"two.pub\"",
            "missing field `reason`",
        ),
    ] {
        let error = parse(&format!("version = 1\n{text}")).unwrap_err();
        assert!(error.message().contains(message), "{text}\n{error}");
    }
    assert!(
        parse(&key_of("file = \"one.pub\""))
            .unwrap_err()
            .message()
            .contains("version")
    );
    let other = format!("version = 2\n{}", key_of("file = \"one.pub\""));
    assert!(
        parse(&other)
            .unwrap_err()
            .message()
            .contains("version 2 is not known")
    );
}
