//! What older builds wrote of a task.

use bytes::Bytes;
use serde::Deserialize;

use super::state::{Job, State, Status};
use crate::durable::codec;

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

pub(super) fn state(old: codec::Stored<'_>) -> Result<State, codec::Error> {
    if old.format.version != 1 {
        return Err(codec::Error::Version { found: old.format.version, known: 2 });
    }
    let State1 { status, job, attempt, key_since_ms, generation, stopping, checkpoint } = old.decode()?;
    let unsure = match status {
        Status::Doubt(_) => true,
        Status::Backoff => key_since_ms.is_some(),
        // Each attempt but the one under way failed for certain, and then raised the generation, or did not.
        _ => attempt > generation.saturating_add(1),
    };
    Ok(State { status, job, attempt, key_since_ms, generation, stopping, checkpoint, unsure, ..State::default() })
}
