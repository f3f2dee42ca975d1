//! Differences planted by real tools (`tests/corpus`): all are found, their causes named.
//!
//! `tests/corpus/blind` was written, with what is expected, before a detector saw it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper of a test panics where the test fails, and its table is to be read"
)]

use std::{fmt::Write as _, fs, path::Path, process::Command};

use repro_tests::{TestContext, User, root};
use serde_json::Value;

/// The files of cases, with how many cases there are at least: a set that shrank proves less.
const SETS: [(&str, &[&str], usize); 2] = [
    (
        "corpus",
        &[
            "archives",
            "compilers",
            "documents",
            "ecosystems",
            "filesystems",
            "python",
            "system",
        ],
        110,
    ),
    (
        "blind",
        &[
            "blind/artifacts",
            "blind/content",
            "blind/decoys",
            "blind/second",
        ],
        75,
    ),
];
/// Of a hundred causes at least so many must be the expected ones, in each set.
const NAMED: usize = 95;

/// A line of `expected`.
struct Case {
    family: String,
    name: String,
    /// The cause that must be named.
    cause: String,
    /// The causes that may stand beside it.
    beside: Vec<String>,
    /// Whether the difference follows from another one.
    derived: bool,
    /// Whether the tool itself made it, or only what that tool would write.
    of: String,
    path: String,
}

/// A difference of a report.
struct Row {
    cause: String,
    confidence: String,
    derived: bool,
}

#[test]
fn planted_differences_are_found_and_named() {
    let context = TestContext::with_empty_store(User::Caller);
    let corpus = context.path("corpus");
    let families = SETS.iter().flat_map(|(_, families, _)| *families);
    let planted = Command::new("sh")
        .arg(root().join("tests/corpus/plant.sh"))
        .arg(&corpus)
        .args(families)
        .status()
        .expect("sh starts");
    assert!(planted.success(), "the corpus cannot be planted");
    let expected = fs::read_to_string(corpus.join("expected")).unwrap();
    let cases: Vec<Case> = expected.lines().map(case).collect();

    let mut faults = String::new();
    for (set, families, least) in SETS {
        let families: Vec<String> = families.iter().map(|name| name.replace('/', "-")).collect();
        let own = cases.iter().filter(|case| families.contains(&case.family));
        let own: Vec<&Case> = own.collect();
        assert!(own.len() >= least, "{set}: {} cases", own.len());
        println!(
            "{:<18} {:<20} {:<6} {:<22} named",
            set, "case", "by", "expected"
        );
        let right = own
            .iter()
            .filter(|case| is_named(&context, &corpus, case, &mut faults))
            .count();
        println!("{set}: {right} of {} named as expected\n", own.len());
        if right * 100 < own.len() * NAMED {
            writeln!(faults, "{set}: too few are named").unwrap();
        }
    }
    let equal = compare(&context, &corpus, "equal", 0);
    assert_eq!(equal["causes"], Value::Array(Vec::new()));
    assert!(faults.is_empty(), "{faults}");
}

/// Whether the cause of a case is named, and none that is another; notes what must never be.
fn is_named(context: &TestContext, corpus: &Path, case: &Case, faults: &mut String) -> bool {
    let rows = rows(&compare(context, corpus, &case.name, 1), &case.path);
    if rows.is_empty() {
        writeln!(faults, "{}: not detected", case.name).unwrap();
    }
    let fits = |row: &Row| row.cause == case.cause || case.beside.contains(&row.cause);
    for row in rows.iter().filter(|row| !fits(row)) {
        if row.confidence == "certain" {
            writeln!(faults, "{}: {} is certain and wrong", case.name, row.cause).unwrap();
        }
    }
    let right = rows.iter().all(fits)
        && rows
            .iter()
            .any(|row| row.cause == case.cause && row.derived == case.derived);
    let named: Vec<String> = rows.iter().map(shown).collect();
    println!(
        "{:<18} {:<20} {:<6} {:<22} {}{}",
        case.family,
        case.name,
        case.of,
        case.cause,
        named.join(", "),
        if right { "" } else { "   <- not as expected" }
    );
    right
}

fn shown(row: &Row) -> String {
    let derived = if row.derived { " (derived)" } else { "" };
    format!("{} {}{derived}", row.cause, row.confidence)
}

fn compare(context: &TestContext, corpus: &Path, name: &str, code: i32) -> Value {
    let sides = ["a", "b"].map(|side| corpus.join(side).join(name));
    let ended = context.repro(["diff", "--json"]).args(&sides).run();
    ended.exits(code).json()
}

fn case(line: &str) -> Case {
    let mut words = line.split(' ').map(str::to_owned);
    let mut word = || words.next().expect("a line of a case has six words");
    let (family, name, causes) = (word(), word(), word());
    let mut causes = causes.split('+').map(str::to_owned);
    Case {
        family,
        name,
        cause: causes.next().expect("a case has a cause"),
        beside: causes.collect(),
        derived: word() == "derived",
        of: word(),
        path: word(),
    }
}

/// What stands at `path`. Times of the files themselves are another matter.
fn rows(found: &Value, path: &str) -> Vec<Row> {
    let rows = found["differences"]
        .as_array()
        .expect("a report has differences");
    rows.iter()
        .filter(|row| row["path"] == path && row["kind"] != "mtime")
        .map(|row| {
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            Row {
                cause: text("cause"),
                confidence: text("confidence"),
                derived: !row["derivedFrom"].is_null(),
            }
        })
        .collect()
}
