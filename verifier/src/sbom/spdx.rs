//! The SPDX 2.3 document in JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use repro_core::digest::{DiffId, Digest};
use serde_json::{Map, Value, json};

use super::{
    SbomError,
    inventory::{Inventory, Package, PackageKind},
    namespace,
};
use crate::{
    predicate::provenance::Provenance,
    purl,
    statement::{ResourceDescriptor, Subject},
};

/// Number of the rules by which packages are found and written. A verifier makes documents of its own
/// number again; another number is a change of any of these rules.
pub const INVENTORY: &str = "1";
/// What stands before that number in the document.
pub(super) const INVENTORY_COMMENT: &str = "inventory ";

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
/// SPDX's word for what is not said here.
const UNSAID: &str = "NOASSERTION";

/// Collects packages and what relates them, each once.
struct Document {
    packages: BTreeMap<String, Value>,
    /// From, kind, to.
    relationships: Vec<(String, &'static str, String)>,
}

/// The document on the image that `subject` names.
pub(super) fn document(
    inventory: &Inventory,
    subject: &Subject,
    provenance: &Provenance,
) -> Result<Map<String, Value>, SbomError> {
    let definition = &provenance.build_definition;
    let mut document = Document {
        packages: BTreeMap::new(),
        relationships: vec![(DOCUMENT.into(), "DESCRIBES", IMAGE.into())],
    };
    document
        .packages
        .insert(IMAGE.into(), image(inventory, subject));
    for (package, file, layer) in &inventory.packages {
        document.installed(inventory, package, file, *layer);
    }
    for dependency in &definition.resolved_dependencies {
        document.dependency(dependency);
    }
    document.relationships.sort();
    document.relationships.dedup();
    let relationships: Vec<Value> = document
        .relationships
        .iter()
        .map(|(from, kind, to)| {
            json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
        })
        .collect();
    let version = &provenance.run_details.builder.version;
    let tools: Vec<String> = version
        .iter()
        .map(|(name, version)| format!("Tool: {name}-{version}"))
        .collect();
    Ok(Map::from_iter([
        ("spdxVersion".into(), "SPDX-2.3".into()),
        ("dataLicense".into(), "CC0-1.0".into()),
        ("SPDXID".into(), DOCUMENT.into()),
        ("name".into(), subject.name.clone().into()),
        ("documentNamespace".into(), namespace(subject.digest).into()),
        (
            "creationInfo".into(),
            json!({
                // Not the time of the day: the image says nothing of it either.
                "created": time(&definition.internal_parameters.effective_epoch)?,
                "creators": tools,
                "comment": format!("{INVENTORY_COMMENT}{INVENTORY}"),
            }),
        ),
        ("packages".into(), document.packages.into_values().collect()),
        ("relationships".into(), relationships.into()),
    ]))
}

fn time(epoch: &str) -> Result<String, SbomError> {
    let bad = || SbomError::Epoch(epoch.chars().take(40).collect());
    let seconds: i64 = epoch.parse().map_err(|_| bad())?;
    let time = Timestamp::from_second(seconds).map_err(|_| bad())?;
    Ok(time.to_string())
}

/// A package of which nothing is said but its name.
fn package(id: &str, name: &str) -> Value {
    json!({
        "SPDXID": id,
        "name": name,
        "downloadLocation": UNSAID,
        "filesAnalyzed": false,
        "licenseConcluded": UNSAID,
        "licenseDeclared": UNSAID,
        "copyrightText": UNSAID,
        "supplier": UNSAID,
    })
}

fn image(inventory: &Inventory, subject: &Subject) -> Value {
    let mut image = package(IMAGE, &subject.name);
    image["versionInfo"] = subject.digest.to_string().into();
    image["primaryPackagePurpose"] = "CONTAINER".into();
    image["checksums"] = json!([sha256(subject.digest)]);
    image["externalRefs"] = json!([reference(&purl::image(&subject.name, subject.digest))]);
    if !inventory.unread.is_empty() {
        let list: Vec<String> = inventory
            .unread
            .iter()
            .map(|(file, reason)| format!("{file}: {reason}"))
            .collect();
        image["comment"] = format!("not read: {}", list.join("; ")).into();
    }
    image
}

fn sha256(digest: Digest) -> Value {
    json!({"algorithm": "SHA256", "checksumValue": digest.hex()})
}

fn reference(purl: &str) -> Value {
    json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    })
}

impl Document {
    /// A package that the image holds.
    fn installed(&mut self, inventory: &Inventory, package: &Package, file: &str, layer: DiffId) {
        let purl = purl_of(inventory, package);
        let id = id(package.kind.name(), &package.name, &[&purl, file]);
        let mut fields = self::package(&id, &full_name(package));
        fields["sourceInfo"] = format!("listed in {file}, layer {layer}").into();
        fields["externalRefs"] = json!([reference(&purl)]);
        if !package.version.is_empty() {
            fields["versionInfo"] = package.version.as_str().into();
        }
        // Package managers do not all write expressions of SPDX, so theirs is quoted, not declared.
        if !package.license.is_empty() {
            fields["licenseComments"] = package.license.as_str().into();
        }
        if !package.source.is_empty() {
            fields["comment"] = format!("source package {}", package.source).into();
        }
        self.packages.insert(id.clone(), fields);
        self.relationships.push((IMAGE.into(), "CONTAINS", id));
    }

    /// Something that the image was made from.
    fn dependency(&mut self, dependency: &ResourceDescriptor) {
        let Some(digest) = dependency.sha256() else {
            return;
        };
        let name = if dependency.name.is_empty() {
            &dependency.uri
        } else {
            &dependency.name
        };
        let id = id("Input", name, &[&dependency.uri, &digest.hex()]);
        let mut fields = package(&id, name);
        fields["checksums"] = json!([sha256(digest)]);
        let schemes = ["https://", "http://"];
        if schemes
            .iter()
            .any(|scheme| dependency.uri.starts_with(scheme))
        {
            fields["downloadLocation"] = dependency.uri.as_str().into();
        }
        if dependency.uri.starts_with("pkg:") {
            fields["externalRefs"] = json!([reference(&dependency.uri)]);
        }
        self.packages.insert(id.clone(), fields);
        self.relationships
            .push((id, "BUILD_DEPENDENCY_OF", IMAGE.into()));
    }
}

/// The name with what it stands in.
fn full_name(package: &Package) -> String {
    if package.namespace.is_empty() {
        package.name.clone()
    } else {
        format!("{}/{}", package.namespace, package.name)
    }
}

fn purl_of(inventory: &Inventory, package: &Package) -> String {
    let distro = if inventory.distro_version.is_empty() {
        inventory.distro.clone()
    } else {
        format!("{}-{}", inventory.distro, inventory.distro_version)
    };
    let namespace = |fallback: &'static str| {
        if inventory.distro.is_empty() {
            fallback.to_owned()
        } else {
            inventory.distro.clone()
        }
    };
    let qualifiers = [
        ("arch", package.arch.as_str()),
        ("distro", distro.as_str()),
        ("epoch", package.epoch.as_str()),
    ];
    let (namespace, qualifiers) = match package.kind {
        PackageKind::Apk => (namespace("alpine"), &qualifiers[..]),
        PackageKind::Deb => (namespace("debian"), &qualifiers[..]),
        PackageKind::Rpm => (inventory.distro.clone(), &qualifiers[..]),
        PackageKind::Golang | PackageKind::Npm | PackageKind::Pypi => {
            (package.namespace.clone(), &qualifiers[..0])
        }
    };
    purl::package(
        package.kind.name(),
        &namespace,
        &package.name,
        &package.version,
        qualifiers,
    )
}

/// An identifier that is readable and, by a digest of `parts`, the only one.
fn id(kind: &str, name: &str, parts: &[&str]) -> String {
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(60)
        .collect();
    let digest = Digest::of(parts.join("\n").as_bytes()).hex();
    format!("SPDXRef-{kind}-{safe}-{}", &digest[..16])
}
