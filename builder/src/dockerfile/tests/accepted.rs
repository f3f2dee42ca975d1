//! Every instruction in scope, in each of its forms.

use super::{
    super::{
        CommandLine, Expansion, HealthTest, Heredoc, InstructionKind, ListSyntax, PairSyntax,
        Pairs, Tabs, Template,
    },
    good, one, plain_run,
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

fn heredoc(name: &str, tabs: Tabs, expansion: Expansion, content: &str) -> Heredoc {
    Heredoc {
        name: name.into(),
        tabs,
        expansion,
        content: content.into(),
    }
}

#[test]
fn heredocs_of_run_keep_their_texts() {
    use Expansion::{Expanded, Verbatim};
    use Tabs::{Kept, Stripped};
    for (text, command, heredocs) in [
        (
            "RUN <<EOF\nFROM nothing\n\n# no comment \\\nEOF",
            "<<EOF",
            vec![heredoc(
                "EOF",
                Kept,
                Expanded,
                "FROM nothing\n\n# no comment \\\n",
            )],
        ),
        (
            "RUN cat \\\n <<-'A' <<B\n\tx\n\tA\nB\n",
            "cat  <<-'A' <<B",
            vec![
                heredoc("A", Stripped, Verbatim, "\tx\n"),
                heredoc("B", Kept, Expanded, ""),
            ],
        ),
        (
            "RUN <<A\r\nx\r\nA\r\n",
            "<<A",
            vec![heredoc("A", Kept, Expanded, "x\r\n")],
        ),
    ] {
        assert_eq!(
            one(text),
            plain_run(CommandLine::Heredocs(command.into(), heredocs)),
            "{text}"
        );
    }
    for text in [
        "RUN [\"cat\", \"<<A\"]",
        "RUN echo $((1<<2))",
        "CMD cat <<A",
    ] {
        let command = match one(text) {
            InstructionKind::Run(run) => run.command,
            InstructionKind::Cmd(command) => command,
            other => panic!("{other:?}"),
        };
        assert!(!matches!(command, CommandLine::Heredocs(..)), "{text}");
    }
}

#[test]
fn copies_have_flags_heredocs_and_sources() {
    let text = "COPY --link --parents --exclude=a --exclude=$B --chmod=u+x x <<one <<-\"two\" /d/\n\
                1 $A\none\n\t2 $A\n\ttwo";
    let InstructionKind::Copy(copy) = one(text) else {
        panic!("{text}");
    };
    assert_eq!(copy.placement, repro_core::build::Placement::Linked);
    assert_eq!(copy.layout, repro_core::build::CopyLayout::Parents);
    let raw = |words: &[Template]| {
        let words = words.iter().map(|word| word.raw().to_owned());
        words.collect::<Vec<_>>()
    };
    assert_eq!(raw(&copy.exclude), ["a", "$B"]);
    assert_eq!(raw(&copy.sources), ["x"]);
    let files: Vec<(&str, String)> = copy
        .files
        .iter()
        .map(|file| {
            (
                file.file_name(),
                file.content(&super::super::template::NoVariables).unwrap(),
            )
        })
        .collect();
    assert_eq!(files, [("one", "1 \n".into()), ("two", "2 $A\n".into())]);

    let text = "ADD --unpack=FALSE --keep-git-dir --checksum=sha256:00 --link=false a /";
    let InstructionKind::Add(add) = one(text) else {
        panic!("{text}");
    };
    assert_eq!((add.unpack, add.keep_git_dir), (Some(false), Some(true)));
    assert_eq!(add.checksum.unwrap().raw(), "sha256:00");
    assert_eq!(add.copy.placement, repro_core::build::Placement::Merged);
    let InstructionKind::Copy(copy) = one("COPY [\"<<A\", \"/x\"]") else {
        panic!();
    };
    assert!(copy.files.is_empty());
}

#[test]
fn health_checks_have_a_command_and_times() {
    let InstructionKind::Healthcheck(test) =
        one("healthcheck --interval=1m --retries=0 cmd [\"a\", \"b\"]")
    else {
        panic!();
    };
    let config = test.config();
    assert_eq!(config.test, ["CMD", "a", "b"]);
    assert_eq!(
        (config.interval, config.retries),
        (Some(60_000_000_000), None)
    );
    let InstructionKind::Healthcheck(test) = one("HEALTHCHECK CMD  curl $x || exit 1") else {
        panic!();
    };
    assert_eq!(test.config().test, ["CMD-SHELL", "curl $x || exit 1"]);
    for text in [
        "HEALTHCHECK NONE",
        "HEALTHCHECK --timeout=1s none",
        "HEALTHCHECK --wait=1s NONE",
    ] {
        assert_eq!(one(text), InstructionKind::Healthcheck(HealthTest::None));
    }
}

#[test]
fn the_other_instructions_have_their_arguments() {
    assert_eq!(
        one("MAINTAINER  A \"B\" <c@d> "),
        InstructionKind::Maintainer("A \"B\" <c@d>".into())
    );
    assert_eq!(
        one("SHELL [\"/bin/sh\", \"-c\"]"),
        InstructionKind::Shell(vec!["/bin/sh".into(), "-c".into()])
    );
    for (text, trigger) in [
        ("ONBUILD RUN make \\\n  all", "RUN make   all"),
        ("ONBUILD\tcopy --from=x a b", "copy --from=x a b"),
        ("ONBUILD ADD <<A /x\nt\nA", "ADD <<A /x\nt\nA"),
        ("ONBUILD CMD cat <<A", "CMD cat <<A"),
    ] {
        assert_eq!(
            one(text),
            InstructionKind::Onbuild(trigger.into()),
            "{text}"
        );
    }
    let InstructionKind::Stopsignal(signal) = one("STOPSIGNAL $S") else {
        panic!();
    };
    assert_eq!(signal.raw(), "$S");
    for (text, count) in [("VOLUME /a $b", 2), ("VOLUME [\"/a b\"]", 1)] {
        let InstructionKind::Volume(volumes) = one(text) else {
            panic!("{text}");
        };
        assert_eq!(volumes.paths.len(), count, "{text}");
    }
}
