//! Which of several packs and statements beside one image are gone by.

use std::fs;

use super::{
    forge::{self, edited, written},
    *,
};
use crate::{
    attached::gather::{Form, FoundStatement},
    terms::{Policy, TrustRules},
};

/// What is said of the image of the usual case under a policy, by what lies beside it.
fn beside(packs: &[&Path], statements: &[&Path], policy: &str) -> VerifyReport {
    let policy = Policy::parse(&format!("version = 1\n{policy}")).unwrap();
    let keys = [signing().public_key()];
    looked_at(packs, statements, Some(&policy), Trust::Keys(&keys))
}

fn looked_at(
    packs: &[&Path],
    statements: &[&Path],
    policy: Option<&Policy>,
    trust: Trust<'_>,
) -> VerifyReport {
    let case = Case::reproducible();
    let made = case.record.runs[0].image.as_ref().unwrap();
    let facts = ImageFacts {
        name: "image".into(),
        named: Named::ByDigest,
        manifest: Some(made.manifest),
        config: made.config,
        list: None,
    };
    let packs = packs.iter().map(|dir| PackAt {
        at: dir.display().to_string(),
        dir: dir.to_path_buf(),
    });
    let statements = statements.iter().map(|path| {
        let bytes = fs::read(path).unwrap();
        let found = FoundStatement {
            form: Form::Referrer,
            artifact: made.manifest,
            subject: made.manifest,
            blob: Digest::of(&bytes),
            claimed: String::new(),
        };
        (found, bytes)
    });
    let beside = Beside {
        packs: packs.collect(),
        statements: statements.collect(),
        ..Beside::default()
    };
    let terms = Terms {
        policy,
        ..Terms::new(trust, NOW)
    };
    let looked = verify_image(&facts, beside, &case.blobs, &terms, Wanted::One).unwrap();
    let [(_, Looked { report, pack })] = <[_; 1]>::try_from(looked).unwrap();
    assert_eq!(
        pack.is_some(),
        report.conclusion == Conclusion::Verified && !is_alone(&report)
    );
    report
}

fn is_alone(report: &VerifyReport) -> bool {
    status(report, CheckCode::Pack) == Status::NotApplicable
}

/// An image that is built again every night has the same digest, and a pack of each night beside it.
#[test]
fn a_pack_that_is_too_old_says_nothing_against_a_later_one() {
    let (_old, old) = edited(&|predicate| {
        let metadata = &mut predicate["runDetails"]["metadata"];
        metadata["startedOn"] = "2026-01-01T00:00:00Z".into();
        metadata["finishedOn"] = "2026-01-01T00:00:01Z".into();
    });
    let (_new, new) = written(&Case::reproducible());
    let policy = "require.max-age = \"30d\"";
    assert_eq!(failed(&beside(&[&old], &[], policy)), [CheckCode::Times]);
    for packs in [[&*old, &*new], [&*new, &*old]] {
        let report = beside(&packs, &[], policy);
        assert_eq!(failed(&report), [], "{report:#?}");
        assert_eq!(report.conclusion, Conclusion::Verified);
    }
    // One that is not as it was signed is told, whatever lies beside it.
    let (_changed, changed) = written(&Case::reproducible());
    fs::write(changed.join("more"), "x").unwrap();
    for packs in [[&*changed, &*new], [&*new, &*changed]] {
        assert_eq!(failed(&beside(&packs, &[], policy)), [CheckCode::Pack]);
    }
}

/// Who lists the statements decides on their order, and so on none of what is said.
#[test]
fn of_two_verdicts_the_worse_counts_in_either_order() {
    let (_a, good) = written(&Case::reproducible());
    let (_b, bad) = written(&Case::reproducible());
    forge::forge(&bad, &signing(), layout::REPRODUCIBILITY, &|value| {
        value["predicate"]["verdict"] = "inconclusive".into();
    });
    let provenance = good.join(forge::RUN_A);
    let [good, bad] = [&good, &bad].map(|place| place.join(layout::REPRODUCIBILITY));
    let policy = "require.verdict = \"reproducible\"";
    let under = |verdicts: &[&Path]| {
        let all = [&[provenance.as_path()], verdicts].concat();
        let report = beside(&[], &all, policy);
        assert!(is_alone(&report));
        failed(&report)
    };
    assert_eq!(under(&[&good]), []);
    for verdicts in [[&*good, &*bad], [&*bad, &*good]] {
        assert_eq!(under(&verdicts), [CheckCode::Demands]);
    }
    // What is not known is better than what is known to be bad.
    let (_c, worst) = written(&Case::reproducible());
    forge::forge(&worst, &signing(), layout::REPRODUCIBILITY, &|value| {
        value["predicate"]["verdict"] = "not-reproducible".into();
    });
    let worst = worst.join(layout::REPRODUCIBILITY);
    for verdicts in [[&*worst, &*bad], [&*bad, &*worst]] {
        let all = [&[provenance.as_path()], &verdicts[..]].concat();
        let report = beside(&[], &all, policy);
        assert_eq!(report.verdict, Some(Verdict::NotReproducible));
    }
}

/// Whoever takes the pack away leaves the verdict, and what was wrong with it.
#[test]
fn a_verdict_that_contradicts_itself_is_refused_without_its_pack_too() {
    let (_dir, place) = written(&Case::reproducible());
    forge::forge(&place, &signing(), layout::REPRODUCIBILITY, &|value| {
        value["predicate"]["axes"] = serde_json::json!({});
    });
    let all = [forge::RUN_A, layout::REPRODUCIBILITY].map(|path| place.join(path));
    let report = beside(
        &[],
        &[&*all[0], &*all[1]],
        "require.verdict = \"reproducible\"",
    );
    assert!(is_alone(&report));
    assert_eq!(failed(&report), [CheckCode::Runs], "{report:#?}");
}

/// The key of a statement that is revoked is nobody's, also where nothing else is by it.
#[test]
fn what_a_revoked_key_signed_is_not_among_what_counts() {
    let (_dir, place) = written(&Case::reproducible());
    let all = [forge::RUN_A, layout::REPRODUCIBILITY].map(|path| place.join(path));
    let key = signing().public_key();
    let text = format!(
        "version = 1\n[[builder]]\nid = {:?}\nkey = [{{ file = \"key\" }}]\n[[revoked]]\nfile = \"key\"\n\
         reason = \"lost\"\n",
        crate::uris::BUILDER_LOCAL
    );
    let rules = TrustRules::parse(&text, &mut |_| Ok(key.to_pem())).unwrap();
    let report = looked_at(&[], &[&*all[0], &*all[1]], None, Trust::Rules(&rules));
    assert_eq!(failed(&report), [CheckCode::SomethingVerified]);
    let subject = report.subject.unwrap();
    assert_eq!(subject.statements, []);
    assert_eq!(subject.not_verified.len(), 2);
    assert!(subject.not_verified[0].why.contains("revoked: lost"));
}
