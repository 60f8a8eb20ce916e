//! Damage to a file of a dead victim, and what a start says of it.
//!
//! A copy of the folder is damaged and started in a process of its own, with every run held; then all of it is read. The
//! victim's own folder stays as it was, so that every other promise can still be demanded of it.
//!
//! ```text
//! folder ─ copy ─► damaged ─ start, read all ─► refused by name, or what is there now
//!    └─ read all ──────────────────────────────► what was there ─► the same? told?
//! ```
//! **Invariants:** the copy shares no byte that may be written. Whatever differs from what was there and was not told is
//! [`Verdict::Silent`].

mod start;
#[cfg(test)]
mod tests;
mod wound;

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

pub(crate) use self::{
    start::{Content, Was, main as start, read, read_until},
    wound::choose,
};

/// Files that are written once, under a name that no other content ever has.
const WRITTEN_ONCE: [&str; 2] = ["base", "led"];
/// How a repair says that records at the end may be gone.
const CUT: [&str; 2] = ["was torn", "cannot be known"];

/// What a start on a damaged folder came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Started {
    /// Why it was refused.
    pub(crate) refused: Option<String>,
    /// What it mended, in sentences.
    pub(crate) repairs: Vec<String>,
    /// What reading everything found, in sentences.
    pub(crate) problems: Vec<String>,
    /// What is there, if it could be read.
    pub(crate) content: Option<Content>,
    /// The last record that is there.
    pub(crate) last: u64,
    /// How long start and reading took.
    pub(crate) micros: u64,
}

/// What became of the damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that counts was hit.
    Unharmed,
    /// It was mended, told, and nothing is missing.
    Rebuilt,
    /// The start was refused, with the number of a page that says what to do.
    Refused(String),
    /// The end was cut off, and told: what had only just been written may be gone.
    Cut,
    /// The end is gone without a trace, and nothing in the folder vouched for it: as if it had never been written.
    Unvouched,
    /// It went on, and said what is damaged.
    Named,
    /// Something differs, or the start failed without a name, and nobody was told.
    Silent(String),
}

impl Verdict {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Unharmed => "unharmed",
            Self::Rebuilt => "rebuilt",
            Self::Refused(_) => "refused by name",
            Self::Cut => "cut tail reported",
            Self::Unvouched => "an end nobody vouched for",
            Self::Named => "named",
            Self::Silent(_) => "silent",
        }
    }
}

/// Compare what was there with what a start on the damaged copy said and left. `until` says what there was up to a record.
pub(crate) fn judge(was: &Was, started: &Started, until: impl FnOnce(u64) -> Option<Content>) -> Verdict {
    if let Some(why) = &started.refused {
        return match code(why) {
            Some(code) => Verdict::Refused(code.to_owned()),
            None => Verdict::Silent(format!("the start was refused without a name: {why}")),
        };
    }
    let Started { repairs, problems, content, last, .. } = started;
    let is_whole = content.as_ref() == Some(&was.content);
    let is_cut = repairs.iter().any(|repair| CUT.iter().any(|word| repair.contains(word)));
    match (is_whole, repairs.is_empty(), problems.is_empty()) {
        (true, true, true) => Verdict::Unharmed,
        (true, false, true) => Verdict::Rebuilt,
        (_, _, false) => Verdict::Named,
        (false, _, true) if is_cut => Verdict::Cut,
        // HEAD may be behind by 100 ms. That the rest is just what was there is still demanded.
        (false, _, true) if (was.vouched..was.last).contains(last) && content.is_some() && *content == until(*last) => {
            Verdict::Unvouched
        }
        (false, _, true) => {
            let now = content.as_ref().map_or_else(|| "nothing readable".to_owned(), ToString::to_string);
            Verdict::Silent(format!(
                "there was {} up to record {} (vouched for: {}), and now there is {now} up to record {last}; what was told: {repairs:?}",
                was.content, was.last, was.vouched
            ))
        }
    }
}

/// The number under which docs/ERRORS.md says what to do.
fn code(why: &str) -> Option<&str> {
    let at = why.find("HF")?;
    why.get(at..at + 6).filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()))
}

/// Copy a data folder, but for what belongs to running programs. Files that are never written again are linked.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&path, &target)?;
        } else if path.extension().is_some_and(|kind| WRITTEN_ONCE.iter().any(|once| kind == *once)) {
            // On another file system there are no links to here.
            fs::hard_link(&path, &target).or_else(|_| fs::copy(&path, &target).map(drop))?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
