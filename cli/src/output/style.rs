//! Styles by meaning: code names what a text means, never a colour.

use std::fmt;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use repro_verifier::render;

use crate::ambient::{Ambient, Stream};

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// What that means for one stream.
    pub(super) fn resolve(self, ambient: &Ambient, stream: Stream) -> anstream::ColorChoice {
        let colored = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => stream.is_terminal() && !ambient.no_color,
        };
        if colored {
            anstream::ColorChoice::AlwaysAnsi
        } else {
            anstream::ColorChoice::Never
        }
    }
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Something failed.
    Error,
    /// Something to worry about.
    Warning,
    /// A next step.
    Hint,
    /// As wished: equal, sound, there.
    Good,
    /// Not as wished: different, damaged, missing.
    Bad,
    /// The name of something.
    Heading,
    /// Of less weight.
    Faint,
}

impl Meaning {
    pub(crate) const fn style(self) -> Style {
        match self {
            Self::Error | Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Hint => AnsiColor::Cyan.on_default().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Heading => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }

    /// The meaning of a style of a report; `None` for running text.
    pub(crate) const fn of(style: render::Style) -> Option<Self> {
        match style {
            render::Style::Plain => None,
            render::Style::Good => Some(Self::Good),
            render::Style::Bad => Some(Self::Bad),
            render::Style::Warning => Some(Self::Warning),
            render::Style::Strong => Some(Self::Heading),
            render::Style::Dim => Some(Self::Faint),
            render::Style::Code => Some(Self::Hint),
        }
    }

    /// The text in the style of its meaning. The stream takes the colours away where it must.
    pub(crate) fn paint<T: fmt::Display>(self, text: T) -> Painted<T> {
        Painted {
            meaning: self,
            text,
        }
    }
}

/// A text with its meaning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Painted<T> {
    meaning: Meaning,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let style = self.meaning.style();
        write!(f, "{style}{}{style:#}", self.text)
    }
}
