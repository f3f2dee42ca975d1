//! The text of a policy, before its values mean something.

use std::collections::BTreeMap;

use repro_core::build::Axis;
use serde::Deserialize;
use toml::Spanned;

use super::{
    super::document::{self, DocumentError, Moment, Parsed},
    Age, AllowedBase, AllowedSource, Hermetic, Inputs, Percent, Policy, Waiver,
};
use crate::{predicate::reproducibility::Verdict, terms::trust::BuildLevel, verify::CheckCode};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(rename = "version", deserialize_with = "document::first_version")]
    _version: (),
    uri: Option<Spanned<String>>,
    #[serde(default)]
    allow: Allow,
    #[serde(default)]
    require: Require,
    #[serde(default)]
    lineage: BTreeMap<String, String>,
    #[serde(default)]
    waiver: Vec<Spanned<RawWaiver>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Allow {
    base_images: Option<Vec<Parsed<AllowedBase>>>,
    build_types: Option<Vec<String>>,
    sources: Option<Vec<Parsed<AllowedSource>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Require {
    #[serde(default)]
    predicates: Vec<String>,
    verdict: Option<Verdict>,
    hermetic: Option<Parsed<Hermetic>>,
    inputs: Option<Parsed<Inputs>>,
    layers_equal: Option<Spanned<u64>>,
    files_equal: Option<Spanned<u64>>,
    #[serde(default)]
    vary: Vec<Parsed<Axis>>,
    slsa_build_level: Option<BuildLevel>,
    builders: Option<Spanned<usize>>,
    max_age: Option<Parsed<Age>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWaiver {
    check: String,
    on: Option<String>,
    owner: String,
    reason: String,
    expires: Moment,
}

pub(super) fn parse(text: &str) -> Result<Policy, DocumentError> {
    let file: File = toml::from_str(text)?;
    let File {
        _version: (),
        uri,
        allow,
        require,
        lineage,
        waiver,
    } = file;
    let uri = uri.map(checked_uri).transpose()?;
    let policy = Policy {
        uri,
        digest: None,
        base_images: allow.base_images.map(values),
        build_types: allow.build_types,
        sources: allow.sources.map(values),
        predicates: require.predicates,
        verdict: require.verdict,
        hermetic: require.hermetic.map(|parsed| parsed.0),
        inputs: require.inputs.map(|parsed| parsed.0),
        layers_equal: require.layers_equal.map(percent).transpose()?,
        files_equal: require.files_equal.map(percent).transpose()?,
        vary: values(require.vary),
        level: require.slsa_build_level,
        asked_level: None,
        builders: require.builders.map(builders).transpose()?,
        max_age: require.max_age.map(|parsed| parsed.0),
        lineage,
        waivers: waiver
            .into_iter()
            .map(checked_waiver)
            .collect::<Result<_, _>>()?,
    };
    if demands_nothing(&policy) {
        return Err(DocumentError::new(
            "demands nothing: a policy without [allow], [require] and [lineage] would pass everything",
        ));
    }
    Ok(policy)
}

/// Whether a pack is as good without it.
fn demands_nothing(policy: &Policy) -> bool {
    let bare = Policy {
        uri: policy.uri.clone(),
        waivers: policy.waivers.clone(),
        ..Policy::default()
    };
    *policy == bare
}

fn values<T>(parsed: Vec<Parsed<T>>) -> Vec<T> {
    parsed.into_iter().map(|value| value.0).collect()
}

fn checked_uri(uri: Spanned<String>) -> Result<String, DocumentError> {
    let span = uri.span();
    let uri = uri.into_inner();
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    let known = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if scheme.is_empty() || !known || uri.contains(char::is_whitespace) {
        return Err(DocumentError::at(format!("{uri:?} is not a URI"), span));
    }
    Ok(uri)
}

fn percent(number: Spanned<u64>) -> Result<Percent, DocumentError> {
    let span = number.span();
    Percent::try_from(number.into_inner()).map_err(|error| DocumentError::at(error, span))
}

fn builders(number: Spanned<usize>) -> Result<usize, DocumentError> {
    let span = number.span();
    match number.into_inner() {
        0 => Err(DocumentError::at(
            "at least one builder there always is; 2 or more is a quorum",
            span,
        )),
        number => Ok(number),
    }
}

fn checked_waiver(raw: Spanned<RawWaiver>) -> Result<Waiver, DocumentError> {
    let span = raw.span();
    let RawWaiver {
        check,
        on,
        owner,
        reason,
        expires,
    } = raw.into_inner();
    let code = CheckCode::ALL
        .iter()
        .find(|code| code.code() == check)
        .copied();
    let Some(code) = code else {
        return Err(DocumentError::at(format!("{check:?} is no check"), span));
    };
    if !Policy::WAIVABLE.contains(&code) {
        let codes: Vec<&str> = Policy::WAIVABLE.iter().map(|code| code.code()).collect();
        return Err(DocumentError::at(
            format!(
                "{check} ({}) cannot be waived; only what a policy asks can: {}",
                code.title(),
                codes.join(", ")
            ),
            span,
        ));
    }
    for (name, value) in [("owner", &owner), ("reason", &reason)] {
        if value.trim().is_empty() {
            return Err(DocumentError::at(
                format!("the {name} of a waiver is empty"),
                span,
            ));
        }
    }
    Ok(Waiver {
        check: code,
        on,
        owner,
        reason,
        expires: expires.0,
    })
}
