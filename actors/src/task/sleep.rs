//! Tasks that only let time pass: a durable timer in the place of a call.

use super::{
    Ordered, attempt, end, input, job, ordered,
    state::{End, Event, Job, SLEEP, Task},
};
use crate::{
    durable::{Failure, Rejection, Turn},
    plan::{Sleeps, TIMEOUT_DEFAULT_MS},
};

/// Until when the tool at hand would do nothing but let time pass, if that is all it does.
pub(super) fn until(turn: &Turn<'_, Task>, ordered: &Ordered, job: &Job) -> Result<Option<u64>, Rejection> {
    let Some(sleeps) = turn.extension::<Sleeps>() else { return Ok(None) };
    Ok(sleeps.until(&ordered.means(turn)?.tool, input(turn, job)?, turn.now_ms()))
}

/// The sleep holds no permit and no memory, and goes on across restarts: it is a timer.
pub(super) fn fall_asleep(
    turn: &mut Turn<'_, Task>,
    ordered: &Ordered,
    job: Job,
    until_ms: u64,
) -> Result<(), Rejection> {
    let from_ms = turn.now_ms();
    let limit_ms = limit_ms(turn, ordered)?;
    turn.emit(&Event::FellAsleep { job, from_ms, until_ms });
    turn.timer(SLEEP, until_ms.saturating_sub(from_ms).min(limit_ms));
    Ok(())
}

pub(super) fn wake(turn: &mut Turn<'_, Task>, from_ms: u64, until_ms: u64) -> Result<(), Rejection> {
    let slept_ms = until_ms.saturating_sub(from_ms);
    if slept_ms > limit_ms(turn, &ordered(turn, &job(turn)?)?)? {
        return attempt::failed(turn, Failure::new("timeout", "the sleep is longer than its time limit"), None);
    }
    end(turn, End::Done(serde_json::json!({ "slept_ms": slept_ms }).into()))
}

/// The limit that nobody chose is that of attempts which hold a permit: a sleep holds none, and may take days.
fn limit_ms(turn: &Turn<'_, Task>, ordered: &Ordered) -> Result<u64, Rejection> {
    let timeout_ms = ordered.means(turn)?.timeout_ms;
    Ok(if timeout_ms == TIMEOUT_DEFAULT_MS { u64::MAX } else { timeout_ms })
}
