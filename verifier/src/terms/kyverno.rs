//! Base images from and for Kyverno, whose `ClusterPolicy` names images in clusters by patterns.
//!
//! Its `*` stands for any text, also across slashes. What would allow more here than it says, or
//! says more than a list of names can, is refused by name: a policy that is half read is none.

use std::fmt::Write as _;

use yaml_rust2::{Event, Yaml, YamlLoader, parser::Parser, yaml::Hash};

use super::patterns::{AllowedBase, ImagePatternError, NamePattern};

/// Most bytes of a policy that is read.
pub const KYVERNO_MAX: usize = 1 << 20;
/// Deepest nesting; a policy on images has some ten levels.
const DEPTH_MAX: usize = 64;

/// Why a text gives no list of base images.
#[derive(Debug, thiserror::Error)]
pub enum KyvernoError {
    /// More bytes than a policy has.
    #[error("a policy has at most {KYVERNO_MAX} bytes, this one has {0}")]
    TooLarge(usize),
    /// Not YAML.
    #[error("not YAML")]
    Yaml(#[from] yaml_rust2::ScanError),
    /// YAML that can grow or nest without end.
    #[error("{0}")]
    Form(&'static str),
    /// Another document.
    #[error("not one ClusterPolicy or Policy of kyverno.io")]
    Kind,
    /// No image is named.
    #[error("no rule names images, by verifyImages or by a pattern of validate")]
    NoImages,
    /// Something that a list of names does not say.
    #[error("rule {rule:?} has {what}, which a list of base images cannot say")]
    Beyond {
        /// The rule.
        rule: String,
        /// What it has.
        what: String,
    },
    /// Rules that must hold together.
    #[error("several patterns must hold at once; a list of base images says one or the other")]
    Several,
    /// A pattern that is none here.
    #[error("rule {rule:?}: the image {image:?} cannot be read")]
    Pattern {
        /// The rule.
        rule: String,
        /// The text.
        image: String,
        /// Why.
        #[source]
        source: ImagePatternError,
    },
}

/// The base images that the policy in `text` allows.
pub(super) fn parse(text: &str) -> Result<Vec<AllowedBase>, KyvernoError> {
    if text.len() > KYVERNO_MAX {
        return Err(KyvernoError::TooLarge(text.len()));
    }
    check_form(text)?;
    let documents = YamlLoader::load_from_str(text)?;
    let [document] = documents.as_slice() else {
        return Err(KyvernoError::Kind);
    };
    let api = document["apiVersion"].as_str().unwrap_or_default();
    let kind = document["kind"].as_str().unwrap_or_default();
    if !api.starts_with("kyverno.io/") || !["ClusterPolicy", "Policy"].contains(&kind) {
        return Err(KyvernoError::Kind);
    }
    let rules = document["spec"]["rules"]
        .as_vec()
        .ok_or(KyvernoError::NoImages)?;
    // Of verifyImages any may hold; patterns of validate hold all at once, so they must be one.
    let mut verified: Vec<AllowedBase> = Vec::new();
    let mut patterns: Vec<Vec<AllowedBase>> = Vec::new();
    for rule in rules {
        read_rule(rule, &mut verified, &mut patterns)?;
    }
    if !verified.is_empty() {
        patterns.push(verified);
    }
    let Some((first, others)) = patterns.split_first() else {
        return Err(KyvernoError::NoImages);
    };
    if others.iter().any(|other| other != first) {
        return Err(KyvernoError::Several);
    }
    Ok(first.clone())
}

/// Aliases can make a short text into a long document, and nesting a small one into a deep call.
fn check_form(text: &str) -> Result<(), KyvernoError> {
    let mut parser = Parser::new_from_str(text);
    let mut depth = 0_usize;
    loop {
        match parser.next_token()?.0 {
            Event::Alias(_) => {
                return Err(KyvernoError::Form(
                    "aliases of YAML are not read; write the text out",
                ));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            Event::StreamEnd => return Ok(()),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(KyvernoError::Form("nested deeper than a policy is"));
        }
    }
}

fn read_rule(
    rule: &Yaml,
    verified: &mut Vec<AllowedBase>,
    patterns: &mut Vec<Vec<AllowedBase>>,
) -> Result<(), KyvernoError> {
    let name = rule["name"].as_str().unwrap_or_default().to_owned();
    let beyond = |what: &str| KyvernoError::Beyond {
        rule: name.clone(),
        what: what.to_owned(),
    };
    for (key, _) in rule.as_hash().ok_or_else(|| beyond("no fields"))? {
        match key.as_str().unwrap_or_default() {
            "name"
            | "match"
            | "exclude"
            | "validate"
            | "verifyImages"
            | "skipBackgroundRequests" => {}
            other => return Err(beyond(other)),
        }
    }
    for entry in rule["verifyImages"].as_vec().into_iter().flatten() {
        if !entry["skipImageReferences"].is_badvalue() {
            return Err(beyond("skipImageReferences"));
        }
        let references = entry["imageReferences"].as_vec();
        for reference in references.ok_or_else(|| beyond("verifyImages without imageReferences"))? {
            let text = reference
                .as_str()
                .ok_or_else(|| beyond("a reference that is no text"))?;
            add(verified, image(&name, text)?);
        }
    }
    let Some(validate) = rule["validate"].as_hash() else {
        return Ok(());
    };
    for (key, _) in validate {
        match key.as_str().unwrap_or_default() {
            "pattern"
            | "message"
            | "failureAction"
            | "failureActionOverrides"
            | "allowExistingViolations" => {}
            other => return Err(beyond(&format!("validate.{other}"))),
        }
    }
    if let Some(pattern) = rule["validate"]["pattern"].as_hash() {
        collect(&name, pattern, patterns)?;
    }
    Ok(())
}

/// Every `image` in a pattern, wherever it stands: of pods, and of the templates of what makes them.
fn collect(
    rule: &str,
    pattern: &Hash,
    patterns: &mut Vec<Vec<AllowedBase>>,
) -> Result<(), KyvernoError> {
    for (key, value) in pattern {
        let key = key.as_str().unwrap_or_default();
        // `=(x)`: if x is there. `X(x)`: x must not be there. `(x)`: only where x is so.
        let (anchor, name) = match key.split_once('(') {
            Some((anchor, rest)) => (Some(anchor), rest.trim_end_matches(')')),
            None => (None, key),
        };
        match (name, value) {
            ("image", Yaml::String(text)) => {
                if !matches!(anchor, None | Some("=")) {
                    return Err(KyvernoError::Beyond {
                        rule: rule.to_owned(),
                        what: format!("the anchor {key:?}"),
                    });
                }
                let mut images = Vec::new();
                for alternative in text.split('|') {
                    add(&mut images, image(rule, alternative.trim())?);
                }
                patterns.push(images);
            }
            (_, Yaml::Hash(inner)) => collect(rule, inner, patterns)?,
            (_, Yaml::Array(items)) => {
                for inner in items.iter().filter_map(Yaml::as_hash) {
                    collect(rule, inner, patterns)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn add(images: &mut Vec<AllowedBase>, image: AllowedBase) {
    if !images.contains(&image) {
        images.push(image);
    }
}

/// One alternative: a pattern, and for stars that stay within a part of the name what they exclude.
fn image(rule: &str, text: &str) -> Result<AllowedBase, KyvernoError> {
    let beyond = |what: String| KyvernoError::Beyond {
        rule: rule.to_owned(),
        what,
    };
    let mut terms = text.split('&').map(str::trim);
    let positive = terms.next().unwrap_or_default();
    if positive.starts_with('!') || positive.contains('?') {
        return Err(beyond(format!("the pattern {positive:?}")));
    }
    let mut excluded = Vec::new();
    for term in terms {
        match term.strip_prefix('!') {
            Some(pattern) => excluded.push(pattern.trim()),
            None => return Err(beyond(format!("the pattern {text:?}"))),
        }
    }
    let Some((bare, suffix)) = split_suffix(positive) else {
        return Err(beyond(format!("a tag in {positive:?}")));
    };
    let mut used = 0;
    let mut ours = String::new();
    for (at, character) in bare.char_indices() {
        if character != '*' {
            ours.push(character);
            continue;
        }
        let deeper = format!("{}*/*{}{suffix}", &bare[..at], &bare[at + 1..]);
        let whole =
            bare[..at].ends_with('/') && (at + 1 == bare.len() || bare[at + 1..].starts_with('/'));
        if excluded.contains(&deeper.as_str()) {
            used += 1;
            ours.push('*');
        } else {
            // Within a part a star here allows less than it does there, never more.
            ours.push_str(if whole { "**" } else { "*" });
        }
    }
    if used != excluded.len() {
        return Err(beyond(format!("the pattern {text:?}")));
    }
    let digest = suffix
        .strip_prefix('@')
        .filter(|digest| !digest.contains('*'));
    if let Some(digest) = digest {
        write!(ours, "@{digest}").expect("a String takes every write");
    }
    let parsed = match digest {
        Some(digest) if bare == "*" => digest.parse(),
        _ => ours.parse(),
    };
    parsed.map_err(|source| KyvernoError::Pattern {
        rule: rule.to_owned(),
        image: text.chars().take(120).collect(),
        source,
    })
}

/// Splits off `:*`, `@*` or a digest; `None` where there is a tag that is not any.
fn split_suffix(text: &str) -> Option<(&str, &str)> {
    if let Some(at) = text.find('@') {
        return Some((&text[..at], &text[at..]));
    }
    let name = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[name..].find(':') {
        Some(colon) if &text[name + colon..] == ":*" => Some(text.split_at(name + colon)),
        Some(_) => None,
        None => Some((text, "")),
    }
}

/// A `ClusterPolicy` that allows pods the images that `bases` are a list of.
///
/// A cluster sees names as they are written, so images of the default registry must be written
/// with it. What is no image that a cluster could pull is a comment.
#[must_use]
pub fn render(bases: &[AllowedBase]) -> String {
    let mut alternatives = Vec::new();
    let mut comments = String::new();
    for base in bases {
        match base {
            AllowedBase::Named { name, digest } => {
                let suffixes = match digest {
                    Some(digest) => vec![format!("@{digest}")],
                    None => vec![":*".to_owned(), "@*".to_owned()],
                };
                alternatives.extend(suffixes.iter().map(|suffix| alternative(name, suffix)));
            }
            AllowedBase::Manifest(digest) => alternatives.push(format!("*@{digest}")),
            AllowedBase::Toolchain(name) => {
                writeln!(
                    comments,
                    "# toolchain:{name} is made by repro, no cluster pulls it"
                )
                .expect("a String takes every write");
            }
        }
    }
    let image = serde_json::Value::from(alternatives.join(" | "));
    format!(
        "{comments}apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata:
  name: allowed-base-images
spec:
  background: true
  rules:
    - name: allowed-base-images
      match:
        any:
          - resources:
              kinds:
                - Pod
      validate:
        failureAction: Enforce
        message: \"The image is not one of the allowed base images.\"
        pattern:
          spec:
            =(ephemeralContainers):
              - image: {image}
            =(initContainers):
              - image: {image}
            containers:
              - image: {image}
"
    )
}

/// A pattern in Kyverno's terms: what its stars would take too much is taken out again.
fn alternative(name: &NamePattern, suffix: &str) -> String {
    let registry = name.registry();
    let parts = name.parts();
    let join = |widened: Option<(usize, usize)>| {
        let shown: Vec<String> = parts
            .iter()
            .enumerate()
            .map(|(number, part)| match widened {
                _ if part == "**" => "*".to_owned(),
                Some((wide, at)) if wide == number => {
                    format!("{}*/*{}", &part[..at], &part[at + 1..])
                }
                _ => part.clone(),
            })
            .collect();
        format!("{registry}/{}{suffix}", shown.join("/"))
    };
    let mut terms = vec![join(None)];
    for (number, part) in parts.iter().enumerate().filter(|(_, part)| *part != "**") {
        let stars = part.match_indices('*');
        terms.extend(stars.map(|(at, _)| format!("!{}", join(Some((number, at))))));
    }
    terms.join(" & ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use repro_core::digest::Digest;

    fn policy(rules: &str) -> String {
        format!(
            "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: x\nspec:\n  rules:\n{rules}"
        )
    }

    fn shown(text: &str) -> Vec<String> {
        parse(text)
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn images_of_both_kinds_of_rules_are_read() {
        let validate = policy(
            "    - name: registries\n      match: {any: [{resources: {kinds: [Pod]}}]}\n      validate:\n        \
             message: no\n        pattern:\n          spec:\n            =(initContainers):\n              \
             - image: \"registry.example/acme/* | docker.io/library/debian:*\"\n            containers:\n              \
             - image: \"registry.example/acme/* | docker.io/library/debian:*\"\n",
        );
        assert_eq!(
            shown(&validate),
            ["registry.example/acme/**", "docker.io/library/debian"]
        );
        let digest = Digest::of(b"x");
        let verify = policy(&format!(
            "    - name: signed\n      verifyImages:\n        - imageReferences:\n            - \"registry.example/acme/*:*\"\n            \
             - \"registry.example/*/base@{digest}\"\n            - \"registry.example/acme/app-*\"\n          attestors: []\n"
        ));
        assert_eq!(
            shown(&verify),
            [
                "registry.example/acme/**".to_owned(),
                format!("registry.example/**/base@{digest}"),
                "registry.example/acme/app-*".to_owned()
            ]
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bases: Vec<AllowedBase> = [
            "docker.io/library/debian",
            "registry.example/acme/*",
            "registry.example/acme/app-*/x",
            "registry.example:5000/base/**",
            "docker.io/library/alpine@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ]
        .map(|text| text.parse().unwrap())
        .into();
        let mut with_toolchain = bases.clone();
        with_toolchain.push(AllowedBase::Toolchain("debian-c".into()));
        let text = render(&with_toolchain);
        assert!(text.starts_with("# toolchain:debian-c"));
        assert_eq!(parse(&text).unwrap(), bases, "{text}");
    }

    #[test]
    fn what_a_list_cannot_say_is_refused_by_name() {
        let pattern = |image: &str| {
            policy(&format!(
                "    - name: r\n      validate:\n        pattern:\n          spec:\n            containers:\n              - image: {image:?}\n"
            ))
        };
        for (text, message) in [
            (String::new(), "not one ClusterPolicy"),
            ("a: [".into(), "not YAML"),
            ("apiVersion: v1\nkind: Pod".into(), "not one ClusterPolicy"),
            (policy("    []\n"), "no rule names images"),
            (pattern("*"), "cannot be read"),
            (pattern("*/x"), "cannot be read"),
            (pattern("registry.example*"), "cannot be read"),
            (pattern("registry.example/x:1.0"), "a tag"),
            (pattern("!*:latest"), "the pattern"),
            (
                pattern("registry.example/* & !registry.example/evil/*"),
                "the pattern",
            ),
            (pattern("registry.example/acme/x?"), "the pattern"),
            (
                pattern("registry.example/a/* & registry.example/b/*"),
                "the pattern",
            ),
            (
                policy("    - name: r\n      preconditions: {}\n      validate: {}\n"),
                "preconditions",
            ),
            (
                policy("    - name: r\n      validate:\n        deny: {}\n"),
                "validate.deny",
            ),
            (
                policy(
                    "    - name: r\n      verifyImages:\n        - imageReferences: [\"registry.example/*\"]\n          skipImageReferences: [\"x\"]\n",
                ),
                "skipImageReferences",
            ),
            (
                pattern("registry.example/a/*")
                    + "    - name: s\n      validate:\n        pattern:\n          spec:\n            containers:\n              - image: \"registry.example/b/*\"\n",
                "several patterns",
            ),
            ("a: &x [1]\nb: *x".into(), "aliases"),
            (format!("a: {}", "[".repeat(80)), "nested"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(message), "{text}\n{error}");
        }
    }
}
