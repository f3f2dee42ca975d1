//! Differences planted by real tools (`tests/corpus/plant.sh`): all are found, their causes named.

use std::{fs, process::Command};

use repro_tests::{TestContext, User, root};
use serde_json::Value;

/// Of a hundred causes at least so many must be the expected ones.
const NAMED: usize = 95;
/// Cases that are planted at least: a corpus that shrank would prove less.
const CASES: usize = 70;

/// A line of `expected`.
struct Case {
    name: String,
    cause: String,
    path: String,
}

#[test]
fn planted_differences_are_found_and_named() {
    let context = TestContext::with_empty_store(User::Caller);
    let corpus = context.path("corpus");
    let planted = Command::new("sh")
        .arg(root().join("tests/corpus/plant.sh"))
        .arg(&corpus)
        .status()
        .expect("sh starts");
    assert!(planted.success(), "the corpus cannot be planted");
    let skipped = fs::read_to_string(corpus.join("skipped")).unwrap();
    assert_eq!(skipped, "", "tools are missing; tests/run installs them");
    let expected = fs::read_to_string(corpus.join("expected")).unwrap();
    let cases: Vec<Case> = expected.lines().map(case).collect();
    assert!(cases.len() >= CASES, "{} cases", cases.len());

    let compare = |name: &str, code: i32| -> Value {
        let sides = ["a", "b"].map(|side| corpus.join(side).join(name));
        let ended = context.repro(["diff", "--json"]).args(&sides).run();
        ended.exits(code).json()
    };
    let mut named = 0;
    let mut wrongly_certain = Vec::new();
    println!("{:<20} {:<22} named", "case", "expected");
    for case in &cases {
        let found = compare(&case.name, 1);
        let rows = rows(&found, &case.path);
        assert!(!rows.is_empty(), "{}: not detected", case.name);
        let right = rows.iter().any(|(cause, _)| *cause == case.cause);
        named += usize::from(right);
        let listed: Vec<&str> = rows.iter().map(|(cause, _)| cause.as_str()).collect();
        println!("{:<20} {:<22} {}", case.name, case.cause, listed.join(", "));
        for (cause, confidence) in &rows {
            if confidence == "certain" && *cause != case.cause {
                wrongly_certain.push(format!("{}: {cause}", case.name));
            }
        }
    }
    println!("{named} of {} named as expected", cases.len());
    assert!(named * 100 >= cases.len() * NAMED);
    assert!(wrongly_certain.is_empty(), "{wrongly_certain:?}");
    assert_eq!(compare("equal", 0)["causes"], Value::Array(Vec::new()));
}

fn case(line: &str) -> Case {
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().expect("a case has a name, a cause and a path");
    Case {
        name: word(),
        cause: word(),
        path: word(),
    }
}

/// Cause and confidence of each row at `path`. Times of the files themselves are another matter.
fn rows(found: &Value, path: &str) -> Vec<(String, String)> {
    let rows = found["differences"]
        .as_array()
        .expect("a report has differences");
    rows.iter()
        .filter(|row| row["path"] == path && row["kind"] != "mtime")
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            (text("cause"), text("confidence"))
        })
        .collect()
}
