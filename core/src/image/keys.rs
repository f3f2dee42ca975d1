//! Keys of documents, as programs read them that do not read them exactly.
//!
//! Docker, Podman, skopeo and the registries are written in Go, whose `encoding/json` takes a key for
//! a field if both are the same without regard to case, and the last of several. A reader that goes by
//! the exact key would verify `"digest"` where they run `"Digest"`.

use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::ImageError;

/// Which keys of a document are fields.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// A value without fields, or an object whose keys anybody chooses, such as annotations.
    Free,
    /// A list of such values.
    Each(&'static Self),
    /// An object: its fields, also those that nothing here acts on and other programs do.
    Fields(&'static [(&'static str, Self)]),
}

use Shape::{Each, Fields, Free};

/// The platform of a descriptor.
const PLATFORM: Shape = Fields(&[
    ("architecture", Free),
    ("features", Free),
    ("os", Free),
    ("os.features", Free),
    ("os.version", Free),
    ("variant", Free),
]);

/// A pointer to a blob.
const DESCRIPTOR: Shape = Fields(&[
    ("annotations", Free),
    ("artifactType", Free),
    ("data", Free),
    ("digest", Free),
    ("mediaType", Free),
    ("platform", PLATFORM),
    ("size", Free),
    ("urls", Free),
]);

/// A manifest or an index: what may be taken for the one must not be hidden in the other.
pub(super) const DOCUMENT: Shape = Fields(&[
    ("annotations", Free),
    ("artifactType", Free),
    ("config", DESCRIPTOR),
    ("fsLayers", Free),
    ("layers", Each(&DESCRIPTOR)),
    ("manifests", Each(&DESCRIPTOR)),
    ("mediaType", Free),
    ("schemaVersion", Free),
    ("subject", DESCRIPTOR),
]);

/// A configuration. What a container starts with is left out: people write its keys by hand, and
/// `config` of real images has some that differ from fields by case alone.
pub(super) const CONFIG: Shape = Fields(&[
    ("architecture", Free),
    ("author", Free),
    ("config", Free),
    ("created", Free),
    ("history", Each(&HISTORY)),
    ("os", Free),
    ("os.features", Free),
    ("os.version", Free),
    ("rootfs", Fields(&[("diff_ids", Free), ("type", Free)])),
    ("variant", Free),
]);

/// One instruction of a configuration's history.
const HISTORY: Shape = Fields(&[
    ("author", Free),
    ("comment", Free),
    ("created", Free),
    ("created_by", Free),
    ("empty_layer", Free),
]);

/// The file `oci-layout`.
pub(super) const LAYOUT: Shape = Fields(&[("imageLayoutVersion", Free)]);

/// `manifest.json` of `docker save`.
pub(super) const DOCKER_ARCHIVE: Shape = Each(&Fields(&[
    ("Config", Free),
    ("LayerSources", Free),
    ("Layers", Free),
    ("Parent", Free),
    ("RepoTags", Free),
]));

/// Refuses a document with a key that is no field and that other programs take for one.
pub(super) fn refuse_folded(bytes: &[u8], shape: Shape) -> Result<(), ImageError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let found = shape.deserialize(&mut reader);
    let found = found.and_then(|found| reader.end().map(|()| found));
    match found.map_err(ImageError::Json)? {
        Some(Folded { key, field }) => Err(ImageError::FoldedKey { key, field }),
        None => Ok(()),
    }
}

/// A key and the field that it is taken for.
pub(super) struct Folded {
    key: String,
    field: &'static str,
}

/// As Go folds the letters that field names are made of: two others count as `s` and `k`.
const fn fold(letter: char) -> char {
    match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    }
}

fn is_taken_for(key: &str, field: &str) -> bool {
    key.chars().map(fold).eq(field.chars().map(fold))
}

/// Gives the first key that is taken for a field. A value of another kind than the shape has none:
/// whoever reads it then says what is wrong.
impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Option<Folded>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self {
            Free => IgnoredAny::deserialize(deserializer).map(|_| None),
            Each(_) | Fields(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Option<Folded>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let item = match self {
            Each(item) => *item,
            Free | Fields(_) => Free,
        };
        let mut first = None;
        while let Some(found) = seq.next_element_seed(item)? {
            first = first.or(found);
        }
        Ok(first)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let fields = match self {
            Fields(fields) => fields,
            Free | Each(_) => &[],
        };
        let mut first = None;
        while let Some(key) = map.next_key::<String>()? {
            let exact = fields.iter().find(|(field, _)| key == *field);
            let below = map.next_value_seed(exact.map_or(Free, |(_, shape)| *shape))?;
            let near = fields.iter().find(|(field, _)| is_taken_for(&key, field));
            let here = match (exact, near) {
                (None, Some((field, _))) => Some(Folded { key, field }),
                _ => None,
            };
            first = first.or(here).or(below);
        }
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, shape: Shape) -> Option<(String, &'static str)> {
        match refuse_folded(text.as_bytes(), shape) {
            Ok(()) => None,
            Err(ImageError::FoldedKey { key, field }) => Some((key, field)),
            Err(error) => panic!("{text}: {error:?}"),
        }
    }

    #[test]
    fn keys_that_go_takes_for_fields_are_refused_wherever_fields_are() {
        for (text, key, field) in [
            (
                r#"{"manifests":[],"Manifests":[]}"#,
                "Manifests",
                "manifests",
            ),
            (
                r#"{"Manifests":[],"manifests":[]}"#,
                "Manifests",
                "manifests",
            ),
            (r#"{"manife\u017fts":[]}"#, "manife\u{17f}ts", "manifests"),
            (r#"{"manifests":[{"Digest":"x"}]}"#, "Digest", "digest"),
            (
                r#"{"manifests":[{},{"platform":{"OS":"linux"}}]}"#,
                "OS",
                "os",
            ),
            (r#"{"config":{"SIZE":1}}"#, "SIZE", "size"),
            (
                r#"{"layers":[{"digest":"x","\u0044igest":"y"}]}"#,
                "Digest",
                "digest",
            ),
            (r#"{"subject":{"mediatype":"x"}}"#, "mediatype", "mediaType"),
            (r#"{"schemaversion":2}"#, "schemaversion", "schemaVersion"),
        ] {
            let found = refused(text, DOCUMENT);
            assert_eq!(found, Some((key.to_owned(), field)), "{text}");
        }
        assert!(refused(r#"{"imagelayoutversion":"1"}"#, LAYOUT).is_some());
        for key in ["config", "repotags", "layer\u{17f}", "LAYERS", "parent"] {
            let text = format!(r#"[{{"Config":"c","{key}":null}}]"#);
            assert!(refused(&text, DOCKER_ARCHIVE).is_some(), "{key}");
        }
        for text in [
            r#"{"rootfs":{"diff_ids":[],"Diff_IDs":[]}}"#,
            r#"{"rootfs":{},"Rootfs":{}}"#,
            r#"{"history":[{"Created_By":"x"}]}"#,
        ] {
            assert!(refused(text, CONFIG).is_some(), "{text}");
        }
        assert!(is_taken_for("to\u{212a}en", "token"), "the sign for kelvin");
    }

    #[test]
    fn free_keys_and_those_that_nobody_knows_are_no_fields() {
        for (text, shape) in [
            (
                r#"{"annotations":{"Name":"a","name":"b","Digest":"c"},"layers":[
                    {"annotations":{"size":"","Size":""},"digest ":"","digests":"","d\u0131gest":""}]}"#,
                DOCUMENT,
            ),
            // As Docker's classic builder writes it.
            (
                r#"{"architecture":"amd64","config":{"Hostname":"","Labels":{"Name":"","name":""},
                    "cmd":null,"Cmd":null,"Volumes":{"/A":{},"/a":{}}},"container":"x",
                    "container_config":{"Config":""},"created":"","docker_version":"20.10","id":"",
                    "history":[{"created":"","created_by":"","empty_layer":true}],"os":"linux",
                    "rootfs":{"type":"layers","diff_ids":[]},"Size":1,"parent":"","throwaway":true}"#,
                CONFIG,
            ),
            (
                r#"[{"Config":"","RepoTags":null,"Layers":[],"Parent":"",
                    "LayerSources":{"sha256:x":{"MediaType":"","mediaType":""}}}]"#,
                DOCKER_ARCHIVE,
            ),
            // Of another kind than the shape: for whoever reads it.
            (
                r#"[1,-1,1.5,"",true,null,[{"Digest":1}],{"Digest":1}]"#,
                DOCUMENT,
            ),
            (
                r#"{"manifests":{"Digest":1},"config":[{"Digest":1}]}"#,
                DOCUMENT,
            ),
        ] {
            assert_eq!(refused(text, shape), None, "{text}");
        }
    }
}
