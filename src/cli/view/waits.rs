//! What runs wait for, in order of what a person can do about it.
//!
//! **Invariant:** every unit of a run that has not ended is in the list, once.

use std::{sync::Arc, time::Duration};

use headframe::durable::CallId;

use crate::cli::{
    progress::{Progress, Step},
    shown,
};

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wait {
    /// A person must decide.
    Decision { path: String, call: CallId },
    /// A call runs.
    Call { path: String, elapsed: Duration, note: String },
    /// The next attempt comes in so long.
    BackOff { path: String, left_ms: u64 },
    /// A task sleeps for so much longer.
    Sleep { path: String, left_ms: u64 },
    /// So many tasks are between two steps.
    Queued { tasks: usize },
}

/// A running call, as the engine tells of it.
pub(crate) type Running = (CallId, Arc<str>, Duration, headframe::tool::Progress);

/// What a run waits for: decisions first, then calls by age, then waits.
pub(crate) fn waits(progress: &Progress, running: &[Running], now_ms: u64) -> Vec<Wait> {
    let mut queued = 0;
    let mut waits: Vec<_> = progress
        .units
        .values()
        .filter_map(|unit| {
            let path = unit.path.clone();
            match unit.step {
                Step::Doubt(call) => Some(Wait::Decision { path, call }),
                Step::BackOff { until_ms } => Some(Wait::BackOff { path, left_ms: until_ms.saturating_sub(now_ms) }),
                Step::Sleeping { until_ms } => Some(Wait::Sleep { path, left_ms: until_ms.saturating_sub(now_ms) }),
                Step::Calling(call) => match running.iter().find(|(known, ..)| *known == call) {
                    Some((_, _, elapsed, told)) => {
                        Some(Wait::Call { path, elapsed: *elapsed, note: shown::cut(&told.note, 60) })
                    }
                    None => {
                        queued += 1;
                        None
                    }
                },
                Step::Between => {
                    queued += 1;
                    None
                }
            }
        })
        .collect();
    waits.sort_by_key(Wait::rank);
    if queued > 0 {
        waits.push(Wait::Queued { tasks: queued });
    }
    waits
}

impl Wait {
    fn rank(&self) -> (u8, std::cmp::Reverse<Duration>) {
        match self {
            Self::Decision { .. } => (0, std::cmp::Reverse(Duration::ZERO)),
            Self::Call { elapsed, .. } => (1, std::cmp::Reverse(*elapsed)),
            Self::BackOff { .. } | Self::Sleep { .. } => (2, std::cmp::Reverse(Duration::ZERO)),
            Self::Queued { .. } => (3, std::cmp::Reverse(Duration::ZERO)),
        }
    }

    /// In a few words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Decision { path, call } => format!("{path} is in doubt ({call})"),
            Self::Call { path, elapsed, note } => {
                let note = if note.is_empty() { String::new() } else { format!(" ({note})") };
                format!("{path} {}{note}", shown::length(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)))
            }
            Self::BackOff { path, left_ms } => format!("{path} again in {}", shown::length(*left_ms)),
            Self::Sleep { path, left_ms } => format!("{path} sleeps for {}", shown::length(*left_ms)),
            Self::Queued { tasks } => format!("{} queued", shown::count(*tasks as u64, "task")),
        }
    }
}
