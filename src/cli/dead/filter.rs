//! Which dead letters are meant.
//!
//! **Invariant:** nothing is chosen that nobody asked for: a change of many needs a filter, or `--all`.

use std::time::Duration;

use headframe::durable::{ActorId, DeadLetter};

use crate::cli::{exit::Error, look::Look};

/// What letters must have in common.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Filter {
    /// Whose reason holds this text
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// For this actor
    #[arg(long, value_name = "ID")]
    actor: Option<ActorId>,
    /// For actors of this kind: run, phase, task, or gone
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,
    /// Given up longer ago than this
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older: Option<Duration>,
}

/// Letters by number, by filter, or all.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Chosen {
    /// Their numbers, as `dead list` shows them
    #[arg(value_name = "LETTER", conflicts_with_all = ["reason", "actor", "kind", "older", "all"])]
    letters: Vec<u64>,
    #[command(flatten)]
    filter: Filter,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.reason.is_none() && self.actor.is_none() && self.kind.is_none() && self.older.is_none()
    }

    /// The letters that it fits.
    pub(crate) fn of(&self, look: &Look, now_ms: u64) -> Vec<(u64, DeadLetter)> {
        look.letters().filter(|(_, letter)| self.fits(look, letter, now_ms)).collect()
    }

    fn fits(&self, look: &Look, letter: &DeadLetter, now_ms: u64) -> bool {
        let age_ms = u128::from(now_ms.saturating_sub(letter.at_ms));
        self.reason.as_ref().is_none_or(|text| letter.reason.contains(text))
            && self.actor.is_none_or(|actor| letter.to == actor)
            && self.kind.as_ref().is_none_or(|kind| look.kind(letter.to).unwrap_or("gone") == kind)
            && self.older.is_none_or(|older| age_ms > older.as_millis())
    }
}

impl Chosen {
    /// The letters that are meant.
    pub(crate) fn of(&self, look: &Look, now_ms: u64) -> Result<Vec<(u64, DeadLetter)>, Error> {
        if !self.letters.is_empty() {
            return self.letters.iter().map(|number| super::find(look, *number)).collect();
        }
        if self.filter.is_empty() && !self.all {
            let help = "name letters, or say which: --reason, --actor, --kind, --older or --all";
            return Err(Error::Usage(help.to_owned()));
        }
        Ok(self.filter.of(look, now_ms))
    }
}
