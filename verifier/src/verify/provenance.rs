//! V15, V17, V19, V24: what provenance says of one run.

use jiff::Timestamp;

use super::{
    check::{CheckCode, Checks},
    statements::Signed,
};
use crate::{
    predicate::provenance::{NetworkMode, Provenance, StepEvidence, keyword},
    uris,
};

/// Seconds by which the clock of the builder may be ahead of the verifier's.
const CLOCK_SKEW: i64 = 300;

pub(super) fn check(signed: &Signed<Provenance>, now: i64, checks: &mut Checks) {
    let on = signed.path.as_str();
    let definition = &signed.predicate.build_definition;
    checks.expect(
        CheckCode::Parameters,
        on,
        definition.build_type == uris::DOCKERFILE_BUILD,
        "known build type, no unknown parameter",
        format!("build type {:?} is unknown", definition.build_type),
    );
    dependencies(signed, checks);
    hermetic(signed, checks);
    match times(signed, now) {
        Ok(detail) => checks.pass(CheckCode::Times, on, detail),
        Err(reason) => checks.fail(CheckCode::Times, on, reason),
    }
}

fn dependencies(signed: &Signed<Provenance>, checks: &mut Checks) {
    let on = signed.path.as_str();
    let all = &signed.predicate.build_definition.resolved_dependencies;
    let unpinned = all.iter().find(|dependency| dependency.sha256().is_none());
    // The Dockerfile always is one of them, the context where a step copies from it.
    let mut needed = vec!["dockerfile"];
    if copies_context(&signed.predicate) {
        needed.push("context");
    }
    let absent = needed
        .into_iter()
        .find(|name| !all.iter().any(|dependency| dependency.name == *name));
    let code = CheckCode::Dependencies;
    match (unpinned, absent) {
        (Some(dependency), _) => {
            let name = if dependency.uri.is_empty() {
                &dependency.name
            } else {
                &dependency.uri
            };
            checks.fail(code, on, format!("{name:?} has no sha256 digest"));
        }
        (None, Some(name)) => checks.fail(code, on, format!("{name:?} is not among them")),
        (None, None) => checks.pass(code, on, format!("{} pinned by digest", all.len())),
    }
}

/// Whether a step copies from the context: a `COPY` or `ADD` whose options, which come first, do not
/// say whence, with a source that is not a heredoc.
fn copies_context(provenance: &Provenance) -> bool {
    let mut steps = provenance.run_details.metadata.steps.iter();
    steps.any(|step| {
        if !matches!(keyword(&step.instruction), "COPY" | "ADD") {
            return false;
        }
        let words = || step.instruction.split(' ').skip(1);
        let elsewhere = words()
            .take_while(|word| word.starts_with("--"))
            .any(|word| word.starts_with("--from="));
        let first = words().find(|word| !word.starts_with("--"));
        !elsewhere && first.is_some_and(|word| !word.starts_with("<<"))
    })
}

/// The steps that ran a program.
pub(super) fn run_steps(provenance: &Provenance) -> impl Iterator<Item = &StepEvidence> {
    let steps = provenance.run_details.metadata.steps.iter();
    steps.filter(|step| keyword(&step.instruction) == "RUN")
}

fn hermetic(signed: &Signed<Provenance>, checks: &mut Checks) {
    let on = signed.path.as_str();
    let metadata = &signed.predicate.run_details.metadata;
    let code = CheckCode::Hermetic;
    let runs = run_steps(&signed.predicate);
    let mut count = 0_u64;
    let mut attempts = 0_u64;
    let mut replayed = 0_u64;
    for step in runs {
        if let Some(network) = &step.network {
            match network.mode {
                NetworkMode::None => {}
                NetworkMode::Replay => replayed += 1,
            }
            count += 1;
            attempts = attempts.saturating_add(network.attempts);
        } else {
            let reason = format!("step {} RUN has no measurement of its network", step.index);
            return checks.fail(code, on, reason);
        }
    }
    match metadata.hermetic {
        Some(true) => {
            let answers = match replayed {
                0 => String::new(),
                replayed => format!(", {replayed} of them with answers of a lock"),
            };
            let detail = format!(
                "{count} RUN steps without a network{answers}, {attempts} attempts refused"
            );
            checks.pass(code, on, detail);
        }
        Some(false) => checks.fail(code, on, "repro_hermetic is false"),
        None => checks.fail(code, on, "hermetic was not measured"),
    }
}

fn times(signed: &Signed<Provenance>, now: i64) -> Result<String, String> {
    let metadata = &signed.predicate.run_details.metadata;
    let started = time("startedOn", &metadata.started_on)?;
    let finished = time("finishedOn", &metadata.finished_on)?;
    if started > finished {
        return Err(format!(
            "started at {started}, after it finished at {finished}"
        ));
    }
    if finished.as_second() > now.saturating_add(CLOCK_SKEW) {
        return Err(format!("finished at {finished}, which is in the future"));
    }
    Ok(format!("from {started} to {finished}"))
}

/// When the run ended, in seconds since 1970, if it says so in the one form that is read.
pub(super) fn finished(signed: &Signed<Provenance>) -> Option<i64> {
    let text = &signed.predicate.run_details.metadata.finished_on;
    Some(time("finishedOn", text).ok()?.as_second())
}

fn time(name: &str, text: &str) -> Result<Timestamp, String> {
    let shown = || text.chars().take(40).collect::<String>();
    text.strip_suffix('Z')
        .and_then(|_| text.parse().ok())
        .ok_or_else(|| format!("{name} {:?} is not a time in UTC", shown()))
}
