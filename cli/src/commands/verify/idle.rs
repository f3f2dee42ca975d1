//! Options that would do nothing as the command line stands.
//!
//! Whoever gives one expects something of it, and in a verification that can be a check. clap's `requires`
//! would not do: it counts variables too, and those are set for every command of a CI.

use clap::{ArgMatches, Command, error::ErrorKind, parser::ValueSource};

/// An option, and those of which one must be there for it to do anything.
const NEEDS: [(&str, &[&str]); 9] = [
    ("builder_id", &["rebuild"]),
    ("mirrors", &["rebuild"]),
    ("jobs", &["rebuild"]),
    ("snapshotter", &["rebuild"]),
    ("key", &["dir"]),
    ("verifier_id", &["dir"]),
    ("resource_uri", &["dir", "vsa"]),
    ("key_passphrase_file", &["key", "builder_key"]),
    ("quorum", &["subjects"]),
];
/// What is for evidence of this program, which is signed: an image of BuildKit has none.
const FOR_EVIDENCE: [&str; 10] = [
    "keys", "trust", "evidence", "platform", "quorum", "level", "dir", "key", "vsa", "digest",
];

/// Refuses options on the command line that would do nothing.
pub(crate) fn refuse_idle(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let said = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let there = |id: &str| {
        matches
            .value_source(id)
            .is_some_and(|from| from != ValueSource::DefaultValue)
    };
    let mut refused = None;
    for (id, needs) in NEEDS {
        if said(id) && !needs.iter().any(|need| there(need)) {
            let needs = needs.iter().map(|need| shown(command, need));
            let needs = needs.collect::<Vec<_>>().join(" or ");
            refused = Some(format!(
                "{} does nothing without {needs}",
                shown(command, id)
            ));
        }
    }
    if there("buildkit") {
        if let Some(id) = FOR_EVIDENCE.into_iter().find(|id| said(id)) {
            let id = shown(command, id);
            refused = Some(format!(
                "{id} is for signed evidence, and --buildkit goes by what nobody signed"
            ));
        }
        // Also that of REPRO_POLICY: whoever set it takes it for followed.
        if there("policy") {
            let text = "a policy is for signed evidence, and --buildkit goes by what nobody signed: leave \
                        out --policy, and unset REPRO_POLICY";
            refused = Some(text.to_owned());
        }
    }
    match refused {
        Some(message) => Err(command.error(ErrorKind::ArgumentConflict, message)),
        None => Ok(()),
    }
}

/// As the user writes it.
fn shown(command: &Command, id: &str) -> String {
    let argument = command
        .get_arguments()
        .find(|argument| argument.get_id() == id);
    match argument.and_then(clap::Arg::get_long) {
        Some(long) => format!("--{long}"),
        None => id.to_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use crate::args;

    fn parse(line: &str) -> Result<(), clap::Error> {
        let words = format!("repro verify {line}");
        args::parse(words.split(' ').map(Into::into)).map(drop)
    }

    #[test]
    fn options_that_would_do_nothing_are_refused() {
        for (line, option) in [
            ("pack --key k --jobs 2", "--jobs"),
            ("pack --key k --mirror https://mirror.example", "--mirror"),
            (
                "pack --key k --builder-id https://acme.example/b",
                "--builder-id",
            ),
            ("pack --key k --snapshotter plain-copy", "--snapshotter"),
            ("pack --key k --sign-with s", "--sign-with"),
            (
                "pack --key k --verifier-id https://acme.example/v",
                "--verifier-id",
            ),
            ("pack --key k --resource-uri x", "--resource-uri"),
            (
                "pack --key k --key-passphrase-file p",
                "--key-passphrase-file",
            ),
            ("--vsa v --resource-uri x --trust t --quorum 2", "--quorum"),
            ("oci:x --rebuild --buildkit --key k", "--key"),
            ("oci:x --rebuild --buildkit --policy p", "--policy"),
            (
                "oci:x --rebuild --buildkit --platform linux/arm64",
                "--platform",
            ),
            (
                "oci:x --rebuild --buildkit --summary s --sign-with k",
                "--summary",
            ),
            ("pack --key k --context .", "--rebuild"),
            ("pack --key k --runs 1", "--rebuild"),
            ("pack --key k --builder-key b", "--rebuild"),
            ("pack --key k --summary s", "--sign-with"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(option), "{line}: {error}");
        }
        let error = parse("pack --key k --jobs 2").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
        for line in [
            "pack --key k --rebuild --jobs 2 --builder-key b --key-passphrase-file p",
            "pack --key k --summary s --sign-with env:K --key-passphrase-file p --resource-uri x",
            "--vsa v --resource-uri x --trust t",
            "oci:x --rebuild --buildkit --builder-key signer:./kms --jobs 2",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
