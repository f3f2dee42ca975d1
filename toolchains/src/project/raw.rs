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
};
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{BuildSection, EpochSetting, HostPattern, ImagePattern, Project};
use crate::{definition, diagnostic::Diagnostic, purl::SourcePurl};

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
    packages: Option<Spanned<Vec<String>>>,
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
        let used = shipped(raw).map_err(|(span, message)| refuse(span, message))?;
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
    })
}

type Misplaced = (Range<usize>, String);

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

fn shipped(raw: Spanned<Toolchain>) -> Result<String, Misplaced> {
    let (span, raw) = (raw.span(), raw.into_inner());
    let own = [
        raw.from.map(|value| value.span()),
        raw.suite.map(|value| value.span()),
        raw.packages.map(|value| value.span()),
    ];
    if let Some(span) = own.into_iter().flatten().next() {
        let message = "toolchains of one's own packages are not made by this version; \
                       use = NAME takes a shipped one";
        return Err((span, message.into()));
    }
    let known = definition::names().collect::<Vec<_>>().join(", ");
    match raw.r#use {
        None => Err((
            span,
            format!("a toolchain needs use = NAME, one of {known}"),
        )),
        Some(name) if !definition::names().any(|shipped| shipped == name.get_ref()) => {
            let message = format!(
                "no toolchain {:?} is shipped; there are {known}",
                name.get_ref()
            );
            Err((name.span(), message))
        }
        Some(name) => Ok(name.into_inner()),
    }
}

/// What can stand behind FROM and `--from` and cannot be taken for a number or a path.
fn check_name(name: &Spanned<String>) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.-".contains(&b);
    let name = name.get_ref();
    if name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(good)
        && name != "scratch"
    {
        Ok(())
    } else {
        Err(format!(
            "{name:?} cannot be used in FROM and --from: lower-case letters, digits and _ . -, \
             beginning with a letter, at most 64, not scratch"
        ))
    }
}
