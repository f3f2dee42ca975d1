//! The configuration of an image: every field of image-spec and Docker's own (ruleset 1,
//! rule 17).
//!
//! Fields that neither knows are dropped when an image is built on a base: what Docker's
//! classic builder leaves there names its host and version (rule 18). The base's own
//! configuration blob stays as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{digest::DiffId, platform::Platform};

/// Reads `null`, which Docker writes for what is empty, as the default.
pub(super) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A set that JSON writes as an object of empty objects.
mod object_set {
    use super::{BTreeMap, BTreeSet, Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize)]
    struct Empty {}

    pub(super) fn serialize<S: Serializer>(
        set: &BTreeSet<String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|name| (name, Empty {})))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<String>, D::Error> {
        let map = Option::<BTreeMap<String, serde_json::Value>>::deserialize(deserializer)?;
        Ok(map.unwrap_or_default().into_keys().collect())
    }
}

/// The configuration document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who is responsible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Go's name of the architecture.
    pub architecture: String,
    /// Go's name of the operating system.
    pub os: String,
    /// Version of the operating system, on Windows.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Features of the operating system, on Windows.
    #[serde(
        rename = "os.features",
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub os_features: Vec<String>,
    /// Variant of the architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a container starts with.
    #[serde(
        default,
        skip_serializing_if = "RuntimeConfig::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub config: RuntimeConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// One entry for each instruction, the base's first.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// A configuration for `platform` without layers.
    #[must_use]
    pub fn for_platform(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture().to_owned(),
            os: platform.os().to_owned(),
            variant: platform.variant().map(ToOwned::to_owned),
            ..Self::default()
        }
    }

    /// The platform, or `None` where the fields do not make one.
    #[must_use]
    pub fn platform(&self) -> Option<Platform> {
        let variant = self.variant.as_deref().filter(|text| !text.is_empty());
        let suffix = variant.map(|variant| format!("/{variant}"));
        format!(
            "{}/{}{}",
            self.os,
            self.architecture,
            suffix.unwrap_or_default()
        )
        .parse()
        .ok()
    }
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tars, lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".into(),
            diff_ids: Vec::new(),
        }
    }
}

/// One instruction that made the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who is responsible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether the instruction made no layer.
    #[serde(
        default,
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_is_default"
    )]
    pub empty_layer: bool,
}

/// What a container starts with (image-spec, "config"; Docker's own fields at the end).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RuntimeConfig {
    /// `user[:group]`, names or numbers.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub user: String,
    /// `port[/protocol]`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "object_set")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in order of appearance.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub env: Vec<String>,
    /// Program and first arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Default arguments, or program and arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that hold data.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "object_set")]
    pub volumes: BTreeSet<String>,
    /// Working directory, absolute.
    #[serde(
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub working_dir: String,
    /// Free texts by name.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub labels: BTreeMap<String, String>,
    /// Name or number of the signal that asks the container to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Docker: how health is tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker: instructions for images built on this one.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub on_build: Vec<String>,
    /// Docker: the shell of RUN, CMD and ENTRYPOINT in shell form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Docker, Windows: arguments are escaped already (image-spec has it as deprecated).
    #[serde(
        skip_serializing_if = "std::ops::Not::not",
        deserialize_with = "null_is_default"
    )]
    pub args_escaped: bool,
    /// Docker: seconds from the signal to the kill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
}

impl RuntimeConfig {
    /// Whether no field has a value, so that the document has no `config`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Docker's health test. Times in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", command]`; empty: the base's.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub test: Vec<String>,
    /// Between two tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// For one test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<i64>,
    /// In which failures do not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_period: Option<i64>,
    /// Between two tests in the start period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_interval: Option<i64>,
    /// Failures in a row until unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{digest::Digest, json::canonical};

    #[test]
    fn only_fields_with_a_value_are_written() {
        let config = ImageConfig::for_platform(&"linux/amd64".parse().unwrap());
        assert_eq!(
            String::from_utf8(canonical(&config).unwrap()).unwrap(),
            r#"{"architecture":"amd64","os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
        );
    }

    /// A document with every field comes back with every field, in canonical form.
    #[test]
    fn every_field_survives() {
        let text = format!(
            concat!(
                r#"{{"architecture":"arm","author":"a","config":{{"ArgsEscaped":true,"Cmd":["c"],"#,
                r#""Entrypoint":[],"Env":["B=2","A=1"],"ExposedPorts":{{"80/tcp":{{}}}},"#,
                r#""Healthcheck":{{"Interval":1,"Retries":2,"StartInterval":3,"StartPeriod":4,"#,
                r#""Test":["NONE"],"Timeout":5}},"Labels":{{"l":"v"}},"OnBuild":["RUN x"],"#,
                r#""Shell":["sh"],"StopSignal":"TERM","StopTimeout":3,"User":"u","#,
                r#""Volumes":{{"/v":{{}}}},"WorkingDir":"/w"}},"created":"1980-01-01T00:00:00Z","#,
                r#""history":[{{"author":"b","comment":"c","created":"d","created_by":"e","#,
                r#""empty_layer":true}}],"os":"linux","os.features":["f"],"os.version":"1","#,
                r#""rootfs":{{"diff_ids":["{}"],"type":"layers"}},"variant":"v7"}}"#
            ),
            Digest::of(b"layer")
        );
        let config: ImageConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(
            String::from_utf8(canonical(&config).unwrap()).unwrap(),
            text
        );
        assert_eq!(config.platform().unwrap().to_string(), "linux/arm/v7");
        // The specification's own types agree that this is a configuration.
        serde_json::from_str::<oci_spec::image::ImageConfiguration>(&text).unwrap();
    }

    #[test]
    fn dockers_nulls_are_absence_and_unknown_fields_are_dropped() {
        let text = r#"{"architecture":"amd64","os":"linux","docker_version":"20",
            "container_config":{"Hostname":"h"},"history":null,
            "config":{"Hostname":"","Env":null,"Cmd":null,"Volumes":null,"Labels":null,
                      "OnBuild":null,"Image":"sha256:x","Entrypoint":null,"ExposedPorts":null},
            "rootfs":{"type":"layers","diff_ids":null}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(
            config,
            ImageConfig::for_platform(&"linux/amd64".parse().unwrap())
        );
    }
}
