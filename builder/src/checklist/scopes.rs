//! Who sees which argument.

use std::collections::BTreeMap;

use repro_core::{epoch::Epoch, platform::Platform};

use super::{Cases, Nothing, Row, hold, shown};
use crate::{
    dockerfile::Asked,
    plan::tests::{planned, request},
};

const ROWS: &[Row] = &[
    Row {
        name: "ARG above the first FROM",
        taken: &[
            ("ARG B=base\nFROM $B\nCMD a", "CMD"),
            ("ARG a=1\nFROM base\nENV b=<$a>", "ENV b=<>"),
            ("ARG a=1\nFROM base\nARG a\nENV b=<$a>", "ENV b=<1>"),
            ("ARG a=1 b=${a}2\nFROM base\nARG b\nENV c=$b", "ENV c=12"),
        ],
        refused: Cases(&[
            ("FROM base AS x\nARG B=base\nFROM $B", "$B becomes empty"),
            ("ENV a=b\nFROM base", "ENV stands before the first FROM"),
        ]),
    },
    Row {
        name: "ARG from its line on",
        taken: &[(
            "ENV a=<$x>\nARG x=1\nENV b=<$x>",
            "ENV a=<>\nARG x=1\nENV b=<1>",
        )],
        refused: Nothing("a variable that is not set is empty"),
    },
    Row {
        name: "ARG of one stage",
        taken: &[
            (
                "FROM base AS x\nARG a=1\nFROM base\nENV b=<$a>\nCOPY --from=x a b",
                "ENV b=<>",
            ),
            ("FROM base AS x\nARG a=1\nFROM x\nENV b=<$a>", "ENV b=<1>"),
        ],
        refused: Nothing("a variable that is not set is empty"),
    },
    Row {
        name: "ENV over ARG",
        taken: &[
            ("ARG a=1\nENV a=2\nENV b=$a", "ENV b=2"),
            ("ARG v\nENV b=$v", "ENV b=val"),
        ],
        refused: Nothing("it is about values"),
    },
    Row {
        name: "automatic arguments",
        taken: &[
            ("ENV a=<$TARGETARCH>", "ENV a=<>"),
            (
                "ARG TARGETOS BUILDOS\nENV a=$TARGETOS$BUILDOS",
                "ENV a=linuxlinux",
            ),
            ("ARG TARGETSTAGE\nENV a=$TARGETSTAGE", "ENV a=default"),
        ],
        refused: Nothing("one that is not declared is empty"),
    },
];

#[test]
fn scopes() {
    hold(ROWS);
}

/// What is planned with these build arguments.
fn with(text: &str, args: &[(&str, &str)]) -> String {
    let mut asked = request(&format!("FROM base\n{text}"));
    let args = args
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    asked.build_args = args.collect();
    shown(&planned(&asked).unwrap())
}

#[test]
fn automatic_arguments_are_of_the_platforms() {
    let host = Platform::host();
    let (platform, arch) = (host.to_string(), host.architecture());
    let variant = host.variant().unwrap_or_default();
    for (prefix, name, value) in [
        ("TARGET", "PLATFORM", platform.as_str()),
        ("TARGET", "OS", "linux"),
        ("TARGET", "ARCH", arch),
        ("TARGET", "VARIANT", variant),
        ("BUILD", "PLATFORM", &platform),
        ("BUILD", "OS", "linux"),
        ("BUILD", "ARCH", arch),
        ("BUILD", "VARIANT", variant),
    ] {
        let text = format!("ARG {prefix}{name}\nENV a=<${prefix}{name}>");
        assert!(
            with(&text, &[]).contains(&format!("ENV a=<{value}>\n")),
            "{text}"
        );
        let given = with(&text, &[(&format!("{prefix}{name}"), "own")]);
        assert!(given.contains("ENV a=<own>\n"), "{text}");
    }
}

#[test]
fn predefined_arguments_need_no_arg_and_stand_in_no_history() {
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "FTP_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ] {
        for name in [name.to_owned(), name.to_ascii_lowercase()] {
            let shown = with("RUN a", &[(&name, "p")]);
            assert!(shown.contains(&format!("(\"{name}\", \"p\")")), "{shown}");
            assert!(shown.starts_with("RUN /bin/sh -c a # repro\n"), "{shown}");
            assert!(!shown.contains("unused-build-arg"), "{shown}");
        }
    }
    assert!(with("RUN a", &[("OTHER", "p")]).contains("unused-build-arg"));
}

#[test]
fn arguments_for_the_builder_are_known() {
    for name in [
        "BUILDKIT_BUILD_NAME",
        "BUILDKIT_CACHE_MOUNT_NS",
        "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
        "BUILDKIT_MULTI_PLATFORM",
        "SOURCE_DATE_EPOCH",
    ] {
        let shown = with("RUN a", &[(name, "1")]);
        assert!(!shown.contains("unused-build-arg"), "{name}: {shown}");
        assert!(!shown.contains(&format!("(\"{name}\"")) || name == "SOURCE_DATE_EPOCH");
        let declared = with(&format!("ARG {name}\nENV a=${name}"), &[(name, "1")]);
        assert!(declared.contains("ENV a=1\n"), "{name}");
    }
    // Those that would change something say why they do not.
    for name in ["BUILDKIT_INLINE_CACHE", "BUILDKIT_SANDBOX_HOSTNAME"] {
        assert!(
            with("RUN a", &[(name, "1")]).contains("unused-build-arg"),
            "{name}"
        );
        assert!(
            !with("RUN a", &[(name, "0")]).contains("unused-build-arg"),
            "{name}"
        );
    }
}

#[test]
fn arguments_that_stand_for_directives() {
    let asked = |name: &str, value: &str| {
        Asked::of_build_args(&BTreeMap::from([(name.to_owned(), value.to_owned())]))
    };
    let file = |text: &str, name: &str, value: &str| {
        let asked = asked(name, value).unwrap();
        crate::dockerfile::parse_asked("Dockerfile", text.as_bytes(), &asked)
    };
    for value in ["docker/dockerfile:1.4", ""] {
        assert!(asked("BUILDKIT_SYNTAX", value).is_ok(), "{value}");
    }
    let error = asked("BUILDKIT_SYNTAX", "example.org/x").unwrap_err();
    assert_eq!(error.name, "BUILDKIT_SYNTAX");
    // It counts for what the file names.
    let foreign = "# syntax=example.org/x\nFROM base\n";
    assert!(file(foreign, "BUILDKIT_SYNTAX", "").is_err());
    assert!(file(foreign, "BUILDKIT_SYNTAX", "docker/dockerfile:1").is_ok());

    let casing = "# check=skip=all\nFROM base AS X\n";
    let found = |value| {
        file(casing, "BUILDKIT_DOCKERFILE_CHECK", value)
            .unwrap()
            .findings
    };
    assert_eq!(found("").len(), 0);
    assert_eq!(found("skip=Other").len(), 1);
    assert!(asked("BUILDKIT_DOCKERFILE_CHECK", "skip").is_err());
}

#[test]
fn the_epoch_of_a_dockerfile_is_for_those_who_choose_none() {
    let epoch = |text: &str| crate::build::tests::epoch_of(&format!("{text}FROM base\n"));
    assert_eq!(epoch(""), Ok(None));
    assert_eq!(epoch("ARG SOURCE_DATE_EPOCH\n"), Ok(None));
    let given = Epoch::new(1_700_000_000).unwrap();
    assert_eq!(epoch("ARG SOURCE_DATE_EPOCH=1700000000\n"), Ok(Some(given)));
    for (text, part) in [
        (
            "ARG SOURCE_DATE_EPOCH=context\n",
            "Dockerfile:1: SOURCE_DATE_EPOCH \"context\"",
        ),
        (
            "# a\nARG SOURCE_DATE_EPOCH=src\n",
            "Dockerfile:2: SOURCE_DATE_EPOCH \"src\"",
        ),
        ("ARG SOURCE_DATE_EPOCH=-1\n", "is no number of seconds"),
        ("ARG SOURCE_DATE_EPOCH=7\n", "is below 4096"),
    ] {
        let error = epoch(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}
