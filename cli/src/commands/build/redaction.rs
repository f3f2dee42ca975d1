//! What must not be signed is refused where the user gives it, and replaced where it was seen.

use std::{borrow::Cow, collections::BTreeMap, io::Read as _};

use repro_builder::dockerfile::{self, Instruction, InstructionKind, Template};
use repro_core::{
    build::{BuildRecord, BuildRequest, Finding},
    redact::{self, Counts, Redactor, Texts},
    store::{BlobStore, Store, put_bytes},
};
use repro_verifier::{pack::PackInputs, report::Report};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    error::{CommandError, ErrorKind, io_kind},
    text,
};

/// Code of the finding on a Dockerfile that holds a secret.
const IN_INSTRUCTION: &str = "secret-in-instruction";

/// What the user says is no secret: the values that `--build-arg` and the Dockerfile give the names of
/// `--allow-arg`.
pub(crate) fn waived(request: &BuildRequest) -> Vec<String> {
    let allowed = |name: &str| request.allowed_args.contains(name);
    let given = request.build_args.iter().filter(|(name, _)| allowed(name));
    let mut values: Vec<String> = given.map(|(_, value)| value.clone()).collect();
    // A Dockerfile that does not read is refused with its own error, a little later.
    let Ok(file) = dockerfile::parse(&request.dockerfile.name, &request.dockerfile.text) else {
        return values;
    };
    let mut take = |name: &Template, value: &Template| {
        if allowed(name.raw()) {
            values.push(value.raw().to_owned());
        }
    };
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    let arguments = file.global_args.iter().flat_map(|global| &global.kind);
    let arguments = arguments.chain(instructions.clone().flat_map(|one| match &one.kind {
        InstructionKind::Arg(arguments) => arguments.as_slice(),
        _ => &[],
    }));
    for argument in arguments {
        if let Some(default) = &argument.default {
            take(&argument.name, default);
        }
    }
    for instruction in instructions {
        if let InstructionKind::Env(pairs) = &instruction.kind {
            pairs
                .pairs
                .iter()
                .for_each(|pair| take(&pair.name, &pair.value));
        }
    }
    values
}

/// Looks at the texts of the project, which `inputs` of a pack have as they are: refuses a build with a
/// secret in one, or leaves all of them out, since a part of them builds nothing. `names` are those of
/// Dockerfile, project and lock.
pub(crate) fn texts(
    redactor: &Redactor,
    policy: Texts,
    names: [&str; 3],
    mut inputs: PackInputs,
) -> Result<PackInputs, CommandError> {
    let PackInputs {
        dockerfile,
        project,
        lock,
        ..
    } = &mut inputs;
    let texts = [dockerfile, project, lock];
    let mut found = Vec::new();
    for (name, text) in names.iter().zip(&texts) {
        let bytes = text.as_deref().unwrap_or_default();
        let mut places = redactor.refused_places(bytes);
        if places.is_empty() && *name == names[0] {
            places = joined_places(redactor, name, bytes);
        }
        found.extend(places.into_iter().map(|redact::Place { line, kind }| {
            format!("{}, line {line} ({kind})", text::one_line(name))
        }));
    }
    if found.is_empty() {
        return Ok(inputs);
    }
    // Two in a line are one line to look at.
    found.dedup();
    match policy {
        Texts::Refuse => Err(CommandError::usage(format!(
            "what must not be signed stands, by its shape, in {}",
            found.join(", ")
        ))
        .hint(
            "lend a secret to the steps that need it: --secret; what an ARG or ENV is set to and is none: \
             --allow-arg NAME; to build all the same, with these texts left out of the evidence: \
             `texts = \"leave-out\"` below [redaction] in repro.toml",
        )),
        Texts::LeaveOut => {
            for text in texts {
                *text = None;
            }
            Ok(inputs)
        }
    }
}

/// Places that only show where continued lines are put together, as the history of the image has them.
fn joined_places(redactor: &Redactor, name: &str, text: &[u8]) -> Vec<redact::Place> {
    let Ok(file) = dockerfile::parse(name, text) else {
        return Vec::new();
    };
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    let place = |instruction: &Instruction| {
        Some(redact::Place {
            line: usize::try_from(instruction.line).ok()?,
            kind: redactor.refused(&instruction.text)?.to_owned(),
        })
    };
    instructions.filter_map(place).collect()
}

/// Refuses a build whose image or statements would hold in clear what must not be signed. Build
/// arguments by their names are the builder's to refuse.
pub(crate) fn refuse(
    redactor: &Redactor,
    request: &BuildRequest,
    lineage: &BTreeMap<String, String>,
) -> Result<(), CommandError> {
    let given = [
        (
            "build argument",
            request.build_args.iter().collect::<Vec<_>>(),
        ),
        ("label", request.labels.iter().collect()),
        ("annotation", request.annotations.manifest.iter().collect()),
        (
            "annotation",
            request.annotations.descriptor.iter().collect(),
        ),
        ("lineage", lineage.iter().collect()),
    ];
    for (what, entries) in given {
        for (name, value) in entries {
            if let Some(kind) = redactor.refused(value) {
                let advice = if what == "build argument" {
                    format!(
                        "lend it to the steps that need it: --secret; if it is none: --allow-arg {name}"
                    )
                } else {
                    "whoever has the image or the evidence could read it: leave it out".to_owned()
                };
                return Err(CommandError::usage(format!(
                    "the {what} {name} holds what must not be signed, by its shape ({kind})"
                ))
                .hint(advice));
            }
        }
    }
    Ok(())
}

/// Replaces in everything that was seen: instructions, URLs, names, messages, logs.
pub(crate) fn record(
    redactor: &Redactor,
    mut record: BuildRecord,
    store: &Store,
) -> Result<BuildRecord, CommandError> {
    let mut counts = Counts::new();
    for run in &mut record.runs {
        let logs = run.steps.iter_mut().map(|step| &mut step.log);
        let failed = run.failure.iter_mut().map(|failure| &mut failure.log);
        for log in logs.chain(failed).flatten() {
            let mut bytes = Vec::new();
            let mut source = store.blobs().open(*log)?;
            source.read_to_end(&mut bytes).map_err(|error| {
                CommandError::new(io_kind(&error), &error).context("cannot read a log")
            })?;
            if let Cow::Owned(bytes) = redactor.bytes(&bytes, &mut counts) {
                *log = put_bytes(store.blobs(), &bytes)?.digest;
            }
        }
    }
    record.findings.extend(in_instructions(redactor, &record));
    let mut record = document(redactor, record, &mut counts)?;
    record.redacted = counts;
    Ok(record)
}

/// The same in the report, which quotes files.
pub(crate) fn report(redactor: &Redactor, report: Report) -> Result<Report, CommandError> {
    document(redactor, report, &mut Counts::new())
}

/// Record, report and texts of a build that was done again. What its order says in clear stays so; all else
/// is searched, for the shapes that every build is searched for.
pub(crate) fn of_rebuild(
    (seen, said): (BuildRecord, Report),
    inputs: PackInputs,
    store: &Store,
) -> Result<(BuildRecord, Report, PackInputs), CommandError> {
    let redactor = Redactor::default().waiving(seen.build_args.values().cloned());
    let inputs = texts(&redactor, Texts::LeaveOut, [""; 3], inputs)?;
    let record = record(&redactor, seen, store)?;
    Ok((record, report(&redactor, said)?, inputs))
}

/// Every text of a document, wherever it stands: a field that is added later is searched too.
fn document<T: Serialize + DeserializeOwned>(
    redactor: &Redactor,
    document: T,
    counts: &mut Counts,
) -> Result<T, CommandError> {
    let internal = |error: &serde_json::Error| CommandError::new(ErrorKind::Internal, error);
    let before = counts.clone();
    let mut value = serde_json::to_value(&document).map_err(|error| internal(&error))?;
    redactor.json(&mut value, counts);
    hide_bytes(redactor, &mut value, counts);
    if *counts == before {
        return Ok(document);
    }
    serde_json::from_value(value).map_err(|error| {
        // Digests, times and names of images have forms that a mark does not fit.
        CommandError::new(ErrorKind::Usage, &error)
            .context(
                "the patterns of [redaction] in repro.toml fit what evidence cannot do without",
            )
            .hint("make them narrower: they must not fit digests, times or names of images")
    })
}

/// The surroundings of a difference are quoted as bytes in hexadecimal. Where something is found in them
/// all of them become stars: as many, since places in them are counted.
fn hide_bytes(redactor: &Redactor, value: &mut Value, counts: &mut Counts) {
    match value {
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| hide_bytes(redactor, item, counts)),
        Value::Object(fields) => {
            if let Some(Value::String(hex)) = fields.get_mut("hex")
                && let Some(bytes) = decode(hex)
                && let Cow::Owned(_) = redactor.bytes(&bytes, counts)
            {
                *hex = "2a".repeat(bytes.len());
            }
            let before = counts.clone();
            if let Some(around) = fields.get_mut("around") {
                hide_bytes(redactor, around, counts);
            }
            // The short excerpts beside them can begin amidst what was found.
            if *counts != before {
                for side in ["a", "b"] {
                    if let Some(Value::String(excerpt)) = fields.get_mut(side) {
                        "[redacted]".clone_into(excerpt);
                    }
                }
            }
            let rest = fields.iter_mut().filter(|(name, _)| *name != "around");
            rest.for_each(|(_, field)| hide_bytes(redactor, field, counts));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn decode(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// What the image's history shows to everyone who has it.
fn in_instructions(redactor: &Redactor, record: &BuildRecord) -> Vec<Finding> {
    let found = record.plan.iter().filter_map(|step| {
        let kind = redactor.refused(&step.instruction)?;
        Some(Finding {
            code: IN_INSTRUCTION.into(),
            message: format!(
                "this instruction holds what looks like a secret ({kind}); it is replaced in the \
                 evidence, and stands in the history of the image for everyone who has it"
            ),
            line: Some(step.line),
        })
    });
    let mut findings: Vec<Finding> = found.collect();
    findings.dedup();
    findings
}
