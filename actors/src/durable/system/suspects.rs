//! After a start that followed a death: what the process may have died of runs first and alone.
//!
//! ```text
//! named by a slot ─┬─ in a mailbox ─────► its actor's turns, here, before any host or tool is there
//!                  │                      └ the third death: the dead letters, and its owner is told
//!                  ├─ a call not begun ──► first through the gate; the third death: in doubt, for a person
//!                  ├─ held ──────────────► suspected still
//!                  ├─ not in the store ──► a stray; the third in a row makes a wary life
//!                  └─ consumed ──────────► innocent
//! ```
//! A message between actors is taken before it is durable, so what kills at once is often not in the store, and its
//! cause runs again and sends it anew. In a wary life every message is durable before it is taken, and the next start
//! finds it.
//!
//! **Invariants:** while a suspect runs, nothing else does; nobody is rung before all of them are through.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use super::inner::Inner;
use crate::durable::{
    accepted::{Accepted, Refused},
    call::{Failure, RowState},
    codec,
    entry::Entry,
    flight::{Label, Named, Suspect},
    hosted::Hosted,
    id::{ActorId, CallId},
};

/// Deaths of the process by one message, or one call, before it is given up.
pub(crate) const DEATHS_MAX: u32 = 3;
/// Lives in a row that ended with a stray before one is wary.
const STRAYS_MAX: u32 = 3;
/// Longest wait for the suspects: an embedder may let a turn run for ever, and the start must not wait for it.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often it is looked whether a call that goes first still comes.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Suspects by what must be done with them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sorted {
    turns: Vec<Turn>,
    calls: Vec<Suspect>,
    held: Vec<Suspect>,
    has_fresh: bool,
    has_strays: bool,
}

/// A suspected message that is in its actor's mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    actor: ActorId,
    entry: u64,
    deaths: u32,
}

enum Found {
    Turn(ActorId, u64),
    Call,
    Held,
    Stray,
    Gone,
}

impl Sorted {
    fn of(suspects: &[Suspect], accepted: &Accepted) -> Self {
        let mut sorted = Self::default();
        for suspect in suspects {
            sorted.has_fresh |= suspect.is_fresh;
            match find(suspect.named, accepted) {
                Found::Turn(actor, entry) => sorted.turns.push(Turn { actor, entry, deaths: suspect.deaths }),
                Found::Call => sorted.calls.push(*suspect),
                Found::Held => sorted.held.push(*suspect),
                Found::Stray => sorted.has_strays |= suspect.is_fresh,
                Found::Gone => {}
            }
        }
        // What is given up first cannot kill again; then whoever killed least, so that few wait behind a killer.
        sorted.turns.sort_by_key(|turn| (turn.deaths < DEATHS_MAX, turn.deaths));
        sorted
    }

    /// Lives in a row that died of a stray.
    fn strays(&self, before: u32) -> u32 {
        match (self.has_fresh, self.has_strays) {
            (false, _) => before,
            (true, false) => 0,
            (true, true) => before.saturating_add(1),
        }
    }

    fn kept(&self) -> Vec<Suspect> {
        let turns = self.turns.iter().map(|turn| Suspect {
            named: Named::Turn { actor: turn.actor, entry: turn.entry },
            deaths: turn.deaths,
            is_fresh: false,
        });
        turns.chain(self.calls.iter().copied()).chain(self.held.iter().copied()).collect()
    }
}

fn find(named: Named, accepted: &Accepted) -> Found {
    let live = accepted.live();
    match named {
        Named::Turn { actor, entry } => match live.actors.get(&actor) {
            Some(row) if row.mailbox.iter().any(|queued| queued.number == entry) => {
                if accepted.is_held(actor) {
                    Found::Held
                } else {
                    Found::Turn(actor, entry)
                }
            }
            // Consumed, or delivered in memory only: numbers and ids that the store has given out are below these.
            Some(row) if entry >= row.next_entry => Found::Stray,
            None if actor.0 >> 8 > live.highest_id => Found::Stray,
            _ => Found::Gone,
        },
        Named::Call { caller, call } => match live.calls.get(&call) {
            Some(row) if row.state != RowState::Intended => Found::Gone,
            Some(_) if accepted.is_held(caller) => Found::Held,
            Some(_) => Found::Call,
            None => Found::Gone,
        },
    }
}

impl Inner {
    /// Take what the last life may have died of; returns before anyone else is rung.
    pub(super) async fn take_suspects(self: &Arc<Self>, suspects: Vec<Suspect>) {
        let Ok(sorted) = self.with_accepted(|accepted, _| Sorted::of(&suspects, accepted)) else { return };
        let strays = self.beware(sorted.strays(self.flight.strays()));
        if suspects.is_empty() {
            return;
        }
        // On the disk before any of them runs: one that kills at once is counted.
        self.flight.keep(sorted.kept(), strays);
        self.take_alone(sorted.turns).await;
        let calls = self.doubt_killers(sorted.calls);
        if self.until_durable(self.latest()).await.is_ok() {
            self.flight.keep(calls.iter().copied().chain(sorted.held).collect(), strays);
        }
        let calls = calls.iter().filter_map(|suspect| match suspect.named {
            Named::Call { call, .. } => Some(call),
            Named::Turn { .. } => None,
        });
        self.let_first(calls.collect());
    }

    /// Let these calls begin first, one at a time, and see that nobody waits for one that does not come.
    fn let_first(self: &Arc<Self>, mut calls: Vec<CallId>) {
        // One that runs in this process since before this system has begun already.
        calls.retain(|call| !self.in_flight.holds(*call));
        self.flight.let_first(calls.iter().copied());
        self.excuse();
        if self.flight.admits_all() {
            return;
        }
        tracing::warn!(calls = ?calls, "the process may have died of these calls: they begin first and alone, the others wait");
        let (inner, flight) = (Arc::downgrade(self), self.flight.clone());
        self.runtime.spawn(async move {
            loop {
                let moved = flight.moved();
                // A system that is gone has nobody who waits.
                let Some(inner) = inner.upgrade() else { return };
                // Looked at first, so that whoever opens it afterwards is not missed: all are told once more.
                let is_open = flight.admits_all();
                inner.mind_the_gate();
                drop(inner);
                if is_open {
                    return;
                }
                // Either way it is looked at again.
                let _ = tokio::time::timeout(LOOK_AGAIN, moved).await;
            }
        });
    }

    /// Let begin whoever may by now.
    fn mind_the_gate(&self) {
        self.excuse();
        let late = self.flight.lose_patience();
        if !late.is_empty() {
            tracing::error!(calls = ?late, "these calls were to begin first and did not; the others wait no longer");
        }
        self.let_all_begin();
    }

    /// Nobody waits for a call that was cancelled, that is held, or whose tool is not there.
    fn excuse(&self) {
        let comes = |accepted: &Accepted, call: CallId| {
            let row = accepted.live().calls.get(&call)?;
            let is_to_begin = matches!(row.state, RowState::Intended | RowState::Started);
            let has_tool = self.tools.contains_key(&codec::fnv1a(&row.request.tool));
            (is_to_begin && has_tool && !accepted.is_held(row.caller)).then_some(())
        };
        // A store that closed begins nothing.
        let _ = self.with_accepted(|accepted, _| self.flight.excuse(|call| comes(accepted, call).is_some()));
    }

    fn beware(&self, strays: u32) -> u32 {
        if strays < STRAYS_MAX {
            return strays;
        }
        tracing::warn!(
            lives = strays,
            "the process died again and again of something that the store does not hold; in this life every message is \
             durable before it is taken"
        );
        self.flight.be_wary();
        0
    }

    /// Take the suspects' turns on a thread of their own.
    async fn take_alone(self: &Arc<Self>, turns: Vec<Turn>) {
        if turns.is_empty() {
            return;
        }
        let inner = Arc::clone(self);
        let taking = self.blocking(move || {
            for turn in turns {
                tracing::warn!(actor = %turn.actor, entry = turn.entry, deaths = turn.deaths, "a suspect runs alone");
                inner.take_suspect(turn);
                // Whoever takes its next message loads it anew.
                inner.release(turn.actor);
            }
        });
        if tokio::time::timeout(PATIENCE, taking).await.is_err() {
            tracing::error!("a message that the process may have died of does not end; the start goes on");
        }
    }

    /// Take an actor's messages up to the suspected one. A panic is no death of the process: the hosts see to it.
    fn take_suspect(self: &Arc<Self>, suspect: Turn) {
        let mut active = None;
        while let Some(entry) = self.head(suspect.actor).filter(|entry| entry.number <= suspect.entry) {
            let is_it = entry.number == suspect.entry;
            if is_it && suspect.deaths >= DEATHS_MAX {
                return self.give_up(suspect);
            }
            let taken = std::panic::catch_unwind(AssertUnwindSafe(|| self.take(suspect.actor, &entry, &mut active)));
            if !taken.unwrap_or(false) {
                return;
            }
        }
    }

    /// Says whether the turn was accepted. Whom it rings is rung with everyone who has mail.
    fn take(self: &Arc<Self>, actor: ActorId, entry: &Entry, active: &mut Option<Hosted>) -> bool {
        let _noted = self.flight.begin(Named::Turn { actor, entry: entry.number }, Label::Kind("a suspect"));
        let Some(mut hosted) = active.take().or_else(|| self.load_anew(actor)) else { return false };
        let mut commit = hosted.take(actor, entry, &self.ids, &self.extensions);
        loop {
            let is_brought = match self.with_accepted(|accepted, now_ms| self.accept_in(accepted, now_ms, &mut commit))
            {
                Ok(Ok(_)) => break,
                Ok(Err(Refused::Cold(cold))) => self.bring_here(cold).is_ok(),
                Ok(Err(_)) | Err(_) => false,
            };
            if !is_brought {
                return false;
            }
        }
        *active = Some(hosted).filter(|hosted| !hosted.is_dirty);
        true
    }

    fn give_up(&self, suspect: Turn) {
        let Turn { actor, entry, deaths } = suspect;
        let reason = format!("the process died of it {deaths} times");
        tracing::error!(%actor, entry, reason, "a message is given up and goes to the dead letters");
        // A closed store gives nothing up; whoever is told of the closing starts again.
        let _ = self.with_accepted(|accepted, now_ms| accepted.bury(now_ms, actor, entry, &reason));
    }

    /// A call that killed too often is a person's to decide; returns the others.
    fn doubt_killers(&self, calls: Vec<Suspect>) -> Vec<Suspect> {
        let (killers, others): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| call.deaths >= DEATHS_MAX);
        for Suspect { named, deaths, .. } in killers {
            let Named::Call { call, caller } = named else { continue };
            let failure = Failure::new("crash", format!("the process died {deaths} times as this call was under way"));
            tracing::error!(%call, %caller, deaths, "a call that the process died of is in doubt");
            if self.bring_here(vec![caller]).is_ok() {
                let _ = self.with_accepted(|accepted, now_ms| accepted.doubt(now_ms, call, failure));
            }
        }
        others
    }
}

#[cfg(test)]
mod tests;
