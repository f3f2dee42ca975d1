//! `COPY` and `ADD`.

use repro_core::build::{CopyLayout, ModeChange, Placement};

use super::{
    super::{
        ast::ListSyntax,
        copy::{AddArgs, CopyArgs},
        error::SyntaxError,
        heredoc::{Heredoc, HeredocFile},
        template::Template,
        words,
    },
    Arguments, Fault, Flags,
};

impl Arguments<'_> {
    pub(super) fn add(&self, mut flags: Flags) -> Result<AddArgs, Fault> {
        let unpack = flags.switch("unpack");
        let keep_git_dir = flags.switch("keep-git-dir");
        let checksum = flags.template(self, "checksum")?;
        Ok(AddArgs {
            copy: self.copy(flags)?,
            unpack,
            checksum,
            keep_git_dir,
        })
    }

    pub(super) fn copy(&self, mut flags: Flags) -> Result<CopyArgs, Fault> {
        let whole = self.start..self.start + self.text.len();
        let mut files = Vec::new();
        let (syntax, mut words) = if let Some(strings) = self.json()? {
            let word = |word: String| self.decoded(&word, whole.clone());
            let words = strings.into_iter().map(word);
            (ListSyntax::Json, words.collect::<Result<Vec<_>, _>>()?)
        } else {
            (ListSyntax::Words, self.sources(&mut files)?)
        };
        let Some(destination) = words
            .pop()
            .filter(|_| !words.is_empty() || !files.is_empty())
        else {
            return Err(self.missing("at least one source and a destination"));
        };
        let from = match flags.take("from") {
            Some((range, value)) => {
                let word = self.decoded(&value, range.clone())?;
                let error = SyntaxError::VariableInFrom;
                Some(word.literal().ok_or(Fault { range, error })?)
            }
            None => None,
        };
        let chmod_range = flags.range("chmod");
        let chmod = flags.template(self, "chmod")?;
        if let Some(mode) = chmod.as_ref().and_then(Template::literal)
            && !mode.is_empty()
            && let Err(error) = mode.parse::<ModeChange>()
        {
            return Err(Fault {
                range: chmod_range.unwrap_or(whole),
                error: SyntaxError::Mode(error),
            });
        }
        Ok(CopyArgs {
            from,
            chown: flags.template(self, "chown")?,
            chmod,
            placement: match flags.switch("link") {
                Some(true) => Placement::Linked,
                Some(false) | None => Placement::Merged,
            },
            layout: match flags.switch("parents") {
                Some(true) => CopyLayout::Parents,
                Some(false) | None => CopyLayout::Contents,
            },
            exclude: flags.templates(self, "exclude")?,
            syntax,
            sources: words,
            files,
            destination,
        })
    }

    /// The words that are no heredocs; those that are go to `files`.
    fn sources(&self, files: &mut Vec<HeredocFile>) -> Result<Vec<Template>, Fault> {
        let mut sources = Vec::new();
        let mut announced = self.heredocs.iter();
        let fields = words::fields(self.text);
        let last = fields.len().saturating_sub(1);
        for (index, range) in fields.into_iter().enumerate() {
            let Some(found) = Heredoc::word(&self.text[range.clone()]) else {
                sources.push(self.template(range)?);
                continue;
            };
            if index == last {
                return Err(self.at(range, SyntaxError::HeredocDestination(self.keyword)));
            }
            let heredoc = match announced.next() {
                Some(heredoc) if heredoc.name == found.name => heredoc.clone(),
                _ => return Err(self.at(range, SyntaxError::HeredocWord(self.keyword))),
            };
            let file = HeredocFile::new(heredoc)
                .map_err(|error| self.at(range.clone(), SyntaxError::Template(error)))?;
            let name = file.file_name();
            if matches!(name, "" | "." | "..") || name.contains('/') {
                let error = SyntaxError::HeredocName(file.heredoc.name);
                return Err(self.at(range, error));
            }
            files.push(file);
        }
        if announced.next().is_some() {
            return Err(self.whole(SyntaxError::HeredocWord(self.keyword)));
        }
        Ok(sources)
    }
}
