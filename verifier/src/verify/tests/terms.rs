//! Packs under a trust file and a policy.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{
    forge::{by_builder, edited, written},
    *,
};
use crate::{
    terms::{Policy, TrustRules, trust::BuildLevel},
    uris,
};

const OURS: &str = "https://acme.example/ci/v1";
const THEIRS: &str = "https://other.example/ci/v1";

/// A trust file: builders with an operator, a level, and the seed of their key, with more about it.
fn rules(builders: &[(&str, &str, u8, u8, &str)], more: &str) -> TrustRules {
    let mut text = String::from("version = 1\n");
    for (id, operator, level, seed, about) in builders {
        let operator = match *operator {
            "" => String::new(),
            operator => format!("operator = {operator:?}\n"),
        };
        write!(
            text,
            "[[builder]]\nid = {id:?}\n{operator}slsa-build-level = {level}\n[[builder.key]]\n\
             file = \"{seed}\"\n{about}\n"
        )
        .unwrap();
    }
    TrustRules::parse(&(text + more), &mut |path| {
        let seed = path.to_str().unwrap().parse().unwrap();
        Ok(key(KeyKind::P256, seed).public_key().to_pem())
    })
    .unwrap()
}

fn under(place: &Path, rules: &TrustRules, policy: Option<&Policy>) -> VerifyReport {
    let terms = Terms {
        trust: Trust::Rules(rules),
        policy,
        now: NOW,
    };
    verify_pack(place, &terms).unwrap()
}

#[test]
fn the_level_is_the_trust_files_and_never_the_packs() {
    let (_dir, place) = by_builder(&Case::reproducible(), &key(KeyKind::P256, 2), OURS, &|_| {});
    let report = under(&place, &rules(&[(OURS, "acme", 3, 2, "")], ""), None);
    assert_eq!(failed(&report), [], "{report:#?}");
    let builder = report.builder.unwrap();
    assert_eq!(
        (builder.slsa_build_level, builder.operator.as_str()),
        (3, "acme")
    );
    // A key alone: level 1, and only builders that this version knows.
    let (_dir, place) = written(&Case::reproducible());
    assert_eq!(verify(&place).builder.unwrap().slsa_build_level, 1);
}

#[test]
fn a_key_speaks_for_its_builder_alone() {
    let (_dir, place) = by_builder(&Case::reproducible(), &key(KeyKind::P256, 2), OURS, &|_| {});
    for others in [
        rules(&[(THEIRS, "", 3, 2, "")], ""),
        rules(&[(OURS, "", 3, 3, ""), (THEIRS, "", 3, 2, "")], ""),
        TrustRules::of_keys(&[key(KeyKind::P256, 2).public_key()]),
    ] {
        let report = under(&place, &others, None);
        assert_eq!(failed(&report), [CheckCode::Builder], "{report:#?}");
        assert_eq!(report.builder, None);
    }
    // The index signed by the key of another builder that is trusted too.
    forge::seal(&place, &key(KeyKind::P256, 3));
    let both = rules(&[(OURS, "", 1, 2, ""), (THEIRS, "", 1, 3, "")], "");
    assert_eq!(failed(&under(&place, &both, None)), [CheckCode::Builder]);
}

#[test]
fn a_key_signs_within_its_window_and_not_once_it_is_revoked() {
    // The build ended at 2027-01-15T07:30:00Z.
    let (_dir, place) = by_builder(&Case::reproducible(), &key(KeyKind::P256, 2), OURS, &|_| {});
    for (about, good) in [
        ("not-before = 2027-01-15T07:30:00Z", true),
        ("not-after = 2027-01-15T07:30:00Z", true),
        ("not-before = 2027-01-15T07:30:01Z", false),
        ("not-after = 2027-01-15T07:29:59Z", false),
    ] {
        let report = under(&place, &rules(&[(OURS, "", 1, 2, about)], ""), None);
        let expected: &[CheckCode] = if good { &[] } else { &[CheckCode::KeyWindow] };
        assert_eq!(failed(&report), expected, "{about}");
        assert_eq!(
            status(&report, CheckCode::KeyWindow),
            if good { Status::Passed } else { Status::Failed }
        );
    }
    let revoked = "[[revoked]]\nfile = \"2\"\nreason = \"lost\"";
    let report = under(&place, &rules(&[(OURS, "", 1, 2, "")], revoked), None);
    assert_eq!(failed(&report), [CheckCode::KeyWindow]);
    let detail = &report.check(CheckCode::KeyWindow).unwrap().findings[0].detail;
    assert!(detail.contains("revoked: lost"), "{detail}");
}

fn policy(text: &str) -> Policy {
    Policy::parse(&format!("version = 1\n{text}")).unwrap()
}

fn held(place: &Path, text: &str) -> VerifyReport {
    let rules = TrustRules::of_keys(&[signing().public_key()]);
    under(place, &rules, Some(&policy(text)))
}

/// What a policy demands, by which check it is refused, and what makes it good.
#[test]
fn every_demand_is_met_or_refused_with_its_own_code() {
    type Edit = fn(&mut Value);
    let nothing: Edit = |_| {};
    let replay: Edit = |p| {
        p["runDetails"]["metadata"]["repro_steps"][1]["network"]["mode"] = "replay".into();
    };
    let lineage: Edit = |p| {
        p["runDetails"]["metadata"]["repro_lineage"] = json!({"source": "s3://exports/2026-11"});
    };
    let unlocked: Edit = |p| {
        p["buildDefinition"]["resolvedDependencies"][0]["annotations"]["repro_locked"] =
            false.into();
    };
    let fetched: Edit = |p| {
        p["buildDefinition"]["resolvedDependencies"][1]["uri"] =
            "git+https://git.example/acme/app".into();
    };
    let upwards: Edit = |p| {
        p["buildDefinition"]["resolvedDependencies"][1]["uri"] =
            "git+https://git.example/acme/../evil".into();
    };
    let bare: Edit = |p| {
        let all = &mut p["buildDefinition"]["resolvedDependencies"];
        all.as_array_mut()
            .unwrap()
            .retain(|dependency| dependency["name"] != "busybox");
    };
    let contextless: Edit = |p| {
        p["runDetails"]["metadata"]["repro_steps"][0]["instruction"] = "COPY <<EOF /x".into();
        let all = &mut p["buildDefinition"]["resolvedDependencies"];
        all.as_array_mut()
            .unwrap()
            .retain(|dependency| dependency["name"] != "context");
    };
    // Everything can come from there, and no lock says what it is.
    let vendored: Edit = |p| {
        let all = &mut p["buildDefinition"]["resolvedDependencies"];
        let mut context = all[1].clone();
        context["name"] = "context:vendor".into();
        context["annotations"]["repro_locked"] = false.into();
        all.as_array_mut().unwrap().insert(2, context);
    };
    let acme = "\"git+https://git.example/acme/*\"";
    let context = repro_core::digest::Digest::of(b"context");
    let dockerfile = repro_core::digest::Digest::of(b"dockerfile");
    let busybox = repro_core::digest::Digest::of(b"pkg:docker/busybox@1.36");
    let table: &[(String, Edit, &[CheckCode])] = &[
        ("[allow]\nbase-images = [\"busybox\"]".into(), nothing, &[]),
        (
            format!("[allow]\nbase-images = [\"busybox@{busybox}\"]"),
            nothing,
            &[],
        ),
        (
            format!("[allow]\nbase-images = [\"{busybox}\"]"),
            nothing,
            &[],
        ),
        (
            format!("[allow]\nbase-images = [\"busybox@{context}\"]"),
            nothing,
            &[CheckCode::BaseImages],
        ),
        (
            "[allow]\nbase-images = [\"registry.example/**\", \"toolchain:busybox\"]".into(),
            nothing,
            &[CheckCode::BaseImages],
        ),
        (
            "[allow]\nbase-images = []".into(),
            nothing,
            &[CheckCode::BaseImages],
        ),
        ("[allow]\nbase-images = []".into(), bare, &[]),
        (
            "[allow]\nbuild-types = [\"https://intelgraph.io/repro/dockerfile-build/v1\"]".into(),
            nothing,
            &[],
        ),
        (
            "[allow]\nbuild-types = [\"https://intelgraph.io/repro/dockerfile-build/v\"]".into(),
            nothing,
            &[CheckCode::Parameters],
        ),
        (
            format!("[allow]\nsources = [\"{context}\", \"{dockerfile}\"]"),
            nothing,
            &[],
        ),
        // A Dockerfile alone can be all of an image.
        (
            format!("[allow]\nsources = [\"{context}\"]"),
            nothing,
            &[CheckCode::Source],
        ),
        (
            format!("[allow]\nsources = [\"{context}\"]"),
            contextless,
            &[CheckCode::Source],
        ),
        (
            format!("[allow]\nsources = [\"{dockerfile}\"]"),
            contextless,
            &[],
        ),
        (
            format!("[allow]\nsources = [\"{busybox}\", \"{dockerfile}\"]"),
            nothing,
            &[CheckCode::Source],
        ),
        (
            format!("[allow]\nsources = [{acme}, \"{dockerfile}\"]"),
            nothing,
            &[CheckCode::Source],
        ),
        (
            format!("[allow]\nsources = [{acme}, \"{dockerfile}\"]"),
            fetched,
            &[],
        ),
        (
            format!("[allow]\nsources = [{acme}, \"{dockerfile}\"]"),
            upwards,
            &[CheckCode::Source],
        ),
        (
            "[require]\npredicates = [\"https://slsa.dev/provenance/v1\"]".into(),
            nothing,
            &[],
        ),
        (
            "[require]\npredicates = [\"https://spdx.dev/Document\"]".into(),
            nothing,
            &[CheckCode::SomethingVerified],
        ),
        ("[require]\nverdict = \"reproducible\"".into(), nothing, &[]),
        (
            "[require]\nverdict = \"not-reproducible\"".into(),
            nothing,
            &[CheckCode::Demands],
        ),
        ("[require]\nhermetic = \"measured\"".into(), replay, &[]),
        (
            "[require]\nhermetic = \"without-replay\"".into(),
            nothing,
            &[],
        ),
        (
            "[require]\nhermetic = \"without-replay\"".into(),
            replay,
            &[CheckCode::Hermetic],
        ),
        (
            "[require]\nhermetic = \"without-attempts\"".into(),
            nothing,
            &[CheckCode::Hermetic],
        ),
        ("[require]\ninputs = \"locked\"".into(), nothing, &[]),
        (
            "[require]\ninputs = \"locked\"".into(),
            unlocked,
            &[CheckCode::Custody],
        ),
        (
            "[require]\ninputs = \"locked\"".into(),
            vendored,
            &[CheckCode::Custody],
        ),
        (
            "[require]\nlayers-equal = 100\nfiles-equal = 100".into(),
            nothing,
            &[],
        ),
        (
            "[require]\nvary = [\"cpus\", \"hostname\"]".into(),
            nothing,
            &[],
        ),
        (
            "[require]\nvary = [\"cpus\", \"boot-time\"]".into(),
            nothing,
            &[],
        ),
        ("[require]\nslsa-build-level = 1".into(), nothing, &[]),
        (
            "[require]\nslsa-build-level = 2".into(),
            nothing,
            &[CheckCode::Builder],
        ),
        ("[require]\nbuilders = 1".into(), nothing, &[]),
        (
            "[require]\nbuilders = 2".into(),
            nothing,
            &[CheckCode::Quorum],
        ),
        ("[require]\nmax-age = \"1h\"".into(), nothing, &[]),
        (
            "[require]\nmax-age = \"29m\"".into(),
            nothing,
            &[CheckCode::Times],
        ),
        (
            "[lineage]\nsource = \"s3://exports/*\"".into(),
            lineage,
            &[],
        ),
        (
            "[lineage]\nsource = \"s3://exports/*\"".into(),
            nothing,
            &[CheckCode::Lineage],
        ),
        (
            "[lineage]\nsource = \"s3://other/*\"".into(),
            lineage,
            &[CheckCode::Lineage],
        ),
        (
            "[lineage]\ntransform = \"*\"".into(),
            lineage,
            &[CheckCode::Lineage],
        ),
    ];
    for (text, edit, expected) in table {
        let (_dir, place) = edited(&|predicate| edit(predicate));
        let report = held(&place, text);
        assert_eq!(failed(&report), *expected, "{text}");
        let refused = !expected.is_empty();
        assert_eq!(report.conclusion == Conclusion::Refused, refused, "{text}");
    }
}

#[test]
fn what_differs_is_counted_against_a_share() {
    let (_dir, place) = written(&Case::different());
    for (text, good) in [
        ("layers-equal = 50\nfiles-equal = 50", true),
        ("layers-equal = 51", false),
        ("files-equal = 100", false),
    ] {
        let report = held(&place, &format!("[require]\n{text}"));
        let expected: &[CheckCode] = if good { &[] } else { &[CheckCode::Demands] };
        assert_eq!(failed(&report), expected, "{text}");
    }
}

#[test]
fn a_pack_that_was_refused_meets_no_demand() {
    let (_dir, place) = written(&Case::reproducible());
    let other = TrustRules::of_keys(&[key(KeyKind::P256, 9).public_key()]);
    let demands = policy(
        "[allow]\nbase-images = [\"busybox\"]\nsources = [\"https://x/*\"]\n[require]\nverdict = \
         \"reproducible\"\nhermetic = \"measured\"\ninputs = \"locked\"\nmax-age = \"1h\"\n\
         slsa-build-level = 1\nvary = [\"clock\"]\n[lineage]\nsource = \"*\"",
    );
    let report = under(&place, &other, Some(&demands));
    for code in [
        CheckCode::BaseImages,
        CheckCode::Source,
        CheckCode::Demands,
        CheckCode::Hermetic,
        CheckCode::Custody,
        CheckCode::Times,
        CheckCode::Builder,
        CheckCode::Lineage,
    ] {
        assert_eq!(status(&report, code), Status::Failed, "{code}");
    }
}

#[test]
fn a_waiver_is_shown_and_ends() {
    let (_dir, place) = written(&Case::reproducible());
    let waived = |on: &str, expires: &str| {
        held(
            &place,
            &format!(
                "[allow]\nbase-images = []\n[[waiver]]\ncheck = \"V18\"\n{on}\nowner = \"o@acme.example\"\n\
                 reason = \"moving\"\nexpires = {expires}"
            ),
        )
    };
    let (after, before) = ("2027-01-15T08:00:00Z", "2027-01-15T07:59:59Z");
    for on in ["", "on = \"docker.io/library/busybox\""] {
        let report = waived(on, after);
        assert_eq!(failed(&report), [], "{report:#?}");
        assert_eq!(report.conclusion, Conclusion::Verified);
        assert_eq!(status(&report, CheckCode::BaseImages), Status::Waived);
        let used = &report.check(CheckCode::Waivers).unwrap().findings[0].detail;
        assert!(used.starts_with("used: o@acme.example until"), "{used}");
    }
    let expired = waived("", before);
    assert_eq!(
        failed(&expired),
        [CheckCode::BaseImages, CheckCode::Waivers]
    );
    let other = waived("on = \"docker.io/library/busybo\"", after);
    assert_eq!(failed(&other), [CheckCode::BaseImages]);
    // Expired, and not even needed.
    let report = held(
        &place,
        "[allow]\nbase-images = [\"busybox\"]\n[[waiver]]\ncheck = \"V18\"\nowner = \"o\"\nreason = \"r\"\n\
         expires = 2020-01-01T00:00:00Z",
    );
    assert_eq!(failed(&report), [CheckCode::Waivers]);
    // What is asked for beside the file is not waived by it.
    let rules = TrustRules::of_keys(&[signing().public_key()]);
    let mut waived = policy(
        "[require]\nslsa-build-level = 2\n[[waiver]]\ncheck = \"V09\"\nowner = \"o\"\nreason = \"r\"\n\
         expires = 2099-01-01T00:00:00Z",
    );
    assert_eq!(failed(&under(&place, &rules, Some(&waived))), []);
    waived.asked_level = BuildLevel::new(2);
    let report = under(&place, &rules, Some(&waived));
    assert_eq!(failed(&report), [CheckCode::Builder]);
    // What was waived is no property that holds.
    assert!(!Policy::WAIVABLE.contains(&CheckCode::Signature));
}

#[test]
fn builders_count_by_key_and_operator() {
    let pack =
        |seed: u8, id: &str, case: &Case| by_builder(case, &key(KeyKind::P256, seed), id, &|_| {});
    let same = Case::reproducible();
    let (_a, ours) = pack(2, OURS, &same);
    let (_b, theirs) = pack(3, THEIRS, &same);
    let (_c, again) = pack(2, OURS, &same);
    let (_d, other) = pack(3, THEIRS, &Case::different());
    let agreed = |rules: &TrustRules, packs: &[&Path], needed: Option<usize>| {
        let named: Vec<_> = packs
            .iter()
            .enumerate()
            .map(|(number, place)| (number.to_string(), *place))
            .collect();
        let terms = Terms::new(Trust::Rules(rules), NOW);
        verify_packs(&named, &terms, needed).unwrap()
    };
    let apart = rules(&[(OURS, "", 2, 2, ""), (THEIRS, "", 3, 3, "")], "");
    let one_firm = rules(&[(OURS, "acme", 2, 2, ""), (THEIRS, "acme", 3, 3, "")], "");
    for (rules, packs, needed, builders, good) in [
        (&apart, vec![&*ours, &*theirs], None, 2, true),
        (&apart, vec![&*ours, &*theirs], Some(2), 2, true),
        (&apart, vec![&*ours, &*theirs], Some(3), 2, false),
        (&apart, vec![&*ours, &*again], None, 1, false),
        (&one_firm, vec![&*ours, &*theirs], None, 1, false),
        (&apart, vec![&*ours, &*theirs, &*other], Some(2), 2, false),
        (&apart, vec![&*ours], Some(2), 1, false),
    ] {
        let verification = agreed(rules, &packs, needed);
        let agreement = verification.agreement.as_ref().unwrap();
        assert_eq!(agreement.builders, builders, "{agreement:#?}");
        assert_eq!(agreement.is_reproduced(), good);
        assert_eq!(verification.conclusion == Conclusion::Verified, good);
    }
    // Ids that this program has by itself name nobody: one person can have two keys for two of them.
    let (_e, local) = pack(2, uris::BUILDER_LOCAL, &same);
    let (_f, podman) = pack(3, uris::BUILDER_PODMAN, &same);
    let keys = [2, 3].map(|seed| key(KeyKind::P256, seed).public_key());
    let named = [
        (uris::BUILDER_LOCAL, "", 1, 2, ""),
        (uris::BUILDER_PODMAN, "", 1, 3, ""),
    ];
    let told = [
        (uris::BUILDER_LOCAL, "acme", 1, 2, ""),
        (uris::BUILDER_PODMAN, "other", 1, 3, ""),
    ];
    for (rules, builders) in [
        (TrustRules::of_keys(&keys), 1),
        (rules(&named, ""), 1),
        (rules(&told, ""), 2),
    ] {
        let agreement = agreed(&rules, &[&*local, &*podman], Some(2)).agreement;
        assert_eq!(agreement.unwrap().builders, builders);
    }
    assert_eq!(BuildLevel::new(4), None);
}
