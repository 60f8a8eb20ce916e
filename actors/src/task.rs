//! A task: one piece of work, from its start to one recorded end.
//!
//! ```text
//! new ─► calling ─► ended        new ─► sleeping ─► ended
//!          ▲  │ ╲
//!          │  ▼   ▼
//!       backoff  doubt
//! ```
//! A task whose tool only lets time pass makes no call: it sleeps, with a durable timer. When a tool has certainly failed for
//! good, the next fallback is called in its place. When the time that all attempts have together is over, the one under way
//! is asked to stop, and no other is made.
//!
//! **Invariants:** one call at a time; it ends only when its call has an outcome; the generation grows only after a
//! definite failure, so that a repeat after an unknown outcome carries the same key; no fallback is called while nobody
//! knows what the tool before it did.

mod attempt;
mod deadline;
mod key;
mod old;
mod sleep;
mod state;

use std::sync::Arc;

pub use self::state::{End, Event, Job, Message, State, Status, Task};
use crate::{
    durable::{Address, Failure, Rejection, Turn},
    json::Json,
    phase::{self, Phase},
    plan::{self, Checked, Plans},
    run::measures::TASK_ENDED,
};

/// The plan, and this task in it.
struct Ordered {
    plan: Arc<Checked>,
    phase: usize,
    task: usize,
}

impl Ordered {
    fn task(&self) -> &plan::Task {
        &self.plan.phases[self.phase].tasks[self.task]
    }

    /// How the tool at hand is called.
    fn means(&self, turn: &Turn<'_, Task>) -> Result<&plan::Task, Rejection> {
        let at = turn.state().at;
        self.task().means(at).ok_or_else(|| Rejection::fatal(format!("the task has no fallback {at}")))
    }
}

fn ordered(turn: &Turn<'_, Task>, job: &Job) -> Result<Ordered, Rejection> {
    let plan = turn.extension::<Plans>().and_then(|plans| plans.get(job.plan));
    let plan = plan.ok_or_else(|| Rejection::fatal(format!("plan {} is not known", job.plan)))?;
    Ok(Ordered { plan, phase: job.phase as usize, task: job.task as usize })
}

fn job(turn: &Turn<'_, Task>) -> Result<Job, Rejection> {
    turn.state().job.clone().ok_or_else(|| Rejection::new("the task has not begun"))
}

/// The arguments of the tool at hand.
fn input<'a>(turn: &'a Turn<'_, Task>, job: &'a Job) -> Result<&'a Json, Rejection> {
    let state = turn.state();
    let given = state.at.checked_sub(1).map_or(Some(&job.input), |fallback| state.fallbacks.get(fallback as usize));
    given.ok_or_else(|| Rejection::fatal(format!("fallback {} was given no arguments", state.at)))
}

fn poisoned(reason: String) -> End {
    End::Failed(Failure::new("poisoned", reason))
}

fn end(turn: &mut Turn<'_, Task>, end: End) -> Result<(), Rejection> {
    let how = match &end {
        End::Done(_) => "succeeded",
        End::Failed(_) => "failed",
        End::Skipped => "skipped",
        End::Stopped => "stopped",
    };
    turn.count(&TASK_ENDED, how, 1);
    turn.emit(&match &end {
        End::Done(_) => Event::Succeeded,
        End::Failed(failure) => Event::Failed { failure: failure.clone() },
        End::Skipped | End::Stopped => Event::Stopped,
    });
    let me = turn.me();
    turn.send(Address::<Phase>::new(turn.parent()), &phase::Message::Ended { task: me, end });
    turn.stop();
    Ok(())
}
