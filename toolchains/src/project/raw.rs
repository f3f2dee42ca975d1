//! The text of `repro.toml`, before its values mean something.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Range,
    str::FromStr,
};

use repro_core::{
    build::{Axis, ContextModes},
    epoch::Epoch,
    redact,
};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{
    BuildSection, EpochSetting, HostPattern, ImagePattern, OwnToolchain, Project, ToolchainSource,
    toolchain::Distribution,
};
use crate::{
    definition,
    diagnostic::Diagnostic,
    purl::{self, SourcePurl},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    build: Build,
    #[serde(default)]
    toolchain: BTreeMap<Spanned<String>, Spanned<Toolchain>>,
    #[serde(default)]
    inputs: BTreeMap<Spanned<String>, Input>,
    #[serde(default)]
    network: Network,
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    lineage: BTreeMap<String, String>,
    #[serde(default)]
    redaction: Redaction,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Redaction {
    #[serde(default)]
    personal: redact::Personal,
    #[serde(default)]
    texts: redact::Texts,
    #[serde(default)]
    pattern: Vec<Spanned<Pattern>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pattern {
    name: String,
    regex: String,
    class: Option<redact::Class>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Build {
    dockerfile: Option<Spanned<String>>,
    source_date_epoch: Option<RawEpoch>,
    #[serde(default)]
    context_modes: ContextModes,
    vary: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Toolchain {
    r#use: Option<Spanned<String>>,
    from: Option<Spanned<String>>,
    suite: Option<Spanned<String>>,
    component: Option<Spanned<String>>,
    packages: Option<Spanned<Vec<String>>>,
    cmd: Option<Spanned<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    purl: SourcePurl,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Network {
    #[serde(default)]
    allow: Vec<Parsed<HostPattern>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Policy {
    base_images: Option<Vec<Parsed<ImagePattern>>>,
}

/// A string that is parsed while it is read, so that the parser's message has its place.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

/// A number or `"git"`.
struct RawEpoch(EpochSetting);

impl<'de> Deserialize<'de> for RawEpoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = EpochSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970 or \"git\"")
            }

            fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<EpochSetting, E> {
                let unsigned = serde::de::Unexpected::Signed(seconds);
                let seconds =
                    u64::try_from(seconds).map_err(|_| E::invalid_value(unsigned, &self))?;
                Epoch::new(seconds)
                    .map(EpochSetting::Number)
                    .map_err(E::custom)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EpochSetting, E> {
                if text == "git" {
                    Ok(EpochSetting::Git)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

pub(super) fn parse(file: &str, text: &str) -> Result<Project, Diagnostic> {
    let raw: File =
        toml::from_str(text).map_err(|error| Diagnostic::from_toml(file, text, &error))?;
    let refuse =
        |span: Range<usize>, message: String| Diagnostic::new(file, text, Some(span), message);
    let build = build(raw.build).map_err(|(span, message)| refuse(span, message))?;
    let mut toolchains = BTreeMap::new();
    for (name, raw) in raw.toolchain {
        check_name(&name).map_err(|message| refuse(name.span(), message))?;
        let used = toolchain(raw).map_err(|(span, message)| refuse(span, message))?;
        toolchains.insert(name.into_inner(), used);
    }
    let mut inputs = BTreeMap::new();
    for (name, input) in raw.inputs {
        check_name(&name).map_err(|message| refuse(name.span(), message))?;
        if toolchains.contains_key(name.get_ref()) {
            let message = format!(
                "{:?} is a toolchain of this project already",
                name.get_ref()
            );
            return Err(refuse(name.span(), message));
        }
        inputs.insert(name.into_inner(), input.purl);
    }
    Ok(Project {
        build,
        toolchains,
        inputs,
        network: raw.network.allow.into_iter().map(|host| host.0).collect(),
        base_images: (raw.policy.base_images)
            .map(|patterns| patterns.into_iter().map(|pattern| pattern.0).collect()),
        lineage: raw.lineage,
        redaction: redaction(raw.redaction).map_err(|(span, message)| refuse(span, message))?,
    })
}

type Misplaced = (Range<usize>, String);

/// Each pattern alone, so that the message has the place of the one that is wrong.
fn redaction(raw: Redaction) -> Result<redact::Settings, Misplaced> {
    let mut settings = redact::Settings {
        personal: raw.personal,
        texts: raw.texts,
        patterns: Vec::new(),
    };
    if raw.pattern.len() > redact::PATTERNS_MAX {
        let span = raw.pattern[redact::PATTERNS_MAX].span();
        return Err((
            span,
            redact::PatternError::Many(raw.pattern.len()).to_string(),
        ));
    }
    for pattern in raw.pattern {
        let span = pattern.span();
        let Pattern { name, regex, class } = pattern.into_inner();
        let class = class.unwrap_or(redact::Class::Secret);
        let pattern = redact::Pattern { name, regex, class };
        let alone = redact::Settings {
            patterns: vec![pattern.clone()],
            ..redact::Settings::default()
        };
        redact::Redactor::new(&alone).map_err(|error| (span, error.to_string()))?;
        settings.patterns.push(pattern);
    }
    Ok(settings)
}

fn build(raw: Build) -> Result<BuildSection, Misplaced> {
    let dockerfile = match raw.dockerfile {
        Some(path) if !stays_inside(path.get_ref()) => {
            let message = format!("{:?} is not a path inside the context", path.get_ref());
            return Err((path.span(), message));
        }
        path => path.map(Spanned::into_inner),
    };
    Ok(BuildSection {
        dockerfile,
        epoch: raw.source_date_epoch.map(|epoch| epoch.0),
        context_modes: raw.context_modes,
        vary: raw.vary.map(axes).transpose()?,
    })
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|name| name == "..")
}

fn axes(raw: Spanned<Vec<String>>) -> Result<BTreeSet<Axis>, Misplaced> {
    let span = raw.span();
    let names = raw.into_inner();
    match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["all"] => Ok(Axis::VARIED.into()),
        ["none"] => Ok(BTreeSet::new()),
        ref names => names
            .iter()
            .map(|name| {
                name.parse()
                    .map_err(|error| (span.clone(), format!("{error}")))
            })
            .collect(),
    }
}

fn toolchain(raw: Spanned<Toolchain>) -> Result<ToolchainSource, Misplaced> {
    let (span, raw) = (raw.span(), raw.into_inner());
    let known = || definition::names().collect::<Vec<_>>().join(", ");
    let Toolchain {
        r#use,
        from,
        suite,
        component,
        packages,
        cmd,
    } = raw;
    match (r#use, from) {
        (Some(name), None) => {
            let own = [
                suite.map(|value| value.span()),
                component.map(|value| value.span()),
                packages.map(|value| value.span()),
                cmd.map(|value| value.span()),
            ];
            if let Some(span) = own.into_iter().flatten().next() {
                let message = "use = NAME takes a shipped toolchain as it is; one of your own \
                               packages has from, suite and packages in its place";
                return Err((span, message.into()));
            }
            if !definition::names().any(|shipped| shipped == name.get_ref()) {
                let message = format!(
                    "no toolchain {:?} is shipped; there are {}",
                    name.get_ref(),
                    known()
                );
                return Err((name.span(), message));
            }
            Ok(ToolchainSource::Shipped(name.into_inner()))
        }
        (None, Some(from)) => {
            let from = match from.get_ref().as_str() {
                "debian" => Distribution::Debian,
                other => {
                    let message =
                        format!("no toolchain is made from {other:?}, from = \"debian\" is");
                    return Err((from.span(), message));
                }
            };
            let missing = |key| (span.clone(), format!("from = \"debian\" needs {key}"));
            let suite = suite_name(&suite.ok_or_else(|| missing("suite"))?)?;
            let component = component.map_or(Ok("main".to_owned()), |name| suite_name(&name))?;
            let packages = packages.ok_or_else(|| missing("packages"))?;
            Ok(ToolchainSource::Own(OwnToolchain {
                from,
                suite,
                component,
                packages: package_names(&packages)?,
                cmd: cmd.map(Spanned::into_inner),
            }))
        }
        (Some(_), Some(from)) => {
            let message = "a toolchain is either a shipped one (use) or made of your own \
                           packages (from)";
            Err((from.span(), message.into()))
        }
        (None, None) => Err((
            span,
            format!(
                "a toolchain needs use = NAME, one of {}, or from = \"debian\", suite and packages",
                known()
            ),
        )),
    }
}

fn suite_name(name: &Spanned<String>) -> Result<String, Misplaced> {
    if purl::is_suite(name.get_ref()) {
        Ok(name.get_ref().clone())
    } else {
        let message = format!(
            "{:?} is not the name of a suite or component",
            name.get_ref()
        );
        Err((name.span(), message))
    }
}

fn package_names(names: &Spanned<Vec<String>>) -> Result<BTreeSet<String>, Misplaced> {
    let bad = names
        .get_ref()
        .iter()
        .find(|name| !purl::is_package_name(name));
    let message = match bad {
        Some(bad) => format!("{bad:?} is not the name of a package"),
        None if names.get_ref().is_empty() => "a toolchain is made of at least one package".into(),
        None => return Ok(names.get_ref().iter().cloned().collect()),
    };
    Err((names.span(), message))
}

/// What can stand behind FROM and `--from` and cannot be taken for a number or a path.
fn check_name(name: &Spanned<String>) -> Result<(), String> {
    let name = name.get_ref();
    if definition::is_name(name) {
        Ok(())
    } else {
        Err(format!(
            "{name:?} cannot be used in FROM and --from: lower-case letters, digits and _ . -, \
             beginning with a letter, at most 64, not scratch"
        ))
    }
}
