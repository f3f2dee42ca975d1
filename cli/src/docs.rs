//! `docs/cli.md`, made from the same table as `--help`, and held to it by a test.

use std::fmt::Write as _;

use crate::{args, exit::ExitStatus};

const HEAD: &str = "\
# The command line

Every command and option, as `--help` says them. This file is generated: after a change of the
command line, `UPDATE=1 cargo test -p repro docs` writes it anew.

Data goes to standard output, all else to standard error. `--json` makes standard output one JSON
document with a versioned `schema`; an error is then the document `cli/error/v1`. With
`--progress json` standard error is NDJSON: events, and at the end `error` where there is one.

";

/// The whole reference as Markdown.
fn reference() -> String {
    // Colours off and a fixed width: the text must not depend on who generates it.
    let mut command = args::command()
        .color(clap::ColorChoice::Never)
        .term_width(100)
        .after_help("");
    command.build();
    let mut page = String::from(HEAD);
    page.push_str("## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for status in ExitStatus::ALL {
        push(
            &mut page,
            &format!("| {} | {} |", status.code(), status.meaning()),
        );
    }
    commands(&mut command, "", &mut page);
    page
}

fn commands(command: &mut clap::Command, above: &str, page: &mut String) {
    let name = format!("{above}{}", command.get_name());
    let help = command.render_long_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    push(
        page,
        &format!(
            "\n## `{name}`\n\n```text\n{}\n```",
            help.join("\n").trim_end()
        ),
    );
    let above = format!("{name} ");
    for sub in command.get_subcommands_mut() {
        commands(sub, &above, page);
    }
}

fn push(page: &mut String, line: &str) {
    let written = writeln!(page, "{line}");
    debug_assert!(written.is_ok(), "a String takes every write");
}

#[test]
fn docs_cli_md_says_what_help_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    // Values of the developer's own environment would stand in the help.
    let now = reference()
        .lines()
        .map(|line| match line.find("[env: ") {
            Some(at) => format!(
                "{}]",
                line[..at + line[at..].find('=').unwrap_or(0)].trim_end()
            ),
            None => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
        + "\n";
    #[expect(
        clippy::disallowed_methods,
        reason = "a switch of this test, not of the program"
    )]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == now,
        "docs/cli.md is out of date: UPDATE=1 cargo test -p repro docs"
    );
}
