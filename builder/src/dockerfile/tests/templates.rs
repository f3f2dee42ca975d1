//! Variables, quotes and escapes.

use std::collections::BTreeMap;

use repro_core::build::ModeChange;

use super::{
    super::{
        CopyError, CopyPaths, Escape, ExpandError, InstructionKind, MAX_EXPANDED_BYTES, Scope,
        Template, TemplateError,
    },
    one,
};

struct Values(BTreeMap<&'static str, String>);

impl Scope for Values {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

fn values() -> Values {
    let pairs = [
        ("v", "abcabc"),
        ("empty", ""),
        ("words", "x  y"),
        ("path", "/usr/local/bin:/bin"),
        ("p", "a*"),
        ("ü", "umlaut"),
    ];
    Values(pairs.map(|(name, value)| (name, value.to_owned())).into())
}

fn parse(text: &str) -> Template {
    Template::parse(text, Escape::Backslash).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

#[test]
fn every_form_expands() {
    for (text, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("$v", "abcabc"),
        ("x${v}y", "xabcabcy"),
        ("$vx", ""),
        ("$v-x", "abcabc-x"),
        ("$ü", "umlaut"),
        ("$", "$"),
        ("a$", "a$"),
        ("$(x)", "$(x)"),
        ("$1x$?", "x"),
        ("${no}", ""),
        ("${v:-w}", "abcabc"),
        ("${no:-w}", "w"),
        ("${empty:-w}", "w"),
        ("${no-w}", "w"),
        ("${empty-w}", ""),
        ("${v:+w}", "w"),
        ("${empty:+w}", ""),
        ("${no:+w}", ""),
        ("${empty+w}", "w"),
        ("${no+w}", ""),
        ("${v:?m}", "abcabc"),
        ("${empty?m}", ""),
        ("${no:-$v}", "abcabc"),
        ("${no:-${no2:-deep}}", "deep"),
        ("${no:-\"a b\"'}'}", "a b}"),
        ("${no:-a\\}b}", "a}b"),
        ("${v#a}", "bcabc"),
        ("${v#*b}", "cabc"),
        ("${v##*b}", "c"),
        ("${v#?}", "bcabc"),
        ("${v#x}", "abcabc"),
        ("${v##*}", ""),
        ("${v#*}", "abcabc"),
        ("${v:#a}", "bcabc"),
        ("${v%c}", "abcab"),
        ("${v%b*}", "abca"),
        ("${v%%b*}", "a"),
        ("${v%%x}", "abcabc"),
        ("${path##*/}", "bin"),
        ("${path%%:*}", "/usr/local/bin"),
        ("${path#\\/usr}", "/local/bin:/bin"),
        ("${p#a\\*}", ""),
        ("${v#$p}", "bcabc"),
        ("${v/b/X}", "aXcabc"),
        ("${v//b/X}", "aXcaXc"),
        ("${v/b*/X}", "aX"),
        ("${v//[ab]/X}", "abcabc"),
        ("${v//?/-}", "------"),
        ("${v/x/y}", "abcabc"),
        ("${v//b/}", "acac"),
        ("${v/b/$empty$words}", "ax  ycabc"),
        ("${path//\\//|}", "|usr|local|bin:|bin"),
        ("${empty/*/x}", "x"),
        ("${v///-}", "-a-b-c-a-b-c-"),
        ("\\$v", "$v"),
        ("\\\\$v", "\\abcabc"),
        ("\\a\\ b", "a b"),
        ("end\\", "end"),
        ("'$v'", "$v"),
        ("'a\\'", "a\\"),
        ("\"$v\"", "abcabc"),
        ("\"\\$v \\\" \\\\ \\n\"", "$v \" \\ \\n"),
        ("\"it's\"", "it's"),
        ("a\"b\"'c'd", "abcd"),
        ("'\"'", "\""),
    ] {
        assert_eq!(
            parse(text).expand(&values()).as_deref(),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn the_escape_character_can_be_the_other() {
    let expand = |text: &str| {
        Template::parse(text, Escape::Backtick)
            .unwrap()
            .expand(&values())
    };
    assert_eq!(expand("c:\\x`$v").as_deref(), Ok("c:\\x$v"));
    assert_eq!(expand("\"`\"\\\"").as_deref(), Ok("\"\\"));
}

#[test]
fn words_that_no_value_makes_right() {
    for (text, at, expected) in [
        ("'a", 0, TemplateError::Quote('\'')),
        ("b\"a", 1, TemplateError::Quote('"')),
        ("\"a\\\"", 0, TemplateError::Quote('"')),
        ("${", 2, TemplateError::Brace),
        ("${a", 3, TemplateError::Brace),
        ("${a:-b", 6, TemplateError::Brace),
        ("${a:", 4, TemplateError::Brace),
        ("${}", 2, TemplateError::Name),
        ("${{a}}", 2, TemplateError::Name),
        ("${:x}", 2, TemplateError::Name),
        ("${a^b}", 3, TemplateError::Modifier('^')),
        ("${a:}", 3, TemplateError::Modifier('}')),
        ("${a:/b/c}", 3, TemplateError::Modifier('/')),
        ("${a/b}", 6, TemplateError::Replacement),
    ] {
        let found = Template::parse(text, Escape::Backslash);
        assert_eq!(found, Err((at, expected)), "{text}");
    }
    let deep = "${a:-".repeat(100_000);
    assert!(matches!(
        Template::parse(&deep, Escape::Backslash),
        Err((_, TemplateError::Depth))
    ));
}

#[test]
fn values_that_do_not_do() {
    let error = |text: &str| parse(text).expand(&values()).unwrap_err();
    assert_eq!(error("${no:?say why}").to_string(), "no: say why");
    assert_eq!(
        error("${no?}").to_string(),
        "no: is not allowed to be unset"
    );
    assert_eq!(
        error("${empty:?}").to_string(),
        "empty: is not allowed to be empty"
    );
    assert!(matches!(error("${v#\\a}"), ExpandError::Pattern { .. }));
    let long = format!("${{v#{}}}", "?".repeat(5000));
    assert!(matches!(error(&long), ExpandError::Pattern { .. }));
}

#[test]
fn nothing_grows_or_takes_long() {
    let mut scope = values();
    let long = "a".repeat(MAX_EXPANDED_BYTES);
    scope.0.insert("long", long);
    for text in ["x$long", "\"$long$v\"", "${long//a/bb}", "${long/a/$long}"] {
        assert_eq!(
            parse(text).expand(&scope),
            Err(ExpandError::TooLong(MAX_EXPANDED_BYTES)),
            "{text}"
        );
    }
    assert_eq!(
        parse("x$long").expand_words(&scope),
        Err(ExpandError::TooLong(MAX_EXPANDED_BYTES))
    );
    let stars = "a*".repeat(40);
    for text in [
        format!("${{long##{stars}b}}"),
        format!("${{long//{stars}b/}}"),
    ] {
        assert_eq!(
            parse(&text).expand(&scope).map(|t| t.len()),
            Ok(MAX_EXPANDED_BYTES)
        );
    }
}

#[test]
fn words_part_at_blanks_that_are_not_quoted() {
    for (text, expected) in [
        ("$words", vec!["x", "y"]),
        ("\"$words\"", vec!["x  y"]),
        ("a$words", vec!["ax", "y"]),
        ("a\\ b c", vec!["a b", "c"]),
        ("'a b'$empty", vec!["a b"]),
        ("$empty\"\"", vec![]),
        ("${no:-1 2}", vec!["1", "2"]),
    ] {
        assert_eq!(
            parse(text).expand_words(&values()).unwrap(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn copy_arguments_are_checked_once_expanded() {
    let check = |text: &str| match one(&format!("COPY {text}")) {
        InstructionKind::Copy(copy) => copy.check(&values()),
        other => panic!("{other:?}"),
    };
    let paths = |text: &str| check(text).unwrap();
    assert_eq!(
        paths("--chown=$no --chmod=${no:-4755} $v x y/"),
        CopyPaths {
            chown: None,
            chmod: Some("4755".into()),
            mode: Some(ModeChange::Bits(0o4755)),
            exclude: Vec::new(),
            files: Vec::new(),
            sources: vec!["abcabc".into(), "x".into()],
            destination: "y/".into(),
        }
    );
    assert_eq!(
        paths("--chown=a:${v#abc} a b").chown.as_deref(),
        Some("a:abc")
    );
    assert!(paths("a b .").is_directory());
    assert!(!paths("a b.").is_directory());
    assert!(matches!(check("a b c"), Err(CopyError::NotADirectory(to)) if to == "c"));
    assert!(matches!(check("$no b"), Err(CopyError::Empty(word)) if word == "$no"));
    assert!(matches!(check("a $empty"), Err(CopyError::Empty(_))));
    assert!(matches!(check("--chmod=$v a b"), Err(CopyError::Mode(_))));
    assert!(matches!(check("a ${no:?}"), Err(CopyError::Expand(_))));
}
