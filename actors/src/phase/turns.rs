//! What a phase does when it is told something.

use super::{
    fetch, start,
    state::{
        Event, Message, Phase,
        Status::{Running, Stopping},
    },
};
use crate::{
    durable::{ActorId, Address, Failure, Fate, Rejection, Turn},
    run::{self, Run},
    task::{self, Task},
};

/// Start what can be started; end if nothing runs and nothing is left.
pub(super) fn go_on(turn: &mut Turn<'_, Phase>) -> Result<(), Rejection> {
    if let Err(failure) = fetch::put_aside(turn) {
        return Err(Rejection::new(failure.message));
    }
    let left = if turn.state().status == Running { start::more(turn)? } else { start::Left::Nothing };
    if turn.state().failure.is_some() && turn.state().status == Running {
        stop(turn, "another task of the phase failed".to_owned());
    }
    let idle = turn.state().running.is_empty() && turn.state().errands.is_empty();
    match (turn.state().status, left) {
        (Running, start::Left::More) => {
            let me = Address::<Phase>::new(turn.me());
            turn.send(me, &Message::More);
            Ok(())
        }
        (Running, start::Left::Nothing) | (Stopping, _) if idle => finish(turn),
        _ => Ok(()),
    }
}

pub(super) fn ended(turn: &mut Turn<'_, Phase>, actor: ActorId, end: task::End) -> Result<(), Rejection> {
    let Some(unit) = turn.state().running.get(&actor).copied() else { return Ok(()) };
    let plan = start::plan(turn)?;
    let task = &plan.phases[start::begin(turn)?.phase as usize].tasks[unit.task as usize];
    let (optional, kept) = (task.optional, task.exported);
    turn.emit(&match end {
        task::End::Done(output) => Event::Done { actor, output, kept },
        task::End::Failed(failure) => Event::Undone { actor, optional, failure: Some(failure) },
        task::End::Skipped | task::End::Stopped => Event::Undone { actor, optional, failure: None },
    });
    go_on(turn)
}

/// A task's actor died of one message again and again, or cannot be loaded: have it end, as failed.
pub(super) fn befell(turn: &mut Turn<'_, Phase>, fate: Fate) -> Result<(), Rejection> {
    match fate {
        Fate::Poisoned { child, reason } if turn.state().running.contains_key(&child) => {
            if turn.state().poisoned.contains(&child) {
                hold(turn, format!("a task dies of every message: {reason}"));
            } else {
                turn.emit(&Event::Poisoned { actor: child });
                turn.send(Address::<Task>::new(child), &task::Message::Poisoned { reason });
            }
        }
        // Its mailbox is kept; it goes on once it can be loaded.
        Fate::Suspended { reason, .. } => hold(turn, format!("a task cannot be loaded: {reason}")),
        Fate::Ended { reason, .. } => hold(turn, format!("a task was ended: {reason}")),
        Fate::Stuck { child, reason } if turn.state().running.contains_key(&child) => hold(turn, reason),
        Fate::Poisoned { .. } | Fate::Stuck { .. } => {}
    }
    Ok(())
}

/// What waits for a lost message waits for ever: the run says so where everyone can see it.
fn hold(turn: &mut Turn<'_, Phase>, reason: String) {
    turn.send(Address::<Run>::new(turn.parent()), &run::Message::Held { reason });
}

/// Its tasks are stopped, and it fails, whatever is optional: what was not done in time is missing.
pub(super) fn overdue(turn: &mut Turn<'_, Phase>) -> Result<(), Rejection> {
    let ms = start::deadline_ms(turn)?.unwrap_or_default();
    let over = format!("the deadline of the phase, {ms} ms, is over");
    let unit = turn.state().waits_for();
    turn.emit(&Event::Overdue { unit, failure: Failure::new("deadline", over.as_str()) });
    stop(turn, over);
    go_on(turn)
}

pub(super) fn stop(turn: &mut Turn<'_, Phase>, reason: String) {
    let running: Vec<_> = turn.state().running.keys().copied().collect();
    for task in running {
        turn.send(Address::<Task>::new(task), &task::Message::Stop { reason: reason.clone() });
    }
    turn.emit(&Event::Stopping { reason });
}

pub(super) fn finish(turn: &mut Turn<'_, Phase>) -> Result<(), Rejection> {
    let end = start::end(turn)?;
    turn.emit(&Event::Ended);
    let me = turn.me();
    turn.send(Address::<Run>::new(turn.parent()), &run::Message::PhaseEnded { phase: me, end });
    turn.stop();
    Ok(())
}
