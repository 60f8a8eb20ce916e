//! Where words go: data to stdout, talk to stderr.
//!
//! **Invariant:** nothing else of the command line writes to either. A stderr that is gone stops nothing; a stdout that
//! is gone ends the command, quietly.

use std::{
    fmt::Display,
    io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _},
};

use clap::ValueEnum;
use serde::Serialize;

use super::log;

/// What may follow `-o`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// A flowchart that many Markdown viewers draw.
    Mermaid,
    /// A digraph for Graphviz.
    Dot,
    /// A picture.
    Svg,
}

impl Output {
    /// What data looks like then; nothing if only a drawing can look so.
    pub(crate) fn format(self) -> Option<Format> {
        match self {
            Self::Table => Some(Format::Table),
            Self::Json => Some(Format::Json),
            Self::Jsonl => Some(Format::Jsonl),
            Self::Mermaid | Self::Dot | Self::Svg => None,
        }
    }
}

/// What data looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
}

/// The two ways out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Out {
    pub(crate) format: Format,
    /// Whether stdout may be coloured.
    pub(crate) color: bool,
    /// Whether stderr may be coloured.
    pub(crate) talk_color: bool,
    /// Whether somebody watches stderr.
    pub(crate) watched: bool,
    /// Whether talk is written as the log is, in JSON.
    talks_json: bool,
}

/// How a word may stand out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Good,
    Bad,
    Warn,
    Dim,
    Bold,
}

impl Style {
    /// The text between escape codes, where colour is wanted.
    pub(crate) fn paint(self, color: bool, text: impl Display) -> String {
        let code = match self {
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
            Self::Dim => "2",
            Self::Bold => "1",
        };
        if color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

impl Out {
    /// Colour only on terminals, and only if nobody minds.
    pub(crate) fn new(format: Format, wants_color: bool) -> Self {
        let watched = io::stderr().is_terminal();
        Self {
            format,
            color: wants_color && io::stdout().is_terminal(),
            talk_color: wants_color && watched,
            watched,
            talks_json: false,
        }
    }

    /// Talk in JSON, should this be so: without colour, and with nothing that moves.
    pub(crate) fn talking_json(self, talks_json: bool) -> Self {
        let is_text = !talks_json;
        Self { talk_color: self.talk_color && is_text, watched: self.watched && is_text, talks_json, ..self }
    }

    /// One line of data.
    pub(crate) fn line(&self, text: impl Display) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    /// One document: readable on a terminal, one line otherwise.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let pretty = self.format != Format::Jsonl && io::stdout().is_terminal();
        let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.line(text?)
    }

    /// Many rows as the format asks: one document, or one a line.
    pub(crate) fn rows<T: Serialize>(&self, rows: &[T]) -> io::Result<()> {
        match self.format {
            Format::Jsonl => rows.iter().try_for_each(|row| self.json(row)),
            Format::Json | Format::Table => self.json(&rows),
        }
    }

    /// For a lot of data: remember to flush.
    pub(crate) fn bulk(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::new(io::stdout().lock())
    }

    /// Talk.
    pub(crate) fn note(&self, text: impl Display) {
        self.talk("INFO", text);
    }

    fn talk(&self, level: &str, text: impl Display) {
        // Nobody is left to be told that nobody listens.
        let _ = if self.talks_json {
            writeln!(io::stderr(), "{}", log::said(level, text))
        } else {
            writeln!(io::stderr(), "{text}")
        };
    }

    /// Talk about what went wrong.
    pub(crate) fn error(&self, text: impl Display) {
        if self.talks_json {
            return self.talk("ERROR", text);
        }
        self.note(format_args!("{}: {text}", Style::Bad.paint(self.talk_color, "error")));
    }

    /// A word on stderr.
    pub(crate) fn accent(&self, style: Style, text: impl Display) -> String {
        style.paint(self.talk_color, text)
    }
}
