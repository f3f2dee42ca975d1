//! Which stages the target needs, and which names they take from outside.

use std::collections::BTreeMap;

use repro_core::{
    build::BuildRequest,
    platform::{Platform, PlatformError},
    reference::ImageRef,
};

use super::{PlanError, PlanFault};
use crate::dockerfile::{
    Diagnostic, Dockerfile, GlobalScope, Instruction, InstructionKind, parse_trigger,
};

/// A name from outside, and the platform that is wanted of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceKey {
    /// The name, expanded.
    pub name: String,
    /// The platform.
    pub platform: Platform,
}

/// The triggers of images that stages start from, as far as these are known.
pub type Triggers = BTreeMap<SourceKey, Vec<String>>;

/// What `FROM` or `--from` means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// `FROM scratch`.
    Scratch,
    /// An earlier stage, by its index in the file.
    Stage(usize),
    /// A name from outside.
    Outside(SourceKey),
}

/// A name from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceName {
    /// The name and the platform.
    pub key: SourceKey,
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
    /// Its platform.
    pub(super) platform: Platform,
    /// The triggers of its base.
    pub(super) triggers: Vec<Instruction>,
    /// Whether its own instructions count: not where a `--build-context` has its name.
    replaced: bool,
    /// What each of its `COPY --from` means, by the instruction's index, triggers first.
    pub(super) copies: BTreeMap<usize, Origin>,
    /// What `from` of its mounts means, by the indices of instruction and mount.
    pub(super) mounts: BTreeMap<(usize, usize), Origin>,
}

impl StageOutline {
    /// Everything that its instructions take files from, with the index of the instruction.
    fn origins(&self) -> impl Iterator<Item = (usize, &Origin)> {
        let copies = self
            .copies
            .iter()
            .map(|(position, origin)| (*position, origin));
        let mounts = self.mounts.iter();
        copies.chain(mounts.map(|((position, _), origin)| (*position, origin)))
    }

    /// Its instructions, the triggers of its base first.
    pub(super) fn instructions<'a>(
        &'a self,
        file: &'a Dockerfile,
    ) -> impl Iterator<Item = &'a Instruction> {
        let own = &file.stages[self.index].instructions;
        let own = if self.replaced { &[] } else { own.as_slice() };
        self.triggers.iter().chain(own)
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

/// Finds what the target needs. Triggers of images can need more: once they are known, call it
/// again.
pub fn outline(
    file: &Dockerfile,
    request: &BuildRequest,
    globals: &GlobalScope,
    triggers: &Triggers,
) -> Result<Outline, OutlineError> {
    let target = target(file, request)?;
    let reader = Reader {
        file,
        request,
        globals,
        triggers,
    };
    let mut needed: BTreeMap<usize, StageOutline> = BTreeMap::new();
    let mut open = vec![target];
    while let Some(index) = open.pop() {
        if needed.contains_key(&index) {
            continue;
        }
        let stage = reader.stage(index)?;
        let used = stage.origins().map(|(_, origin)| origin);
        let origins = used.chain([&stage.base]);
        open.extend(origins.filter_map(|origin| match origin {
            Origin::Stage(index) => Some(*index),
            Origin::Scratch | Origin::Outside(_) => None,
        }));
        needed.insert(index, stage);
    }
    let mut stages: Vec<StageOutline> = needed.into_values().collect();
    // A stage on a stage has its platform, whatever it says itself.
    for at in 0..stages.len() {
        if let Origin::Stage(base) = stages[at].base
            && let Some(base) = stages[..at].iter().find(|stage| stage.index == base)
        {
            stages[at].platform = base.platform.clone();
        }
    }
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

struct Reader<'a> {
    file: &'a Dockerfile,
    request: &'a BuildRequest,
    globals: &'a GlobalScope,
    triggers: &'a Triggers,
}

impl Reader<'_> {
    fn stage(&self, index: usize) -> Result<StageOutline, PlanError> {
        let Self { file, globals, .. } = *self;
        let from = &file.stages[index].from;
        let at = |fault: PlanFault| PlanError::at(file, from, fault);
        let mut platform = self.request.platform.clone();
        if let Some(template) = &from.kind.platform {
            let text = template.expand(globals).map_err(|error| at(error.into()))?;
            platform = parse_platform(&text, &platform).map_err(|error| at(error.into()))?;
        }
        if let Some(name) = self.replacement(index) {
            return Ok(StageOutline {
                index,
                base: self.outside(name, &platform),
                platform,
                triggers: Vec::new(),
                replaced: true,
                copies: BTreeMap::new(),
                mounts: BTreeMap::new(),
            });
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
            platform.clone_from(&self.request.platform);
            Origin::Scratch
        } else {
            match earlier_stage(file, index, &name) {
                Some(stage) => Origin::Stage(stage),
                None => self.outside(name, &platform),
            }
        };
        let mut stage = StageOutline {
            index,
            triggers: self.triggers_of(&base, from)?,
            base,
            platform,
            replaced: false,
            copies: BTreeMap::new(),
            mounts: BTreeMap::new(),
        };
        let mut copies = BTreeMap::new();
        let mut mounts = BTreeMap::new();
        for (position, instruction) in stage.instructions(file).enumerate() {
            match &instruction.kind {
                InstructionKind::Copy(copy) => {
                    if let Some(from) = &copy.from {
                        copies.insert(position, self.origin(index, instruction, from)?);
                    }
                }
                InstructionKind::Run(run) => {
                    for (number, mount) in run.mounts.iter().enumerate() {
                        if let Some(from) = &mount.from {
                            let origin = self.origin(index, instruction, from)?;
                            mounts.insert((position, number), origin);
                        }
                    }
                }
                _ => {}
            }
        }
        (stage.copies, stage.mounts) = (copies, mounts);
        Ok(stage)
    }

    /// The name of a stage that a `--build-context` has too, which then stands for it, as in
    /// `BuildKit`.
    fn replacement(&self, index: usize) -> Option<String> {
        let name = self.file.stages[index].from.kind.name.as_deref()?;
        self.context_named(name)
    }

    /// The name of the `--build-context` that `name` means.
    fn context_named(&self, name: &str) -> Option<String> {
        let wanted = familiar(name);
        let mut names = self.request.contexts.keys();
        names.find(|given| familiar(given) == wanted).cloned()
    }

    fn outside(&self, name: String, platform: &Platform) -> Origin {
        Origin::Outside(SourceKey {
            name: self.context_named(&name).unwrap_or(name),
            platform: platform.clone(),
        })
    }

    /// The triggers that a stage runs before its own instructions, placed where its `FROM` is.
    fn triggers_of(
        &self,
        base: &Origin,
        from: &Instruction<crate::dockerfile::From>,
    ) -> Result<Vec<Instruction>, PlanError> {
        let texts: Vec<&str> = match base {
            Origin::Scratch => Vec::new(),
            Origin::Stage(index) if self.replacement(*index).is_some() => Vec::new(),
            Origin::Stage(index) => self.file.stages[*index]
                .instructions
                .iter()
                .filter_map(|instruction| match &instruction.kind {
                    InstructionKind::Onbuild(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            Origin::Outside(key) => {
                let known = self.triggers.get(key).into_iter().flatten();
                known.map(String::as_str).collect()
            }
        };
        texts
            .into_iter()
            .map(|text| {
                let parsed = parse_trigger(text).map_err(|source| {
                    let text = text.to_owned();
                    PlanError::at(self.file, from, PlanFault::Trigger { text, source })
                })?;
                Ok(Instruction {
                    line: from.line,
                    end_line: from.end_line,
                    span: from.span,
                    ..parsed
                })
            })
            .collect()
    }

    /// What `from` of an instruction means.
    fn origin(
        &self,
        index: usize,
        instruction: &Instruction,
        from: &str,
    ) -> Result<Origin, PlanError> {
        let file = self.file;
        let found = |stage: usize| match self.replacement(stage) {
            // Of a directory the files count, not the image that it could be.
            Some(name) => self.outside(name, &self.request.platform),
            None => Origin::Stage(stage),
        };
        let later = || PlanError::at(file, instruction, PlanFault::LaterStage(from.to_owned()));
        if let Some(stage) = earlier_stage(file, index, from) {
            return Ok(found(stage));
        }
        // A number is a stage; as an image name it makes no sense.
        if let Ok(number) = from.parse::<usize>()
            && self.context_named(from).is_none()
        {
            return match file.stages.len() {
                _ if number < index => Ok(found(number)),
                stages if number < stages => Err(later()),
                stages => {
                    let fault = PlanFault::NoStage { number, stages };
                    Err(PlanError::at(file, instruction, fault))
                }
            };
        }
        let own = file.stages[index].from.kind.name.as_deref();
        let is_own = own.is_some_and(|own| own.eq_ignore_ascii_case(from));
        let is_stage = is_own || file.stage_named(from).is_some();
        if is_stage && self.context_named(from).is_none() {
            return Err(later());
        }
        if from == "scratch" {
            return Ok(Origin::Scratch);
        }
        Ok(self.outside(from.to_owned(), &self.request.platform))
    }
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

/// One form for all names that mean the same: an image's with what its reference has by default,
/// anything else in lower case.
fn familiar(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.parse::<ImageRef>() {
        Ok(image) => format!(
            "{}/{}:{} {:?}",
            image.registry(),
            image.repository(),
            image.tag().unwrap_or("latest"),
            image.digest()
        ),
        Err(_) => lower,
    }
}

/// A platform as `--platform` of `FROM` has it: also an architecture or a system alone.
fn parse_platform(text: &str, target: &Platform) -> Result<Platform, PlatformError> {
    let (os, rest) = match text.split_once('/') {
        Some((os, rest)) => (os, rest),
        None if matches!(text, "linux" | "windows" | "darwin" | "freebsd") => {
            (text, target.architecture())
        }
        None => ("linux", text),
    };
    if text.is_empty() {
        return text.parse();
    }
    format!("{os}/{rest}").parse()
}

fn names(file: &Dockerfile, stages: &[StageOutline]) -> Vec<SourceName> {
    let mut names: Vec<SourceName> = Vec::new();
    let mut add = |key: &SourceKey, is_base: bool, diagnostic: Diagnostic| match names
        .iter_mut()
        .find(|known| known.key == *key)
    {
        Some(known) => known.is_base |= is_base,
        None => names.push(SourceName {
            key: key.clone(),
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
        for (position, instruction) in stage.instructions(file).enumerate() {
            if let Some(Origin::Outside(name)) = stage.copies.get(&position) {
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
