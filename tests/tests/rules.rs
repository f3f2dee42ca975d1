//! `docs/ruleset-1.md` and the tests that it names; rules that only a whole build shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use repro_tests::{Pack, TestContext, root};
use serde_json::Value;

/// The rows of the table of rules: the rule, and the tests by file.
fn rows() -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let text = fs::read_to_string(root().join("docs/ruleset-1.md")).expect("the rules are there");
    let table = text
        .lines()
        .skip_while(|line| !line.starts_with("| rule |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut rows = BTreeMap::new();
    for line in table {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        let [rule, _, tests] = cells[..] else {
            panic!("{line}")
        };
        let mut of_row = BTreeMap::new();
        for part in tests.split("; ") {
            let (file, names) = part.split_once(": ").unwrap_or_else(|| panic!("{part}"));
            let names = names.split(", ").map(unquoted).collect();
            of_row.insert(unquoted(file), names);
        }
        rows.insert(rule.trim().to_owned(), of_row);
    }
    rows
}

fn unquoted(text: &str) -> String {
    let text = text.trim();
    let inner = text
        .strip_prefix('`')
        .and_then(|text| text.strip_suffix('`'));
    inner.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn every_rule_has_tests_that_exist() {
    let rows = rows();
    let rules: BTreeSet<String> = (1..=19)
        .map(|rule| rule.to_string())
        .chain(["limits".to_owned(), "all".to_owned()])
        .collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), rules);
    for (rule, files) in &rows {
        for (file, names) in files {
            let text = fs::read_to_string(root().join(file))
                .unwrap_or_else(|error| panic!("rule {rule}: {file}: {error}"));
            for name in names {
                // A function, or a scenario that a program of its own lists by name.
                let is_there =
                    text.contains(&format!("fn {name}(")) || text.contains(&format!("\"{name}\""));
                assert!(is_there, "rule {rule}: {file} has no {name}");
            }
        }
    }
}

#[test]
fn rule_19_attestations_are_beside_the_image() {
    let context = TestContext::new();
    let files = [("Dockerfile", "FROM scratch\nCOPY a /\n"), ("a", "1")];
    let project = context.project("signed", &files);
    let (_, plain) = context.built(&project, 0);

    let key = context.path("signer");
    context.repro(["keygen"]).arg(&key).run().exits(0);
    let (build, evidence) = context.build(&project);
    build
        .arg("--key")
        .arg(key.with_extension("key"))
        .run()
        .exits(0);
    let signed = Pack::read(&evidence);
    assert_eq!(signed.digest(), plain.digest());
    assert!(evidence.join("provenance/run-a.sigstore.json").exists());

    let index = fs::read(evidence.join("image/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let manifests = index["manifests"].as_array().unwrap();
    let digests: Vec<&str> = manifests
        .iter()
        .filter_map(|m| m["digest"].as_str())
        .collect();
    assert_eq!(digests, [signed.digest()]);
}
