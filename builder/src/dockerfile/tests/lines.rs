//! Directives, comments, continuations, line ends.

use super::{
    super::{CommandLine, Escape, InstructionKind, RunArgs},
    good, one, plain_run,
};

fn run(text: &str) -> String {
    let file = good(text);
    match &file.stages[0].instructions[0].kind {
        InstructionKind::Run(RunArgs {
            command: CommandLine::Shell(command),
            ..
        }) => command.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn lines_are_joined_as_docker_joins_them() {
    for (text, command) in [
        ("RUN a \\\nb", "a b"),
        ("RUN a\\\n  b", "a  b"),
        ("RUN a \\ \t\nb", "a b"),
        ("RUN a \\\n# comment\n  # another\nb", "a b"),
        ("RUN a \\\n\n  \nb", "a b"),
        ("RUN a \\\n#\\\nb", "a b"),
        ("RUN \\\na", "a"),
        ("\\\nRUN a", "a"),
        ("RUN a \\", "a"),
        ("RUN a \\\n", "a"),
        ("RUN a \\\\\n", "a \\\\"),
        ("RUN a # not a comment", "a # not a comment"),
        ("\tRUN\ta\tb", "a\tb"),
        ("RUN a \\\r\n b\r\n", "a  b"),
        ("RUN a\r\n", "a"),
    ] {
        assert_eq!(run(&format!("FROM x\n{text}")), command, "{text:?}");
    }
}

#[test]
fn an_empty_line_in_a_continuation_is_a_finding() {
    let file = good("FROM x\nRUN a \\\n\n b\nRUN c \\\n # d\n e\n");
    assert_eq!(file.findings.len(), 1);
    assert_eq!(file.findings[0].code, "no-empty-continuation");
    assert_eq!(file.findings[0].line, Some(3));
    let skipped = good("# check=skip=NoEmptyContinuation,x\nFROM x\nRUN a \\\n\n b\n");
    assert!(skipped.findings.is_empty());
    assert!(
        good("# check=skip=all\nFROM x\nENV a b\n")
            .findings
            .is_empty()
    );
}

#[test]
fn lines_are_counted_from_one_and_end_where_they_end() {
    let file = good("# a\n\nFROM x\n\nRUN a \\\n # b\n c\nCMD d\n");
    let instructions = &file.stages[0].instructions;
    assert_eq!(file.stages[0].from.line, 3);
    assert_eq!((instructions[0].line, instructions[0].end_line), (5, 7));
    assert_eq!((instructions[1].line, instructions[1].end_line), (8, 8));
    assert_eq!(instructions[0].text, "RUN a  c");
    let late = good("FROM x\n\\\nRUN a\n");
    assert_eq!(late.stages[0].instructions[0].line, 3);
}

#[test]
fn directives_stand_above_all_else() {
    for (text, escape) in [
        ("# escape=`\nFROM x", Escape::Backtick),
        ("\u{feff}# escape=`\r\nFROM x", Escape::Backtick),
        ("#ESCAPE = ` \nFROM x", Escape::Backtick),
        (
            "# syntax=docker/dockerfile:1\n# escape=`\nFROM x",
            Escape::Backtick,
        ),
        // Not directives, for what stands above them.
        ("# comment\n# escape=`\nFROM x", Escape::Backslash),
        ("\n# escape=`\nFROM x", Escape::Backslash),
        ("# unknown=x\n# escape=`\nFROM x", Escape::Backslash),
        ("FROM x\n# escape=`", Escape::Backslash),
        ("#!/bin/x\n# escape=`\nFROM x", Escape::Backslash),
    ] {
        assert_eq!(good(text).directives.escape, escape, "{text:?}");
    }
    assert_eq!(run("# escape=`\nFROM x\nRUN a `\n \\b \\\n"), "a  \\b \\");
}

#[test]
fn releases_of_the_front_end_are_taken() {
    for name in [
        "docker/dockerfile",
        "docker/dockerfile:1",
        "docker/dockerfile:1.7-labs",
        "docker/dockerfile:1-labs",
        "docker/dockerfile:latest",
        "docker.io/docker/dockerfile:1.4.3",
    ] {
        let file = good(&format!("# syntax={name}\nFROM x"));
        assert_eq!(file.directives.syntax.as_deref(), Some(name));
    }
    let file = good("#!/usr/bin/env x\n# syntax=docker/dockerfile:1\nFROM x");
    assert!(file.directives.syntax.is_some());
}

#[test]
fn keywords_in_any_case_and_any_blank_behind_them() {
    for text in ["run x", "Run x", "RUN\tx", "RUN   x", "RUN\u{b}x"] {
        let expected = plain_run(CommandLine::Shell("x".into()));
        assert_eq!(one(text), expected, "{text:?}");
    }
}
