use super::*;

/// Every key there is.
const FULL: &str = include_str!("../../../../docs/policy-example.toml");

#[test]
fn a_policy_is_read_whole() {
    let policy = Policy::parse(FULL).unwrap();
    assert_eq!(policy.digest, Some(Digest::of(FULL.as_bytes())));
    assert_eq!(policy.verdict, Some(Verdict::Reproducible));
    assert_eq!(policy.builders, Some(2));
    assert_eq!(policy.max_age.unwrap().seconds(), 30 * 86_400);
    assert_eq!(policy.lineage["source"], "s3://exports/*");
    assert_eq!(policy.waivers.len(), 1);
}

#[test]
fn what_is_wrong_is_refused_and_nothing_is_passed_over() {
    for (text, message) in [
        ("", "missing field `version`"),
        ("version = 2", "version 2 is not known"),
        ("version = 1", "demands nothing"),
        ("version = 1\nurl = \"x\"", "unknown field `url`"),
        ("version = 1\nuri = \"x y\"", "not a URI"),
        (
            "version = 1\n[allow]\nbase-image = []",
            "unknown field `base-image`",
        ),
        (
            "version = 1\n[allow]\nbase-images = [\"*\"]",
            "wildcard in the name of the registry",
        ),
        (
            "version = 1\n[allow]\nbase-images = \"debian\"",
            "invalid type",
        ),
        ("version = 1\n[allow]\nsources = [\"git\"]", "a source is"),
        (
            "version = 1\n[allow]\nsources = [\"https://*/x\"]",
            "a source is",
        ),
        (
            "version = 1\n[allow]\nsources = [\"https://host*\"]",
            "a source is",
        ),
        (
            "version = 1\n[require]\nverdict = \"good\"",
            "unknown variant",
        ),
        ("version = 1\n[require]\nhermetic = true", "invalid type"),
        ("version = 1\n[require]\nhermetic = \"no\"", "is not one of"),
        (
            "version = 1\n[require]\nlayers-equal = 101",
            "no percentage",
        ),
        ("version = 1\n[require]\nlayers-equal = -1", "invalid value"),
        (
            "version = 1\n[require]\nvary = [\"clok\"]",
            "is not an axis",
        ),
        (
            "version = 1\n[require]\nslsa-build-level = 0",
            "not a level",
        ),
        ("version = 1\n[require]\nbuilders = 0", "a quorum"),
        (
            "version = 1\n[require]\nmax-age = \"30\"",
            "no span of time",
        ),
        ("version = 1\n[require]\nmax-age = \"é\"", "no span of time"),
        (
            "version = 1\n[require]\nmax-age = \"99999999999999999999d\"",
            "no span of time",
        ),
        ("version = 1\n[lineage]\nsource = 1", "invalid type"),
    ] {
        let error = Policy::parse(text).unwrap_err();
        assert!(error.message().contains(message), "{text}\n{error}");
    }
    let waiver = |check: &str, owner: &str, expires: &str| {
        let text = format!(
            "version = 1\n[require]\nverdict = \"reproducible\"\n[[waiver]]\ncheck = {check:?}\n\
             owner = {owner:?}\nreason = \"r\"\nexpires = {expires}"
        );
        Policy::parse(&text)
    };
    assert!(waiver("V18", "o", "2027-01-01T00:00:00Z").is_ok());
    for (check, owner, expires, message) in [
        ("V07", "o", "2027-01-01T00:00:00Z", "cannot be waived"),
        ("V99", "o", "2027-01-01T00:00:00Z", "is no check"),
        (
            "V18",
            " ",
            "2027-01-01T00:00:00Z",
            "the owner of a waiver is empty",
        ),
        ("V18", "o", "2027-01-01", "not a time in RFC 3339"),
        ("V18", "o", "\"never\"", "not a time in RFC 3339"),
    ] {
        let error = waiver(check, owner, expires).unwrap_err();
        assert!(error.message().contains(message), "{error}");
    }
}

/// The schema and the reader know the same keys, and the example has every one of them.
#[test]
fn the_schema_says_what_is_read() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/policy-v1.schema.json")).unwrap();
    let example: serde_json::Value = toml::from_str(FULL).unwrap();
    same_keys("policy", &schema, &example);
    for key in ["allow", "require", "waiver", "version"] {
        let mut text: toml::Table = toml::from_str(FULL).unwrap();
        let more = match text.get_mut(key) {
            Some(toml::Value::Table(table)) => table,
            Some(toml::Value::Array(items)) => items[0].as_table_mut().unwrap(),
            _ => &mut text,
        };
        more.insert("unheard-of".into(), true.into());
        let error = Policy::parse(&toml::to_string(&text).unwrap()).unwrap_err();
        assert!(
            error.message().contains("unknown field `unheard-of`"),
            "{key}: {error}"
        );
    }
}

fn same_keys(at: &str, schema: &serde_json::Value, value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) if schema.get("properties").is_some() => {
            assert_eq!(schema["additionalProperties"], false, "{at}");
            let known = schema["properties"].as_object().unwrap();
            let known: Vec<&String> = known.keys().collect();
            let mut found: Vec<&String> = fields.keys().collect();
            found.sort();
            let mut sorted = known.clone();
            sorted.sort();
            assert_eq!(found, sorted, "{at}");
            for (key, value) in fields {
                same_keys(&format!("{at}.{key}"), &schema["properties"][key], value);
            }
        }
        serde_json::Value::Array(items) => {
            assert_eq!(schema["type"], "array", "{at}");
            for item in items {
                same_keys(&format!("{at}[]"), &schema["items"], item);
            }
        }
        serde_json::Value::Object(_) => assert_eq!(schema["type"], "object", "{at}"),
        serde_json::Value::Number(_) => assert!(
            schema["type"] == "integer" || schema["const"] == 1,
            "{at}: {schema}"
        ),
        serde_json::Value::String(text) => {
            let choices = schema.get("enum").and_then(serde_json::Value::as_array);
            if let Some(choices) = choices {
                assert!(choices.iter().any(|choice| choice == text), "{at}");
            }
            assert_eq!(schema["type"], "string", "{at}");
        }
        other => panic!("{at}: {other}"),
    }
}
