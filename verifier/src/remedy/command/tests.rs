use super::*;

const GNU: Around = Around {
    userland: Userland::Gnu,
    zone: Zone::Utc,
};

fn rewritten(program: Program, script: &str) -> Option<String> {
    let Rewriting { changes, .. } = program.rewriting(script, GNU);
    (!changes.is_empty()).then(|| changed(script, &changes))
}

#[test]
fn calls_are_rewritten_where_they_are_commands() {
    let epoch = "date -u -d @$SOURCE_DATE_EPOCH";
    let owner = "--owner=0 --group=0 --numeric-owner";
    for (program, line, expected) in [
        (Program::Date, "date > /x", format!("{epoch} > /x")),
        (
            Program::Date,
            "date -u +%F>/x",
            format!("{epoch} -u +%F>/x"),
        ),
        (
            Program::Date,
            "echo \"$(date)\" `date +%s`",
            format!("echo \"$({epoch})\" `{epoch} +%s`"),
        ),
        (
            Program::Date,
            "if a; then date; fi",
            format!("if a; then {epoch}; fi"),
        ),
        (
            Program::Date,
            "for x in a; do date; done > /x",
            format!("for x in a; do {epoch}; done > /x"),
        ),
        (
            Program::Date,
            "x=$(date); echo $x > /x",
            format!("x=$({epoch}); echo $x > /x"),
        ),
        (
            Program::Date,
            "date | tr a b > /x; cat > /y <<E\n$(date)\nE\n",
            format!("{epoch} | tr a b > /x; cat > /y <<E\n$({epoch})\nE\n"),
        ),
        (
            Program::Date,
            "date +%FT%T%z > /x",
            "date -d @$SOURCE_DATE_EPOCH +%FT%T%z > /x".into(),
        ),
        (
            Program::Date,
            "date -Iseconds > /x",
            format!("{epoch} -Iseconds > /x"),
        ),
        (Program::Date, "date -uIns", format!("{epoch} -uIns")),
        (
            Program::Date,
            "TZ=UTC date -Idate",
            format!("TZ=UTC {epoch} -Idate"),
        ),
        (
            Program::Date,
            "echo \"Time (date): $(date)\"; (date)",
            format!("echo \"Time (date): $({epoch})\"; ({epoch})"),
        ),
        (
            Program::Date,
            r#"gcc -DSTAMP="\"built $(date)\"" x.c"#,
            format!(r#"gcc -DSTAMP="\"built $({epoch})\"" x.c"#),
        ),
        (
            Program::Hostname,
            "uname --nodename | rev",
            "echo localhost | rev".into(),
        ),
        (
            Program::Nproc,
            "nproc --all --ignore 1 > /x",
            "echo 1 > /x".into(),
        ),
        (
            Program::TarOwner,
            "tar czf '/a;b.tgz' . 2>&1; tar -C / -cf /q.tar src; tar -z -c -f /r.tgz .",
            format!(
                "tar czf '/a;b.tgz' . 2>&1 {owner}; tar {owner} -C / -cf /q.tar src; tar {owner} -z -c -f /r.tgz ."
            ),
        ),
        (
            Program::TarOwner,
            "tar --owner=0 -cf x y",
            "tar --group=0 --numeric-owner --owner=0 -cf x y".into(),
        ),
        (
            Program::TarTime,
            "tar -cf - * > x",
            "tar --mtime=@$SOURCE_DATE_EPOCH -cf - * > x".into(),
        ),
        (
            Program::Hostname,
            "hostname > /x",
            "echo localhost > /x".into(),
        ),
        (
            Program::Hostname,
            "x=$(uname -n)",
            "x=$(echo localhost)".into(),
        ),
        (
            Program::Nproc,
            "make -j$(nproc --all)",
            "make -j$(echo 1)".into(),
        ),
        (
            Program::Gzip,
            "cat x | gzip -9 > y",
            "cat x | gzip -n -9 > y".into(),
        ),
        (
            Program::TarOrder,
            "tar -cf x y",
            "tar --sort=name -cf x y".into(),
        ),
        (
            Program::Compileall,
            "python3 -m compileall /app",
            "python3 -m compileall --invalidation-mode unchecked-hash /app".into(),
        ),
        (
            Program::Ar,
            "ar rcs x.a x.o && ranlib x.a",
            "ar rcsD x.a x.o && ranlib -D x.a".into(),
        ),
        (Program::Ar, "ar -qcU x.a x.o", "ar -qcD x.a x.o".into()),
        (Program::Zip, "zip -r x.zip y", "zip -X -r x.zip y".into()),
        (
            Program::Cpio,
            "ls | cpio -o -H newc > x",
            "ls | cpio --reproducible -o -H newc > x".into(),
        ),
        (
            Program::CompilerPath,
            "gcc -g x.c",
            "gcc -ffile-prefix-map=$PWD=. -g x.c".into(),
        ),
        (
            Program::CompilerSeed,
            "g++ -c x.cc",
            "g++ -frandom-seed=x.cc -c x.cc".into(),
        ),
        (
            Program::LinkerId,
            "cc -Wl,--build-id=uuid x.c",
            "cc -Wl,--build-id=sha1 x.c".into(),
        ),
        (
            Program::Javadoc,
            "javadoc -d x P.java",
            "javadoc -notimestamp -d x P.java".into(),
        ),
    ] {
        assert_eq!(rewritten(program, line), Some(expected), "{line}");
    }
}

#[test]
fn what_is_no_command_or_needs_no_change_stays() {
    for (program, line) in [
        (Program::Date, "echo date"),
        (Program::Date, "update"),
        (Program::Date, "echo 'date of today'"),
        (Program::Date, "date -r file"),
        (Program::Date, "date -ud @1"),
        (Program::Date, "/usr/bin/date"),
        (Program::Date, "echo \"(date)\" '$(date)'"),
        (Program::Date, "date 01010000"),
        (Program::Date, "cat > /x <<'E'\ndate\nE\n"),
        (Program::Hostname, "uname -n -r"),
        (Program::Hostname, "uname > /x -n"),
        (Program::Gzip, "gzip -dc x"),
        (Program::TarTime, "tar -C c -xf x"),
        (Program::TarTime, "tar -f c -x"),
        (Program::TarTime, "tar rf x y"),
        (Program::TarTime, "tar cf x -- y"),
        (Program::TarTime, "tar cf - . | tar xf - -C x"),
        (Program::TarTime, "tar cf /dev/stdout . | tar x"),
        (Program::TarOwner, "(cd a && tar c .) | (cd b && tar x)"),
        (Program::TarTime, "SOURCE_DATE_EPOCH=1; tar cf x y"),
        (Program::TarOrder, "tar cf x *"),
        (Program::TarOrder, "tar cf x $(find .)"),
        (Program::TarOrder, "tar -cf x -T list"),
        (Program::TarOrder, "tar cTf list x"),
        (Program::TarOrder, "tar -cf x --files-from=list"),
        (
            Program::Date,
            "while [ $(date +%s) -lt 9 ]; do a; done; date > /x",
        ),
        (Program::Date, "until date | grep -q 1; do a; done"),
        (Program::Date, "if date; then date; fi"),
        (
            Program::Date,
            "s=$(date +%s); a; echo $(($(date +%s) - s)) > /x",
        ),
        (Program::Date, "s=$(date +%s); if [ $s -gt 9 ]; then a; fi"),
        (Program::Date, "test $(date +%u) = 6 || a"),
        (Program::Date, "date +%u | grep -q 6 && a > /x"),
        (Program::Date, "{ date; } | grep -q 6 && a"),
        (Program::Date, "sleep $(date +%S)"),
        (Program::Date, "date() { a; }; date > /x"),
        (Program::Date, "alias date=a; date > /x"),
        (Program::Date, "case x in a|date) a;; esac; date > /x"),
        (Program::Date, "a=(date); date > /x"),
        (Program::Date, "unset SOURCE_DATE_EPOCH; date > /x"),
        (Program::Date, "export SOURCE_DATE_EPOCH=1; date > /x"),
        (Program::Date, "env -i a; date > /x"),
        (Program::CompilerPath, "gcc -g $d/x.c"),
        (Program::Hostname, "hostname -F /etc/hostname"),
        (Program::Hostname, "uname -r"),
        (Program::Gzip, "gzip -n x"),
        (Program::TarTime, "tar xf x"),
        (Program::TarTime, "tar -xf x"),
        (Program::Compileall, "python3 setup.py"),
        (Program::Ar, "ar t x.a"),
        (Program::Ar, "ar rcsD x.a x.o"),
        (Program::Ar, "ar --version"),
        (Program::Zip, "zip -qX x.zip y"),
        (Program::Zip, "unzip x.zip"),
        (Program::Cpio, "cpio -i < x"),
        (Program::CompilerPath, "gcc -fdebug-prefix-map=/x=. x.c"),
        (Program::CompilerSeed, "gcc x.c y.c"),
        (Program::CompilerSeed, "gcc x.o"),
        (Program::LinkerId, "gcc x.c"),
    ] {
        assert_eq!(rewritten(program, line), None, "{line}");
    }
}

#[test]
fn calls_without_a_reproducible_form_are_not_forgotten() {
    for (program, script, remains) in [
        (Program::Date, "date; date -r x", false),
        (Program::Date, "date; /bin/date", true),
        (Program::Date, "date; sh -c 'date > /x'", true),
        (Program::Date, "date; env TZ=UTC date", true),
        (Program::Date, "date; sudo update-date", false),
        (Program::Hostname, "uname -n; uname -n -r", true),
        (Program::Hostname, "uname -n; uname -r", false),
        (
            Program::TarTime,
            "tar cf x y; tar xf x; /bin/tar tf x",
            false,
        ),
        (Program::TarTime, "tar cf x y; tar $how x", true),
        (Program::Date, "date; \"date\"", true),
        (Program::Date, "date; \\date", true),
        (Program::Date, "date; time date", false),
        (Program::Date, "date; wrapper date", true),
        (Program::Gzip, "gzip x; find . -exec gzip {} +", true),
        (Program::CompilerSeed, "gcc x.c; gcc y.c z.c", true),
    ] {
        let found = program.rewriting(script, GNU);
        assert_eq!(found.remains, remains, "{script}");
    }
}

#[test]
fn what_only_gnu_has_is_asked_of_no_other() {
    for userland in [Userland::Busybox, Userland::Unknown] {
        let around = Around { userland, ..GNU };
        for (program, script) in [
            (Program::TarTime, "tar cf x y"),
            (Program::Cpio, "ls | cpio -o > x"),
        ] {
            let found = program.rewriting(script, around);
            assert_eq!((found.changes.len(), found.remains), (0, true), "{script}");
            let reads = program.rewriting("tar xf x; cpio -i < x", around);
            assert_eq!(reads, Rewriting::default());
        }
        let found = Program::Date.rewriting("date", around);
        assert_eq!(found.changes.len(), 1);
    }
}

#[test]
fn a_zone_that_is_set_stays() {
    let around = Around {
        zone: Zone::Set,
        ..GNU
    };
    let found = Program::Date.rewriting("date > /x", around);
    let after = changed("date > /x", &found.changes);
    assert_eq!(after, "date -d @$SOURCE_DATE_EPOCH > /x");
}

#[test]
fn what_changed_calls_write_is_told_by_their_words_and_redirections() {
    for (program, script, path, covered) in [
        (Program::Date, "date > /x", "x", true),
        (Program::Date, "date > x", "d/x", true),
        (Program::Date, "date > \"/x\"", "x", true),
        (Program::Date, "date > $x", "x", false),
        (Program::Date, "date > /y; a > /x", "x", false),
        (Program::Date, "echo \"$(date)\" > /x", "x", true),
        (Program::Date, "cat > /x <<E\n$(date)\nE\n", "x", true),
        (Program::Date, "date | tr a b > /x", "x", true),
        (Program::Date, "x=$(date); echo $x > /x", "x", false),
        (Program::Date, "{ date; } > /x", "x", false),
        (Program::TarTime, "tar czf /x .", "x", true),
        (Program::TarTime, "tar -c --file=/x .", "x", true),
        (Program::Gzip, "gzip /x", "x.gz", true),
        (Program::Javadoc, "javadoc -d /x P.java", "x/a/b", true),
        (Program::Javadoc, "javadoc -d /x P.java", "xy/a/b", false),
    ] {
        let found = program.rewriting(script, GNU);
        assert!(!found.changes.is_empty(), "{script}");
        assert_eq!(found.covers(&[path]), covered, "{script}");
    }
}

#[test]
fn listings_are_sorted_where_they_are_written() {
    for (script, expected) in [
        (
            "find d -type f > /f",
            "find d -type f > /f && LC_ALL=C sort -o /f /f",
        ),
        (
            "cd /; ls -1A d>./f",
            "cd /; ls -1A d>./f && LC_ALL=C sort -o ./f ./f",
        ),
        (
            "x && find d 2>/dev/null > /f || y",
            "x && find d 2>/dev/null > /f && LC_ALL=C sort -o /f /f || y",
        ),
    ] {
        let (changes, written) = sorted_listings(script, GNU, &["f"]);
        assert_eq!(changed(script, &changes), expected);
        assert_eq!(written, ["f"]);
    }
    for script in [
        "find d -type f -exec cat {} + > /f",
        "find d -print0 > /f",
        "find d -depth > /f",
        "find d -delete > /f",
        "find d >> /f",
        "find d > /f; find e > /f",
        "find d > /f; a /f",
        "find d > /f | a",
        "find d > /f & a",
        "! find d > /f",
        "a | find d > /f",
        "find d > /g",
        "find d > /f 2>&1",
        "find d 2>&1 > /f",
        "find d > /f -type f",
        "find d | cat > /f",
        "{ find d; } > /f",
        "make > /f",
        "ls -t d > /f",
        "ls a b > /f",
        "ls a/* > /f",
        "echo 'find d > /f'",
    ] {
        assert_eq!(
            sorted_listings(script, GNU, &["f"]),
            (vec![], vec![]),
            "{script}"
        );
    }
}
