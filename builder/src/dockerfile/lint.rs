//! Rules that need nothing but the text.

use super::{
    ArgDefinition,
    ast::{Instruction, InstructionKind, Stage},
    keyword::Keyword,
    rule::Rule,
    secrets::breaks_rule,
    source::Source,
    template::Template,
};

type Found = (Rule, String, u32);

/// How an instruction's name is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Casing {
    Lower,
    Upper,
    Mixed,
}

impl Casing {
    fn of(word: &str) -> Self {
        if word.chars().all(|c| !c.is_ascii_uppercase()) {
            Self::Lower
        } else if word.chars().all(|c| !c.is_ascii_lowercase()) {
            Self::Upper
        } else {
            Self::Mixed
        }
    }
}

pub(super) fn check(
    source: &Source,
    stages: &[Stage],
    globals: &[Instruction<Vec<ArgDefinition>>],
) -> Vec<Found> {
    let mut found = Vec::new();
    casing(stages, &mut found);
    for args in globals {
        described(source, args.line, &names(&args.kind), &mut found);
        secrets(Keyword::Arg, &names(&args.kind), args.line, &mut found);
    }
    for stage in stages {
        from(source, &stage.from, &mut found);
        several(stage, &mut found);
        for instruction in &stage.instructions {
            let line = instruction.line;
            match &instruction.kind {
                InstructionKind::Arg(args) => {
                    described(source, line, &names(args), &mut found);
                    secrets(Keyword::Arg, &names(args), line, &mut found);
                }
                InstructionKind::Env(pairs) => {
                    let names: Vec<String> = pairs
                        .pairs
                        .iter()
                        .filter_map(|pair| pair.name.literal())
                        .collect();
                    secrets(Keyword::Env, &names, line, &mut found);
                }
                InstructionKind::Expose(ports) => expose(ports, line, &mut found),
                InstructionKind::Maintainer(_) => {
                    let message = "use a label instead: LABEL org.opencontainers.image.authors=...";
                    found.push((Rule::Maintainer, message.into(), line));
                }
                _ => {}
            }
        }
    }
    found
}

fn names(args: &[ArgDefinition]) -> Vec<String> {
    args.iter().filter_map(|arg| arg.name.literal()).collect()
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// `FROM` and what is in the stages; what is written in one way more often is the way.
fn casing(stages: &[Stage], found: &mut Vec<Found>) {
    let words = || {
        stages.iter().flat_map(|stage| {
            let own = stage.instructions.iter().map(|i| (i.text.as_str(), i.line));
            std::iter::once((stage.from.text.as_str(), stage.from.line)).chain(own)
        })
    };
    let count = |casing| {
        words()
            .filter(|(text, _)| Casing::of(first_word(text)) == casing)
            .count()
    };
    let (expected, name) = if count(Casing::Lower) > count(Casing::Upper) {
        (Casing::Lower, "small")
    } else {
        (Casing::Upper, "capital")
    };
    for (text, line) in words() {
        let word = first_word(text);
        if Casing::of(word) != expected {
            let message = format!("{word} is not in {name} letters, as most instructions are");
            found.push((Rule::InstructionCasing, message, line));
        }
    }
}

fn from(source: &Source, from: &Instruction<super::From>, found: &mut Vec<Found>) {
    let line = from.line;
    let words: Vec<&str> = from.text.split_whitespace().collect();
    if let (Some(name), [first, .., keyword, written]) = (&from.kind.name, words.as_slice()) {
        if *written != name {
            let message = format!("the stage is {name}: write it in small letters, not {written}");
            found.push((Rule::StageNameCasing, message, line));
        }
        if Casing::of(first) != Casing::of(keyword) {
            let message = format!("{keyword} is in other letters than {first}");
            found.push((Rule::FromAsCasing, message, line));
        }
        described(source, line, std::slice::from_ref(name), found);
    }
    let Some(platform) = &from.kind.platform else {
        return;
    };
    match platform.literal() {
        Some(constant) => {
            // A stage that says in its name what it is for means it.
            let name = from.kind.name.as_deref().unwrap_or_default();
            let meant = constant.split('/').take(2).any(|part| name.contains(part));
            if !meant {
                let message = format!("the stage is for {constant} whatever is built for");
                found.push((Rule::ConstantPlatform, message, line));
            }
        }
        None if matches!(platform.raw(), "$TARGETPLATFORM" | "${TARGETPLATFORM}") => {
            let message = "every stage is for $TARGETPLATFORM unless it says otherwise";
            found.push((Rule::RedundantTargetPlatform, message.into(), line));
        }
        None => {}
    }
}

/// Of these only the last one in a stage counts; the finding is about the ones that do not.
fn several(stage: &Stage, found: &mut Vec<Found>) {
    for keyword in [Keyword::Cmd, Keyword::Entrypoint, Keyword::Healthcheck] {
        let mut all: Vec<u32> = stage
            .instructions
            .iter()
            .filter(|instruction| instruction.kind.keyword() == keyword)
            .map(|instruction| instruction.line)
            .collect();
        all.pop();
        for line in all {
            let message = format!("a later {keyword} of the stage replaces this one");
            found.push((Rule::MultipleInstructions, message, line));
        }
    }
}

fn secrets(keyword: Keyword, names: &[String], line: u32, found: &mut Vec<Found>) {
    for name in names.iter().filter(|name| breaks_rule(name)) {
        let message = format!("{keyword} {name}: the image keeps the value for everyone to read");
        found.push((Rule::SecretName, message, line));
    }
}

fn expose(ports: &[Template], line: u32, found: &mut Vec<Found>) {
    for port in ports.iter().filter_map(Template::literal) {
        let (numbers, protocol) = port.split_once('/').unwrap_or((&port, ""));
        if protocol.chars().any(|c| c.is_ascii_uppercase()) {
            let message = format!("write the protocol {protocol} in small letters");
            found.push((Rule::ExposeProtoCasing, message, line));
        }
        if numbers.contains(':') {
            let message = format!("{port}: an image has neither addresses nor ports of a machine");
            found.push((Rule::ExposeFormat, message, line));
        }
    }
}

/// The comment right above a definition, if there is one, begins with a name that is defined.
fn described(source: &Source, line: u32, names: &[String], found: &mut Vec<Found>) {
    let above = (line as usize)
        .checked_sub(2)
        .and_then(|index| source.line(index));
    let Some(comment) = above.and_then(|line| line.trim_ascii_start().strip_prefix(b"#")) else {
        return;
    };
    let comment = String::from_utf8_lossy(comment);
    if let Some(example) = names.first()
        && !names.iter().any(|name| name == first_word(&comment))
    {
        let message = format!("the comment above should begin with the name: # {example} ...");
        found.push((Rule::DefinitionDescription, message, line));
    }
}
