//! Every instruction in scope, in each of its forms.

use super::{
    super::{
        CommandLine, InstructionKind, ListSyntax, NotYet, PairSyntax, Pairs, SyntaxError, Template,
    },
    error, good, one, plain_run,
};

fn shell(text: &str) -> CommandLine {
    CommandLine::Shell(text.into())
}

fn exec(items: &[&str]) -> CommandLine {
    CommandLine::Exec(items.iter().map(|item| (*item).to_owned()).collect())
}

#[test]
fn commands_in_shell_and_exec_form() {
    for (text, expected) in [
        ("echo hi", shell("echo hi")),
        ("  echo  'a  b' \t", shell("echo  'a  b'")),
        (r#"["a", "b c"]"#, exec(&["a", "b c"])),
        (r#"  [ "a" ,"\"" ] "#, exec(&["a", "\""])),
        // Not JSON, so the shell's: single quotes, a comma at the end, words behind.
        ("['a']", shell("['a']")),
        (r#"["a",]"#, shell(r#"["a",]"#)),
        (r#"["a"] b"#, shell(r#"["a"] b"#)),
        ("[ -f /x ] && y", shell("[ -f /x ] && y")),
        ("$HOME ${x#}} \"", shell("$HOME ${x#}} \"")),
        ("-- --flag", shell("--flag")),
    ] {
        assert_eq!(one(&format!("RUN {text}")), plain_run(expected.clone()));
        assert_eq!(
            one(&format!("cmd {text}")),
            InstructionKind::Cmd(expected.clone())
        );
        assert_eq!(
            one(&format!("EntryPoint\t{text}")),
            InstructionKind::Entrypoint(expected)
        );
    }
    assert_eq!(one("CMD []"), InstructionKind::Cmd(exec(&[])));
    assert_eq!(one("ENTRYPOINT []"), InstructionKind::Entrypoint(exec(&[])));
}

#[test]
fn from_names_platforms_and_stages() {
    for (text, image, platform, name) in [
        ("FROM scratch", "scratch", None, None),
        (
            "from a:b@sha256:c As Build-1.x_y",
            "a:b@sha256:c",
            None,
            Some("build-1.x_y"),
        ),
        (
            "FROM --platform=$BUILDPLATFORM a",
            "a",
            Some("$BUILDPLATFORM"),
            None,
        ),
        (
            "FROM --platform=\"linux/amd64\" ${x:-y}\tas z",
            "${x:-y}",
            Some("linux/amd64"),
            Some("z"),
        ),
    ] {
        let file = good(text);
        let from = &file.stages[0].from.kind;
        assert_eq!(from.image.raw(), image);
        assert_eq!(from.platform.as_ref().map(Template::raw), platform);
        assert_eq!(from.name.as_deref(), name);
    }
}

#[test]
fn stages_are_found_by_name_in_either_case_the_last_one_wins() {
    let file = good("FROM a AS One\nFROM b AS two\nFROM c AS ONE\nFROM d\n");
    assert_eq!(file.stage_named("oNe"), Some(2));
    assert_eq!(file.stage_named("two"), Some(1));
    assert_eq!(file.stage_named("0"), None);
    assert_eq!(file.findings[0].code, "duplicate-stage-name");
    assert_eq!(file.findings[0].line, Some(3));
    assert_eq!(
        good("FROM a AS scratch").findings[0].code,
        "reserved-stage-name"
    );
}

#[test]
fn args_above_from_are_global() {
    let file = good("ARG a=1 b\nARG c=\"x y\"\nFROM $a\nARG d e=\n");
    let names = |args: &[super::super::ArgDefinition]| {
        let shown = args.iter().map(|arg| {
            let default = arg.default.as_ref().map(|d| d.raw().to_owned());
            (arg.name.raw().to_owned(), default)
        });
        shown.collect::<Vec<_>>()
    };
    let some = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let none = |name: &str| (name.to_owned(), None);
    assert_eq!(
        names(&file.global_args[0].kind),
        [some("a", "1"), none("b")]
    );
    assert_eq!(names(&file.global_args[1].kind), [some("c", "\"x y\"")]);
    let InstructionKind::Arg(args) = &file.stages[0].instructions[0].kind else {
        panic!("{file:?}");
    };
    assert_eq!(names(args), [none("d"), some("e", "")]);
}

fn raw(pairs: &Pairs) -> Vec<(&str, &str)> {
    let pairs = pairs.pairs.iter();
    pairs
        .map(|pair| (pair.name.raw(), pair.value.raw()))
        .collect()
}

#[test]
fn pairs_keep_their_order_and_their_quotes() {
    for (text, syntax, expected) in [
        (
            "b=1 a=2",
            PairSyntax::Assignments,
            vec![("b", "1"), ("a", "2")],
        ),
        (
            "a=\"x y\" b='z'",
            PairSyntax::Assignments,
            vec![("a", "\"x y\""), ("b", "'z'")],
        ),
        (r"a=x\ y", PairSyntax::Assignments, vec![("a", r"x\ y")]),
        (
            "a= b==",
            PairSyntax::Assignments,
            vec![("a", ""), ("b", "=")],
        ),
        ("a  b  c", PairSyntax::Legacy, vec![("a", "b  c")]),
        ("a b=c", PairSyntax::Legacy, vec![("a", "b=c")]),
        ("\"a b\"=c", PairSyntax::Assignments, vec![("\"a b\"", "c")]),
    ] {
        let InstructionKind::Env(pairs) = one(&format!("ENV {text}")) else {
            panic!("{text}");
        };
        assert_eq!((pairs.syntax, raw(&pairs)), (syntax, expected), "{text}");
        assert_eq!(one(&format!("LABEL {text}")), InstructionKind::Label(pairs));
    }
    let findings = good("FROM a\nENV a b\nLABEL c=d\n").findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "legacy-key-value-format");
}

#[test]
fn copy_takes_words_or_json() {
    let copy = |text: &str| match one(&format!("COPY {text}")) {
        InstructionKind::Copy(copy) => copy,
        other => panic!("{other:?}"),
    };
    let words = |text: &str| {
        let copy = copy(text);
        let sources: Vec<String> = copy.sources.iter().map(|s| s.raw().to_owned()).collect();
        (
            copy.syntax,
            sources.join("|"),
            copy.destination.raw().to_owned(),
        )
    };
    for (text, syntax, sources, destination) in [
        ("a b", ListSyntax::Words, "a", "b"),
        ("a* b[[]c  d/", ListSyntax::Words, "a*|b[[]c", "d/"),
        (r#"["a b", "c"]"#, ListSyntax::Json, "a b", "c"),
        // No JSON: words that begin with a bracket.
        ("[ab] c", ListSyntax::Words, "[ab]", "c"),
    ] {
        let expected = (syntax, sources.to_owned(), destination.to_owned());
        assert_eq!(words(text), expected, "{text}");
    }
    let full = copy("--from=0 --chown=a:$b --chmod=0755 x y");
    assert_eq!(full.from.as_deref(), Some("0"));
    assert_eq!(full.chown.as_ref().map(Template::raw), Some("a:$b"));
    assert_eq!(full.chmod.as_ref().map(Template::raw), Some("0755"));
    assert_eq!(copy("--from=Build x y").from.as_deref(), Some("Build"));
    assert_eq!(copy("-- --x y").sources[0].raw(), "--x");
}

#[test]
fn user_and_workdir_take_the_whole_line() {
    let InstructionKind::User(user) = one("USER  a:b ") else {
        panic!();
    };
    assert_eq!(user.raw(), "a:b");
    let InstructionKind::Workdir(dir) = one("WORKDIR /a b/$c") else {
        panic!();
    };
    assert_eq!(dir.raw(), "/a b/$c");
    let InstructionKind::Expose(ports) = one("EXPOSE 80 $p 1-2/udp") else {
        panic!();
    };
    assert_eq!(ports.len(), 3);
}

#[test]
fn what_is_known_but_not_built_is_told_with_its_line() {
    for (text, what) in [
        ("ADD a b", "ADD"),
        ("add --checksum=x a b", "ADD"),
        ("SHELL [\"a\"]", "SHELL"),
        ("STOPSIGNAL 9", "STOPSIGNAL"),
        ("VOLUME /a", "VOLUME"),
        ("MAINTAINER a", "MAINTAINER"),
        ("HEALTHCHECK NONE", "HEALTHCHECK"),
        ("ONBUILD RUN a", "ONBUILD"),
        ("COPY --link a b", "COPY --link"),
        ("COPY --parents a b", "COPY --parents"),
        ("COPY --exclude=x a b", "COPY --exclude"),
        ("COPY --chmod=u+x a b", "COPY --chmod=u+x, a symbolic mode,"),
        ("RUN <<EOF\nFROM nothing\nEOF", "the heredoc <<EOF"),
        ("COPY <<-\"a b\" /c\nx\n\t\ta b", "the heredoc <<a b"),
        ("RUN cat \\\n <<EOF\nEOF", "the heredoc <<EOF"),
    ] {
        let (found, line) = error(&format!("FROM scratch\n\n{text}\nRUN next"));
        let expected_line = if text.starts_with("RUN cat") { 4 } else { 3 };
        let not_yet = NotYet {
            what: what.to_owned(),
            line: expected_line,
        };
        assert_eq!(
            (found, line),
            (SyntaxError::NotYet(not_yet), expected_line),
            "{text}"
        );
    }
    let (found, line) = error("# check=error=true\nFROM scratch");
    assert!(matches!(found, SyntaxError::NotYet(_)));
    assert_eq!(line, 1);
}
