//! Rules that need the values of variables, or what a base image says.

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{build::Finding, image::ImageConfig, reference::ImageRef};

use crate::dockerfile::{
    CommandLine, Dockerfile, GlobalScope, Instruction, InstructionKind, PlatformArgs, Rule,
    Scope as _, StageScope, Template,
};

/// Adds a finding unless the Dockerfile skips its rule.
pub(super) fn add(
    file: &Dockerfile,
    findings: &mut Vec<Finding>,
    rule: Rule,
    line: u32,
    message: String,
) {
    let finding = rule.finding(message, Some(line));
    if !file.directives.skips(rule) && !findings.contains(&finding) {
        findings.push(finding);
    }
}

/// What is known where an instruction is carried out.
pub(super) struct Surroundings<'a, 'g> {
    pub(super) scope: &'a StageScope<'g>,
    pub(super) config: &'a ImageConfig,
    /// Whether a `WORKDIR` of this file came before.
    pub(super) own_workdir: bool,
}

/// Looks at one instruction before it is carried out.
pub(super) fn instruction(
    file: &Dockerfile,
    instruction: &Instruction,
    known: &Surroundings<'_, '_>,
    findings: &mut Vec<Finding>,
) {
    let line = instruction.line;
    let mut undefined = BTreeSet::new();
    let mut declared: BTreeSet<String> = BTreeSet::new();
    let mut look = |word: &Template, declared: &BTreeSet<String>| {
        for name in word.required() {
            let is_known = known.scope.get(name).is_some()
                || known.scope.declares(name)
                || declared.contains(name);
            if !is_known {
                undefined.insert(name.to_owned());
            }
        }
    };
    for word in instruction.kind.expanded() {
        look(word, &declared);
    }
    if let InstructionKind::Arg(args) = &instruction.kind {
        for arg in args {
            if let Some(default) = &arg.default {
                look(default, &declared);
            }
            declared.extend(arg.name.literal());
        }
    }
    for name in undefined {
        let near = known.scope.nearest(&name);
        let meant = near.map_or_else(String::new, |near| format!("; did you mean ${near}?"));
        let message = format!("${name} is not set here{meant}");
        add(file, findings, Rule::UndefinedVar, line, message);
    }
    match &instruction.kind {
        InstructionKind::Cmd(CommandLine::Shell(_))
        | InstructionKind::Entrypoint(CommandLine::Shell(_))
            if known.config.config.shell.is_none() =>
        {
            let keyword = instruction.kind.keyword();
            let message = format!(
                "{keyword} runs a shell, which gets the signals; write {keyword} [\"program\", ...]"
            );
            add(file, findings, Rule::JsonArgs, line, message);
        }
        InstructionKind::Workdir(path) if !known.own_workdir => {
            let path = path.expand(known.scope).unwrap_or_default();
            if !path.starts_with('/') {
                let message = format!("{path} is relative to what the base image says");
                add(file, findings, Rule::RelativeWorkdir, line, message);
            }
        }
        _ => {}
    }
}

/// Looks at every `FROM`: its variables, and what it names without build arguments.
pub(super) fn stages(
    file: &Dockerfile,
    globals: &GlobalScope,
    platforms: &PlatformArgs,
    target: Option<&str>,
    findings: &mut Vec<Finding>,
) {
    let declared: BTreeSet<String> = file
        .global_args
        .iter()
        .flat_map(|args| &args.kind)
        .filter_map(|arg| arg.name.literal())
        .collect();
    let mut defaults = GlobalScope::new(platforms, target, &BTreeMap::new());
    let defaults = file
        .global_args
        .iter()
        .try_for_each(|args| defaults.arg(&args.kind))
        .map(|()| defaults);
    for stage in &file.stages {
        let from = &stage.from;
        let words = std::iter::once(&from.kind.image).chain(&from.kind.platform);
        for name in words.flat_map(Template::required) {
            if globals.get(name).is_none() && !declared.contains(name) {
                let near = globals.nearest(name);
                let meant =
                    near.map_or_else(String::new, |near| format!("; did you mean ${near}?"));
                let message = format!("no ARG above the first FROM declares {name}{meant}");
                add(file, findings, Rule::UndefinedArgInFrom, from.line, message);
            }
        }
        if let Ok(defaults) = &defaults
            && let Ok(image) = from.kind.image.expand(defaults)
            && image.parse::<ImageRef>().is_err()
        {
            let shown = from.kind.image.raw();
            let message = format!("without build arguments {shown} names no image");
            add(file, findings, Rule::InvalidDefaultArg, from.line, message);
        }
    }
}
