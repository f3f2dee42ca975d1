//! What a lock pins as a list of packages: SPDX 2.3, as JSON.

use std::collections::BTreeMap;

use repro_core::digest::Digest;
use serde_json::{Value, json};

use super::{LockError, LockedSource, Package, ProjectLock, generic_purl};
use crate::definition;

/// What is not claimed.
const NOT_SAID: &str = "NOASSERTION";

/// One entry.
struct Listed {
    name: String,
    version: Option<String>,
    place: String,
    sha256: Digest,
    purl: String,
}

/// The inputs of a build as an SPDX document. `created` is RFC 3339 in UTC; `digest` that of the lock's
/// text, which names the document.
pub fn spdx(lock: &ProjectLock, digest: Digest, created: &str) -> Result<Value, LockError> {
    let mut listed: BTreeMap<(String, Digest), Listed> = BTreeMap::new();
    let mut add = |entry: Listed| {
        listed
            .entry((entry.purl.clone(), entry.sha256))
            .or_insert(entry);
    };
    for base in lock.bases.values() {
        let name = base.reference.name();
        let last = name.rsplit('/').next().unwrap_or(&name);
        let digest = base.digest.to_string().replace(':', "%3A");
        add(Listed {
            purl: format!("pkg:oci/{last}@{digest}?repository_url={name}"),
            name: base.reference.to_string(),
            version: Some(base.digest.to_string()),
            place: NOT_SAID.to_owned(),
            sha256: base.digest,
        });
    }
    for toolchain in lock.toolchains.values() {
        let packages = match &toolchain.source {
            LockedSource::Shipped { uses, .. } => {
                let shipped = definition::shipped(uses)?;
                shipped.map_or_else(Vec::new, |shipped| shipped.lock.packages)
            }
            LockedSource::Own(lock) => lock.packages.clone(),
        };
        for package in packages {
            add(Listed {
                name: package.name.clone(),
                version: Some(package.version.clone()),
                place: NOT_SAID.to_owned(),
                sha256: package.file.sha256,
                purl: package.purl(),
            });
        }
    }
    for input in lock.inputs.values() {
        for file in &input.files {
            add(Listed {
                name: file.name.clone(),
                version: Some(input.purl.version().to_owned()),
                place: NOT_SAID.to_owned(),
                sha256: file.file.sha256,
                purl: input.purl.to_string(),
            });
        }
    }
    let fetches = lock.steps.iter().flat_map(|step| &step.fetches);
    for fetch in fetches.filter(|fetch| fetch.status == 200 && fetch.size > 0) {
        let url = &fetch.key.url;
        let package = Package::of_url(url);
        let file = url.split('?').next().unwrap_or_default();
        let file = file.rsplit('/').find(|part| !part.is_empty());
        add(Listed {
            name: package.as_ref().map_or_else(
                || file.unwrap_or("file").to_owned(),
                |package| package.name.clone(),
            ),
            version: package.as_ref().map(|package| package.version.clone()),
            place: url.clone(),
            sha256: fetch.sha256,
            purl: package.map_or_else(|| generic_purl(url, fetch.sha256), |package| package.purl()),
        });
    }
    let ids = (1..).map(|number| format!("SPDXRef-Package-{number}"));
    let numbered: Vec<(String, Listed)> = ids.zip(listed.into_values()).collect();
    let packages: Vec<Value> = numbered
        .iter()
        .map(|(id, entry)| package(id, entry))
        .collect();
    let relationships: Vec<Value> = numbered
        .iter()
        .map(|(id, _)| {
            json!({
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": id,
            })
        })
        .collect();
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "inputs",
        "documentNamespace": format!("https://intelgraph.io/repro/lock/{}", digest.hex()),
        "creationInfo": {
            "created": created,
            "creators": [format!("Tool: repro-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    }))
}

fn package(id: &str, entry: &Listed) -> Value {
    let mut package = json!({
        "SPDXID": id,
        "name": entry.name,
        "downloadLocation": entry.place,
        "filesAnalyzed": false,
        "licenseConcluded": NOT_SAID,
        "licenseDeclared": NOT_SAID,
        "copyrightText": NOT_SAID,
        "checksums": [{"algorithm": "SHA256", "checksumValue": entry.sha256.hex()}],
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": entry.purl,
        }],
    });
    if let (Some(fields), Some(version)) = (package.as_object_mut(), &entry.version) {
        fields.insert("versionInfo".to_owned(), version.clone().into());
    }
    package
}

#[cfg(test)]
mod tests {
    use packageurl::PackageUrl;

    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn every_fetch_is_a_package_with_a_valid_purl() {
        let digest = Digest::of(b"x");
        let mut text = format!(
            "version = 1\nruleset = 1\nchecksum = \"{digest}\"\n[[base]]\n\
             reference = \"docker.io/library/debian:12\"\ndigest = \"{digest}\"\n\
             platform = \"linux/amd64\"\n[[step]]\nname = \"0/1\"\nplatform = \"linux/amd64\"\n\
             instruction = \"{digest}\"\n"
        );
        for url in [
            "http://h/pool/main/a/a_1%2b2_amd64.deb",
            "https://h/@s/n/-/n-1.0.0.tgz",
            "https://h/some/file.bin?x=1&y=2",
            "https://h/",
        ] {
            write!(
                text,
                "[[fetch]]\nstep = \"0/1\"\nplatform = \"linux/amd64\"\nmethod = \"GET\"\n\
                 url = \"{url}\"\nstatus = 200\nsize = 1\nsha256 = \"{digest}\"\n"
            )
            .unwrap();
        }
        let lock = ProjectLock::parse("repro.lock", &text).unwrap();
        let document = spdx(&lock, digest, "2026-01-01T00:00:00Z").unwrap();
        let packages = document["packages"].as_array().unwrap();
        assert_eq!(packages.len(), 5);
        for package in packages {
            let purl = package["externalRefs"][0]["referenceLocator"]
                .as_str()
                .unwrap();
            purl.parse::<PackageUrl<'_>>()
                .unwrap_or_else(|error| panic!("{purl}: {error}"));
        }
        assert_eq!(document["relationships"].as_array().unwrap().len(), 5);
    }
}
