//! What the policy demands, held against what was verified. What is not known is not met.

use std::collections::BTreeSet;

use repro_core::digest::Digest;

use super::{
    Evidence,
    check::{CheckCode, Checks},
    provenance,
    statements::Signed,
    trusted::Granted,
};
use crate::{
    predicate::provenance::{NetworkMode, Provenance},
    statement::ResourceDescriptor,
    terms::{
        document::rfc3339,
        patterns::{self, AllowedBase, glob},
        policy::{AllowedSource, Hermetic, Policy},
        trust::{BuildLevel, TrustRules},
    },
};

/// Everything that a policy is held against.
pub(super) struct Facts<'a> {
    pub(super) evidence: &'a Evidence,
    /// Whose word counts.
    pub(super) rules: &'a TrustRules,
    pub(super) granted: Option<&'a Granted>,
    /// Layers of the image, where all of it holds.
    pub(super) layers: Option<usize>,
    pub(super) now: i64,
}

/// One demand: on what, and whether it is met.
type Met = Result<String, String>;

struct Judge<'a, 'c> {
    policy: &'a Policy,
    now: i64,
    checks: &'c mut Checks,
    used: BTreeSet<usize>,
}

impl Judge<'_, '_> {
    fn demand(&mut self, code: CheckCode, item: &str, met: Met) {
        let reason = match met {
            Ok(detail) => return self.checks.pass(code, item, detail),
            Err(reason) => reason,
        };
        let waivers = self.policy.waivers.iter().enumerate();
        let waiver = waivers
            .filter(|(_, waiver)| !waiver.is_expired(self.now))
            .find(|(_, waiver)| waiver.covers(code, item));
        match waiver {
            Some((number, waiver)) => {
                self.used.insert(number);
                let detail = format!("{reason}; waived by {}", waiver.describe());
                self.checks.waive(code, item, detail);
            }
            None => self.checks.fail(code, item, reason),
        }
    }

    /// An expired waiver fails, whether it would be needed or not: nobody looks at it any more.
    fn waivers(self) {
        let code = CheckCode::Waivers;
        for (number, waiver) in self.policy.waivers.iter().enumerate() {
            let on = match &waiver.on {
                Some(on) => format!("{} on {on}", waiver.check),
                None => waiver.check.to_string(),
            };
            let detail = waiver.describe();
            if waiver.is_expired(self.now) {
                self.checks.fail(code, &on, format!("expired: {detail}"));
            } else if self.used.contains(&number) {
                self.checks.pass(code, &on, format!("used: {detail}"));
            } else {
                self.checks
                    .not_applicable(code, &on, format!("not needed: {detail}"));
            }
        }
    }
}

pub(super) fn check(policy: &Policy, facts: &Facts<'_>, checks: &mut Checks) {
    let mut judge = Judge {
        policy,
        now: facts.now,
        checks,
        used: BTreeSet::new(),
    };
    base_images(&mut judge, facts);
    build_types(&mut judge, facts);
    sources(&mut judge, facts);
    predicates(&mut judge, facts);
    network(&mut judge, facts);
    inputs(&mut judge, facts);
    verdict(&mut judge, facts);
    builder(&mut judge, facts);
    age(&mut judge, facts);
    lineage(&mut judge, facts);
    judge.waivers();
}

/// Demands something of the provenance of every run; where there is none, nothing is known.
fn of_each_run(
    judge: &mut Judge<'_, '_>,
    facts: &Facts<'_>,
    code: CheckCode,
    item: &str,
    met: impl Fn(&Signed<Provenance>) -> Met,
) {
    let runs = &facts.evidence.provenance;
    let first = runs
        .iter()
        .map(|(_, signed)| met(signed))
        .reduce(|all, one| match all {
            Ok(_) => one,
            Err(_) => all,
        });
    let met = first.unwrap_or_else(|| Err("no verified provenance says anything of it".into()));
    judge.demand(code, item, met);
}

fn dependencies<'a>(facts: &'a Facts<'_>) -> Option<&'a [ResourceDescriptor]> {
    // The runs of one pack have the same ones, or check V22 fails.
    let (_, signed) = facts.evidence.provenance.first()?;
    Some(&signed.predicate.build_definition.resolved_dependencies)
}

fn kind(dependency: &ResourceDescriptor) -> &str {
    let kind = dependency.annotations.get("repro_kind");
    kind.and_then(serde_json::Value::as_str).unwrap_or_default()
}

fn is_base(dependency: &ResourceDescriptor) -> bool {
    let image = ["pkg:docker/", "pkg:oci/"];
    matches!(kind(dependency), "image" | "toolchain")
        || image
            .iter()
            .any(|scheme| dependency.uri.starts_with(scheme))
}

fn base_images(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let Some(allowed) = &judge.policy.base_images else {
        return;
    };
    let code = CheckCode::BaseImages;
    let Some(dependencies) = dependencies(facts) else {
        let reason = "no verified provenance names base images";
        return judge.demand(code, "base images", Err(reason.into()));
    };
    let bases: Vec<&ResourceDescriptor> = dependencies
        .iter()
        .filter(|dependency| is_base(dependency))
        .collect();
    if bases.is_empty() {
        judge.demand(code, "base images", from_nothing(facts));
    }
    for base in bases {
        let name = patterns::of_purl(&base.uri).map(|reference| reference.name());
        let item = name.unwrap_or_else(|| base.name.clone());
        let digest = base.sha256();
        let found = allowed
            .iter()
            .find(|allowed| is_allowed(allowed, base, digest));
        let shown = digest.map_or_else(|| "no digest".to_owned(), |digest| digest.to_string());
        let met = match found {
            Some(pattern) => Ok(format!("{shown}, allowed as {pattern}")),
            None => Err(format!("{shown} is not one of the allowed base images")),
        };
        judge.demand(code, &item, met);
    }
}

fn is_allowed(allowed: &AllowedBase, base: &ResourceDescriptor, digest: Option<Digest>) -> bool {
    match allowed {
        AllowedBase::Manifest(pinned) => digest == Some(*pinned),
        AllowedBase::Toolchain(name) => {
            let defined = base.uri.strip_prefix("pkg:generic/repro/");
            let defined = defined.and_then(|rest| rest.split('@').next());
            kind(base) == "toolchain" && defined == Some(name)
        }
        AllowedBase::Named {
            name,
            digest: pinned,
        } => {
            let named = patterns::of_purl(&base.uri).is_some_and(|found| name.matches(&found));
            kind(base) != "toolchain"
                && named
                && digest.is_some()
                && (pinned.is_none() || *pinned == digest)
        }
    }
}

/// A build that names no base image starts from nothing, which its layers show.
fn from_nothing(facts: &Facts<'_>) -> Met {
    let (Some((_, signed)), Some(layers)) = (facts.evidence.provenance.first(), facts.layers)
    else {
        return Err("no base image is named, and there is no image to see its layers in".into());
    };
    let steps = signed.predicate.run_details.metadata.steps.iter();
    let made = steps
        .filter(|step| step.in_image && step.diff_id.is_some())
        .count();
    if made == layers {
        Ok("none: every layer was made by a step".into())
    } else {
        Err(format!(
            "no base image is named, and {made} of {layers} layers were made by steps"
        ))
    }
}

fn build_types(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    if let Some(allowed) = &judge.policy.build_types {
        of_each_run(
            judge,
            facts,
            CheckCode::Parameters,
            "build type",
            |signed| {
                let found = &signed.predicate.build_definition.build_type;
                if allowed.contains(found) {
                    Ok(found.clone())
                } else {
                    Err(format!(
                        "build type {found:?} is not one of the allowed ones"
                    ))
                }
            },
        );
    }
}

fn sources(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let Some(allowed) = &judge.policy.sources else {
        return;
    };
    let code = CheckCode::Source;
    let Some(dependencies) = dependencies(facts) else {
        let reason = "no verified provenance names a source";
        return judge.demand(code, "context", Err(reason.into()));
    };
    let is_context = |name: &str| name == "context" || name.starts_with("context:");
    let contexts: Vec<&ResourceDescriptor> = dependencies
        .iter()
        .filter(|one| is_context(&one.name))
        .collect();
    if contexts.is_empty() {
        let nothing = "none: nothing was copied from one";
        judge.checks.pass(code, "context", nothing);
    }
    // What it writes comes from no context, and it decides what becomes of one.
    let dockerfile = dependencies.iter().find(|one| one.name == "dockerfile");
    let digest = dockerfile.and_then(ResourceDescriptor::sha256);
    let met = match digest {
        None => Err("no verified provenance names it".into()),
        Some(digest) if allowed.contains(&AllowedSource::Tree(digest)) => Ok(digest.to_string()),
        Some(digest) => Err(format!("{digest} is not one of the allowed sources")),
    };
    judge.demand(code, "dockerfile", met);
    for context in contexts {
        let digest = context.sha256();
        // A path that goes up leaves the place that the pattern names.
        let uri = Some(context.uri.as_str()).filter(|uri| !uri.is_empty() && !uri.contains(".."));
        let found = allowed.iter().any(|source| match source {
            AllowedSource::Tree(pinned) => digest == Some(*pinned),
            AllowedSource::Uri(pattern) => uri.is_some_and(|uri| glob(pattern, uri)),
        });
        let shown = digest.map_or_else(|| "no digest".to_owned(), |digest| digest.to_string());
        let place = if context.uri.is_empty() {
            "a directory without a URI".to_owned()
        } else {
            format!("{:?}", context.uri)
        };
        let met = if found {
            Ok(format!("{shown} from {place}"))
        } else {
            Err(format!(
                "{shown} from {place} is not one of the allowed sources"
            ))
        };
        judge.demand(code, &context.name, met);
    }
}

fn predicates(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let statements = facts.evidence.statements();
    for wanted in &judge.policy.predicates {
        let count = statements
            .iter()
            .filter(|one| one.predicate_type == *wanted)
            .count();
        let met = match count {
            0 => Err("no verified statement has this predicate type".into()),
            count => Ok(format!("{count} verified")),
        };
        judge.demand(CheckCode::SomethingVerified, wanted, met);
    }
}

fn network(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let Some(wanted) = judge.policy.hermetic else {
        return;
    };
    of_each_run(judge, facts, CheckCode::Hermetic, "network", |signed| {
        let metadata = &signed.predicate.run_details.metadata;
        if metadata.hermetic != Some(true) {
            return Err("hermetic was not measured".into());
        }
        let seen = metadata
            .steps
            .iter()
            .filter_map(|step| Some((step.index, step.network.as_ref()?)));
        for (index, network) in seen {
            if wanted >= Hermetic::WithoutReplay && network.mode == NetworkMode::Replay {
                return Err(format!("step {index} was given answers out of a lock"));
            }
            if wanted >= Hermetic::WithoutAttempts && network.attempts > 0 {
                return Err(format!(
                    "step {index} tried {} times to reach a network",
                    network.attempts
                ));
            }
        }
        Ok("as demanded in every step".into())
    });
}

fn inputs(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    if judge.policy.inputs.is_none() {
        return;
    }
    let code = CheckCode::Custody;
    let Some(dependencies) = dependencies(facts) else {
        let reason = "no verified provenance names inputs";
        return judge.demand(code, "inputs", Err(reason.into()));
    };
    let mut count = 0_usize;
    for input in dependencies {
        // These two are the project itself; a context with a name of its own can be anything.
        if matches!(input.name.as_str(), "dockerfile" | "context") {
            continue;
        }
        count += 1;
        let locked = input.annotations.get("repro_locked");
        if locked.and_then(serde_json::Value::as_bool) != Some(true) {
            let item = if input.name.is_empty() {
                &input.uri
            } else {
                &input.name
            };
            judge.demand(code, item, Err("no lock pins it".into()));
        }
    }
    judge
        .checks
        .pass(code, "inputs", format!("{count} looked at"));
}

fn verdict(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let code = CheckCode::Demands;
    let signed = facts
        .evidence
        .verdict
        .as_ref()
        .map(|signed| &signed.predicate);
    let unknown = || "no verified verdict says".to_owned();
    if let Some(wanted) = judge.policy.verdict {
        let met = match signed.map(|verdict| verdict.verdict) {
            None => Err(unknown()),
            Some(found) if found == wanted => Ok(found.to_string()),
            Some(found) => Err(format!("{found}, not {wanted}")),
        };
        judge.demand(code, "verdict", met);
    }
    let counts = signed.map(|verdict| verdict.counts);
    for (item, wanted, counted) in [
        (
            "layers equal",
            judge.policy.layers_equal,
            counts.map(|counts| (counts.layers_equal, counts.layers)),
        ),
        (
            "files equal",
            judge.policy.files_equal,
            counts.map(|counts| (counts.files_equal, counts.files)),
        ),
    ] {
        let Some(wanted) = wanted else { continue };
        let met = match counted {
            None => Err(unknown()),
            Some((equal, all)) if wanted.holds(equal, all) => Ok(format!("{equal} of {all}")),
            Some((_, 0)) => Err("nothing was compared".into()),
            Some((equal, all)) => Err(format!("{equal} of {all}, less than {wanted}")),
        };
        judge.demand(code, item, met);
    }
    for axis in &judge.policy.vary {
        let met = match signed.map(|verdict| verdict.axes.get(axis)) {
            None => Err(unknown()),
            Some(None) => Err("was not varied between the runs".into()),
            Some(Some(values)) => Ok(format!("{:?} and {:?}", values.a, values.b)),
        };
        judge.demand(code, axis.name(), met);
    }
}

fn builder(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let code = CheckCode::Builder;
    let met = |wanted: BuildLevel| match facts.granted {
        None => Err("no builder is trusted with this pack".to_owned()),
        Some(granted) if granted.level >= wanted => Ok(granted.level.to_string()),
        Some(granted) => Err(format!(
            "the trust file grants {}, {wanted} is demanded",
            granted.level
        )),
    };
    if let Some(wanted) = judge.policy.level {
        judge.demand(code, "level", met(wanted));
    }
    // Whoever demands it now has not waived it in a file.
    match judge.policy.asked_level.map(met) {
        None => {}
        Some(Ok(detail)) => judge.checks.pass(code, "level", detail),
        Some(Err(reason)) => judge.checks.fail(code, "level", reason),
    }
}

fn age(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    let Some(max_age) = judge.policy.max_age else {
        return;
    };
    let now = facts.now;
    of_each_run(judge, facts, CheckCode::Times, "age", |signed| {
        let finished = provenance::finished(signed).ok_or("the run has no time")?;
        let shown = rfc3339(finished);
        if now.saturating_sub(finished) <= max_age.seconds() {
            Ok(format!("finished at {shown}, less than {max_age} ago"))
        } else {
            Err(format!("finished at {shown}, more than {max_age} ago"))
        }
    });
}

fn lineage(judge: &mut Judge<'_, '_>, facts: &Facts<'_>) {
    for (key, pattern) in &judge.policy.lineage {
        of_each_run(judge, facts, CheckCode::Lineage, key, |signed| match facts
            .evidence
            .lineage(Some(signed), facts.rules)
            .remove(key)
        {
            None => Err("nothing is said of it".into()),
            Some(value) if glob(pattern, &value) => Ok(value),
            Some(value) => Err(format!("{value:?} is not {pattern:?}")),
        });
    }
}
