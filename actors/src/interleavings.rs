//! Corners where threads share state, explored: a scheduler of its own (`shuttle`) chooses who runs at every step.
//!
//! The scheduler knows only its own locks and threads, and ractor and tokio know nothing of it. So what is explored are small
//! models, as far as possible around the real parts: [`Open`](crate::durable) that records are filled in and sealed by, and
//! the table of calls in flight. What is a model says so, and says which code it follows. Every model can be broken in the
//! ways in which the real code could be (`Broken`), and each of those is found: a model that finds nothing proves nothing.
//!
//! A deadlock (everybody waits: a wake-up was lost) and a failed assertion end an exploration, which prints the schedule that
//! led there.

mod directory;
mod handover;
mod in_flight;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Schedules that are tried of each model that must hold.
const SCHEDULES: usize = 1_500;
/// And at most of each broken one, which is found much sooner.
const SCHEDULES_BROKEN: usize = 200_000;
/// Changes of thread against priority, in the second half of the schedules.
const DEPTH: usize = 4;

/// Nothing goes wrong, whoever runs when.
fn holds(model: impl Fn() + Clone + Send + Sync + 'static) {
    shuttle::check_random(model.clone(), SCHEDULES / 2);
    shuttle::check_pct(model, SCHEDULES / 2, DEPTH);
}

/// Something goes wrong for somebody's order of steps.
fn is_found(what: &str, model: impl Fn() + Clone + Send + Sync + 'static) {
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = {
        let tried = tried.clone();
        move || {
            tried.fetch_add(1, Ordering::Relaxed);
            model();
        }
    };
    let explored = catch_unwind(AssertUnwindSafe(|| shuttle::check_random(counted, SCHEDULES_BROKEN)));
    let tried = tried.load(Ordering::Relaxed);
    assert!(explored.is_err(), "{what} went unnoticed in {tried} schedules: the model has no teeth");
}
