//! What holds for every text.

use proptest::prelude::*;

use super::super::{Directives, Dockerfile, Escape, InstructionKind, Template, parse};

/// A Dockerfile without places and findings: what printing must keep.
fn meaning(file: &Dockerfile) -> impl PartialEq + std::fmt::Debug + use<> {
    let globals: Vec<_> = file.global_args.iter().map(|i| i.kind.clone()).collect();
    let stages: Vec<_> = file
        .stages
        .iter()
        .map(|stage| {
            let kinds = stage.instructions.iter().map(|i| i.kind.clone());
            (
                stage.from.kind.clone(),
                kinds.collect::<Vec<InstructionKind>>(),
            )
        })
        .collect();
    let directives: Directives = file.directives.clone();
    (directives, globals, stages)
}

/// Parses, and if that works prints and parses again.
fn round_trip(text: &[u8]) -> Result<(), TestCaseError> {
    let Ok(file) = parse("Dockerfile", text) else {
        return Ok(());
    };
    let printed = file.to_string();
    match parse("Dockerfile", printed.as_bytes()) {
        Ok(again) => prop_assert_eq!(meaning(&again), meaning(&file), "{}", printed),
        Err(errors) => prop_assert!(false, "{printed:?}\n{errors}"),
    }
    Ok(())
}

/// An instruction of pieces that mean something, so that many of them are taken.
fn instruction() -> impl Strategy<Value = String> {
    let keyword = prop::sample::select(vec![
        "FROM",
        "RUN",
        "COPY",
        "ENV",
        "ARG",
        "LABEL",
        "CMD",
        "ENTRYPOINT",
        "EXPOSE",
        "USER",
        "WORKDIR",
        "ADD",
        "HEALTHCHECK",
        "HEALTHCHECK CMD",
        "MAINTAINER",
        "ONBUILD RUN",
        "ONBUILD COPY",
        "SHELL",
        "STOPSIGNAL",
        "VOLUME",
    ]);
    let flags = prop::sample::select(vec![
        "",
        "",
        "",
        "--from=a ",
        "--chown='$x y' ",
        "--chmod=7$x ",
        "--platform=\"a\\\"\" ",
        "--link --exclude='a b' --exclude=$x ",
        "--parents=true --link=false ",
        "--unpack --keep-git-dir=false --checksum=$x ",
        "--interval=1m --retries=2 ",
        "-- ",
        "--mount=target=/$x,from=a ",
        "--mount='\"id=a,b\",type=secret' --network=none ",
    ]);
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "b=c", "80", "é", "$x", "${x:-y}", "${x##*/}", "'a b'", "\"$x \\\"\"", "\\ ", "k=v ",
            "[\"a\", \"b\"]", " AS s",
        ]),
        4 => prop::sample::select(vec![" ", " ", "  ", "\t", "\u{b}", "\u{a0}", "\\\n", "\\ \n# c\n"]),
        1 => prop::sample::select(vec![
            "=", "\\", "`", "\"", "'", "$", "${", "}", "#", "--", "[", "]", "<<", "<", "\r", "\n\n",
            "<<A", "<<-'B'", "<<\"C\"",
        ]),
    ];
    let pieces = prop::collection::vec(piece, 1..8);
    (keyword, flags, pieces)
        .prop_map(|(keyword, flags, pieces)| format!("{keyword} {flags}{}", pieces.concat()))
}

const VALID: &str = r#"# syntax=docker/dockerfile:1
ARG BASE=a:${V:-1} NONE
FROM --platform="$BUILDPLATFORM" ${BASE} AS build
ENV A=1 B="x $A" C='$A' D=e\ f G=${A##*/}
ENV LEGACY value  with 'blanks'
WORKDIR "/a b"
COPY --from=0 --chown="u:g" --chmod=755 ["a b", "c\\d", "/e/"]
COPY [ab] x* y/
RUN make \
    # comment
    && [ -f x ] || "y"
RUN ["a", "\"", "$b"]
LABEL "k 1"="v" k2=v2
EXPOSE 80 $P 1-2/udp
FROM build
USER u:g
ADD --unpack=false --checksum=$SUM --link --chmod=u=rwX,go=rX a.tar "b" /dst/
COPY --parents --exclude=*.o --exclude='a b' ./src/./x /y/
COPY <<-one <<'two' /etc/
	a $B "c"
	one
$B
two
RUN <<EOF
#!/bin/sh
echo hi
EOF
RUN cat <<A >/a && cat <<-"B" >/b
first
A
	second
	B
HEALTHCHECK --interval=1m30s --timeout=.5s --start-period=1h --start-interval=2s --retries=4 CMD ["t", "u"]
HEALTHCHECK NONE
MAINTAINER A. Person <a@example.org>
ONBUILD COPY <<EOF /x
text
EOF
ONBUILD RUN make \
    all
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
STOPSIGNAL SIGRTMIN+3
VOLUME /a $B
VOLUME ["/c d", "/e"]
ENTRYPOINT []
CMD -- --x
"#;

#[test]
fn the_model_of_the_mutations_is_a_dockerfile() {
    let file = super::good(VALID);
    assert_eq!(file.stages.len(), 2);
    round_trip(VALID.as_bytes()).unwrap();
    round_trip(
        VALID
            .replace("# syntax=docker/dockerfile:1", "# escape=`")
            .as_bytes(),
    )
    .unwrap();
}

#[test]
fn an_escape_at_the_end_is_printed_without_continuing() {
    let file = super::good("FROM a\nRUN x \\\u{c}\nCMD y\n");
    assert_eq!(file.stages[0].instructions.len(), 2);
    round_trip(b"FROM a\nRUN x \\\x0c\nCMD y\n").unwrap();
    round_trip(b"FROM a\nLABEL \\  k=v\n").unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        round_trip(&bytes)?;
    }

    #[test]
    fn pieces_of_the_language(instruction in instruction(), backtick in any::<bool>()) {
        let directive = if backtick { "# escape=`\n" } else { "" };
        // Ends for all heredocs that the pieces can begin, in some order.
        let ends = "text $x\n\tA\nA\nB\n\t\tB\nC\nA\n";
        round_trip(format!("{directive}FROM a\n{instruction}\nCMD b").as_bytes())?;
        round_trip(format!("{directive}FROM a\n{instruction}\n{ends}").as_bytes())?;
    }

    #[test]
    fn mutations(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, any::<u8>()), 1..4)) {
        let mut text = VALID.as_bytes().to_vec();
        for (at, what, byte) in edits {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match what {
                0 => drop(text.remove(at)),
                1 => text.insert(at, byte),
                2 => text[at] = byte,
                _ => text.truncate(at),
            }
        }
        round_trip(&text)?;
    }

    #[test]
    fn places_are_in_the_file(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = [b"FROM a\n".as_slice(), &bytes].concat();
        if let Err(errors) = parse("Dockerfile", &text) {
            let lines = text.split(|b| *b == b'\n').count();
            for diagnostic in errors.diagnostics() {
                prop_assert!((1..=lines).contains(&(diagnostic.line as usize)));
                prop_assert!(diagnostic.column >= 1);
                prop_assert!(!diagnostic.to_string().chars().any(|c| c.is_control() && c != '\n'));
            }
        }
    }

    #[test]
    fn words_without_special_characters_are_themselves(word in "[a-zA-Z0-9 /.:@é]{0,20}") {
        let template = Template::parse(&word, Escape::Backslash).unwrap();
        prop_assert_eq!(template.literal(), Some(word));
    }
}
