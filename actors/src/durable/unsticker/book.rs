//! What was found so far, how often it was seen, and what was tried.
//!
//! ```text
//! seen once ─ seen again ─► first cure ─ deadline ─► next cure ─ deadline ─► reported ─► the last cure, ever more seldom
//! ```
//! A person reads of it then, and may not come before morning: what helps against bad luck is tried again meanwhile.
//!
//! **Invariants:** nothing is done at the first sight of anything; at most one action per actor and look; what is not
//! seen any more is forgotten. After a late look nothing is done until the next. What a person decides is not in it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reason, Waiting, reason::Key};
use crate::durable::id::{ActorId, CallId};

/// Looks that a cure has to work in.
pub(crate) const DEADLINE: u32 = 2;

/// No pause between two tries of what did not help is longer, in looks: an hour.
const PAUSE_MAX: u32 = 720;

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ring its doorbell.
    Ring,
    /// Kill its host, and ring.
    Reload,
    /// Hand the call to its tool.
    Dispatch,
    /// Kill the actor before the tool; the new one reads its mailbox.
    RestartTool,
    /// Fire what is due.
    Fire,
    /// Tell whoever made it.
    TellOwner,
    /// Tell the root of its tree; of one that has no root either, end it.
    TellRoot,
    /// Ask a silent call to stop, and end its attempt.
    GiveUp,
    /// End a call that nobody waits for and nobody makes.
    EndCall,
    /// Forget a timer.
    Forget,
    /// Say that nothing helped.
    Report,
}

impl Action {
    /// What was done, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Ring => "was rung again",
            Self::Reload => "was loaded again",
            Self::Dispatch => "its call was handed to the tool again",
            Self::RestartTool => "the actor before its tool was started again",
            Self::Fire => "its timer was fired",
            Self::TellOwner => "its owner was told",
            Self::TellRoot => "the root of its tree was told",
            Self::GiveUp => "it was asked to stop, and its outcome is unknown",
            Self::EndCall => "it was ended, because nobody waits for it",
            Self::Forget => "its timer was forgotten",
            Self::Report => "nothing helped, and a person must look",
        }
    }
}

impl Action {
    /// Whether it may help although it did not help before, and harms nobody.
    fn is_worth_another_try(self) -> bool {
        matches!(self, Self::Ring | Self::Reload | Self::Dispatch | Self::RestartTool | Self::Fire)
    }
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) waiting: Waiting,
    pub(crate) action: Action,
}

/// Looks for which it is remembered that somebody was told, although that moves whoever is told: it is not told again.
const TOLD_FOR: u32 = 720;

#[derive(Clone, Copy, Debug, Default)]
struct Case {
    seen: u32,
    /// Looks since it was last seen.
    unseen: u32,
    tried: usize,
    /// Looks until the next thing is due, and at which sight that is.
    pause: u32,
    due_at: u32,
    is_reported: bool,
}

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Book {
    cases: BTreeMap<Key, Case>,
}

impl Book {
    /// One more look, at whatever is in the book among others: what was found, and whether the look came late. Returns
    /// what to do.
    pub(crate) fn look(&mut self, found: Vec<Waiting>, is_late: bool) -> Vec<Due> {
        let found: Vec<_> = found.into_iter().filter(|waiting| waiting.reason.is_cured()).collect();
        let keys: BTreeSet<Key> = found.iter().map(Waiting::key).collect();
        self.cases.retain(|key, case| case.stays(key.2, keys.contains(key)));
        let (mut acted, mut due) = (BTreeSet::new(), Vec::new());
        for waiting in found {
            let case = self.cases.entry(waiting.key()).or_default();
            if is_late {
                // Everyone gets as much grace as the look was late.
                case.due_at = case.due_at.max(case.seen + DEADLINE);
                continue;
            }
            case.seen += 1;
            if let Some(action) = case.next(waiting.reason)
                && acted.insert(waiting.actor)
            {
                case.did(action);
                due.push(Due { waiting, action });
            }
        }
        due
    }

    /// Who must be looked at every time; at most so many.
    pub(crate) fn suspects(&self, most: usize) -> impl Iterator<Item = ActorId> + '_ {
        self.cases.keys().map(|(actor, ..)| *actor).take(most)
    }

    /// The calls that must be looked at every time; at most so many.
    pub(crate) fn calls(&self, most: usize) -> impl Iterator<Item = CallId> + '_ {
        self.cases.keys().filter_map(|(_, call, _)| *call).take(most)
    }
}

impl Case {
    fn stays(&mut self, reason: Reason, is_seen: bool) -> bool {
        self.unseen = if is_seen { 0 } else { self.unseen + 1 };
        let is_told = self.tried > 0 && reason.cures() == [Action::TellOwner];
        self.unseen <= if is_told { TOLD_FOR } else { 0 }
    }

    fn next(&self, reason: Reason) -> Option<Action> {
        let cures = reason.cures();
        if self.seen < 2 || self.seen < self.due_at {
            return None;
        }
        match cures.get(self.tried) {
            Some(cure) => Some(*cure),
            None if !self.is_reported => Some(Action::Report),
            None => cures.last().copied().filter(|cure| cure.is_worth_another_try()),
        }
    }

    fn did(&mut self, action: Action) {
        self.is_reported |= action == Action::Report;
        self.tried += 1;
        self.pause = if self.is_reported { (self.pause * 2).min(PAUSE_MAX) } else { DEADLINE };
        self.due_at = self.seen + self.pause;
    }
}
