//! `--annotation`: from what the user writes to where it stands in the image.

use std::str::FromStr;

use repro_core::{
    build::Annotations,
    platform::{Platform, PlatformError},
};

use crate::error::CommandError;

/// One `--annotation`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnnotationArg {
    places: Vec<Target>,
    key: String,
    value: String,
}

/// A place, of the image of one platform if one is named.
type Target = (Place, Option<Platform>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Manifest,
    Descriptor,
}

/// A text that is no annotation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnnotationArgError {
    /// No `=`, or no key.
    #[error("write [manifest:|manifest-descriptor:]KEY=VALUE")]
    Form,
    /// A place that only an index has.
    #[error(
        "there is no index to annotate: a build makes the image of one platform; use manifest: or \
         manifest-descriptor:"
    )]
    Index,
    /// The platform in brackets.
    #[error(transparent)]
    Platform(#[from] PlatformError),
}

impl FromStr for AnnotationArg {
    type Err = AnnotationArgError;

    fn from_str(text: &str) -> Result<Self, AnnotationArgError> {
        let (name, value) = text.split_once('=').ok_or(AnnotationArgError::Form)?;
        let (places, key) = match name.split_once(':') {
            // A key can have a colon of its own: only what names a place is one.
            Some((before, key)) => match places(before)? {
                Some(places) => (places, key),
                None => (vec![(Place::Manifest, None)], name),
            },
            None => (vec![(Place::Manifest, None)], name),
        };
        if key.is_empty() {
            return Err(AnnotationArgError::Form);
        }
        Ok(Self {
            places,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// The places in front of a key; `None` if they are none.
fn places(text: &str) -> Result<Option<Vec<Target>>, AnnotationArgError> {
    let mut places = Vec::new();
    for word in text.split(',') {
        let (kind, platform) = match word.strip_suffix(']').and_then(|word| word.split_once('[')) {
            Some((kind, platform)) => (kind, Some(platform)),
            None => (word, None),
        };
        let place = match kind {
            "manifest" => Place::Manifest,
            "manifest-descriptor" => Place::Descriptor,
            "index" | "index-descriptor" => return Err(AnnotationArgError::Index),
            _ => return Ok(None),
        };
        places.push((place, platform.map(str::parse).transpose()?));
    }
    Ok(Some(places))
}

/// All of them, the last of a key counts.
pub(crate) fn annotations(
    args: &[AnnotationArg],
    platform: &Platform,
) -> Result<Annotations, CommandError> {
    let mut annotations = Annotations::default();
    for AnnotationArg { places, key, value } in args {
        for (place, wanted) in places {
            if let Some(wanted) = wanted
                && wanted != platform
            {
                let message =
                    format!("--annotation {key} is for {wanted}, and {platform} is what is built");
                return Err(CommandError::usage(message));
            }
            let map = match place {
                Place::Manifest => &mut annotations.manifest,
                Place::Descriptor => &mut annotations.descriptor,
            };
            map.insert(key.clone(), value.clone());
        }
    }
    Ok(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_stand_where_their_prefix_says() {
        let platform: Platform = "linux/amd64".parse().unwrap();
        let of = |texts: &[&str]| {
            let args: Vec<AnnotationArg> = texts.iter().map(|text| text.parse().unwrap()).collect();
            annotations(&args, &platform)
        };
        let found = of(&[
            "a=1",
            "a=2=3",
            "manifest:b=",
            "manifest-descriptor:c=x",
            "manifest[linux/amd64],manifest-descriptor:d=y",
            "urn:e=z",
        ])
        .unwrap();
        let pairs = |map: &std::collections::BTreeMap<String, String>| {
            map.iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(pairs(&found.manifest), "a=2=3 b= d=y urn:e=z");
        assert_eq!(pairs(&found.descriptor), "c=x d=y");
        assert!(of(&["manifest[linux/arm64]:a=1"]).is_err());
    }

    #[test]
    fn what_is_no_annotation_says_why() {
        for (text, error) in [
            ("a", AnnotationArgError::Form),
            ("=1", AnnotationArgError::Form),
            ("manifest:=1", AnnotationArgError::Form),
            ("index:a=1", AnnotationArgError::Index),
            ("manifest,index-descriptor:a=1", AnnotationArgError::Index),
        ] {
            assert_eq!(text.parse::<AnnotationArg>(), Err(error), "{text}");
        }
        assert!(matches!(
            "manifest[moon]:a=1".parse::<AnnotationArg>(),
            Err(AnnotationArgError::Platform(_))
        ));
    }
}
