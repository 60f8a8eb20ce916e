//! What older builds wrote of a task.

use bytes::Bytes;
use serde::Deserialize;

use super::state::{Job, State, Status};
use crate::{durable::codec, json::Json};

/// Version 1 of the state: without fallbacks and deadline. Frozen.
#[derive(Deserialize)]
struct State1 {
    status: Status,
    job: Option<Job>,
    attempt: u32,
    key_since_ms: Option<u64>,
    generation: u32,
    stopping: bool,
    checkpoint: Option<Bytes>,
}

/// Version 2 of the state: without the time at which it began. Frozen.
#[derive(Deserialize)]
struct State2 {
    status: Status,
    job: Option<Job>,
    attempt: u32,
    key_since_ms: Option<u64>,
    generation: u32,
    stopping: bool,
    checkpoint: Option<Bytes>,
    at: u32,
    fallbacks: Vec<Json>,
    overdue: bool,
    unsure: bool,
}

pub(super) fn state(old: codec::Stored<'_>) -> Result<State, codec::Error> {
    match old.format.version {
        1 => Ok(of_version_1(old.decode()?)),
        2 => Ok(of_version_2(old.decode()?)),
        found => Err(codec::Error::Version { found, known: 3 }),
    }
}

fn of_version_1(old: State1) -> State {
    let State1 { status, job, attempt, key_since_ms, generation, stopping, checkpoint } = old;
    let unsure = match status {
        Status::Doubt(_) => true,
        Status::Backoff => key_since_ms.is_some(),
        // Each attempt but the one under way failed for certain, and then raised the generation, or did not.
        _ => attempt > generation.saturating_add(1),
    };
    State { status, job, attempt, key_since_ms, generation, stopping, checkpoint, unsure, ..State::default() }
}

fn of_version_2(old: State2) -> State {
    let State2 { status, job, attempt, key_since_ms, generation, stopping, checkpoint, .. } = old;
    let State2 { at, fallbacks, overdue, unsure, .. } = old;
    State {
        status,
        job,
        attempt,
        key_since_ms,
        generation,
        stopping,
        checkpoint,
        at,
        fallbacks,
        overdue,
        unsure,
        began_ms: None,
    }
}
