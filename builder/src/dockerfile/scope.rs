//! The variables in force: `ARG` and `ENV`, stage by stage.
//!
//! The order of instructions decides, as in BuildKit: an `ENV` covers an `ARG` of its name above
//! it, and an `ARG` with a value covers an `ENV` above it, for the build alone. (Docker's
//! reference says that `ENV` always wins; its builder has not done so since BuildKit.)

use std::collections::{BTreeMap, BTreeSet};

use repro_core::{build::Finding, platform::Platform};

use super::{
    ast::{ArgDefinition, Dockerfile, InstructionKind, Pairs},
    keyword::nearest,
    rule::Rule,
    template::{ExpandError, Scope},
};

/// Build arguments that reach every `RUN` without an `ARG`, in the order they are added.
const PROXIES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];
/// Build arguments that are for the builder, besides those that begin with [`BUILDKIT`].
const EPOCH: &str = "SOURCE_DATE_EPOCH";
/// What the others begin with. Most say where BuildKit keeps or shows something, and what becomes
/// of the image does not depend on them.
const BUILDKIT: &str = "BUILDKIT_";
/// Those of them that would change something, and why they do not.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    (
        "BUILDKIT_INLINE_CACHE",
        "an image says nothing of the cache it was made with",
    ),
    (
        "BUILDKIT_SANDBOX_HOSTNAME",
        "the host name is one of the things in which the two runs differ",
    ),
    ("BUILDKIT_SBOM_SCAN_CONTEXT", "nothing is scanned"),
    ("BUILDKIT_SBOM_SCAN_STAGE", "nothing is scanned"),
];
/// `TARGETSTAGE` where no target is named.
const DEFAULT_STAGE: &str = "default";

/// Variables with an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Variables {
    values: BTreeMap<String, (u64, String)>,
    next: u64,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(_, value)| value.as_str())
    }

    /// Sets and moves to the end, as in the environment of a `RUN`.
    fn set_last(&mut self, name: &str, value: &str) {
        let entry = (self.next, value.to_owned());
        self.values.insert(name.to_owned(), entry);
        self.next += 1;
    }

    /// Sets and leaves where it is, as in the configuration of an image.
    fn set_in_place(&mut self, name: &str, value: &str) {
        match self.values.get_mut(name) {
            Some((_, old)) => value.clone_into(old),
            None => self.set_last(name, value),
        }
    }

    fn ordered(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> = self.values.iter().collect();
        all.sort_by_key(|(_, (order, _))| *order);
        all.into_iter()
            .map(|(name, (_, value))| (name.clone(), value.clone()))
            .collect()
    }
}

/// The platforms that fill the automatic arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformArgs {
    /// `BUILDPLATFORM`, `BUILDOS`, `BUILDARCH`, `BUILDVARIANT`.
    pub build: Platform,
    /// `TARGETPLATFORM`, `TARGETOS`, `TARGETARCH`, `TARGETVARIANT`.
    pub target: Platform,
}

/// What `FROM` sees: the automatic arguments and each `ARG` above the first `FROM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalScope {
    variables: Variables,
    build_args: BTreeMap<String, String>,
}

impl GlobalScope {
    /// The automatic arguments; `target` is `--target`. A `--build-arg` of the same name wins.
    #[must_use]
    pub fn new(
        platforms: &PlatformArgs,
        target: Option<&str>,
        build_args: &BTreeMap<String, String>,
    ) -> Self {
        let mut variables = Variables::default();
        let mut set = |name: &str, value: &str| {
            let value = build_args.get(name).map_or(value, String::as_str);
            variables.set_last(name, value);
        };
        for (prefix, platform) in [("BUILD", &platforms.build), ("TARGET", &platforms.target)] {
            set(&format!("{prefix}PLATFORM"), &platform.to_string());
            set(&format!("{prefix}OS"), platform.os());
            set(&format!("{prefix}OSVERSION"), "");
            set(&format!("{prefix}ARCH"), platform.architecture());
            let variant = platform.variant().unwrap_or_default();
            set(&format!("{prefix}VARIANT"), variant);
        }
        set("TARGETSTAGE", target.unwrap_or(DEFAULT_STAGE));
        Self {
            variables,
            build_args: build_args.clone(),
        }
    }

    /// Takes an `ARG` above the first `FROM`. Each definition sees the ones before it.
    pub fn arg(&mut self, definitions: &[ArgDefinition]) -> Result<(), ExpandError> {
        for definition in definitions {
            let name = definition.name.expand(self)?;
            let value = match (self.build_args.get(&name), &definition.default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => default.expand(self)?,
                // Declared, but neither given nor set: an automatic value stays.
                (None, None) => continue,
            };
            self.variables.set_last(&name, &value);
        }
        Ok(())
    }
}

impl Scope for GlobalScope {
    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name)
    }
}

/// What the instructions of a stage see, and what its image keeps.
///
/// A stage that begins with another stage starts with a clone of that one's scope at its end:
/// both `ENV` and `ARG` are inherited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageScope<'a> {
    global: &'a GlobalScope,
    process: Variables,
    image: Variables,
    /// Declared names, in the order of the first `ARG`.
    args: Variables,
}

impl<'a> StageScope<'a> {
    /// A stage on an image with this environment; on `scratch` with an empty one.
    #[must_use]
    pub fn new(global: &'a GlobalScope, image_env: &[(String, String)]) -> Self {
        let mut variables = Variables::default();
        for (name, value) in image_env {
            variables.set_in_place(name, value);
        }
        Self {
            global,
            process: variables.clone(),
            image: variables,
            args: Variables::default(),
        }
    }

    /// Takes an `ARG`: a `--build-arg`, else the default, else the value from above the first
    /// `FROM`, else nothing. Each definition sees the ones before it. Gives names and values.
    pub fn arg(
        &mut self,
        definitions: &[ArgDefinition],
    ) -> Result<Vec<(String, Option<String>)>, ExpandError> {
        let mut taken = Vec::new();
        for definition in definitions {
            let name = definition.name.expand(self)?;
            let value = match (self.global.build_args.get(&name), &definition.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(default.expand(self)?),
                (None, None) => self.global.get(&name).map(str::to_owned),
            };
            if let Some(value) = &value {
                self.process.set_last(&name, value);
            }
            self.args.set_in_place(&name, "");
            taken.push((name, value));
        }
        Ok(taken)
    }

    /// Takes an `ENV`. All its pairs see what was set before it, not each other. Gives the pairs
    /// expanded.
    pub fn env(&mut self, pairs: &Pairs) -> Result<Vec<(String, String)>, ExpandError> {
        let expanded = self.pairs(pairs)?;
        for (name, value) in &expanded {
            self.process.set_last(name, value);
            self.image.set_in_place(name, value);
        }
        Ok(expanded)
    }

    /// Expands the pairs of a `LABEL` or `ENV`.
    pub fn pairs(&self, pairs: &Pairs) -> Result<Vec<(String, String)>, ExpandError> {
        let pair = |pair: &super::Pair| Ok((pair.name.expand(self)?, pair.value.expand(self)?));
        pairs.pairs.iter().map(pair).collect()
    }

    /// The environment of a `RUN` here, names unique, in the order of setting; proxies given as
    /// build arguments come last, in capitals and in small letters.
    #[must_use]
    pub fn env_for_run(&self) -> Vec<(String, String)> {
        let mut env = self.process.ordered();
        for proxy in PROXIES {
            let given = self.global.build_args.iter();
            let mut given = given.filter(|(name, _)| name.eq_ignore_ascii_case(proxy));
            let Some((_, value)) = given.next_back() else {
                continue;
            };
            for name in [proxy.to_owned(), proxy.to_ascii_lowercase()] {
                if self.process.get(&name).is_none() {
                    env.push((name, value.clone()));
                }
            }
        }
        env
    }

    /// The environment of the image, in the order of first setting.
    #[must_use]
    pub fn image_env(&self) -> Vec<(String, String)> {
        self.image.ordered()
    }

    /// The arguments declared so far with the value a `RUN` sees, in order; those without a value
    /// are left out.
    #[must_use]
    pub fn args(&self) -> Vec<(String, String)> {
        let declared = self.args.ordered().into_iter();
        declared
            .filter_map(|(name, _)| {
                let value = self.process.get(&name)?.to_owned();
                Some((name, value))
            })
            .collect()
    }
}

impl StageScope<'_> {
    /// Whether an `ARG` so far declares the name, with a value or without.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.args.get(name).is_some()
    }

    /// The set name that a name is nearest to.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.process.values.keys().map(String::as_str))
    }
}

impl GlobalScope {
    /// The set name that a name is nearest to.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.variables.values.keys().map(String::as_str))
    }
}

impl Scope for StageScope<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.process.get(name)
    }
}

/// A finding for each `--build-arg` that changes nothing: that no `ARG` of the file declares, or that
/// asks the builder for what it does not do.
#[must_use]
pub fn unused_build_args(
    dockerfile: &Dockerfile,
    build_args: &BTreeMap<String, String>,
) -> Vec<Finding> {
    if dockerfile.directives.skips(Rule::UnusedBuildArg) {
        return Vec::new();
    }
    let mut findings: Vec<Finding> = WITHOUT_EFFECT
        .iter()
        .filter(|(name, _)| {
            let value = build_args
                .get(*name)
                .map(|value| value.to_ascii_lowercase());
            value.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "f" | "false"))
        })
        .map(|(name, why)| {
            Rule::UnusedBuildArg.finding(format!("{name} has no effect: {why}"), None)
        })
        .collect();
    findings.extend(undeclared(dockerfile, build_args));
    findings
}

fn undeclared(dockerfile: &Dockerfile, build_args: &BTreeMap<String, String>) -> Vec<Finding> {
    let global = dockerfile.global_args.iter().flat_map(|args| &args.kind);
    let instructions = dockerfile.stages.iter().flat_map(|s| &s.instructions);
    let staged = instructions.flat_map(|instruction| match &instruction.kind {
        InstructionKind::Arg(args) => args.as_slice(),
        _ => &[],
    });
    let definitions: Vec<&ArgDefinition> = global.chain(staged).collect();
    // A name with a variable in it could be any.
    let Some(declared) = definitions
        .iter()
        .map(|definition| definition.name.literal())
        .collect::<Option<BTreeSet<String>>>()
    else {
        return Vec::new();
    };
    let is_builders = |name: &str| {
        let is_proxy = PROXIES.iter().any(|p| p.eq_ignore_ascii_case(name));
        is_proxy || name == EPOCH || name.starts_with(BUILDKIT)
    };
    build_args
        .keys()
        .filter(|name| !declared.contains(*name) && !is_builders(name))
        .map(|name| {
            let near = nearest(name, declared.iter().map(String::as_str));
            let meant = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let message = format!("no ARG declares the build argument {name}{meant}");
            Rule::UnusedBuildArg.finding(message, None)
        })
        .collect()
}
