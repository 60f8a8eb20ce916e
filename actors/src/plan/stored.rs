//! The stored form of a plan, by whose digest it is known.
//!
//! ```text
//! 1  the plan
//! 2  the plan, and the promises of heartbeats
//! 3  the plan, and everything that stands beside it: heartbeats, deadlines, fallbacks
//! ```
//! **Invariant:** a plan is stored in the oldest of these formats that can hold it, so that it keeps its digest from build to
//! build: what a later format added changes no plan that does without it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Phase, Plan, Task};
use crate::durable::codec;

/// Where a task stands that promises heartbeats, and its longest silence in milliseconds.
type Beat = (u32, u32, u64);

/// A fallback, with its longest silence in milliseconds if it promises heartbeats.
type Fallback = (Task, Option<u64>);

/// What stands beside a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Beside {
    /// By tasks.
    beats: Vec<Beat>,
    /// Milliseconds, of the phase and the task at these positions; of a whole phase, or the whole run, without them.
    deadlines: Vec<(Option<u32>, Option<u32>, u64)>,
    /// Of the task at these positions.
    fallbacks: Vec<(u32, u32, Vec<Fallback>)>,
}

impl Beside {
    fn of(plan: &Plan) -> Self {
        let mut beside = Self::default();
        beside.deadlines.extend(plan.deadline_ms.map(|ms| (None, None, ms)));
        for (phase, at) in plan.phases.iter().zip(0..) {
            beside.deadlines.extend(phase.deadline_ms.map(|ms| (Some(at), None, ms)));
            for (task, of) in phase.tasks.iter().zip(0..) {
                beside.deadlines.extend(task.deadline_ms.map(|ms| (Some(at), Some(of), ms)));
                beside.beats.extend(task.heartbeat_ms.map(|ms| (at, of, ms)));
                if !task.fallbacks.is_empty() {
                    let fallbacks = task.fallbacks.iter().map(|task| (task.clone(), task.heartbeat_ms));
                    beside.fallbacks.push((at, of, fallbacks.collect()));
                }
            }
        }
        beside
    }

    fn has_only_beats(&self) -> bool {
        self.deadlines.is_empty() && self.fallbacks.is_empty()
    }

    fn put_back(self, plan: &mut Plan) -> Result<(), codec::Error> {
        for (phase, task, within_ms) in self.beats {
            task_of(plan, phase, task)?.heartbeat_ms = Some(within_ms);
        }
        for deadline in self.deadlines {
            match deadline {
                (Some(phase), Some(task), ms) => task_of(plan, phase, task)?.deadline_ms = Some(ms),
                (Some(phase), None, ms) => phase_of(plan, phase)?.deadline_ms = Some(ms),
                (None, _, ms) => plan.deadline_ms = Some(ms),
            }
        }
        for (phase, task, fallbacks) in self.fallbacks {
            let fallbacks = fallbacks.into_iter().map(|(task, heartbeat_ms)| Task { heartbeat_ms, ..task });
            task_of(plan, phase, task)?.fallbacks = fallbacks.collect();
        }
        Ok(())
    }
}

fn phase_of(plan: &mut Plan, phase: u32) -> Result<&mut Phase, codec::Error> {
    let missing = || codec::Error::Payload("something of a phase that is not there".to_owned());
    plan.phases.get_mut(phase as usize).ok_or_else(missing)
}

fn task_of(plan: &mut Plan, phase: u32, task: u32) -> Result<&mut Task, codec::Error> {
    let missing = || codec::Error::Payload("something of a task that is not there".to_owned());
    phase_of(plan, phase)?.tasks.get_mut(task as usize).ok_or_else(missing)
}

impl Plan {
    /// The name and version under which plans are stored and hashed.
    pub const FORMAT: codec::Format = codec::Format::new("plan", 1);
    /// The format of a plan in which a task promises heartbeats: the plan, and for each of those tasks the position of
    /// its phase, its own, and the longest silence in milliseconds.
    pub const BEATING: codec::Format = codec::Format::new("plan", 2);
    /// The format of a plan with deadlines or fallbacks: the plan, and everything that stands beside it.
    pub const BESIDE: codec::Format = codec::Format::new("plan", 3);

    /// The stored form; its digest names the plan.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let beside = Beside::of(self);
        match (beside.has_only_beats(), beside.beats.is_empty()) {
            (true, true) => codec::seal(Self::FORMAT, self),
            (true, false) => codec::seal(Self::BEATING, &(self, beside.beats)),
            (false, _) => codec::seal(Self::BESIDE, &(self, beside)),
        }
    }

    /// Read the stored form.
    ///
    /// # Errors
    /// If the bytes are not a plan this build can read.
    pub fn decode(sealed: &[u8]) -> Result<Self, codec::Error> {
        let stored = codec::unwrap(Self::FORMAT.type_id, sealed)?;
        let (mut plan, beside): (Self, Beside) = match stored.format {
            Self::BESIDE => stored.decode()?,
            Self::BEATING => {
                let (plan, beats) = stored.decode()?;
                (plan, Beside { beats, ..Beside::default() })
            }
            Self::FORMAT => (stored.decode()?, Beside::default()),
            format => return Err(codec::Error::Version { found: format.version, known: Self::BESIDE.version }),
        };
        beside.put_back(&mut plan)?;
        Ok(plan)
    }
}
