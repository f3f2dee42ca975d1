//! Trees on real overlay mounts. Every scenario runs in a process of its own, in new user and
//! mount namespaces whose ids are those of nobody on the machine.
//!
//! Run as root: without it the mapping cannot be written, and every scenario fails.

mod adding;
mod copying;
mod diffing;
mod hostile;
mod lab;
mod property;
mod unpacking;
mod view;

use std::{
    io::{Read, Write},
    process::{Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};

use lab::Lab;

/// What a scenario gives; an error is a failed test.
type Outcome = Result<(), Box<dyn std::error::Error>>;
/// A scenario and its name.
type Scenario = (&'static str, fn(&Lab) -> Outcome);

/// The argument that makes this program run one scenario.
const INSIDE: &str = "--inside";
/// First id on the machine of those that the scenarios use, and how many there are.
const IDS: (u32, u32) = (1_000_000, 65_536);

fn scenarios() -> Vec<Scenario> {
    [
        diffing::SCENARIOS,
        unpacking::SCENARIOS,
        copying::SCENARIOS,
        adding::SCENARIOS,
        hostile::SCENARIOS,
        property::SCENARIOS,
    ]
    .concat()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, inside, name, directory] = arguments.as_slice()
        && inside == INSIDE
    {
        let (_, scenario) = scenarios()
            .into_iter()
            .find(|(known, _)| known == name)
            .expect("the scenario is one of the list");
        let lab = Lab::enter(directory.into()).expect("enter the namespaces");
        scenario(&lab).unwrap_or_else(|error| panic!("{}", chain(&*error)));
        return ExitCode::SUCCESS;
    }
    let trials = scenarios()
        .into_iter()
        .map(|(name, _)| Trial::test(name, move || outside(name)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs one scenario in a process of its own and writes its id mapping.
fn outside(name: &str) -> Result<(), Failed> {
    let directory = tempfile::tempdir()?;
    std::os::unix::fs::chown(directory.path(), Some(IDS.0), Some(IDS.0))?;
    let mut child = Command::new(std::env::current_exe()?)
        .args([INSIDE, name])
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("RUST_BACKTRACE", "0")
        .spawn()?;
    let mut ready = [0];
    let entered = child.stdout.take().ok_or("no output")?.read(&mut ready)? == 1;
    let mapped = entered
        && ["uid_map", "gid_map"].iter().all(|map| {
            let path = format!("/proc/{}/{map}", child.id());
            std::fs::write(path, format!("0 {} {}\n", IDS.0, IDS.1)).is_ok()
        });
    if mapped {
        child.stdin.take().ok_or("no input")?.write_all(b"g")?;
    }
    drop(child.stdin.take());
    let output = child.wait_with_output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let hint = if mapped {
            ""
        } else {
            "this test needs root, to map ids: "
        };
        return Err(format!("{hint}{reason}").into());
    }
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}
