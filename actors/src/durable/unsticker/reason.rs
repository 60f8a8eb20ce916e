//! The classes: what is waited for in vain, what is tried about it, and what a person can do.
//!
//! **Invariant:** a class that has no cure here is one that a person decides, and says how.

use super::Action;
use crate::durable::id::{ActorId, CallId};

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
    /// A call promised heartbeats, and is silent.
    LostHeartbeat,
    /// It waits for a call that is not there.
    MissingCall,
    /// It waits for a child that is not there.
    MissingChild,
    /// A call whose caller is gone.
    OrphanCall,
    /// A timer of no actor.
    OrphanTimer,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::LostDoorbell,
        Self::LostCall,
        Self::NoTool,
        Self::InDoubt,
        Self::OverdueTimer,
        Self::WaitsForNothing,
        Self::Orphan,
        Self::Suspended,
        Self::Poison,
        Self::LostHeartbeat,
        Self::MissingCall,
        Self::MissingChild,
        Self::OrphanCall,
        Self::OrphanTimer,
    ];

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
            Self::LostHeartbeat => "lost-heartbeat",
            Self::MissingCall => "missing-call",
            Self::MissingChild => "missing-child",
            Self::OrphanCall => "orphan-call",
            Self::OrphanTimer => "orphan-timer",
        }
    }

    /// What a person can do.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::LostDoorbell
            | Self::LostCall
            | Self::OverdueTimer
            | Self::LostHeartbeat
            | Self::OrphanCall
            | Self::OrphanTimer => {
                "nothing: a running engine takes it up; if it stays here, restart the process and report it"
            }
            Self::NoTool => "register the tool in this process, or start the one that has it",
            Self::InDoubt => "look whether it happened, then `headframe doubt resolve`",
            Self::WaitsForNothing | Self::MissingCall | Self::MissingChild | Self::Orphan => {
                "end its run with `headframe runs end`, and report it"
            }
            Self::Suspended => {
                "mend what it cannot load, or retry what it lost (`headframe dead list`), and start again"
            }
            Self::Poison => "`headframe dead retry` once the cause is mended, or `headframe runs end`",
        }
    }

    /// What is tried, in this order; each has [`super::book::DEADLINE`] looks to work.
    pub(super) fn cures(self) -> &'static [Action] {
        match self {
            Self::LostDoorbell => &[Action::Ring, Action::Reload],
            Self::LostCall => &[Action::Dispatch, Action::RestartTool],
            Self::OverdueTimer => &[Action::Fire],
            Self::WaitsForNothing | Self::MissingCall | Self::MissingChild => &[Action::TellOwner],
            Self::Orphan => &[Action::TellRoot],
            Self::LostHeartbeat => &[Action::GiveUp],
            Self::OrphanCall => &[Action::EndCall],
            Self::OrphanTimer => &[Action::Forget],
            Self::NoTool | Self::InDoubt | Self::Suspended | Self::Poison => &[],
        }
    }

    /// Within so many looks of the unsticker, after the moment from which it is so, something is done about it for the first
    /// time, or a person can read of it, if all there is fits into one look (8,192 actors and calls): the second sight acts,
    /// and what is missing was looked for everywhere. Each further cure follows two looks later.
    #[must_use]
    pub fn looks_max(self) -> u32 {
        match self {
            // What a person must decide is named whenever somebody asks.
            Self::NoTool | Self::InDoubt | Self::Suspended | Self::Poison => 0,
            Self::LostDoorbell
            | Self::LostCall
            | Self::OverdueTimer
            | Self::WaitsForNothing
            | Self::Orphan
            | Self::OrphanCall
            | Self::OrphanTimer => 2,
            // A look goes by in which it is silent.
            Self::LostHeartbeat => 3,
            // Two rounds go by in which nobody speaks for it.
            Self::MissingCall | Self::MissingChild => 4,
        }
    }

    /// Whether something is done about it without a person.
    pub(crate) fn is_cured(self) -> bool {
        !self.cures().is_empty()
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
    /// One sentence: who waits for what, and why that does not come.
    pub sentence: String,
    /// Since when, in milliseconds since 1970, where that is known.
    pub since_ms: Option<u64>,
}

/// What tells one finding from another.
pub(crate) type Key = (ActorId, Option<CallId>, Reason);

impl Waiting {
    /// An actor that is not run.
    pub(crate) fn suspended(actor: ActorId, kind: &str, why: &str) -> Self {
        let sentence = format!("{actor} ({kind}) is suspended and takes no message: {why}");
        Self { actor, call: None, reason: Reason::Suspended, sentence, since_ms: None }
    }

    pub(crate) fn key(&self) -> Key {
        (self.actor, self.call, self.reason)
    }
}
