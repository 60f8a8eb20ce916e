//! What must be so of calls and timers, from what was asked and what came into mailboxes.

use std::collections::{BTreeMap, BTreeSet};

use crate::durable::{
    accepted::Accepted,
    call::{Effect, Outcome, RowState, Verdict},
    entry::{Body, Fired},
    id::{ActorId, CallId},
    live::{DeadLetter, Live},
};

pub(super) type Wrong = Result<(), String>;

/// What happens in sequences that are many enough. Two verdicts that take a former life and a certain failure are too seldom to
/// be asked for.
pub(super) const ALL: [&str; 14] = [
    "a turn",
    "a turn is refused",
    "a call is intended",
    "a call is started",
    "a call ends done",
    "a call ends failed",
    "a call ends unknown",
    "a call is in doubt",
    "a call is repeated by decision",
    "a call is probed",
    "an answer is late",
    "a timer fires",
    "a timer is cleared or set again",
    "the process dies",
];

/// What is known of one setting of a timer.
type Timer = (ActorId, u32);

#[derive(Clone, Default)]
pub(super) struct Model {
    /// Calls that were intended and have no verdict yet, with what was promised.
    pub(super) calls: BTreeMap<CallId, (ActorId, Effect)>,
    ended: BTreeSet<CallId>,
    /// When a timer that is set is due.
    pub(super) timers: BTreeMap<Timer, u64>,
    /// Settings that came into a mailbox: each only once.
    fired: BTreeSet<(ActorId, u32, u64)>,
    pub(super) seen: BTreeMap<&'static str, u64>,
}

impl Model {
    pub(super) fn count(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// A verdict is on its way to its caller, or to the dead letters.
    fn verdict(&mut self, call: CallId, verdict: &Verdict) -> Wrong {
        let (_, effect) =
            self.calls.get(&call).copied().ok_or_else(|| format!("{call} has a second verdict: {verdict:?}"))?;
        self.count(match verdict {
            Verdict::Ended(Outcome::Done(_)) => "a call ends done",
            Verdict::Ended(Outcome::Failed(_)) => "a call ends failed",
            Verdict::Ended(Outcome::Unknown(_)) => "a call ends unknown",
            Verdict::InDoubt(_) => "a call is in doubt",
            Verdict::Repeat => "a call is repeated by decision",
            Verdict::NotMade(_) => "a call is not made",
            Verdict::Refused(_) => "a call is refused",
        });
        if let Verdict::Ended(Outcome::Unknown(_)) = verdict {
            let may_be_repeated = matches!(effect, Effect::Idempotent { .. });
            is(may_be_repeated, || format!("{call} of {effect:?} goes back to its caller with an unknown outcome"))?;
        }
        if !matches!(verdict, Verdict::InDoubt(_)) {
            self.calls.remove(&call);
            self.ended.insert(call);
        }
        Ok(())
    }

    /// The call was settled by a turn of its caller, or its caller is gone with it.
    pub(super) fn settled(&mut self, call: CallId) {
        if self.calls.remove(&call).is_some() {
            self.ended.insert(call);
        }
    }

    fn firing(&mut self, actor: ActorId, fired: Fired, accepted_at: u64) -> Wrong {
        let Fired { name, generation, due_ms } = fired;
        is(due_ms <= accepted_at, || format!("timer {name} of {actor} is {} ms early", due_ms - accepted_at))?;
        let set = self.timers.remove(&(actor, name));
        is(set == Some(due_ms), || format!("timer {name} of {actor} fires for {due_ms}, and is set to {set:?}"))?;
        is(self.fired.insert((actor, name, generation)), || format!("setting {generation} of {actor} fires again"))?;
        self.count("a timer fires");
        Ok(())
    }

    /// Something new came into a mailbox.
    pub(super) fn delivered(&mut self, actor: ActorId, body: &Body, accepted_at: u64) -> Wrong {
        match body {
            Body::Answer(answer) => self.verdict(answer.call, &answer.verdict),
            Body::Fired(fired) => self.firing(actor, *fired, accepted_at),
            Body::Message(_) | Body::Fate(_) => Ok(()),
        }
    }

    /// Something new was given up. What was delivered before is known already.
    pub(super) fn buried(&mut self, letter: &DeadLetter) -> Wrong {
        match &letter.body {
            Body::Answer(answer) if letter.reason.starts_with("late") => self.verdict(answer.call, &answer.verdict),
            _ => Ok(()),
        }
    }

    /// Rows, counters and indexes agree with each other and with what is known here.
    pub(super) fn agrees(&self, accepted: &Accepted) -> Wrong {
        let live = accepted.live();
        let rows: Vec<_> = live.calls.keys().collect();
        let known: Vec<_> = self.calls.keys().collect();
        is(rows == known, || format!("rows of {rows:?}, and without a verdict are {known:?}"))?;
        for (actor, row) in &live.actors {
            let calls = live.calls.values().filter(|call| call.caller == *actor).count();
            is(row.calls as usize == calls, || format!("{actor} counts {} calls of {calls}", row.calls))?;
        }
        for (call, row) in &live.calls {
            if let RowState::Probing(probing) = &row.state {
                let Effect::Verify { probes, .. } = row.request.effect else { return Err(format!("{call} is probed")) };
                let asked = probing.asked;
                is(asked == 0 || asked < probes, || format!("{call} was probed {asked} times of {probes}"))?;
            }
        }
        self.timers_agree(live)?;
        self.firings_agree(live)
    }

    /// What was set again, or cleared, has no firing that could still be taken.
    fn firings_agree(&self, live: &Live) -> Wrong {
        for (actor, row) in &live.actors {
            let mut names = BTreeSet::new();
            for entry in &row.mailbox {
                let Body::Fired(fired) = &entry.body else { continue };
                let is_set = self.timers.contains_key(&(*actor, fired.name));
                is(!is_set && names.insert(fired.name), || format!("{actor} has a firing too many: {fired:?}"))?;
            }
        }
        Ok(())
    }

    fn timers_agree(&self, live: &Live) -> Wrong {
        let mut set = BTreeMap::new();
        for (actor, row) in &live.actors {
            set.extend(row.timers.iter().map(|timer| ((*actor, timer.name), timer.due_ms)));
        }
        is(set == self.timers, || format!("set are {set:?}, and should be {:?}", self.timers))?;
        let listed: BTreeMap<_, _> =
            live.timers.keys().map(|(due_ms, actor, name)| ((*actor, *name), *due_ms)).collect();
        is(listed == set && listed.len() == live.timers.len(), || format!("listed are {listed:?}, and set {set:?}"))
    }
}

pub(super) fn is(holds: bool, wrong: impl FnOnce() -> String) -> Wrong {
    if holds { Ok(()) } else { Err(wrong()) }
}
