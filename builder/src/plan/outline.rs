//! Which stages the target needs, and which names they take from outside.

use std::collections::BTreeMap;

use repro_core::{build::BuildRequest, platform::Platform};

use super::{PlanError, PlanFault};
use crate::dockerfile::{Diagnostic, Dockerfile, GlobalScope, Instruction, InstructionKind, Stage};

/// What `FROM` or `--from` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// `FROM scratch`.
    Scratch,
    /// An earlier stage, by its index in the file.
    Stage(usize),
    /// A name from outside.
    Outside(String),
}

/// A name from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    /// The name, expanded.
    pub name: String,
    /// Whether a stage starts from it; otherwise stages only copy from it.
    pub is_base: bool,
    /// Where it is used first, to be shown with what is wrong with it.
    pub diagnostic: Diagnostic,
}

/// One stage that is needed.
#[derive(Debug, Clone)]
pub(super) struct StageOutline {
    /// Its index in the file.
    pub(super) index: usize,
    /// What it starts from.
    pub(super) base: Origin,
    /// What each of its `COPY --from` means, by the instruction's index.
    pub(super) copies: BTreeMap<usize, Origin>,
    /// What `from` of its mounts means, by the indices of instruction and mount.
    pub(super) mounts: BTreeMap<(usize, usize), Origin>,
}

impl StageOutline {
    /// Everything that instructions take files from, with the index of the instruction.
    fn origins(&self) -> impl Iterator<Item = (usize, &Origin)> {
        let copies = self
            .copies
            .iter()
            .map(|(position, origin)| (*position, origin));
        let mounts = self.mounts.iter();
        copies.chain(mounts.map(|((position, _), origin)| (*position, origin)))
    }
}

/// The stages that the target needs, in the order of the file.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The stages; the target is the last.
    pub(super) stages: Vec<StageOutline>,
    /// Every name from outside, once, in the order of the file.
    pub names: Vec<SourceName>,
}

/// Why there is no outline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// `--target` names no stage.
    #[error("{file} has no stage {target:?}")]
    Target {
        /// The Dockerfile.
        file: String,
        /// What was asked for.
        target: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// An instruction cannot be used.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Finds what the target needs.
pub fn outline(
    file: &Dockerfile,
    request: &BuildRequest,
    globals: &GlobalScope,
) -> Result<Outline, OutlineError> {
    let target = target(file, request)?;
    let mut needed: BTreeMap<usize, StageOutline> = BTreeMap::new();
    let mut open = vec![target];
    while let Some(index) = open.pop() {
        if needed.contains_key(&index) {
            continue;
        }
        let stage = stage_outline(file, index, globals, &request.platform)?;
        let used = stage.origins().map(|(_, origin)| origin);
        let origins = used.chain([&stage.base]);
        open.extend(origins.filter_map(|origin| match origin {
            Origin::Stage(index) => Some(*index),
            Origin::Scratch | Origin::Outside(_) => None,
        }));
        needed.insert(index, stage);
    }
    let stages: Vec<StageOutline> = needed.into_values().collect();
    let names = names(file, &stages);
    Ok(Outline { stages, names })
}

fn target(file: &Dockerfile, request: &BuildRequest) -> Result<usize, OutlineError> {
    let Some(target) = &request.target else {
        return Ok(file.stages.len() - 1);
    };
    let by_number = target
        .parse()
        .ok()
        .filter(|index| *index < file.stages.len());
    file.stage_named(target)
        .or(by_number)
        .ok_or_else(|| OutlineError::Target {
            file: request.dockerfile.name.clone(),
            target: target.clone(),
            known: file
                .stages
                .iter()
                .filter_map(|stage| stage.from.kind.name.clone())
                .collect(),
        })
}

fn stage_outline(
    file: &Dockerfile,
    index: usize,
    globals: &GlobalScope,
    platform: &Platform,
) -> Result<StageOutline, PlanError> {
    let stage = &file.stages[index];
    let from = &stage.from;
    let at = |fault: PlanFault| PlanError::at(file, from, fault);
    if let Some(template) = &from.kind.platform {
        let text = template.expand(globals).map_err(|error| at(error.into()))?;
        let known = text
            .parse::<Platform>()
            .is_ok_and(|named| named == *platform);
        if !known && !text.is_empty() {
            return Err(at(PlanFault::Platform(text, platform.to_string())));
        }
    }
    let name = from
        .kind
        .image
        .expand(globals)
        .map_err(|error| at(error.into()))?;
    if name.is_empty() {
        return Err(at(PlanFault::Empty(from.kind.image.raw().to_owned())));
    }
    let base = if name == "scratch" {
        Origin::Scratch
    } else {
        match earlier_stage(file, index, &name) {
            Some(stage) => Origin::Stage(stage),
            None => Origin::Outside(name),
        }
    };
    let mut copies = BTreeMap::new();
    let mut mounts = BTreeMap::new();
    for (position, instruction) in stage.instructions.iter().enumerate() {
        match &instruction.kind {
            InstructionKind::Copy(copy) => {
                if let Some(from) = &copy.from {
                    let origin = origin(file, stage, index, instruction, from)?;
                    copies.insert(position, origin);
                }
            }
            InstructionKind::Run(run) => {
                for (number, mount) in run.mounts.iter().enumerate() {
                    let origin = match mount.from.as_deref() {
                        None => continue,
                        Some("scratch") => Origin::Scratch,
                        Some(from) => origin(file, stage, index, instruction, from)?,
                    };
                    mounts.insert((position, number), origin);
                }
            }
            _ => {}
        }
    }
    Ok(StageOutline {
        index,
        base,
        copies,
        mounts,
    })
}

fn earlier_stage(file: &Dockerfile, before: usize, name: &str) -> Option<usize> {
    file.stages[..before].iter().rposition(|stage| {
        stage
            .from
            .kind
            .name
            .as_deref()
            .is_some_and(|own| own.eq_ignore_ascii_case(name))
    })
}

/// What `from` of an instruction means.
fn origin(
    file: &Dockerfile,
    stage: &Stage,
    index: usize,
    instruction: &Instruction,
    from: &str,
) -> Result<Origin, PlanError> {
    let later = || PlanError::at(file, instruction, PlanFault::LaterStage(from.to_owned()));
    if let Some(stage) = earlier_stage(file, index, from) {
        return Ok(Origin::Stage(stage));
    }
    // A number is a stage, if there is one of that number; as an image name it makes no sense.
    if let Ok(number) = from.parse::<usize>()
        && number < file.stages.len()
    {
        return if number < index {
            Ok(Origin::Stage(number))
        } else {
            Err(later())
        };
    }
    let own = stage.from.kind.name.as_deref();
    if own.is_some_and(|own| own.eq_ignore_ascii_case(from)) || file.stage_named(from).is_some() {
        return Err(later());
    }
    Ok(Origin::Outside(from.to_owned()))
}

fn names(file: &Dockerfile, stages: &[StageOutline]) -> Vec<SourceName> {
    let mut names: Vec<SourceName> = Vec::new();
    let mut add = |name: &str, is_base: bool, diagnostic: Diagnostic| match names
        .iter_mut()
        .find(|known| known.name == name)
    {
        Some(known) => known.is_base |= is_base,
        None => names.push(SourceName {
            name: name.to_owned(),
            is_base,
            diagnostic,
        }),
    };
    for stage in stages {
        let parsed = &file.stages[stage.index];
        if let Origin::Outside(name) = &stage.base {
            add(
                name,
                true,
                file.diagnostic(&parsed.from, String::new(), None),
            );
        }
        for (position, origin) in stage.origins() {
            if let Origin::Outside(name) = origin {
                let instruction = &parsed.instructions[position];
                add(
                    name,
                    false,
                    file.diagnostic(instruction, String::new(), None),
                );
            }
        }
    }
    names
}
