//! Which of several packs and statements beside one image are gone by.

use std::fs;

use super::{
    forge::{self, edited, written},
    *,
};
use crate::{
    attached::gather::{Form, FoundStatement},
    terms::Policy,
};

/// What is said of the image of the usual case under a policy, by what lies beside it.
fn beside(packs: &[&Path], statements: &[&Path], policy: &str) -> VerifyReport {
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
    let policy = Policy::parse(&format!("version = 1\n{policy}")).unwrap();
    let keys = [signing().public_key()];
    let terms = Terms {
        policy: Some(&policy),
        ..Terms::new(Trust::Keys(&keys), NOW)
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
}
