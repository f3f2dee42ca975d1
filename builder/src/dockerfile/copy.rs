//! The arguments of `COPY` and `ADD`.

use repro_core::build::{CopyLayout, InlineFile, ModeChange, ModeError, Placement};

use super::{
    ast::ListSyntax,
    heredoc::HeredocFile,
    template::{ExpandError, Scope, Template},
};

/// The arguments of `COPY` as written; most of them are `ADD`'s too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyArgs {
    /// `--from`: a stage by name or number, or an image; variables are refused, as in Docker.
    /// `None` for `ADD`.
    pub from: Option<String>,
    /// `--chown`, `user[:group]`.
    pub chown: Option<Template>,
    /// `--chmod`.
    pub chmod: Option<Template>,
    /// `--link`.
    pub placement: Placement,
    /// `--parents`.
    pub layout: CopyLayout,
    /// Each `--exclude`.
    pub exclude: Vec<Template>,
    /// How the words are written.
    pub syntax: ListSyntax,
    /// What to copy; with `files`, at least one.
    pub sources: Vec<Template>,
    /// Heredocs, each a file.
    pub files: Vec<HeredocFile>,
    /// Whither.
    pub destination: Template,
}

/// The arguments of `ADD` as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddArgs {
    /// What it has in common with `COPY`.
    pub copy: CopyArgs,
    /// `--unpack`, if given: whether archives are unpacked. By default local ones are, and those
    /// from an address are not.
    pub unpack: Option<bool>,
    /// `--checksum`: of an address or a commit.
    pub checksum: Option<Template>,
    /// `--keep-git-dir`, if given.
    pub keep_git_dir: Option<bool>,
}

/// The arguments of `COPY` with values put in place of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyPaths {
    /// `user[:group]`.
    pub chown: Option<String>,
    /// `--chmod` as written.
    pub chmod: Option<String>,
    /// `--chmod`.
    pub mode: Option<ModeChange>,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
    /// Patterns as of Go's `filepath.Match`, none empty.
    pub sources: Vec<String>,
    /// Files whose text stands in the Dockerfile.
    pub files: Vec<InlineFile>,
    /// Absolute, or relative to the working directory; a trailing slash or `.` makes it a
    /// directory.
    pub destination: String,
}

/// Why the arguments of a `COPY` or `ADD` make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// A variable.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// `--chmod`.
    #[error(transparent)]
    Mode(#[from] ModeError),
    /// An argument that is empty once expanded.
    #[error("{0} becomes empty")]
    Empty(String),
    /// Several sources and a destination that is a file.
    #[error("with more than one source the destination must end in /, found {0}")]
    NotADirectory(String),
    /// `COPY` of an address.
    #[error("{0} is an address, which COPY does not take")]
    Remote(String),
    /// `ADD --checksum` of something local, or of several sources.
    #[error("--checksum is for one source that is an address")]
    Checksum,
}

/// Where a source of `ADD` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote {
    /// A file at an `http` or `https` address.
    Url,
    /// A git repository.
    Git,
}

impl CopyArgs {
    /// The words in which values are put in place of variables.
    pub(super) fn expanded(&self) -> Vec<&Template> {
        let flags = self.chown.iter().chain(&self.chmod).chain(&self.exclude);
        let words = self.sources.iter().chain([&self.destination]);
        let files = self.files.iter().filter_map(HeredocFile::template);
        flags.chain(words).chain(files).collect()
    }

    /// Expands the arguments and checks what then is known of them. That a pattern matches several
    /// files is known only with the tree: [`is_directory`](CopyPaths::is_directory) helps there.
    pub fn check(&self, scope: &dyn Scope) -> Result<CopyPaths, CopyError> {
        let some = |template: &Template| {
            let text = template.expand(scope)?;
            if text.is_empty() {
                return Err(CopyError::Empty(template.raw().to_owned()));
            }
            Ok(text)
        };
        // An empty flag is none: `--chown=$OWNER` with nothing given keeps the owner.
        let flag = |template: &Option<Template>| {
            let text = template.as_ref().map(|text| text.expand(scope));
            Ok::<_, ExpandError>(text.transpose()?.filter(|text| !text.is_empty()))
        };
        let chmod = flag(&self.chmod)?;
        let file = |file: &HeredocFile| {
            Ok(InlineFile {
                name: file.file_name().to_owned(),
                content: file.content(scope)?,
            })
        };
        let paths = CopyPaths {
            chown: flag(&self.chown)?,
            mode: chmod.as_deref().map(str::parse).transpose()?,
            chmod,
            exclude: self
                .exclude
                .iter()
                .map(|pattern| pattern.expand(scope))
                .collect::<Result<_, _>>()?,
            sources: self.sources.iter().map(some).collect::<Result<_, _>>()?,
            files: self
                .files
                .iter()
                .map(file)
                .collect::<Result<_, ExpandError>>()?,
            destination: some(&self.destination)?,
        };
        if paths.sources.len() + paths.files.len() > 1 && !paths.is_directory() {
            return Err(CopyError::NotADirectory(paths.destination));
        }
        Ok(paths)
    }
}

impl CopyPaths {
    /// Whether the destination is written as a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.destination.as_str(), "." | "..")
            || self.destination.ends_with('/')
            || self.destination.ends_with("/.")
            || self.destination.ends_with("/..")
    }
}

/// Whether a source is an address, by `BuildKit`'s rules.
#[must_use]
pub fn remote(source: &str) -> Option<Remote> {
    let lower = source.to_ascii_lowercase();
    let http = lower.starts_with("http://") || lower.starts_with("https://");
    let path = lower.split(['?', '#']).next().unwrap_or_default();
    let git = ["git://", "ssh://", "git@"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
        || (http && path.trim_end_matches('/').strip_suffix(".git").is_some())
        || is_scp(source);
    match (git, http) {
        (true, _) => Some(Remote::Git),
        (false, true) => Some(Remote::Url),
        (false, false) => None,
    }
}

/// `user@host:path`, the short form of ssh.
fn is_scp(source: &str) -> bool {
    let name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    source
        .split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?)))
        .is_some_and(|(user, (host, path))| name(user) && name(host) && !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        for (source, expected) in [
            ("https://example.org/a.tar.gz", Some(Remote::Url)),
            ("http://example.org", Some(Remote::Url)),
            ("https://example.org/a.git", Some(Remote::Git)),
            ("https://example.org/a.git#v1:sub", Some(Remote::Git)),
            ("https://example.org/a.git?ref=v1", Some(Remote::Git)),
            ("git@example.org:a/b.git", Some(Remote::Git)),
            ("me@example.org:a/b", Some(Remote::Git)),
            ("ssh://git@example.org/a", Some(Remote::Git)),
            ("git://example.org/a", Some(Remote::Git)),
            // As good as a directory of that name.
            ("example.com/a/b", None),
            ("a@b", None),
            ("http", None),
            ("a.git", None),
            ("dir/https://x", None),
        ] {
            assert_eq!(remote(source), expected, "{source}");
        }
    }
}
