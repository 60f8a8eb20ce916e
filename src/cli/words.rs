//! Events in words, for people who read the ledger.
//!
//! **Invariant:** pure, and one line per event, whatever is in it.

use headframe::{
    durable::{ActorId, Failure, Item, Note, What},
    json::Json,
    phase::{self, Event as P},
    run::{self, Event as R, Outcome},
    task::{self, Event as T},
};
use serde_json::Value;

use super::{progress::Progress, shown};

/// Most characters of a value or a message.
const CUT: usize = 120;

/// One item in words. `progress` is the fold of what came before it.
pub(crate) fn item(progress: &Progress, item: &Item) -> String {
    match &item.what {
        What::Event(event) => {
            event_of(progress, item, event.clone()).unwrap_or_else(|_| shown::cut(&event.to_string(), CUT))
        }
        What::Runtime(event) => match serde_json::from_value(event.clone()) {
            Ok(said) => note(&said),
            Err(_) => shown::cut(&event.to_string(), CUT),
        },
        What::Unreadable { bytes } => format!("{bytes} bytes that this build cannot read"),
    }
}

/// The runtime's own event in words.
pub(crate) fn note(note: &Note) -> String {
    match note {
        Note::Restarted { reason } => format!("was loaded again after it died: {}", shown::cut(reason, CUT)),
        Note::Buried { reason } => format!("a message was given up: {}", shown::cut(reason, CUT)),
        Note::Suspended { reason } => format!("cannot be loaded and is suspended: {}", shown::cut(reason, CUT)),
        Note::Restored { from, to } => format!("goes on from before records {from} to {to}, which were lost"),
        Note::Decided { call, decision, by } => format!("{call} was decided by {by}: {}", shown::cut(decision, CUT)),
        Note::Redelivered { letter, by } => format!("dead letter {letter} was delivered again by {by}"),
        Note::Dropped { letter, by } => format!("dead letter {letter} was dropped by {by}"),
        Note::GivenUp { actors, by } => format!("was given up by {by}, with {}", shown::count(*actors, "actor")),
        Note::Restarts { count: 1, reason } => format!("was loaded again: {}", shown::cut(reason, CUT)),
        Note::Restarts { count, reason } => format!("was loaded again {count} times: {}", shown::cut(reason, CUT)),
        Note::Ending { reason } => format!("is ended, with everything below it: {}", shown::cut(reason, CUT)),
        Note::Unstuck { reason, action } => format!("{action}: {}", shown::cut(reason, CUT)),
    }
}

/// How a run ended, in words.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded(output) if output.is_null() => "succeeded".to_owned(),
        Outcome::Succeeded(output) => format!("succeeded: {}", value(output)),
        Outcome::Failed { task, failure } => format!("failed at {task}: {}", why(failure)),
        Outcome::Cancelled { reason } => format!("cancelled: {}", shown::cut(reason, CUT)),
    }
}

/// How a run ended, in one word.
pub(crate) fn status(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Succeeded(_) => "succeeded",
        Outcome::Failed { .. } => "failed",
        Outcome::Cancelled { .. } => "cancelled",
    }
}

fn event_of(progress: &Progress, item: &Item, event: Value) -> Result<String, serde_json::Error> {
    Ok(match item.kind {
        "run" => run(progress, serde_json::from_value(event)?),
        "phase" => phase(progress, item.actor, serde_json::from_value(event)?),
        "task" => task(serde_json::from_value(event)?),
        _ => shown::cut(&event.to_string(), CUT),
    })
}

fn run(progress: &Progress, event: run::Event) -> String {
    let name = |phase: u32| progress.phase_name(phase as usize);
    match event {
        R::Submitted { begin, .. } => {
            format!("submitted: plan {}, input {}", &begin.plan.to_string()[..12], value(&begin.input))
        }
        R::PhaseStarted { phase, .. } => format!("starts phase {}", name(phase)),
        R::PhaseSkipped { phase } => format!("passes over phase {}: its condition is false", name(phase)),
        R::PhaseDone { phase, .. } => format!("phase {} is done", name(phase)),
        R::PhaseUndone { phase, failure: Some((task, failure)) } => {
            format!("phase {} failed: {task}: {}", name(phase), why(&failure))
        }
        R::PhaseUndone { phase, failure: None } => format!("phase {} was stopped", name(phase)),
        R::Broken { place, failure } if failure.class == "deadline" => format!("stops {place}: {}", why(&failure)),
        R::Broken { place, failure } => format!("{place} has no value: {}", why(&failure)),
        R::Cancelled { reason } => format!("is cancelled: {}", shown::cut(&reason, CUT)),
        R::Held { reason } => format!("is held for an operator: {}", shown::cut(&reason, CUT)),
        R::Stopping => "starts nothing more".to_owned(),
        R::Released => "is no longer held".to_owned(),
        R::Ended(ended) => outcome(&ended),
    }
}

fn phase(progress: &Progress, actor: ActorId, event: phase::Event) -> String {
    let at = |task: u32, item: Option<u32>| progress.path_in(actor, task, item);
    match event {
        P::Began(_) => "begins".to_owned(),
        P::FannedOut { task, items } => format!("{} is {}", at(task, None), shown::count(items.into(), "unit")),
        P::Started(units) => {
            let named: Vec<_> = units.iter().take(3).map(|(unit, _)| at(unit.task, unit.item)).collect();
            let more = if units.len() > named.len() {
                format!(" and {} more", units.len() - named.len())
            } else {
                String::new()
            };
            format!("starts {}{more}", named.join(", "))
        }
        P::Sent { call, errand: phase::Errand::Fetch { task, from } } => {
            format!("fetches the items of {} from {from} on, as {call}", at(task, None))
        }
        P::Sent { call, errand: phase::Errand::PutAside { task } } => {
            format!("puts aside what {} gave so far, as {call}", at(task, None))
        }
        P::Fetched { window, .. } => {
            format!("has {} of {}", window.items.len(), shown::count(window.total.into(), "item"))
        }
        P::PutAside { reference, .. } => format!("put outputs aside as {}", value(&reference)),
        P::ErrandFailed { unit, failure, .. } => {
            format!("cannot have the data of {}: {}", at(unit.task, unit.item), why(&failure))
        }
        P::Skipped(units) => format!("skips {}: the condition is false", shown::count(units.len() as u64, "task")),
        P::Unstartable { unit, failure, .. } => format!("cannot start {}: {}", at(unit.task, unit.item), why(&failure)),
        P::Done { actor, output, .. } => format!("{} gave {}", progress.place(actor), value(&output)),
        P::Undone { actor, failure: Some(failure), optional } => {
            let optional = if optional { " (optional)" } else { "" };
            format!("{} failed{optional}: {}", progress.place(actor), why(&failure))
        }
        P::Undone { actor, failure: None, .. } => format!("{} was stopped", progress.place(actor)),
        P::Poisoned { actor } => format!("tells {} to end: it lost a message that it died of", progress.place(actor)),
        P::Stopping { reason } => format!("starts nothing more: {}", shown::cut(&reason, CUT)),
        P::Ended => "ended".to_owned(),
        P::Overdue { unit, failure } => {
            format!("is late, and waits for {}: {}", at(unit.task, unit.item), why(&failure))
        }
    }
}

fn task(event: task::Event) -> String {
    match event {
        T::Began { job, call, .. } => format!("intends {call} with {}", value(&job.input)),
        T::FellAsleep { from_ms, until_ms, .. } => {
            format!("sleeps for {}, until {}", shown::length(until_ms.saturating_sub(from_ms)), shown::time(until_ms))
        }
        T::Called { call, .. } => format!("intends {call}"),
        T::AttemptFailed { failure, wait_ms, .. } => {
            format!("the attempt failed, the next comes in {}: {}", shown::length(wait_ms), why(&failure))
        }
        T::AttemptUnknown { failure, wait_ms, .. } => {
            format!("the attempt's outcome is unknown, it is repeated in {}: {}", shown::length(wait_ms), why(&failure))
        }
        T::Doubted { call, failure, .. } => format!("{call} is in doubt: {}", why(&failure)),
        T::Repeated { call } => format!("is repeated as {call}, with the same key"),
        T::MadeAgain { call, failure, .. } => format!("is made again as {call}, with the same key: {}", why(&failure)),
        T::Stopping { reason } => format!("is no longer wanted: {}", shown::cut(&reason, CUT)),
        T::Succeeded => "succeeded".to_owned(),
        T::Failed { failure } => format!("failed: {}", why(&failure)),
        T::Stopped => "stopped".to_owned(),
        T::Prepared { fallbacks } => format!("has {}", shown::count(fallbacks.len() as u64, "fallback")),
        T::FellBack { to, tool, failure } => format!("falls back to `{tool}`, number {to}: {}", why(&failure)),
        T::DeadlineOver => "is late: nothing more is tried".to_owned(),
    }
}

fn why(failure: &Failure) -> String {
    format!("{}: {}", failure.class, shown::cut(&failure.message, CUT))
}

fn value(json: &Json) -> String {
    shown::cut(json.as_str(), CUT)
}
