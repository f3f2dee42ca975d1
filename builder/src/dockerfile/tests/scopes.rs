//! `ARG` and `ENV`: who sees what, and what stays.

use std::collections::BTreeMap;

use super::{
    super::{
        Dockerfile, GlobalScope, InstructionKind, PlatformArgs, StageScope, unused_build_args,
    },
    good,
};

fn args(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn globals(file: &Dockerfile, build_args: &[(&str, &str)]) -> GlobalScope {
    let platforms = PlatformArgs {
        build: "linux/amd64".parse().unwrap(),
        target: "linux/arm/v7".parse().unwrap(),
    };
    let mut scope = GlobalScope::new(&platforms, None, &args(build_args));
    for instruction in &file.global_args {
        scope.arg(&instruction.kind).unwrap();
    }
    scope
}

fn walk(file: &Dockerfile, stage: usize, scope: &mut StageScope<'_>) {
    for instruction in &file.stages[stage].instructions {
        match &instruction.kind {
            InstructionKind::Arg(args) => drop(scope.arg(args).unwrap()),
            InstructionKind::Env(pairs) => drop(scope.env(pairs).unwrap()),
            _ => {}
        }
    }
}

fn shown(pairs: &[(String, String)]) -> String {
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

/// Environment of a `RUN` and of the image at the end of the only stage, on an image with `B=base`.
fn ends(text: &str, build_args: &[(&str, &str)]) -> (String, String) {
    let file = good(text);
    let globals = globals(&file, build_args);
    let mut scope = StageScope::new(&globals, &[("B".to_owned(), "base".to_owned())]);
    walk(&file, 0, &mut scope);
    (shown(&scope.env_for_run()), shown(&scope.image_env()))
}

#[test]
fn the_order_of_instructions_decides() {
    for (text, build_args, run, image) in [
        ("FROM x", &[][..], "B=base", "B=base"),
        // Not declared, not seen.
        ("FROM x", &[("a", "1")], "B=base", "B=base"),
        ("FROM x\nARG a=1", &[], "B=base a=1", "B=base"),
        ("FROM x\nARG a=1", &[("a", "2")], "B=base a=2", "B=base"),
        ("FROM x\nARG a", &[], "B=base", "B=base"),
        ("FROM x\nARG a=", &[], "B=base a=", "B=base"),
        // ENV below ARG covers it and stays.
        (
            "FROM x\nARG a=1\nENV a=2",
            &[("a", "3")],
            "B=base a=2",
            "B=base a=2",
        ),
        (
            "FROM x\nARG a=1\nENV a=$a",
            &[("a", "3")],
            "B=base a=3",
            "B=base a=3",
        ),
        // ARG with a value below ENV covers it for the build alone.
        ("FROM x\nENV a=2\nARG a=1", &[], "B=base a=1", "B=base a=2"),
        ("FROM x\nENV a=2\nARG a", &[], "B=base a=2", "B=base a=2"),
        ("FROM x\nARG B=arg", &[], "B=arg", "B=base"),
        // One instruction sees what was set before it; arguments of one ARG see each other.
        (
            "FROM x\nENV a=1\nENV a=2 b=$a",
            &[],
            "B=base a=2 b=1",
            "B=base a=2 b=1",
        ),
        ("FROM x\nARG a=1 b=$a", &[], "B=base a=1 b=1", "B=base"),
        // A new value moves to the end of the process's environment, not of the image's.
        ("FROM x\nENV a=1\nENV B=2", &[], "a=1 B=2", "B=2 a=1"),
        // Above the first FROM: seen only where declared again.
        ("ARG a=1\nFROM x", &[], "B=base", "B=base"),
        ("ARG a=1\nFROM x\nARG a", &[], "B=base a=1", "B=base"),
        ("ARG a=1\nFROM x\nARG a=2", &[], "B=base a=2", "B=base"),
        (
            "ARG a=1 b=${a}b\nFROM x\nARG b",
            &[("a", "3")],
            "B=base b=3b",
            "B=base",
        ),
        // Automatic ones, likewise.
        (
            "FROM x\nARG TARGETARCH",
            &[],
            "B=base TARGETARCH=arm",
            "B=base",
        ),
        (
            "FROM x\nARG TARGETVARIANT TARGETSTAGE",
            &[],
            "B=base TARGETVARIANT=v7 TARGETSTAGE=default",
            "B=base",
        ),
        (
            "FROM x\nARG BUILDPLATFORM",
            &[("BUILDPLATFORM", "a/b")],
            "B=base BUILDPLATFORM=a/b",
            "B=base",
        ),
        // Proxies need no ARG and come last.
        (
            "FROM x\nENV a=1",
            &[("http_proxy", "p")],
            "B=base a=1 HTTP_PROXY=p http_proxy=p",
            "B=base a=1",
        ),
        (
            "FROM x\nENV no_proxy=e",
            &[("NO_PROXY", "p")],
            "B=base no_proxy=e NO_PROXY=p",
            "B=base no_proxy=e",
        ),
    ] {
        let expected = (run.to_owned(), image.to_owned());
        assert_eq!(ends(text, build_args), expected, "{text}");
    }
}

#[test]
fn from_sees_the_global_scope() {
    let file = good("ARG V=1\nARG TAG=${V}.2\nFROM --platform=$BUILDPLATFORM a:$TAG\n");
    let scope = globals(&file, &[("V", "9")]);
    let from = &file.stages[0].from.kind;
    assert_eq!(from.image.expand(&scope).as_deref(), Ok("a:9.2"));
    let platform = from.platform.as_ref().unwrap().expand(&scope);
    assert_eq!(platform.as_deref(), Ok("linux/amd64"));
}

#[test]
fn a_stage_on_a_stage_inherits_both() {
    let file = good("FROM x AS a\nARG p=1\nENV e=2\nFROM a\nARG q=$p$e\nFROM x\nARG r=$p\n");
    let globals = globals(&file, &[]);
    let mut first = StageScope::new(&globals, &[]);
    walk(&file, 0, &mut first);
    let mut second = first.clone();
    walk(&file, 1, &mut second);
    assert_eq!(shown(&second.env_for_run()), "p=1 e=2 q=12");
    assert_eq!(shown(&second.args()), "p=1 q=12");
    let mut third = StageScope::new(&globals, &[]);
    walk(&file, 2, &mut third);
    assert_eq!(shown(&third.env_for_run()), "r=");
}

#[test]
fn build_arguments_that_nobody_declares_are_found() {
    let file = good("ARG g\nFROM x\nARG used\nARG VERSION=1\n");
    let given = args(&[
        ("g", ""),
        ("used", ""),
        ("VERSOIN", ""),
        ("other", ""),
        ("HTTP_PROXY", ""),
    ]);
    let messages: Vec<String> = unused_build_args(&file, &given)
        .into_iter()
        .map(|finding| finding.message)
        .collect();
    assert_eq!(
        messages,
        [
            "no ARG declares the build argument VERSOIN; did you mean VERSION?",
            "no ARG declares the build argument other",
        ]
    );
}
