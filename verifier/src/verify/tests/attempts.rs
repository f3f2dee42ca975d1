//! Attempts at a pack: something is edited, and the codes that failed come back.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    forge::{self, RUN_A, edited, written},
    *,
};
use crate::{
    bundle::Bundle,
    dsse::Envelope,
    pack::layout,
    terms::{Policy, TrustRules},
};

/// The bundle of run A edited as JSON, the pack sealed again.
pub(super) fn bundle(edit: impl Fn(&mut Value)) -> Vec<CheckCode> {
    bytes(|original| {
        let mut bundle: Value = serde_json::from_slice(&original).unwrap();
        edit(&mut bundle);
        serde_json::to_vec(&bundle).unwrap()
    })
}

/// The bundle of run A edited as bytes.
pub(super) fn bytes(edit: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<CheckCode> {
    let (_dir, place) = written(&Case::reproducible());
    let path = place.join(RUN_A);
    let original = fs::read(&path).unwrap();
    fs::write(&path, edit(original)).unwrap();
    forge::seal(&place, &signing());
    failed(&verify(&place))
}

/// The payload of run A edited as text and signed by the right key.
pub(super) fn payload(edit: impl Fn(String) -> String) -> Vec<CheckCode> {
    bytes(|original| {
        let bundle: Value = serde_json::from_slice(&original).unwrap();
        let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap();
        let text = String::from_utf8(STANDARD.decode(payload).unwrap()).unwrap();
        let envelope = Envelope::sign(edit(text).into_bytes(), &signing()).unwrap();
        let hint = signing().public_key().id().to_string();
        Bundle::new(envelope, hint).to_bytes().unwrap()
    })
}

/// The signature of run A as bytes, edited.
pub(super) fn signature(edit: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<CheckCode> {
    bundle(|bundle| {
        let sig = &mut bundle["dsseEnvelope"]["signatures"][0]["sig"];
        let bytes = STANDARD.decode(sig.as_str().unwrap()).unwrap();
        *sig = STANDARD.encode(edit(bytes)).into();
    })
}

/// A statement edited and signed by the right key, with everything that names it.
pub(super) fn said(path: &str, edit: impl Fn(&mut Value)) -> Vec<CheckCode> {
    let (_dir, place) = written(&Case::reproducible());
    forge::forge(&place, &signing(), path, &|value| edit(value));
    failed(&verify(&place))
}

pub(super) fn provenance(edit: impl Fn(&mut Value)) -> Vec<CheckCode> {
    said(RUN_A, |value| edit(&mut value["predicate"]))
}

pub(super) fn verdict(edit: impl Fn(&mut Value)) -> Vec<CheckCode> {
    said(layout::REPRODUCIBILITY, |value| {
        edit(&mut value["predicate"]);
    })
}

/// Both runs edited, held against a policy.
pub(super) fn under(policy: &str, edit: impl Fn(&mut Value)) -> Vec<CheckCode> {
    let (_dir, place) = edited(&|predicate| edit(predicate));
    let policy = Policy::parse(&format!("version = 1\n{policy}")).unwrap();
    let rules = TrustRules::of_keys(&[signing().public_key()]);
    let terms = Terms {
        trust: Trust::Rules(&rules),
        policy: Some(&policy),
        now: NOW,
    };
    failed(&verify_pack(&place, &terms).unwrap())
}

pub(super) fn base(uri: &'static str) -> Vec<CheckCode> {
    under(
        "[allow]\nbase-images = [\"registry.example/allowed/repo\"]",
        |p| {
            p["buildDefinition"]["resolvedDependencies"][0]["uri"] = uri.into();
        },
    )
}

pub(super) fn source(uri: &'static str) -> Vec<CheckCode> {
    under("[allow]\nsources = [\"git+https://host/acme/app\"]", |p| {
        p["buildDefinition"]["resolvedDependencies"][1]["uri"] = uri.into();
    })
}

pub(super) fn builder(id: &'static str) -> Vec<CheckCode> {
    provenance(|p| p["runDetails"]["builder"]["id"] = id.into())
}

pub(super) fn keys(keys: &[crate::keys::PublicKey]) -> Vec<CheckCode> {
    let (_dir, place) = written(&Case::reproducible());
    failed(&verify_pack(&place, &Terms::new(Trust::Keys(keys), NOW)).unwrap())
}

pub(super) fn digests(edit: impl Fn(&mut Value)) -> Vec<CheckCode> {
    payload(|text| {
        let mut value: Value = serde_json::from_str(&text).unwrap();
        edit(&mut value["subject"]);
        value.to_string()
    })
}

pub(super) fn media_type(text: &'static str) -> Vec<CheckCode> {
    bundle(|b| b["mediaType"] = text.into())
}

pub(super) fn payload_type(text: &'static str) -> Vec<CheckCode> {
    bundle(|b| b["dsseEnvelope"]["payloadType"] = text.into())
}

pub(super) fn predicate_type(text: &'static str) -> Vec<CheckCode> {
    said(RUN_A, |value| value["predicateType"] = text.into())
}

pub(super) fn encoded(text: impl Fn(&str) -> Value) -> Vec<CheckCode> {
    bundle(|b| {
        let payload = b["dsseEnvelope"]["payload"].as_str().unwrap().to_owned();
        b["dsseEnvelope"]["payload"] = text(&payload);
    })
}

pub(super) fn log_entry(entry: &Value) -> Vec<CheckCode> {
    bundle(|b| b["verificationMaterial"]["tlogEntries"] = json!([entry]))
}
