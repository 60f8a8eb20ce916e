//! Why a child ended.
//!
//! ractor tells a reason as text, and a panic apart; here is what they mean to a supervisor.

use std::fmt;

/// The reason that a host gives when it leaves memory because nothing is left to do.
pub const PASSIVATED: &str = "passivated";
/// The reason that a host gives when a newer activation of its actor exists.
pub const FENCED: &str = "fenced";
/// The reason that a supervisor gives to a child that it ends, and gives for itself when it gave up or when its
/// significant children have ended. More may follow after a colon.
pub const SHUTDOWN: &str = "shutdown";

/// What ractor says of an actor that was killed.
const KILLED: &str = "killed";
/// What it says when the task of an actor was dropped.
const CANCELLED: &str = "actor_task_cancelled";

/// Why a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was told to: by its supervisor, by the fence, or by passivation. Counts for nothing, and whoever told it
    /// decides about its return.
    Asked,
    /// It stopped by itself.
    Normal,
    /// It stopped by itself and says that this was a shutdown: as good as normal.
    Shutdown,
    /// It was killed.
    Killed,
    /// It panicked, or gave an error.
    Failed(String),
}

impl Exit {
    /// What the reason given with a ractor actor's end means.
    #[must_use]
    pub fn from_reason(reason: Option<&str>) -> Self {
        match reason {
            Some(PASSIVATED | FENCED) => Self::Asked,
            Some(KILLED) => Self::Killed,
            Some(CANCELLED) => Self::Failed("its task was dropped".to_owned()),
            Some(reason) if is_shutdown(reason) => Self::Shutdown,
            // `stop` is graceful, whatever its reason.
            Some(_) | None => Self::Normal,
        }
    }

    /// Whether a transient child that ended so is started again.
    #[must_use]
    pub fn is_abnormal(&self) -> bool {
        matches!(self, Self::Killed | Self::Failed(_))
    }
}

fn is_shutdown(reason: &str) -> bool {
    reason.strip_prefix(SHUTDOWN).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("asked"),
            Self::Normal => f.write_str("normal"),
            Self::Shutdown => f.write_str(SHUTDOWN),
            Self::Killed => f.write_str(KILLED),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killed_is_abnormal_and_stopped_is_not() {
        assert!(Exit::from_reason(Some("killed")).is_abnormal());
        assert!(Exit::from_reason(Some("actor_task_cancelled")).is_abnormal());
        for reason in [None, Some("shutdown"), Some("shutdown: gave up"), Some("done"), Some("passivated")] {
            assert!(!Exit::from_reason(reason).is_abnormal(), "{reason:?}");
        }
    }

    #[test]
    fn a_shutdown_is_told_from_a_word_that_begins_like_it() {
        assert_eq!(Exit::from_reason(Some("shutdown: auto")), Exit::Shutdown);
        assert_eq!(Exit::from_reason(Some("shutdowns")), Exit::Normal);
    }
}
