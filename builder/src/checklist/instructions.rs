//! Instructions and their flags.

use super::{Cases, Nothing, Row, hold};

pub(super) const ROWS: &[Row] = &[
    Row {
        name: "ADD",
        taken: &[
            ("ADD a b", "ADD a b # repro"),
            ("ADD [\"a b\", \"/c d/\"]", "ADD a b /c d/ # repro"),
            ("ADD a.tar /x", "archives: Unpack"),
        ],
        refused: Cases(&[
            ("ADD", "ADD needs at least one source and a destination"),
            ("ADD a", "ADD needs at least one source and a destination"),
            ("ADD a b c", "with more than one source"),
            ("ADD --x a b", "ADD has no flag --x"),
        ]),
    },
    Row {
        name: "ADD --chown",
        taken: &[("ADD --chown=$v:1 a b", "owner: Named(\"val:1\")")],
        refused: Cases(&[("ADD --chown a b", "--chown needs a value")]),
    },
    Row {
        name: "ADD --chmod",
        taken: &[("ADD --chmod=0644 a b", "mode: Some(Bits(420))")],
        refused: Cases(&[("ADD --chmod=rw a b", "mode")]),
    },
    Row {
        name: "ADD --checksum",
        taken: &[("ADD --checksum= a b", "ADD a b # repro")],
        refused: Cases(&[
            ("ADD --checksum a b", "--checksum needs a value"),
            (
                "ADD --checksum=sha256:00 a b",
                "--checksum is for one source",
            ),
        ]),
    },
    Row {
        name: "ADD --keep-git-dir",
        taken: &[("ADD --keep-git-dir=false a b", "ADD a b # repro")],
        refused: Cases(&[(
            "ADD --keep-git-dir=x a b",
            "--keep-git-dir takes true or false",
        )]),
    },
    Row {
        name: "ADD --unpack",
        taken: &[
            ("ADD --unpack a b", "archives: Unpack"),
            ("ADD --unpack=false a b", "archives: Copy"),
        ],
        refused: Cases(&[("ADD --unpack=1 a b", "--unpack takes true or false")]),
    },
    Row {
        name: "ADD --exclude",
        taken: &[(
            "ADD --exclude=*.o --exclude=$v a b",
            "exclude: [\"*.o\", \"val\"]",
        )],
        refused: Cases(&[("ADD --exclude a b", "--exclude needs a value")]),
    },
    Row {
        name: "ADD --link",
        taken: &[("ADD --link a b", "placement: Linked")],
        refused: Cases(&[("ADD --link= a b", "--link needs a value")]),
    },
    Row {
        name: "ADD of an address",
        taken: &[("ADD example.org/a b", "ADD example.org/a b # repro")],
        refused: Cases(&[
            ("ADD https://example.org/a.tar /", "is not locked"),
            ("ADD git@example.org:a/b.git /", "is not locked"),
            ("ADD https://example.org/a.git#v1:sub /", "is not locked"),
            ("ADD https://example.org/a.git?ref=v1 /", "is not locked"),
            (
                "ADD --checksum=sha256:00 https://example.org/a /",
                "is not locked",
            ),
        ]),
    },
    Row {
        name: "ADD of a heredoc",
        taken: &[("ADD <<a /x\n$v\na", "content: \"val\\n\"")],
        refused: Cases(&[("ADD <<a /x\n", "the heredoc a does not end")]),
    },
    Row {
        name: "ARG",
        taken: &[
            ("ARG a=1 b c=\"$a 2\"", "ARG a=1 b c=1 2"),
            ("ARG a=$v", "ARG a=val"),
        ],
        refused: Cases(&[
            ("ARG", "ARG needs a name"),
            ("ARG =x", "a name of ARG is empty"),
            ("ARG a='", "the quote ' is not closed"),
        ]),
    },
    Row {
        name: "CMD",
        taken: &[
            ("CMD a $v", "\"Cmd\":[\"/bin/sh\",\"-c\",\"a $v\"]"),
            ("CMD [\"a\", \"$v\"]", "\"Cmd\":[\"a\",\"$v\"]"),
            ("CMD a\nCMD b", "\"Cmd\":[\"/bin/sh\",\"-c\",\"b\"]"),
            ("CMD ['a']", "\"Cmd\":[\"/bin/sh\",\"-c\",\"['a']\"]"),
            ("CMD []", "CMD []"),
            ("CMD", "\"Cmd\":[\"/bin/sh\",\"-c\",\"\"]"),
        ],
        refused: Cases(&[("CMD [\"a\", 1]", "a JSON array of CMD holds strings only")]),
    },
    Row {
        name: "COPY",
        taken: &[
            ("COPY a b", "COPY a b # repro"),
            ("COPY a b c/", "destination: \"/c/\""),
            ("COPY a b .", "destination: \"/\""),
            ("COPY [\"a b\", \"c\"]", "patterns: [\"a b\"]"),
            ("COPY a[[]b ../c* /d/", "patterns: [\"a[[]b\", \"../c*\"]"),
            ("WORKDIR /w\nCOPY $v $v", "destination: \"/w/val\""),
        ],
        refused: Cases(&[
            ("COPY", "COPY needs at least one source and a destination"),
            ("COPY a", "COPY needs at least one source and a destination"),
            ("COPY [\"a\", 1]", "a JSON array of COPY holds strings only"),
            ("COPY a b c", "with more than one source"),
            ("COPY $nope b", "$nope becomes empty"),
            ("COPY https://example.org/a /", "is an address"),
            ("COPY --unpack a b", "COPY has no flag --unpack"),
        ]),
    },
    Row {
        name: "COPY --from",
        taken: &[
            (
                "FROM base AS x\nRUN t\nFROM base\nCOPY --from=X a b",
                "from: Stage(0)",
            ),
            ("FROM base\nFROM base\nCOPY --from=0 a b", "from: Stage(0)"),
            ("COPY --from=files a b", "from: Tree("),
            ("COPY --from=dir a b", "from: Named(\"dir\")"),
            ("COPY --from=scratch a b", "from: Tree([])"),
            ("COPY --from= a b", "from: Context"),
        ],
        refused: Cases(&[
            ("COPY --from a b", "--from needs a value"),
            ("COPY --from=0 a b", "the stage 0 is not finished here"),
            (
                "FROM base AS x\nCOPY --from=x a b",
                "the stage x is not finished here",
            ),
            ("COPY --from=$v a b", "--from takes no variables"),
            ("COPY --from=a --from=b a b", "--from is given twice"),
        ]),
    },
    Row {
        name: "COPY --chown",
        taken: &[
            ("COPY --chown=1:2 a b", "owner: Named(\"1:2\")"),
            ("COPY --chown=$v a b", "owner: Named(\"val\")"),
            ("COPY --chown=$nope a b", "owner: Keep"),
        ],
        refused: Cases(&[("COPY --chown=${ a b", "a variable lacks its closing }")]),
    },
    Row {
        name: "COPY --chmod",
        taken: &[
            ("COPY --chmod=4755 a b", "mode: Some(Bits(2541))"),
            ("COPY --chmod=u=rwX,go-w a b", "mode: Some("),
            ("ARG m=7\nCOPY --chmod=${m}00 a b", "mode: Some(Bits(448))"),
        ],
        refused: Cases(&[
            ("COPY --chmod=9 a b", "mode"),
            ("COPY --chmod=$v a b", "mode"),
        ]),
    },
    Row {
        name: "COPY --link",
        taken: &[
            ("COPY --link a b", "placement: Linked"),
            ("COPY --link=False a b", "placement: Merged"),
        ],
        refused: Cases(&[("COPY --link=yes a b", "--link takes true or false")]),
    },
    Row {
        name: "COPY --parents",
        taken: &[
            ("COPY --parents x/./y/**/z b/", "layout: Parents"),
            ("COPY --parents=false x b", "layout: Contents"),
        ],
        refused: Cases(&[("COPY --parents=1 x b", "--parents takes true or false")]),
    },
    Row {
        name: "COPY --exclude",
        taken: &[(
            "COPY --exclude=a/** --exclude='$v b' a b",
            "exclude: [\"a/**\", \"val b\"]",
        )],
        refused: Cases(&[("COPY --exclude a b", "--exclude needs a value")]),
    },
    Row {
        name: "COPY of heredocs",
        taken: &[
            ("COPY <<a x <<\"b\" /d/\n$v\na\n$v\nb", "content: \"$v\\n\""),
            ("COPY <<-a /d\n\tx\n\ta", "content: \"x\\n\""),
        ],
        refused: Cases(&[
            (
                "COPY x <<a\na",
                "a heredoc cannot be the destination of COPY",
            ),
            ("COPY <<a/b /x\na/b", "the heredoc a/b cannot be a file"),
            ("COPY <<a <<b /d\na\nb", "with more than one source"),
        ]),
    },
    Row {
        name: "ENTRYPOINT",
        taken: &[
            (
                "ENTRYPOINT a $v",
                "\"Entrypoint\":[\"/bin/sh\",\"-c\",\"a $v\"]",
            ),
            ("ENTRYPOINT [\"a\"]", "\"Entrypoint\":[\"a\"]"),
            ("CMD [\"own\"]\nENTRYPOINT [\"a\"]", "\"Cmd\":[\"own\"]"),
            (
                "SHELL [\"x\", \"-y\"]\nENTRYPOINT a",
                "\"Entrypoint\":[\"x\",\"-y\",\"a\"]",
            ),
        ],
        refused: Cases(&[(
            "ENTRYPOINT [null]",
            "a JSON array of ENTRYPOINT holds strings only",
        )]),
    },
    Row {
        name: "ENV",
        taken: &[
            (
                "ENV a=1 b=\"x $v\" c='$v' d=e\\ f",
                "ENV a=1 b=x val c=$v d=e f",
            ),
            ("ENV a  b  c", "ENV a=b  c"),
            ("ENV a=", "\"a=\""),
        ],
        refused: Cases(&[
            ("ENV", "ENV needs NAME=VALUE"),
            ("ENV a", "ENV needs NAME=VALUE"),
            ("ENV =a", "a name of ENV is empty"),
            ("ENV a=b c", "ENV needs NAME=VALUE, found c"),
        ]),
    },
    Row {
        name: "EXPOSE",
        taken: &[
            (
                "EXPOSE 80 53/udp 9/SCTP",
                "{\"53/udp\":{},\"80/tcp\":{},\"9/sctp\":{}}",
            ),
            ("EXPOSE 1-3/udp", "EXPOSE 1/udp 2/udp 3/udp"),
            ("ENV p=\"7 8\"\nEXPOSE $p", "EXPOSE 7/tcp 8/tcp"),
        ],
        refused: Cases(&[
            ("EXPOSE", "EXPOSE needs a port"),
            ("EXPOSE http", "is not a port"),
            ("EXPOSE $v", "is not a port"),
            ("EXPOSE 65536", "is not a port"),
            ("EXPOSE 3-1", "3-1"),
            ("EXPOSE 80/icmp", "icmp"),
        ]),
    },
    Row {
        name: "FROM",
        taken: &[
            ("FROM scratch\nCMD a", "/usr/local/sbin"),
            (
                "FROM base AS One\nRUN a\nFROM oNE\nRUN b",
                "RUN /bin/sh -c a",
            ),
            ("ARG B=base\nFROM ${B}\nCMD a", "/base/bin"),
            ("from base as x\nCMD a", "/base/bin"),
        ],
        refused: Cases(&[
            ("FROM ", "FROM needs an image, a stage or scratch"),
            (
                "FROM a b",
                "FROM takes an image and, if wanted, AS and a name",
            ),
            (
                "FROM a AS",
                "FROM takes an image and, if wanted, AS and a name",
            ),
            ("FROM a AS 1", "\"1\" cannot be the name of a stage"),
            ("FROM a AS b/c", "cannot be the name of a stage"),
            ("FROM $nope", "$nope becomes empty"),
            ("FROM files", "files is an input"),
            ("FROM dir", "dir is a directory"),
            ("FROM --x base", "FROM has no flag --x"),
        ]),
    },
    Row {
        name: "FROM --platform",
        taken: &[
            (
                "FROM --platform=$BUILDPLATFORM base\nRUN a",
                "RUN /bin/sh -c a",
            ),
            ("FROM --platform= base\nRUN a", "RUN /bin/sh -c a"),
            ("FROM --platform=linux base\nRUN a", "RUN /bin/sh -c a"),
        ],
        refused: Cases(&[
            ("FROM --platform base", "--platform needs a value"),
            ("FROM --platform=a/b/c/d base", "a platform is written"),
            ("FROM --platform=$nope base", "a platform is written"),
        ]),
    },
    Row {
        name: "FROM, reserved names of stages",
        taken: &[("FROM base AS context\nCMD [\"a\"]", "CMD")],
        refused: Nothing("a finding says it: ReservedStageName"),
    },
    Row {
        name: "HEALTHCHECK",
        taken: &[
            ("HEALTHCHECK CMD a $v", "\"Test\":[\"CMD-SHELL\",\"a $v\"]"),
            (
                "HEALTHCHECK cmd [\"a\", \"b\"]",
                "\"Test\":[\"CMD\",\"a\",\"b\"]",
            ),
            ("HEALTHCHECK NONE", "\"Test\":[\"NONE\"]"),
            ("HEALTHCHECK --no-such=flag none", "\"Test\":[\"NONE\"]"),
        ],
        refused: Cases(&[
            (
                "HEALTHCHECK",
                "HEALTHCHECK needs CMD and a command, or NONE",
            ),
            ("HEALTHCHECK CMD", "HEALTHCHECK needs a command"),
            ("HEALTHCHECK CMD []", "HEALTHCHECK needs a command"),
            ("HEALTHCHECK NONE a", "HEALTHCHECK NONE stands alone"),
            (
                "HEALTHCHECK curl",
                "HEALTHCHECK takes CMD or NONE, found curl",
            ),
        ]),
    },
    Row {
        name: "HEALTHCHECK --interval",
        taken: &[
            (
                "HEALTHCHECK --interval=1m30s CMD a",
                "\"Interval\":90000000000",
            ),
            (
                "HEALTHCHECK --interval= CMD a",
                "\"Test\":[\"CMD-SHELL\",\"a\"]",
            ),
        ],
        refused: Cases(&[
            ("HEALTHCHECK --interval CMD a", "--interval needs a value"),
            ("HEALTHCHECK --interval=5 CMD a", "is not a duration"),
            (
                "HEALTHCHECK --interval=1us CMD a",
                "is not a duration from 1ms",
            ),
        ]),
    },
    Row {
        name: "HEALTHCHECK --timeout",
        taken: &[("HEALTHCHECK --timeout=.5s CMD a", "\"Timeout\":500000000")],
        refused: Cases(&[("HEALTHCHECK --timeout=-1s CMD a", "is not a duration")]),
    },
    Row {
        name: "HEALTHCHECK --start-period",
        taken: &[(
            "HEALTHCHECK --start-period=1h CMD a",
            "\"StartPeriod\":3600000000000",
        )],
        refused: Cases(&[("HEALTHCHECK --start-period=1d CMD a", "is not a duration")]),
    },
    Row {
        name: "HEALTHCHECK --start-interval",
        taken: &[(
            "HEALTHCHECK --start-interval=2s CMD a",
            "\"StartInterval\":2000000000",
        )],
        refused: Cases(&[("HEALTHCHECK --start-interval=x CMD a", "is not a duration")]),
    },
    Row {
        name: "HEALTHCHECK --retries",
        taken: &[("HEALTHCHECK --retries=4 CMD a", "\"Retries\":4")],
        refused: Cases(&[
            (
                "HEALTHCHECK --retries=-1 CMD a",
                "is not a number of retries",
            ),
            (
                "HEALTHCHECK --retries=1 --retries=2 CMD a",
                "--retries is given twice",
            ),
        ]),
    },
    Row {
        name: "LABEL",
        taken: &[
            (
                "LABEL a=1 \"b c\"=\"$v\" \\\n d='$v'",
                "\"a\":\"1\",\"b c\":\"val\",\"d\":\"$v\"",
            ),
            ("LABEL a b=c", "\"a\":\"b=c\""),
        ],
        refused: Cases(&[
            ("LABEL", "LABEL needs NAME=VALUE"),
            ("LABEL a", "LABEL needs NAME=VALUE"),
            ("LABEL a=b c", "LABEL needs NAME=VALUE, found c"),
        ]),
    },
    Row {
        name: "MAINTAINER",
        taken: &[(
            "MAINTAINER A $v <a@example.org>",
            "\"author\":\"A $v <a@example.org>\"",
        )],
        refused: Cases(&[("MAINTAINER", "MAINTAINER needs a name")]),
    },
    Row {
        name: "ONBUILD",
        taken: &[
            (
                "ONBUILD RUN make \\\n all",
                "\"OnBuild\":[\"RUN make  all\"]",
            ),
            (
                "ONBUILD COPY --from=x a b",
                "\"OnBuild\":[\"COPY --from=x a b\"]",
            ),
            (
                "ONBUILD ADD <<a /x\n$v\na",
                "\"OnBuild\":[\"ADD <<a /x\\n$v\\na\"]",
            ),
            (
                "FROM base AS x\nONBUILD ENV a=$PATH\nFROM x\nCMD a",
                "ENV a=/base/bin",
            ),
        ],
        refused: Cases(&[
            ("ONBUILD", "ONBUILD needs an instruction"),
            ("ONBUILD ONBUILD RUN a", "ONBUILD cannot be a trigger"),
            ("ONBUILD from a", "FROM cannot be a trigger"),
            ("ONBUILD MAINTAINER a", "MAINTAINER cannot be a trigger"),
            ("ONBUILD --x RUN a", "the trigger cannot be read"),
            // Docker finds these only where the trigger is run.
            ("ONBUILD RUNN a", "the trigger cannot be read"),
            ("ONBUILD COPY a", "the trigger cannot be read"),
        ]),
    },
    Row {
        name: "RUN",
        taken: &[
            ("RUN a $v", "RUN /bin/sh -c a $v # repro"),
            ("RUN [\"a\", \"$v\"]", "argv: [\"a\", \"$v\"]"),
            ("RUN [\"a\"", "RUN /bin/sh -c [\"a\" # repro"),
            ("RUN", "argv: [\"/bin/sh\", \"-c\", \"\"]"),
            ("SHELL [\"x\"]\nRUN a", "argv: [\"x\", \"a\"]"),
        ],
        refused: Cases(&[
            ("RUN []", "RUN needs a command"),
            ("RUN [\"a\", {}]", "a JSON array of RUN holds strings only"),
            ("RUN --x a", "RUN has no flag --x"),
        ]),
    },
    Row {
        name: "RUN of heredocs",
        taken: &[
            ("RUN <<a\nx\na", "argv: [\"/bin/sh\", \"-c\", \"x\\n\"]"),
            (
                "RUN cat <<a <<b\nx\na\ny\nb",
                "\"cat <<a <<b\\nx\\na\\ny\\nb\"]",
            ),
            ("RUN 3<<a\nx\na", "argv: [\"/bin/sh\", \"-c\", \"x\\n\"]"),
            (
                "RUN <<a\n#!/bin/x\na",
                "argv: [\"/bin/sh\", \"-c\", \"/dev/pipes/a\"]",
            ),
            ("RUN <<-a\n\tx\n\ta", "\"x\\n\""),
        ],
        refused: Cases(&[("RUN <<a\nx\n a", "the heredoc a does not end")]),
    },
    Row {
        name: "SHELL",
        taken: &[("SHELL [\"x\", \"-c\"]\nCMD a", "\"Shell\":[\"x\",\"-c\"]")],
        refused: Cases(&[
            ("SHELL", "SHELL needs a JSON array of strings"),
            ("SHELL x -c", "SHELL needs a JSON array of strings"),
            ("SHELL []", "SHELL needs a program"),
            ("SHELL [1]", "a JSON array of SHELL holds strings only"),
        ]),
    },
    Row {
        name: "STOPSIGNAL",
        taken: &[
            ("STOPSIGNAL SIGRTMIN+3", "\"StopSignal\":\"SIGRTMIN+3\""),
            ("STOPSIGNAL 9", "\"StopSignal\":\"9\""),
            ("ARG s=term\nSTOPSIGNAL $s", "\"StopSignal\":\"term\""),
        ],
        refused: Cases(&[
            ("STOPSIGNAL", "STOPSIGNAL needs a signal"),
            ("STOPSIGNAL SIGNOPE", "is not a signal"),
            ("STOPSIGNAL $v", "is not a signal"),
        ]),
    },
    Row {
        name: "USER",
        taken: &[
            ("USER u:g", "\"User\":\"u:g\""),
            ("USER 1:2", "\"User\":\"1:2\""),
            ("USER $v", "\"User\":\"val\""),
        ],
        refused: Cases(&[
            ("USER", "USER needs a user"),
            ("USER $nope", "$nope becomes empty"),
        ]),
    },
    Row {
        name: "VOLUME",
        taken: &[
            ("VOLUME /a $v", "{\"/a\":{},\"val\":{}}"),
            ("VOLUME [\"/a b\"]", "\"Volumes\":{\"/a b\":{}}"),
        ],
        refused: Cases(&[
            ("VOLUME", "VOLUME needs a path"),
            ("VOLUME []", "VOLUME needs a path"),
            ("VOLUME [\"\"]", "a path of VOLUME is empty"),
            ("VOLUME [1]", "a JSON array of VOLUME holds strings only"),
            ("VOLUME $nope", "$nope becomes empty"),
        ]),
    },
    Row {
        name: "WORKDIR",
        taken: &[
            ("WORKDIR /a\nWORKDIR b/$v", "\"WorkingDir\":\"/a/b/val\""),
            ("WORKDIR /a b", "\"WorkingDir\":\"/a b\""),
            (
                "USER u\nWORKDIR /a",
                "MakeDir(MakeDirSpec { path: \"/a\", owner: \"u\" })",
            ),
            ("WORKDIR /", "Nothing"),
        ],
        refused: Cases(&[
            ("WORKDIR", "WORKDIR needs a directory"),
            ("WORKDIR $nope", "$nope becomes empty"),
            ("WORKDIR \"a", "the quote \" is not closed"),
        ]),
    },
];

#[test]
fn instructions_and_flags() {
    hold(ROWS);
}
