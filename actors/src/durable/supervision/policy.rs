//! What a supervisor is told when it is made: which rules it follows.
//!
//! The words and their meaning are those of OTP's `supervisor`.

use std::time::Duration;

use super::{backoff::Backoff, intensity::Intensity};

/// Which children start again when one of them failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Only the one that failed.
    #[default]
    OneForOne,
    /// All of them: the others are ended in reverse order, then all are started in order.
    OneForAll,
    /// The one that failed and those started after it.
    RestForOne,
    /// Children come and go, and know nothing of each other. Like OTP's `simple_one_for_one`, except that intensity
    /// counts for each child alone: one that fails too often is given up, and no other child notices. A child that
    /// ended for good is forgotten. At the end all are stopped together.
    Dynamic,
}

impl Strategy {
    /// Whether one child's failure ends others.
    pub(in crate::durable) fn is_group(self) -> bool {
        matches!(self, Self::OneForAll | Self::RestForOne)
    }
}

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// When it ended abnormally.
    Transient,
    /// Never, also not when a sibling's failure ended it; its specification is forgotten with it.
    Temporary,
}

/// How a child is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// It is killed, unasked.
    BrutalKill,
    /// It is asked to stop, and killed if it has not ended within this time.
    Within(Duration),
    /// It is asked to stop and waited for: what a child that is a supervisor needs.
    Infinity,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::Within(Duration::from_secs(5))
    }
}

/// What a child is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// It has no children that matter here.
    #[default]
    Worker,
    /// It supervises others.
    Supervisor,
}

/// Whether a supervisor ends when its significant children have.
///
/// A significant child counts when it ended by itself and is not started again: not when it was told to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoShutdown {
    /// It stays. No child may be significant.
    #[default]
    Never,
    /// It ends with the first of them.
    AnySignificant,
    /// It ends with the last of them.
    AllSignificant,
}

/// The rules of one supervisor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Which children start again.
    pub strategy: Strategy,
    /// How often, before it gives up.
    pub intensity: Intensity,
    /// How long it waits before each restart.
    pub backoff: Backoff,
    /// Whether it ends with its significant children.
    pub auto_shutdown: AutoShutdown,
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Policy {
    /// One for one, three restarts in ten seconds, and no end by itself.
    pub const DEFAULT: Self = Self::new(Strategy::OneForOne);

    /// A strategy, with the defaults for the rest.
    #[must_use]
    pub const fn new(strategy: Strategy) -> Self {
        Self { strategy, intensity: Intensity::DEFAULT, backoff: Backoff::DEFAULT, auto_shutdown: AutoShutdown::Never }
    }

    /// Give up after more than so many restarts within a period.
    #[must_use]
    pub const fn intensity(mut self, max_restarts: u32, period: Duration) -> Self {
        self.intensity = Intensity { max_restarts, period };
        self
    }

    /// Wait so before restarts.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// End with the significant children.
    #[must_use]
    pub const fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }
}
