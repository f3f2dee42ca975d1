//! Instructions back to text that parses to the same instructions.

use std::fmt::{self, Display, Write as _};

use repro_core::build::{CopyLayout, Placement};

use super::{
    ast::{
        ArgDefinition, CommandLine, Dockerfile, From, InstructionKind, ListSyntax, PairSyntax,
        Pairs,
    },
    copy::{AddArgs, CopyArgs},
    heredoc::Heredoc,
    keyword::Keyword,
    run::{RunArgs, RunNetwork, RunSecurity},
};

impl Display for Dockerfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |instruction: &dyn Display| {
            let text = instruction.to_string();
            // Behind the first line there are only heredocs.
            let (text, heredocs) = match text.split_once('\n') {
                Some((text, heredocs)) => (text, Some(heredocs)),
                None => (text.as_str(), None),
            };
            // An escape at the end that is not followed by a newline in the original would be
            // a continuation here. A form feed is a blank, but not one of those that may follow
            // the mark of a continuation.
            let guard = match self.directives.escape.continued(text) {
                Some(_) => "\u{c}",
                None => "",
            };
            writeln!(f, "{text}{guard}")?;
            match heredocs {
                Some(heredocs) => writeln!(f, "{heredocs}"),
                None => Ok(()),
            }
        };
        let directives = self.directives.to_string();
        if !directives.is_empty() {
            line(&directives.trim_end())?;
        }
        for args in &self.global_args {
            line(&Definitions(&args.kind))?;
        }
        for stage in &self.stages {
            line(&stage.from.kind)?;
            for instruction in &stage.instructions {
                line(&instruction.kind)?;
            }
        }
        Ok(())
    }
}

struct Definitions<'a>(&'a [ArgDefinition]);

impl Display for Definitions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.0.iter().map(|arg| match &arg.default {
            Some(default) => format!("{}={default}", arg.name),
            None => arg.name.to_string(),
        });
        arguments(f, Keyword::Arg, &words.collect::<Vec<_>>().join(" "))
    }
}

impl Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if let Some(platform) = &self.platform {
            flag(&mut text, "platform", platform.raw())?;
        }
        plain(&mut text, self.image.raw());
        if let Some(name) = &self.name {
            write!(text, " AS {name}")?;
        }
        write!(f, "FROM {text}")
    }
}

impl Display for InstructionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = self.keyword();
        match self {
            Self::Arg(args) => Definitions(args).fmt(f),
            Self::Cmd(command) | Self::Entrypoint(command) => {
                arguments(f, keyword, &command.to_string())
            }
            Self::Run(run) => write!(f, "{keyword} {run}"),
            Self::Copy(copy) => write!(f, "{keyword} {copy}"),
            Self::Add(add) => write!(f, "{keyword} {add}"),
            Self::Healthcheck(test) => write!(f, "{keyword} {test}"),
            Self::Maintainer(text) => arguments(f, keyword, text),
            Self::Onbuild(text) => write!(f, "{keyword} {text}"),
            Self::Shell(words) => {
                write!(f, "{keyword} {}", json(words.iter().map(String::as_str)))
            }
            Self::Volume(volumes) => {
                let words = volumes.paths.iter().map(super::Template::raw);
                let text = match volumes.syntax {
                    ListSyntax::Json => json(words),
                    ListSyntax::Words => words.collect::<Vec<_>>().join(" "),
                };
                arguments(f, keyword, &text)
            }
            Self::Env(pairs) | Self::Label(pairs) => arguments(f, keyword, &pairs.to_string()),
            Self::Expose(ports) => {
                let ports: Vec<&str> = ports.iter().map(super::Template::raw).collect();
                arguments(f, keyword, &ports.join(" "))
            }
            Self::Stopsignal(line) | Self::User(line) | Self::Workdir(line) => {
                arguments(f, keyword, line.raw())
            }
        }
    }
}

impl Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell(command) => f.write_str(command),
            Self::Exec(arguments) => f.write_str(&json(arguments.iter().map(String::as_str))),
            Self::Heredocs(command, heredocs) => {
                f.write_str(command)?;
                heredocs.iter().try_for_each(|heredoc| body(f, heredoc))
            }
        }
    }
}

impl Display for RunArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for mount in &self.mounts {
            flag(&mut text, "mount", mount.raw())?;
        }
        if let Some(RunNetwork::None) = self.network {
            flag(&mut text, "network", "none")?;
        }
        if let Some(RunSecurity::Sandbox) = self.security {
            flag(&mut text, "security", "sandbox")?;
        }
        plain(&mut text, &self.command.to_string());
        f.write_str(&text)
    }
}

impl Display for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = self.pairs.iter().map(|pair| {
            let between = match self.syntax {
                PairSyntax::Assignments => "=",
                // An escape takes the first blank: with one alone the value would be part of the
                // first word, and an = in it would make this an assignment.
                PairSyntax::Legacy if pair.name.raw().ends_with(['\\', '`']) => "  ",
                PairSyntax::Legacy => " ",
            };
            format!("{}{between}{}", pair.name, pair.value)
        });
        f.write_str(&pairs.collect::<Vec<_>>().join(" "))
    }
}

impl Display for CopyArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if let Some(from) = &self.from {
            // Expanded already, so what would be special is made plain again.
            flag(&mut text, "from", &single_quoted(from))?;
        }
        for (name, value) in [("chown", &self.chown), ("chmod", &self.chmod)] {
            if let Some(value) = value {
                flag(&mut text, name, value.raw())?;
            }
        }
        for pattern in &self.exclude {
            flag(&mut text, "exclude", pattern.raw())?;
        }
        if self.placement == Placement::Linked {
            text.push_str("--link ");
        }
        if self.layout == CopyLayout::Parents {
            text.push_str("--parents ");
        }
        let sources = self.sources.iter().map(super::Template::raw);
        match self.syntax {
            ListSyntax::Json => text.push_str(&json(sources.chain([self.destination.raw()]))),
            ListSyntax::Words => {
                let files = self.files.iter().map(|file| file.heredoc.to_string());
                let words: Vec<String> = sources
                    .map(str::to_owned)
                    .chain(files)
                    .chain([self.destination.raw().to_owned()])
                    .collect();
                plain(&mut text, &words.join(" "));
            }
        }
        f.write_str(&text)?;
        self.files
            .iter()
            .try_for_each(|file| body(f, &file.heredoc))
    }
}

impl Display for AddArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        if let Some(checksum) = &self.checksum {
            flag(&mut text, "checksum", checksum.raw())?;
        }
        for (name, value) in [("unpack", self.unpack), ("keep-git-dir", self.keep_git_dir)] {
            if let Some(value) = value {
                write!(text, "--{name}={value} ")?;
            }
        }
        write!(f, "{text}{}", self.copy)
    }
}

/// The text of a heredoc and its end, below what stands there.
fn body(f: &mut fmt::Formatter<'_>, heredoc: &Heredoc) -> fmt::Result {
    write!(f, "\n{}{}", heredoc.content, heredoc.name)
}

/// Keyword and arguments that must not be taken for flags.
fn arguments(f: &mut fmt::Formatter<'_>, keyword: Keyword, text: &str) -> fmt::Result {
    let mut guarded = String::new();
    plain(&mut guarded, text);
    write!(f, "{keyword} {guarded}")
}

fn plain(text: &mut String, arguments: &str) {
    if arguments.starts_with("--") {
        text.push_str("-- ");
    }
    text.push_str(arguments);
}

fn flag(text: &mut String, name: &str, value: &str) -> fmt::Result {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    let simple = quoted == value && !value.contains(|c: char| c.is_whitespace() || c == '\'');
    let quote = if simple { "" } else { "\"" };
    write!(text, "--{name}={quote}{quoted}{quote} ")
}

/// A word that expands to `text`, if quoting is needed.
fn single_quoted(text: &str) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '$' | '\\' | '`');
    if text.contains(special) {
        format!("'{}'", text.replace('\'', "'\"'\"'"))
    } else {
        text.to_owned()
    }
}

fn json<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<String> = items
        .map(|item| serde_json::Value::from(item).to_string())
        .collect();
    format!("[{}]", items.join(", "))
}
