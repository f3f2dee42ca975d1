use super::{TextOptions, html, junit, markdown, sarif, text};
use crate::{
    compare::planted::{Build, file, step},
    report::{PairReport, Report},
};

mod hostile;
mod junit_cases;
mod screen;

/// Names and contents that try to leave their frame in each of the forms.
const HOSTILE: &str = "a`|<script>alert(1)</script>\x1b[31m\n[x](http://e.example)\u{202e}&\"'";

fn report(build: &Build) -> Report {
    let comparison = build.compare().unwrap();
    Report::build(&build.record, Some(&comparison)).unwrap()
}

fn pair(build: &Build) -> PairReport {
    PairReport::new("one".into(), "two".into(), build.compare().unwrap())
}

fn stamp() -> Build {
    Build::new(&[
        step("COPY x /x", vec![file("x", "x")], vec![file("x", "x")]),
        step(
            "RUN date > /stamp/date",
            vec![file("stamp/date", "Mon Nov 23 21:33:25 UTC 2026\n")],
            vec![file("stamp/date", "Mon Nov 23 21:33:27 UTC 2026\n")],
        ),
    ])
}

fn equal() -> Build {
    let same = || vec![file("x", "x")];
    Build::new(&[step("COPY x /x", same(), same())])
}

fn hostile() -> Build {
    // A slash would make directories of it.
    let name = HOSTILE.replace('/', "\\");
    Build::new(&[step(
        "RUN echo '`</code><img src=x onerror=alert(1)>` | @everyone \x1b]0;x\x07'",
        vec![file(&name, format!("{HOSTILE} repro-a"))],
        vec![file(&name, format!("{HOSTILE} repro-b-canary"))],
    )])
}

/// A report with `count` differing files, each the same but for its name: to compare as many takes
/// longer than to report on them.
fn many(count: usize, name: impl Fn(usize) -> Vec<u8>) -> (Report, PairReport) {
    let build = Build::new(&[step(
        "RUN x",
        vec![file("x", "1 repro-a")],
        vec![file("x", "1 repro-b-canary")],
    )]);
    let mut found = build.compare().unwrap();
    let row = found.differences.remove(0);
    let mut names: Vec<Vec<u8>> = (0..count).map(name).collect();
    names.sort();
    for (at, name) in names.into_iter().enumerate() {
        let mut row = row.clone();
        row.path = repro_core::tree::show_bytes(&name).into_owned();
        if at >= crate::compare::MAX_AROUND
            && let Some(evidence) = &mut row.evidence
        {
            evidence.around = None;
        }
        found.differences.push(row);
    }
    let report = Report::build(&build.record, Some(&found)).unwrap();
    (report, PairReport::new("one".into(), "two".into(), found))
}

fn plain(report: &Report, options: &TextOptions) -> String {
    let lines = text(report, options);
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn text_says_the_verdict_first_then_step_cause_and_file() {
    let report = report(&stamp());
    let options = TextOptions {
        evidence: Some("repro-out".into()),
        ..TextOptions::default()
    };
    let expected = format!(
        "\
not reproducible: registry.example/app:1 (linux/amd64)
  the two runs gave different images, first here:
  Dockerfile:3  RUN date > /stamp/date

why  1 cause, 1 path
  embedded-timestamp: the time of the build is in the file (certain)
    Dockerfile:3: stamp/date
      a  Mon Nov 23 21:33:25 UTC 2026
      b  Mon Nov 23 21:33:27 UTC 2026
    fix: Use SOURCE_DATE_EPOCH, which every step has in its environment: `date
         -u -d \"@$SOURCE_DATE_EPOCH\"` in a shell; compilers and most generators
         read it by themselves. Or leave the time out, or remove the file in the
         same RUN if nothing needs it (logs, caches).

  image  {}
  equal      1 of 2 layers, 1 of 2 files
  time       run a 2.5 s, run b 2.5 s
  hermetic   yes, measured: no step tried to reach the network
  varied     clock: real | 398 days, 5 h 17 min ahead, moving; each step at
             least 2000 ms after run a
             hostname: repro-a (none) | repro-b-canary repro-b-domain-canary
             cpus: all | 1
             pids: from 2 | from 20011
             address-space: fixed | random
             boot-time: real | 4100417 s earlier
             directory-order: sorted | reverse sorted
             kernel-name: real | 5.4.0-repro-b-kernel
             inode-numbers: new files as they come, device even | new files as
             they come, device odd
             caller: as is | canaries, none of which shows inside
             scheduling: stages in order | stages in reverse order
  evidence   repro-out",
        report.image.manifest_digest.unwrap(),
    );
    assert_eq!(plain(&report, &options), expected);
}

#[test]
fn text_of_an_equal_pair_names_no_cause() {
    let shown = plain(&report(&equal()), &TextOptions::default());
    assert!(shown.starts_with("reproducible: "), "{shown}");
    assert!(shown.contains("1 of 1 layers"), "{shown}");
    for heading in ["why", "what differs", "fix:"] {
        assert!(!shown.contains(heading), "{shown}");
    }
}

#[test]
fn markdown_keeps_hostile_names_in_code() {
    let shown = markdown(&report(&hostile()));
    assert!(!shown.contains('\x1b'));
    let rows: Vec<&str> = shown
        .lines()
        .filter(|line| line.contains("script"))
        .collect();
    assert_eq!(rows.len(), 1, "{shown}");
    // Unescaped bars: six cells have seven.
    let bars = rows[0].replace("\\|", "").matches('|').count();
    assert_eq!(bars, 7, "{}", rows[0]);
    // The tag stands between fences of two backticks, longer than the one in the name.
    assert!(rows[0].contains("``a`\\|<script>"), "{}", rows[0]);
    assert!(!markdown(&report(&stamp())).contains("\\`"));
}

#[test]
fn markdown_names_instruction_cause_and_remedy() {
    let shown = markdown(&report(&stamp()));
    assert!(shown.starts_with("## ❌ `registry.example/app:1` (linux/amd64): not reproducible\n"));
    assert!(shown.contains("**First step that differs:** `Dockerfile:3` `RUN date > /stamp/date`"));
    assert!(shown.contains("| `embedded-timestamp` (certain): the time of the build is in the file | 1 | `Dockerfile:3` | Use SOURCE_DATE_EPOCH"));
}

#[test]
fn the_page_escapes_and_loads_nothing() {
    let page = html(&report(&hostile()));
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("<img"), "{page}");
    assert!(page.contains("&lt;script&gt;"));
    assert!(!page.contains('\x1b'));
    assert!(!page.contains("src=\"") && !page.contains("href=\"http") && !page.contains("url("));
    let page = html(&report(&stamp()));
    assert!(page.contains("not reproducible"));
    assert!(page.contains("<code>stamp/date</code>"));
    assert!(
        page.contains("Mon Nov 23 <mark>21:33:27</mark> UTC 2026"),
        "{page}"
    );
}

#[test]
fn sarif_has_a_result_on_the_line_of_the_dockerfile() {
    let bytes = sarif(&report(&stamp()), "apps/a b/Dockerfile").unwrap();
    let log: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["ruleId"], "embedded-timestamp");
    assert_eq!(results[0]["level"], "error");
    let rule = usize::try_from(results[0]["ruleIndex"].as_u64().unwrap()).unwrap();
    let rule = &run["tool"]["driver"]["rules"][rule];
    assert_eq!(rule["id"], "embedded-timestamp");
    assert_eq!(rule["name"], "EmbeddedTimestamp");
    assert!(rule["helpUri"].as_str().unwrap().starts_with("https://"));
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "apps/a%20b/Dockerfile");
    assert_eq!(place["region"]["startLine"], 3);
    let message = results[0]["message"]["text"].as_str().unwrap();
    assert!(message.contains(": stamp/date. Use"), "{message}");

    let log: serde_json::Value =
        serde_json::from_slice(&sarif(&report(&equal()), "Dockerfile").unwrap()).unwrap();
    assert_eq!(log["runs"][0]["results"], serde_json::json!([]));
}

#[test]
fn sarif_of_a_pair_names_the_file_by_a_relative_reference() {
    let bytes = super::pair_sarif(&pair(&hostile())).unwrap();
    let log: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let place = &log["runs"][0]["results"][0]["locations"][0];
    let uri = place["physicalLocation"]["artifactLocation"]["uri"]
        .as_str()
        .unwrap();
    assert!(uri.starts_with("a%60%7C%3Cscript%3E"), "{uri}");
    assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
    let whole = place["logicalLocations"][0]["fullyQualifiedName"]
        .as_str()
        .unwrap();
    assert!(whole.starts_with("layer 0: a`|<script>"), "{whole}");
}

#[test]
fn junit_is_what_the_verdict_says() {
    let shown = junit(&report(&equal()));
    assert!(
        shown.contains("failures=\"0\" errors=\"0\" skipped=\"0\""),
        "{shown}"
    );
}
