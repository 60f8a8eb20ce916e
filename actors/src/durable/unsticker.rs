//! The unsticker: finds what waits for something that does not exist, and does the smallest thing about it.
//!
//! ```text
//! what is in memory ─► classify (pure) ─► findings ─► book (pure: age, cures tried) ─► at most one action per actor
//! ```
//! Stuck is a contradiction, not an age: a long call is waited for as long as its adapter lives.
//!
//! **Invariants:** ages are counted in the unsticker's own looks, so that a process that stood still accuses nobody.
//! Nothing is done about a call whose adapter lives, or about what a person must decide. Every kind of waiting has a class:
//! [`classify`] matches without a wildcard. Absent on purpose: the clock, and whoever acts.

mod book;
mod classify;
mod offline;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    book::{Action, Book, Due},
    classify::{ActorView, CallView, Holder, OVERDUE_MS, classify_actor, classify_call},
};
use super::id::{ActorId, CallId};

/// What is waited for in vain, or for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is mail, and nobody takes it.
    LostDoorbell,
    /// A call that its tool does not know of.
    LostCall,
    /// A call to a tool that is not registered here.
    NoTool,
    /// A call in doubt: a person decides.
    InDoubt,
    /// A timer is long due.
    OverdueTimer,
    /// No mail, no timer, no call, no child, and nobody outside will write.
    WaitsForNothing,
    /// Its parent is gone.
    Orphan,
    /// It is not run: it cannot be loaded, or lost a message.
    Suspended,
    /// A message that it needs lies with the dead letters.
    Poison,
}

impl Reason {
    /// The word that metrics and ledgers use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LostDoorbell => "lost-doorbell",
            Self::LostCall => "lost-call",
            Self::NoTool => "no-tool",
            Self::InDoubt => "in-doubt",
            Self::OverdueTimer => "overdue-timer",
            Self::WaitsForNothing => "waits-for-nothing",
            Self::Orphan => "orphan",
            Self::Suspended => "suspended",
            Self::Poison => "poison",
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::LostDoorbell | Self::LostCall | Self::OverdueTimer => {
                "nothing: it is taken up again; if it stays here, restart the process and report it"
            }
            Self::NoTool => "register the tool in this process, or start the one that has it",
            Self::InDoubt => "look whether it happened, then `headframe doubt resolve`",
            Self::WaitsForNothing => "end its run: `headframe runs end`",
            Self::Orphan => "report it: an actor outlived its parent",
            Self::Suspended => {
                "mend what it cannot load, or retry what it lost (`headframe dead list`), and start again"
            }
            Self::Poison => "`headframe dead retry` once the cause is mended, or `headframe runs end`",
        }
    }

    /// What is tried, in this order; each has [`book::DEADLINE`] looks to work.
    fn cures(self) -> &'static [Action] {
        match self {
            Self::LostDoorbell => &[Action::Ring, Action::Reload],
            Self::LostCall => &[Action::Dispatch, Action::RestartTool],
            Self::OverdueTimer => &[Action::Fire],
            Self::WaitsForNothing => &[Action::TellOwner],
            Self::NoTool | Self::InDoubt | Self::Orphan | Self::Suspended | Self::Poison => &[],
        }
    }
}

/// One thing that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who.
    pub actor: ActorId,
    /// For which call, if for one.
    pub call: Option<CallId>,
    /// For what.
    pub reason: Reason,
    /// One sentence: who waits for what.
    pub sentence: String,
    /// Since when, in milliseconds since 1970, where that is known.
    pub since_ms: Option<u64>,
}
