//! What is wrong with a build before its first step.

use repro_core::{
    build::{BuildRequest, Finding},
    tree::TreePath,
};

use crate::{
    context::{IgnoreFile, Ignored},
    dockerfile::{Diagnostic, Dockerfile, Rule, looks_like_secret},
    error::BuildError,
    plan::{CopyFrom, Plan, Work},
};

/// A build argument is recorded in clear, since a rebuild needs it.
pub(super) fn refuse_secrets(request: &BuildRequest) -> Result<(), BuildError> {
    for (name, value) in &request.build_args {
        if let Some(sign) = looks_like_secret(name, value)
            && !request.allowed_args.contains(name)
        {
            return Err(BuildError::SecretArg {
                name: name.clone(),
                sign,
            });
        }
    }
    Ok(())
}

/// What `# check=error=true` makes errors: the findings of BuildKit's rules.
pub(super) fn broken_rules(file: &Dockerfile, findings: &[Finding]) -> Vec<Diagnostic> {
    let of_rule = |finding: &&Finding| {
        Rule::of_code(&finding.code).is_some_and(|rule| rule != Rule::UnusedBuildArg)
    };
    findings
        .iter()
        .filter(of_rule)
        .map(|finding| {
            let line = finding.line.unwrap_or(1);
            file.diagnostic_at(line, finding.message.clone(), None)
        })
        .collect()
}

/// Sources of copies that the ignore file leaves out. Exceptions in it make this too hard to tell
/// from the name alone, as BuildKit has it.
pub(super) fn ignored_sources(
    file: &Dockerfile,
    request: &BuildRequest,
    plan: &Plan,
) -> Vec<Finding> {
    let ignore = request.ignore.as_ref();
    let Some(Ok(ignore)) = ignore.map(|text| IgnoreFile::parse(&text.text)) else {
        return Vec::new();
    };
    if file.directives.skips(Rule::CopyIgnoredFile) || ignore.has_exceptions() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for step in &plan.steps {
        let Work::Copy {
            from: CopyFrom::Context,
            what,
        } = &step.work
        else {
            continue;
        };
        for source in &what.patterns {
            let Ok(path) = TreePath::parse_clamped(source.as_bytes()) else {
                continue;
            };
            if !path.is_root() && ignore.excluded(&path, false) != Ignored::No {
                let message = format!("the ignore file leaves {source} out of the context");
                findings.push(Rule::CopyIgnoredFile.finding(message, Some(step.line)));
            }
        }
    }
    findings
}
