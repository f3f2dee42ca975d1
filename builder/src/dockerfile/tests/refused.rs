//! What is no Dockerfile, where it is wrong, and what the message says.

use super::{
    super::{
        HealthError, Keyword, MAX_FILE_BYTES, MAX_LINE_BYTES, ParseErrors, PortError, SyntaxError,
        TemplateError, TriggerError,
    },
    bad, error,
};

#[test]
fn arguments_that_do_not_fit() {
    type Test = fn(&SyntaxError) -> bool;
    let missing: Test = |e| matches!(e, SyntaxError::MissingArguments { .. });
    let empty_command: Test = |e| matches!(e, SyntaxError::EmptyCommand(_));
    let template: Test = |e| matches!(e, SyntaxError::Template(_));
    let table: &[(&str, Test)] = &[
        ("ARG", missing),
        ("ARG =x", |e| *e == SyntaxError::EmptyName(Keyword::Arg)),
        ("ARG a=\"x", template),
        ("ENV", missing),
        ("ENV a", missing),
        ("ENV =x", |e| *e == SyntaxError::EmptyName(Keyword::Env)),
        (
            "ENV a=b c",
            |e| matches!(e, SyntaxError::MissingEquals { word, .. } if word == "c"),
        ),
        ("ENV a=${}", |e| {
            *e == SyntaxError::Template(TemplateError::Name)
        }),
        ("ENV a=${b", |e| {
            *e == SyntaxError::Template(TemplateError::Brace)
        }),
        ("ENV --x a=b", |e| {
            matches!(e, SyntaxError::UnknownFlag { .. })
        }),
        ("LABEL", missing),
        ("LABEL a", missing),
        ("LABEL a='b", template),
        ("RUN []", empty_command),
        ("RUN [\"a\", 1]", |e| {
            *e == SyntaxError::JsonNotStrings(Keyword::Run)
        }),
        ("RUN [[]]", |e| {
            *e == SyntaxError::JsonNotStrings(Keyword::Run)
        }),
        ("RUN [\"a\\u0000\"]", |e| {
            *e == SyntaxError::JsonNul(Keyword::Run)
        }),
        ("RUN --x a", |e| {
            matches!(e, SyntaxError::UnknownFlag { nearest: None, .. })
        }),
        ("CMD [1]", |e| {
            *e == SyntaxError::JsonNotStrings(Keyword::Cmd)
        }),
        ("ENTRYPOINT [null]", |e| {
            *e == SyntaxError::JsonNotStrings(Keyword::Entrypoint)
        }),
        ("COPY", missing),
        ("COPY a", missing),
        ("COPY []", missing),
        ("COPY [\"a\"]", missing),
        ("COPY [\"a\", 1]", |e| {
            *e == SyntaxError::JsonNotStrings(Keyword::Copy)
        }),
        ("COPY --from a b", |e| {
            *e == SyntaxError::FlagValue("from".into())
        }),
        ("COPY --from=x --from=y a b", |e| {
            *e == SyntaxError::DuplicateFlag("from".into())
        }),
        ("COPY --from=$x a b", |e| *e == SyntaxError::VariableInFrom),
        ("COPY --form=x a b", |e| {
            matches!(
                e,
                SyntaxError::UnknownFlag {
                    nearest: Some("from"),
                    ..
                }
            )
        }),
        ("COPY --chmod=9 a b", |e| matches!(e, SyntaxError::Mode(_))),
        ("COPY --chmod=u~x a b", |e| {
            matches!(e, SyntaxError::Mode(_))
        }),
        ("COPY --link=maybe a b", |e| {
            *e == SyntaxError::Switch("link".into())
        }),
        ("COPY --link= a b", |e| {
            *e == SyntaxError::FlagValue("link".into())
        }),
        ("COPY --chown= --chown=u a b", |e| {
            *e == SyntaxError::DuplicateFlag("chown".into())
        }),
        ("COPY --exclude a b", |e| {
            *e == SyntaxError::FlagValue("exclude".into())
        }),
        ("COPY --link --link a b", |e| {
            *e == SyntaxError::DuplicateFlag("link".into())
        }),
        ("COPY --unpack a b", |e| {
            matches!(e, SyntaxError::UnknownFlag { .. })
        }),
        ("COPY a <<A\nb\nA", |e| {
            *e == SyntaxError::HeredocDestination(Keyword::Copy)
        }),
        ("COPY <<\"a b\" /x\na b", |e| {
            *e == SyntaxError::HeredocWord(Keyword::Copy)
        }),
        ("ADD << A /x\nA", |e| {
            *e == SyntaxError::HeredocWord(Keyword::Add)
        }),
        ("COPY <<a/b /x\na/b", |e| {
            *e == SyntaxError::HeredocName("a/b".into())
        }),
        ("COPY <<A /x\n${\nA", template),
        ("ADD", missing),
        ("ADD a", missing),
        ("ADD --parents a b", |e| {
            matches!(e, SyntaxError::UnknownFlag { .. })
        }),
        ("ADD --from=x a b", |e| {
            matches!(e, SyntaxError::UnknownFlag { .. })
        }),
        ("ADD --checksum a b", |e| {
            *e == SyntaxError::FlagValue("checksum".into())
        }),
        ("HEALTHCHECK", missing),
        ("HEALTHCHECK NONE x", |e| {
            *e == SyntaxError::Health(HealthError::NoneWithMore)
        }),
        ("HEALTHCHECK RUN x", |e| {
            *e == SyntaxError::Health(HealthError::Kind("RUN".into()))
        }),
        ("HEALTHCHECK CMD", empty_command),
        ("HEALTHCHECK CMD []", empty_command),
        ("HEALTHCHECK --interval=5 CMD x", |e| {
            *e == SyntaxError::Health(HealthError::Duration("5".into()))
        }),
        ("HEALTHCHECK --timeout=1us CMD x", |e| {
            *e == SyntaxError::Health(HealthError::Range("1us".into()))
        }),
        ("HEALTHCHECK --retries=-1 CMD x", |e| {
            *e == SyntaxError::Health(HealthError::Retries("-1".into()))
        }),
        ("HEALTHCHECK --wait=1s CMD x", |e| {
            matches!(e, SyntaxError::UnknownFlag { .. })
        }),
        ("MAINTAINER", missing),
        ("ONBUILD", missing),
        ("ONBUILD FROM a", |e| {
            *e == SyntaxError::Trigger(TriggerError::Keyword(Keyword::From))
        }),
        ("ONBUILD onbuild RUN a", |e| {
            *e == SyntaxError::Trigger(TriggerError::Keyword(Keyword::Onbuild))
        }),
        ("ONBUILD MAINTAINER a", |e| {
            *e == SyntaxError::Trigger(TriggerError::Keyword(Keyword::Maintainer))
        }),
        ("ONBUILD RUNN a", |e| {
            matches!(e, SyntaxError::Trigger(TriggerError::Syntax(_)))
        }),
        ("ONBUILD COPY a", |e| {
            matches!(e, SyntaxError::Trigger(TriggerError::Syntax(_)))
        }),
        ("SHELL", |e| *e == SyntaxError::ShellNotJson),
        ("SHELL /bin/bash", |e| *e == SyntaxError::ShellNotJson),
        ("SHELL []", missing),
        ("STOPSIGNAL", missing),
        ("STOPSIGNAL SIGNOPE", |e| {
            matches!(e, SyntaxError::Signal(_))
        }),
        ("VOLUME", missing),
        ("VOLUME []", missing),
        ("VOLUME [\" \"]", |e| *e == SyntaxError::EmptyVolume),
        ("VOLUME [\"/a\", 1]", |e| {
            *e == SyntaxError::JsonNotStrings(Keyword::Volume)
        }),
        ("COPY \"a b\" c", template),
        ("WORKDIR", missing),
        ("WORKDIR ${a:x}", |e| {
            *e == SyntaxError::Template(TemplateError::Modifier('x'))
        }),
        ("USER", missing),
        ("USER \"a", template),
        ("EXPOSE", missing),
        ("EXPOSE http", |e| {
            *e == SyntaxError::Port(PortError::Port("http".into()))
        }),
        ("EXPOSE 80/x", |e| {
            matches!(e, SyntaxError::Port(PortError::Protocol(_)))
        }),
        ("FROM", missing),
        ("FROM a b", |e| *e == SyntaxError::FromArguments),
        ("FROM a as", |e| *e == SyntaxError::FromArguments),
        ("FROM a as b c", |e| *e == SyntaxError::FromArguments),
        ("FROM a as 1b", |e| {
            *e == SyntaxError::StageName("1b".into())
        }),
        ("FROM a as b/c", |e| {
            *e == SyntaxError::StageName("b/c".into())
        }),
        ("FROM --platform a", |e| {
            *e == SyntaxError::FlagValue("platform".into())
        }),
        ("FROM ${", template),
        ("RUN <<A\nB", |e| {
            *e == SyntaxError::UnterminatedHeredoc("A".into())
        }),
        ("COPY <<A <<B /x\nA\nb", |e| {
            *e == SyntaxError::UnterminatedHeredoc("B".into())
        }),
    ];
    for (text, expected) in table {
        let (found, line) = error(&format!("FROM scratch\n# x\n{text}"));
        assert!(expected(&found), "{text}: {found:?}");
        assert_eq!(line, 3, "{text}");
    }
}

#[test]
fn a_typo_is_shown_with_what_was_meant() {
    let errors = bad(b"FROM scratch\n\nRUNN make\n");
    assert_eq!(
        errors.to_string(),
        "Dockerfile:3: unknown instruction: RUNN\n  3 | RUNN make\n    | ^^^^\n  hint: did you mean RUN?"
    );
    let diagnostic = errors.diagnostics().next().unwrap();
    assert_eq!(
        (diagnostic.line, diagnostic.column, diagnostic.length),
        (3, 1, 4)
    );
}

#[test]
fn the_place_is_found_behind_a_continuation() {
    let errors = bad("FROM scratch\nENV a=b \\\n  # c\n\n  ü=\"x\" d\n".as_bytes());
    assert_eq!(
        errors.to_string(),
        "Dockerfile:5: ENV needs NAME=VALUE, found d\n  5 |   ü=\"x\" d\n    |         ^\n  hint: \
         write ENV NAME=VALUE, with no blanks around ="
    );
}

#[test]
fn files_without_what_they_need() {
    for (text, expected, line) in [
        ("", SyntaxError::Empty, 1),
        ("\n# a\n\n", SyntaxError::Empty, 1),
        ("ARG a\n", SyntaxError::NoStage, 1),
        (
            "# a\nRUN b\nRUN c\nFROM d\n",
            SyntaxError::BeforeFrom(Keyword::Run),
            2,
        ),
    ] {
        assert_eq!(error(text), (expected, line), "{text}");
    }
}

#[test]
fn every_error_is_told_in_order_up_to_a_limit() {
    let errors = bad(b"FROM a AS 1\nRUM x\nENV\nCOPY a b\nEXPOSE x\n");
    let lines: Vec<u32> = errors.diagnostics().map(|d| d.line).collect();
    assert_eq!(lines, [1, 2, 3, 5]);
    let errors = bad("X\n".repeat(1000).as_bytes());
    assert_eq!(errors.errors().len(), ParseErrors::MAX);
}

#[test]
fn bytes_that_are_no_text_are_refused_but_in_comments() {
    let errors = bad(b"FROM a\nRUN echo \xff\nRUN b\0\n");
    let found: Vec<_> = errors
        .errors()
        .iter()
        .map(|e| (e.error.clone(), e.diagnostic.line, e.diagnostic.column))
        .collect();
    assert_eq!(
        found,
        [(SyntaxError::NotUtf8, 2, 10), (SyntaxError::Nul, 3, 6)]
    );
    let text = b"FROM a\n# \xff\0\nRUN b \\\n # \xff\n c\n";
    assert!(super::parse("Dockerfile", text).is_ok());
}

#[test]
fn limits_hold() {
    let long = |length: usize| format!("FROM a\nRUN {}", "x".repeat(length));
    assert!(super::parse("Dockerfile", long(MAX_LINE_BYTES - 4).as_bytes()).is_ok());
    assert_eq!(error(&long(MAX_LINE_BYTES)), (SyntaxError::LineTooLong, 2));
    let joined = format!(
        "FROM a\nRUN x \\\n{}y\nRUN z\n",
        "xxxxxxx \\\n".repeat(MAX_LINE_BYTES / 8)
    );
    assert!(matches!(error(&joined).0, SyntaxError::LineTooLong));
    let large = vec![b'#'; MAX_FILE_BYTES + 1];
    let errors = bad(&large);
    let size = MAX_FILE_BYTES + 1;
    assert_eq!(errors.errors()[0].error, SyntaxError::FileTooLarge { size });
    assert_eq!(
        super::good(&format!("FROM a\n{}", "RUN x\n".repeat(500))).stages[0]
            .instructions
            .len(),
        500
    );
}

#[test]
fn directives_that_are_wrong() {
    for (text, expected, line) in [
        (
            "# escape=\\\n# escape=`\n",
            SyntaxError::DuplicateDirective("escape".into()),
            2,
        ),
        ("# escape=x\n", SyntaxError::EscapeDirective("x".into()), 1),
        (
            "# syntax=example.com/x:1\n",
            SyntaxError::Frontend("example.com/x:1".into()),
            1,
        ),
        (
            "#syntax = docker/dockerfile:2\n",
            SyntaxError::Frontend("docker/dockerfile:2".into()),
            1,
        ),
        (
            "# syntax=docker/dockerfile:10\n",
            SyntaxError::Frontend("docker/dockerfile:10".into()),
            1,
        ),
        (
            "# check=x=y\n",
            SyntaxError::CheckDirective("x=y".into()),
            1,
        ),
    ] {
        assert_eq!(
            error(&format!("{text}FROM a\n")),
            (expected, line),
            "{text}"
        );
    }
}

#[test]
fn many_stages_and_arguments_are_read() {
    // With anything quadratic in it this takes minutes.
    const COUNT: usize = 60_000;
    let lines = |line: fn(usize) -> String| (0..COUNT).map(line).collect::<String>();
    let stages = lines(|number| format!("FROM a AS s{number}\n"));
    assert_eq!(super::good(&stages).stages.len(), COUNT);
    let args = lines(|number| format!("ARG a{number}=$b\n"));
    let file = super::good(&format!("FROM a\n{args}"));
    assert_eq!(file.stages[0].instructions.len(), COUNT);
}
