//! One child, as its supervisor knows it.
//!
//! ```text
//!           ┌────────────── exit, restart ──────────────┐
//!  Due ─► Starting ─► Up ─► (told to end) Ending ─► Due or Down
//!           ▲         └──── exit, no restart ─────────► Down, or forgotten
//!           └───── restart by hand ── Down
//! ```

use std::{sync::Arc, time::Duration};

use super::{
    event::Ticket,
    intensity::Window,
    policy::{Restart, Shutdown},
    spec::ChildSpec,
};

/// What a child is called in its supervisor.
pub type ChildId = Arc<str>;

/// A child's place in the order of starts; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) u64);

/// One life of one child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) slot: Slot,
    pub(super) incarnation: u64,
}

/// Where a child is, as a supervisor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended, and nothing will start it but a hand or a sibling's failure.
    Down,
    /// It waits to be started, or is being started.
    Restarting,
    /// It runs.
    Up,
    /// It was told to end.
    Ending,
}

#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) life: Life,
    /// Its own restarts, for a dynamic supervisor.
    pub(super) window: Window,
    /// Restarts since it last stayed up for a period.
    pub(super) streak: u32,
    /// When it last came up.
    pub(super) up_since: Duration,
    /// Restarts ever.
    pub(super) restarts: u64,
    /// After its end it stays down, whatever its siblings do.
    pub(super) stays_down: bool,
    /// Who waits until it is down.
    pub(super) tickets: Vec<Ticket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Down,
    Due {
        at: Duration,
    },
    Starting {
        incarnation: u64,
        by: Starter,
    },
    Up {
        incarnation: u64,
        /// A sibling's failure ends it: when those after it have ended, it is told to.
        leaves: bool,
    },
    Ending {
        incarnation: u64,
        kill_at: Option<Duration>,
        is_killed: bool,
    },
}

/// On whose behalf a child is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Starter {
    Supervisor,
    /// A new child, forgotten when it does not start.
    Added(Ticket),
    /// A child that was down, and is again when it does not start.
    Restarted(Ticket),
}

impl Child {
    pub(super) fn new(spec: ChildSpec, life: Life) -> Self {
        Self {
            spec,
            life,
            window: Window::default(),
            streak: 0,
            up_since: Duration::ZERO,
            restarts: 0,
            stays_down: false,
            tickets: Vec::new(),
        }
    }

    /// Whether this exit of a child that nobody told to end is answered with a restart.
    pub(super) fn is_restarted_after(&self, is_abnormal: bool) -> bool {
        match self.spec.restart {
            Restart::Permanent => true,
            Restart::Transient => is_abnormal,
            Restart::Temporary => false,
        }
    }

    /// How it is once it was told to end, and when it is killed if it does not.
    pub(super) fn ending(&self, incarnation: u64, now: Duration) -> Life {
        match self.spec.shutdown {
            Shutdown::BrutalKill => Life::Ending { incarnation, kill_at: None, is_killed: true },
            Shutdown::Infinity => Life::Ending { incarnation, kill_at: None, is_killed: false },
            Shutdown::Within(time) => {
                Life::Ending { incarnation, kill_at: Some(now.saturating_add(time)), is_killed: false }
            }
        }
    }
}

impl Life {
    /// The incarnation that runs, or is about to.
    pub(super) fn incarnation(self) -> Option<u64> {
        match self {
            Self::Down | Self::Due { .. } => None,
            Self::Starting { incarnation, .. } | Self::Up { incarnation, .. } | Self::Ending { incarnation, .. } => {
                Some(incarnation)
            }
        }
    }

    pub(super) fn status(self) -> Status {
        match self {
            Self::Down => Status::Down,
            Self::Due { .. } | Self::Starting { .. } => Status::Restarting,
            Self::Up { .. } => Status::Up,
            Self::Ending { .. } => Status::Ending,
        }
    }
}
