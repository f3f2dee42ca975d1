//! The language row by row: each instruction, flag and form with a case that is taken, and one that
//! is refused wherever there is one. What is taken is planned too, so that values of variables and
//! what the base says count.

mod ignore;
mod instructions;
mod scopes;
mod syntax;

use std::fmt::Write as _;

use repro_core::json;

use crate::{
    dockerfile::Keyword,
    plan::{
        Plan,
        tests::{planned, request},
    },
};

/// One row.
struct Row {
    /// What it is about; begins with the instruction, and its flag where it has one.
    name: &'static str,
    /// Dockerfiles, each with a part of [`shown`]. One without `FROM` that
    /// begins with an instruction stands below [`ABOVE`].
    taken: &'static [(&'static str, &'static str)],
    /// What is wrong.
    refused: Refused,
}

/// What there is to refuse.
enum Refused {
    /// Dockerfiles, each with a part of what is said about it.
    Cases(&'static [(&'static str, &'static str)]),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

use Refused::{Cases, Nothing};

/// What stands above an instruction alone.
const ABOVE: &str = "FROM base\nENV v=val\n";

/// What of a plan a row can be about: the history, the last step's work, the configuration.
fn shown(plan: &Plan) -> String {
    let mut text = String::new();
    for step in &plan.steps {
        writeln!(text, "{}", step.history).unwrap();
    }
    if let Some(step) = plan.steps.last() {
        writeln!(text, "{:?}", step.work).unwrap();
    }
    let config = &plan.stages[plan.target].config;
    text.push_str(&String::from_utf8(json::canonical(config).unwrap()).unwrap());
    for finding in &plan.findings {
        write!(text, "\n{}", finding.code).unwrap();
    }
    text
}

fn whole(text: &str) -> String {
    let begins = |line: &str| {
        let line = line.trim_start_matches('\u{feff}').to_ascii_uppercase();
        line.starts_with("FROM ")
    };
    if text.lines().any(begins) || text.starts_with(['{', '#']) {
        text.to_owned()
    } else {
        format!("{ABOVE}{text}")
    }
}

/// Everything wrong with the rows, so that one run shows it all.
fn hold(rows: &[Row]) {
    let mut faults = String::new();
    for Row {
        name,
        taken,
        refused,
    } in rows
    {
        assert!(!taken.is_empty(), "{name} has nothing that is taken");
        for (text, part) in *taken {
            match planned(&request(&whole(text))) {
                Ok(plan) if shown(&plan).contains(part) => {}
                Ok(plan) => {
                    let shown = shown(&plan);
                    writeln!(faults, "{name}: {text:?} lacks {part:?} in\n{shown}").unwrap();
                }
                Err(error) => writeln!(faults, "{name}: {text:?} is refused: {error}").unwrap(),
            }
        }
        let cases = match refused {
            Cases(cases) => cases,
            Nothing(why) => {
                assert!(!why.is_empty());
                continue;
            }
        };
        assert!(!cases.is_empty(), "{name} says not why nothing is refused");
        for (text, part) in *cases {
            match planned(&request(&whole(text))) {
                Err(error) if error.contains(part) => {}
                Err(error) => {
                    writeln!(faults, "{name}: {text:?} lacks {part:?} in {error}").unwrap();
                }
                Ok(_) => writeln!(faults, "{name}: {text:?} is taken").unwrap(),
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_instruction_and_flag_has_a_row() {
    for keyword in Keyword::ALL {
        let own = instructions::ROWS.iter().map(|row| row.name);
        let of = |rest: &str| {
            let begin = format!("{keyword}{rest}");
            own.clone().any(|name| {
                let rest = name.strip_prefix(&begin);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ',']))
            })
        };
        assert!(of(""), "{keyword} has no row");
        // Those of RUN are in dockerfile/tests/mounts.rs.
        if *keyword != Keyword::Run {
            for flag in crate::dockerfile::flag_names(*keyword) {
                assert!(of(&format!(" --{flag}")), "{keyword} --{flag} has no row");
            }
        }
    }
}
