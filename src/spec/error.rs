//! What is wrong with a spec, for people and for machines.
//!
//! **Invariant:** every problem has a code, and whatever was in a file has its line and column.

use std::{fmt, io};

use headframe_actors::plan::{Problem, ProblemKind};
use serde::Serialize;

use super::{
    SPEC_MAX,
    node::{Mark, Node, Source},
};

/// Not YAML.
pub(super) const SYNTAX: &str = "HF0101";
/// A key that the format does not have.
pub(super) const KEY: &str = "HF0102";
/// A value of the wrong type or outside its range.
pub(super) const VALUE: &str = "HF0103";
/// A name that nothing answers to, or not yet.
pub(super) const REFERENCE: &str = "HF0104";
/// Phases that wait for each other.
pub(super) const CYCLE: &str = "HF0105";
/// A tool that does not exist, or refuses its arguments.
pub(super) const TOOL: &str = "HF0106";
/// A template or condition that does not parse.
pub(super) const EXPRESSION: &str = "HF0107";
/// More of something than is allowed.
pub(super) const LIMIT: &str = "HF0108";
/// A name that is malformed or taken.
pub(super) const NAME: &str = "HF0109";
/// A key written twice.
pub(super) const DUPLICATE: &str = "HF0110";
/// A file that cannot be read.
pub(super) const FILE: &str = "HF0111";
/// A key that must be there.
pub(super) const MISSING: &str = "HF0112";

/// Most problems that are shown as text; [`SpecError::problems`] has all of them.
const SHOWN_MAX: usize = 50;

/// Everything that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpecError {
    file: String,
    problems: Vec<SpecProblem>,
}

/// One thing that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpecProblem {
    /// The code, with a page in `docs/ERRORS.md`.
    pub code: &'static str,
    /// What is wrong and why, in lower case.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The line, from 1; 0 if the problem is the whole file.
    pub line: u32,
    /// The column in characters, from 1; 0 if the problem is the whole file.
    pub column: u32,
    /// Where in the document: `phases[1].tasks[0].retry`.
    pub place: String,
    /// The line, cut to a readable width.
    pub excerpt: String,
    /// Where the piece starts in the excerpt, in characters from 0, and how long it is.
    pub span: (usize, usize),
}

impl SpecError {
    /// Problems in the order of the file.
    pub(super) fn new(file: &str, mut problems: Vec<SpecProblem>) -> Self {
        problems.sort_by(|a, b| (a.line, a.column, a.code).cmp(&(b.line, b.column, b.code)));
        problems.dedup();
        Self { file: file.to_owned(), problems }
    }

    /// The file, as it was named.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Every problem, in the order of the file; never empty.
    #[must_use]
    pub fn problems(&self) -> &[SpecProblem] {
        &self.problems
    }

    fn write(&self, problem: &SpecProblem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", problem.code, problem.message)?;
        if problem.line == 0 {
            writeln!(f, " --> {}", self.file)?;
        } else {
            let gutter = " ".repeat(problem.line.to_string().len());
            let (start, length) = problem.span;
            writeln!(f, "{gutter}--> {}:{}:{}", self.file, problem.line, problem.column)?;
            writeln!(f, "{gutter} |")?;
            writeln!(f, "{}", format!("{} | {}", problem.line, problem.excerpt).trim_end())?;
            writeln!(f, "{gutter} | {}{}", " ".repeat(start), "^".repeat(length.max(1)))?;
        }
        problem.help.iter().try_for_each(|help| writeln!(f, "  = help: {help}"))
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().take(SHOWN_MAX) {
            self.write(problem, f)?;
            writeln!(f)?;
        }
        match self.problems.len() {
            1 => write!(f, "1 problem in {}", self.file),
            count if count > SHOWN_MAX => write!(f, "{count} problems in {}, {SHOWN_MAX} of them shown", self.file),
            count => write!(f, "{count} problems in {}", self.file),
        }
    }
}

impl std::error::Error for SpecError {}

impl SpecProblem {
    /// A problem with a piece of the source.
    pub(super) fn new(code: &'static str, source: &Source<'_>, mark: Mark, message: impl Into<String>) -> Self {
        let (excerpt, span) = source.excerpt(mark);
        Self {
            code,
            message: message.into(),
            help: None,
            line: mark.line,
            column: mark.column,
            place: String::new(),
            excerpt,
            span,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn of_file(code: &'static str, message: String) -> Self {
        let (place, excerpt) = (String::new(), String::new());
        Self { code, message, help: None, line: 0, column: 0, place, excerpt, span: (0, 0) }
    }
}

pub(super) fn unreadable(file: &str, error: &io::Error) -> SpecError {
    let problem = SpecProblem::of_file(FILE, format!("the file cannot be read: {error}"));
    let help = match error.kind() {
        io::ErrorKind::NotFound => "check the path; it is taken from the current folder",
        io::ErrorKind::InvalidData => "a spec is UTF-8 text",
        _ => "check that it is a file, and who may read it",
    };
    SpecError::new(file, vec![problem.help(help)])
}

pub(super) fn too_large(file: &str, size: u64) -> SpecError {
    let problem = SpecProblem::of_file(LIMIT, format!("the spec has {size} bytes, and at most {SPEC_MAX} are allowed"));
    SpecError::new(file, vec![problem.help("keep data out of the spec: give it as input, or let a task read it")])
}

/// A problem of the plan, at its place in the file.
pub(super) fn located(source: &Source<'_>, root: &Node, problem: Problem) -> SpecProblem {
    let (key, node) = root.find(&problem.place);
    let mark = match (problem.subject.as_deref(), key) {
        (Some(subject), Some(key)) if key.name == subject => key.mark,
        (Some(subject), _) => source.search(node, subject).unwrap_or(node.mark),
        (None, _) => node.mark,
    };
    let mut located = SpecProblem::new(code(problem.kind), source, mark, problem.message);
    located.help = problem.help;
    located.place = problem.place;
    located
}

fn code(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Name => NAME,
        ProblemKind::Reference => REFERENCE,
        ProblemKind::Cycle => CYCLE,
        ProblemKind::Expression => EXPRESSION,
        ProblemKind::Limit => LIMIT,
        _ => VALUE,
    }
}
