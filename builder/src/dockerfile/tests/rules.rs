//! Build checks that need nothing but the text.

use super::{super::Severity, good};

/// Codes and lines of what is found.
fn found(text: &str) -> Vec<(String, u32)> {
    let findings = good(text).findings.into_iter();
    findings
        .map(|finding| (finding.code, finding.line.unwrap_or_default()))
        .collect()
}

#[test]
fn each_rule_finds_what_breaks_it_and_nothing_else() {
    for (code, broken, line, sound) in [
        ("stage-name-casing", "FROM a AS Bc\n", 1, "FROM a AS bc\n"),
        ("from-as-casing", "FROM a as b\n", 1, "FROM a AS b\n"),
        (
            "no-empty-continuation",
            "FROM a\nRUN b \\\n\n  c\n",
            3,
            "FROM a\nRUN b \\\n#\n  c\n",
        ),
        (
            "consistent-instruction-casing",
            "FROM a\nRUN b\nrun c\n",
            3,
            "from a\nrun b\n",
        ),
        (
            "consistent-instruction-casing",
            "FROM a\nRun b\n",
            2,
            "FROM a\nRUN b\n",
        ),
        (
            "duplicate-stage-name",
            "FROM a AS b\nFROM c AS b\n",
            2,
            "FROM a AS b\nFROM c AS d\n",
        ),
        (
            "reserved-stage-name",
            "FROM a AS scratch\n",
            1,
            "FROM a AS b\n",
        ),
        (
            "maintainer-deprecated",
            "FROM a\nMAINTAINER b\n",
            2,
            "FROM a\nLABEL maintainer=b\n",
        ),
        (
            "multiple-instructions-disallowed",
            "FROM a\nCMD [\"b\"]\nCMD [\"c\"]\n",
            2,
            "FROM a\nCMD [\"b\"]\nFROM a\nCMD [\"c\"]\n",
        ),
        (
            "legacy-key-value-format",
            "FROM a\nENV b c\n",
            2,
            "FROM a\nENV b=c\n",
        ),
        (
            "redundant-target-platform",
            "FROM --platform=$TARGETPLATFORM a\n",
            1,
            "FROM --platform=$BUILDPLATFORM a\n",
        ),
        (
            "from-platform-flag-const-disallowed",
            "FROM --platform=linux/arm64 a\n",
            1,
            "FROM --platform=linux/arm64 a AS build-arm64\n",
        ),
        (
            "secrets-used-in-arg-or-env",
            "FROM a\nARG API_KEY\n",
            2,
            "FROM a\nARG PUBLIC_KEY\n",
        ),
        (
            "secrets-used-in-arg-or-env",
            "FROM a\nENV DB_PASSWORD=x\n",
            2,
            "FROM a\nENV PASSWORD_FILE=x\n",
        ),
        (
            "expose-proto-casing",
            "FROM a\nEXPOSE 80/TCP\n",
            2,
            "FROM a\nEXPOSE 80/tcp\n",
        ),
        (
            "expose-invalid-format",
            "FROM a\nEXPOSE 127.0.0.1:80:80\n",
            2,
            "FROM a\nEXPOSE 80\n",
        ),
        (
            "invalid-definition-description",
            "# check=experimental=all\nFROM a\n# the version\nARG V=1\n",
            4,
            "# check=experimental=all\nFROM a\n# V is the version\nARG V=1\n",
        ),
    ] {
        assert_eq!(found(broken), [(code.to_owned(), line)], "{broken}");
        assert_eq!(found(sound), [], "{sound}");
    }
}

#[test]
fn rules_are_left_out_asked_for_and_made_errors() {
    let text = "FROM a AS Bc\nMAINTAINER x\n";
    assert_eq!(found(text).len(), 2);
    let skip = |what: &str| found(&format!("# check=skip={what}\n{text}")).len();
    assert_eq!(skip("StageNameCasing"), 1);
    assert_eq!(skip("StageNameCasing, MaintainerDeprecated"), 0);
    // Names have one spelling; what names no rule skips none; `all` stands alone.
    assert_eq!(skip("stagenamecasing, NoSuchRule"), 2);
    assert_eq!(skip("all, StageNameCasing"), 1);
    assert_eq!(skip("all"), 0);
    // What can be wrong is not looked at unless asked for.
    assert_eq!(found("FROM a\n# c\nARG V=1\n"), []);
    let file = good("# check=skip=all;error=true\nFROM a\n");
    assert_eq!(file.directives.checks.severity, Severity::Error);
    assert_eq!(
        good("# check=error=false\nFROM a\n")
            .directives
            .checks
            .severity,
        Severity::Warning
    );
}
