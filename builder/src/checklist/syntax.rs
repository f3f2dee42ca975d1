//! Directives, lines, heredocs, expansion.

use super::{Cases, Nothing, Row, hold};

const ROWS: &[Row] = &[
    Row {
        name: "directive syntax",
        taken: &[
            ("# syntax=docker/dockerfile:1\nFROM base\nCMD a", "CMD"),
            (
                "#SYNTAX = docker/dockerfile:1.7-labs \nFROM base\nCMD a",
                "CMD",
            ),
            (
                "# syntax=docker/dockerfile:experimental\nFROM base\nCMD a",
                "CMD",
            ),
            (
                "# syntax=docker/dockerfile-upstream:master\nFROM base\nCMD a",
                "CMD",
            ),
            (
                "# syntax=docker/dockerfile:1 --option\nFROM base\nCMD a",
                "CMD",
            ),
            (
                "#!/usr/bin/env x\n# syntax=docker/dockerfile:1\nFROM base\nCMD a",
                "CMD",
            ),
            // Comments, for what is above them or before them.
            ("# x\n# syntax=example.org/x\nFROM base\nCMD a", "CMD"),
            ("\n# syntax=example.org/x\nFROM base\nCMD a", "CMD"),
            (" # syntax=example.org/x\nFROM base\nCMD a", "CMD"),
            ("FROM base\n# syntax=example.org/x\nCMD a", "CMD"),
        ],
        refused: Cases(&[
            ("# syntax=example.org/x:1\nFROM base", "is not a front end"),
            (
                "# syntax=docker/dockerfile:2\nFROM base",
                "is not a front end",
            ),
            (
                "#!/x\n# syntax=example.org/x\nFROM base",
                "is not a front end",
            ),
            ("// syntax=example.org/x\nFROM base", "is not a front end"),
            (
                "#!/x\n//SYNTAX = example.org/x \nbuild:",
                "is not a front end",
            ),
            ("{\"syntax\": \"example.org/x\"}", "is not a front end"),
            (
                "#!/x\n{\"a\": 1,\n\"syntax\": \"example.org/x\"}",
                "is not a front end",
            ),
            (
                "# syntax=docker/dockerfile:1\n# syntax=docker/dockerfile:1\nFROM base",
                "the directive syntax is given twice",
            ),
            (
                "// syntax=docker/dockerfile:1\nFROM base",
                "unknown instruction: //",
            ),
            (
                "{\"syntax\": \"docker/dockerfile:1\"}",
                "unknown instruction",
            ),
        ]),
    },
    Row {
        name: "directive escape",
        taken: &[
            (
                "# escape=`\nFROM base\nRUN a `\n \\b",
                "RUN /bin/sh -c a  \\b",
            ),
            (
                "# escape=\\\nFROM base\nRUN a \\\n b",
                "RUN /bin/sh -c a  b",
            ),
            ("# escape=`\nFROM base\nENV A=x`$y", "ENV A=x$y"),
            ("# Escape = `\nFROM base\nENV A=c:\\d", "ENV A=c:\\d"),
            ("  # escape=`\nFROM base\nENV A=c:\\d", "ENV A=c:\\d"),
            ("# unknown=x\n# escape=`\nFROM base\nENV A=a`b", "ENV A=a`b"),
        ],
        refused: Cases(&[
            (
                "# escape=x\nFROM base",
                "the escape character is \\ or `, not x",
            ),
            (
                "# escape=`\n# escape=`\nFROM base",
                "the directive escape is given twice",
            ),
        ]),
    },
    Row {
        name: "directive check",
        taken: &[
            ("# check=skip=all\nFROM base\nWORKDIR a\n", "WORKDIR /a"),
            (
                "# check=skip=NoSuchRule\nFROM base\nWORKDIR a",
                "workdir-relative-path",
            ),
            (
                "# check=skip=workdirrelativepath\nFROM base\nWORKDIR a",
                "workdir-relative-path",
            ),
            ("# check=error=T;skip=A,B\nFROM base\nCMD a", "CMD"),
            (
                "# check=experimental=all;skip=A;error=0\nFROM base\nCMD a",
                "CMD",
            ),
        ],
        refused: Cases(&[
            ("# check=x=y\nFROM base", "unknown build check option: x=y"),
            (
                "# check=skip\nFROM base",
                "unknown build check option: skip",
            ),
            ("# check=skip=A;\nFROM base", "unknown build check option"),
            (
                "# check=error=yes\nFROM base",
                "unknown build check option: error=yes",
            ),
            (
                "# check=skip=A\n# check=skip=B\nFROM base",
                "the directive check is given twice",
            ),
        ]),
    },
    Row {
        name: "byte order mark",
        taken: &[
            ("\u{feff}FROM base\nCMD a", "CMD"),
            ("\u{feff}# escape=`\nFROM base\nENV A=c:\\d", "ENV A=c:\\d"),
        ],
        refused: Cases(&[("FROM base\n\u{feff}RUN a", "unknown instruction")]),
    },
    Row {
        name: "continuations",
        taken: &[
            ("RUN a \\\n  b", "sh -c a   b"),
            ("RUN a \\ \t\n b", "sh -c a  b"),
            ("RUN a \\\n# comment\n  # another\nb", "sh -c a b"),
            ("RUN a \\\n\n\nb", "sh -c a b"),
            ("RUN a \\", "sh -c a #"),
            ("RUN a \\\\\nRUN b", "sh -c a \\\\"),
            ("  RUN a\r\n", "sh -c a #"),
        ],
        refused: Cases(&[("ENV a=b \\\n\n c", "needs NAME=VALUE, found c")]),
    },
    Row {
        name: "comments",
        taken: &[
            (" # a\n  # b\nRUN c # d", "sh -c c # d"),
            ("\n#\u{1}\n#FROM\nRUN c", "sh -c c"),
        ],
        refused: Cases(&[("EXPOSE 80 # web", "is not a port")]),
    },
    Row {
        name: "names of instructions",
        taken: &[
            ("rUn a", "RUN /bin/sh -c a"),
            ("RUN\ta", "RUN /bin/sh -c a"),
        ],
        refused: Cases(&[
            ("RUNN a", "unknown instruction: RUNN"),
            ("RUN\u{a0}a", "unknown instruction"),
        ]),
    },
    Row {
        name: "files without instructions",
        taken: &[("# a\n\nFROM base\nCMD a", "CMD")],
        refused: Cases(&[
            ("# FROM\nARG a", "the file has no FROM"),
            ("RUN a\nFROM base", "RUN stands before the first FROM"),
        ]),
    },
    Row {
        name: "heredocs, what announces them",
        taken: &[
            ("RUN <<a\nx\na", "\"x\\n\""),
            ("RUN << a\nx\na", "\"x\\n\""),
            ("RUN <<-a\n\t\tx\n\ta", "\"x\\n\""),
            ("RUN <<'a b'\nx\na b", "\"x\\n\""),
            ("RUN 5<<\"a\"\nx\na", "\"x\\n\""),
            ("RUN a<<<b", "sh -c a<<<b"),
            ("RUN echo $((1<<2))", "sh -c echo $((1<<2))"),
            ("RUN echo '<<a'", "sh -c echo '<<a'"),
            ("CMD cat <<a", "cat <<a"),
            ("RUN [\"cat\", \"<<a\"]", "[\"cat\" \"<<a\"]"),
        ],
        refused: Cases(&[
            ("RUN <<a\nx", "the heredoc a does not end"),
            ("RUN <<a\nx\na ", "the heredoc a does not end"),
            ("RUN <<a <<b\na", "the heredoc b does not end"),
        ]),
    },
    Row {
        name: "heredocs, expansion",
        taken: &[
            (
                "COPY <<a /x\n$v \"q\" \\$v\na",
                "content: \"val \\\"q\\\" $v\\n\"",
            ),
            ("COPY <<'a' /x\n$v\na", "content: \"$v\\n\""),
            ("COPY <<\\a /x\n$v\na", "content: \"$v\\n\""),
            ("RUN <<a\n$v\na", "\"$v\\n\""),
        ],
        refused: Cases(&[("COPY <<a /x\n${v\na", "is not a modifier of a variable")]),
    },
    Row {
        name: "$name",
        taken: &[("ENV a=x$v/y", "ENV a=xval/y"), ("ENV a=$nope", "ENV a=")],
        refused: Nothing("a variable that is not set is empty"),
    },
    Row {
        name: "${name}",
        taken: &[("ENV a=x${v}y", "ENV a=xvaly")],
        refused: Cases(&[
            ("ENV a=${v", "a variable lacks its closing }"),
            ("ENV a=${}", "a variable in braces lacks its name"),
            ("ENV a=${v^}", "is not a modifier of a variable"),
        ]),
    },
    Row {
        name: "${name:-word}",
        taken: &[
            ("ENV e= a=1\nENV a=${e:-w}${n:-$v}${v:-w}", "ENV a=wvalval"),
            ("ENV a=${n:-${m:-\"x }\"}}", "ENV a=x }"),
        ],
        refused: Cases(&[("ENV a=${v:-", "a variable lacks its closing }")]),
    },
    Row {
        name: "${name-word}",
        taken: &[("ENV e=\nENV a=<${e-w}${n-w}>", "ENV a=<w>")],
        refused: Cases(&[("ENV a=${v-", "a variable lacks its closing }")]),
    },
    Row {
        name: "${name:+word}",
        taken: &[("ENV e=\nENV a=<${e:+w}${n:+w}${v:+$v}>", "ENV a=<val>")],
        refused: Cases(&[("ENV a=${v:+", "a variable lacks its closing }")]),
    },
    Row {
        name: "${name+word}",
        taken: &[("ENV e=\nENV a=<${e+w}${n+w}>", "ENV a=<w>")],
        refused: Cases(&[("ENV a=${v+", "a variable lacks its closing }")]),
    },
    Row {
        name: "${name:?word}",
        taken: &[("ENV a=${v:?no}", "ENV a=val")],
        refused: Cases(&[
            ("ENV e=\nENV a=${e:?why}", "e: why"),
            ("ENV a=${n:?}", "n: is not allowed to be unset"),
        ]),
    },
    Row {
        name: "${name?word}",
        taken: &[("ENV e=\nENV a=<${e?no}>", "ENV a=<>")],
        refused: Cases(&[("ENV a=${n?no}", "n: no")]),
    },
    Row {
        name: "${name#pattern}",
        taken: &[
            ("ENV p=/a/b/c\nENV a=${p#*/}", "ENV a=a/b/c"),
            ("ENV p=a*b\nENV a=${p#a\\*}", "ENV a=b"),
        ],
        refused: Cases(&[("ENV a=${v#\\x}", "the pattern for v is malformed")]),
    },
    Row {
        name: "${name##pattern}",
        taken: &[("ENV p=/a/b/c\nENV a=${p##*/}", "ENV a=c")],
        refused: Cases(&[("ENV a=${v##", "a variable lacks its closing }")]),
    },
    Row {
        name: "${name%pattern}",
        taken: &[("ENV p=a.b.c\nENV a=${p%.*}", "ENV a=a.b")],
        refused: Cases(&[("ENV a=${v%\\x}", "the pattern for v is malformed")]),
    },
    Row {
        name: "${name%%pattern}",
        taken: &[
            ("ENV p=a.b.c\nENV a=${p%%.?}", "ENV a=a.b"),
            ("ENV a=${v%%*}", "ENV a=\n"),
        ],
        refused: Cases(&[("ENV a=${v%%", "a variable lacks its closing }")]),
    },
    Row {
        name: "${name/pattern/text}",
        taken: &[("ENV p=a.b.c\nENV a=${p/./$v}", "ENV a=avalb.c")],
        refused: Cases(&[
            ("ENV a=${v/x}", "a replacement is written"),
            ("ENV a=${v:/x/y}", "is not a modifier of a variable"),
        ]),
    },
    Row {
        name: "${name//pattern/text}",
        taken: &[("ENV p=a/b/c\nENV a=${p//\\//-}", "ENV a=a-b-c")],
        refused: Cases(&[("ENV a=${v//x}", "a replacement is written")]),
    },
    Row {
        name: "quotes and escapes",
        taken: &[
            (
                "ENV a='$v' b=\"$v\" c=\\$v d=\"\\$v\" e=x\\ y",
                "ENV a=$v b=val c=$v d=$v e=x y",
            ),
            ("ENV a=\"it's\" b='\"'", "ENV a=it's b=\""),
        ],
        refused: Cases(&[
            ("ENV a='x", "the quote ' is not closed"),
            ("ENV a=\"x", "the quote \" is not closed"),
        ]),
    },
    Row {
        name: "one instruction sees what was set before it",
        taken: &[(
            "ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc",
            "ENV abc=bye def=hello\nENV ghi=bye",
        )],
        refused: Nothing("it is about values"),
    },
    Row {
        name: "what is not expanded",
        taken: &[
            ("RUN $v", "sh -c $v"),
            ("CMD [\"$v\"]", "[\"$v\"]"),
            ("SHELL [\"$v\"]", "SHELL [$v]"),
            ("MAINTAINER $v", "MAINTAINER $v"),
            ("HEALTHCHECK CMD $v", "CMD $v"),
        ],
        refused: Nothing("what would be no variable is none"),
    },
    Row {
        name: "bytes",
        taken: &[("RUN ü", "sh -c ü")],
        refused: Cases(&[("RUN a\0b", "NUL")]),
    },
];

#[test]
fn syntax() {
    hold(ROWS);
}
