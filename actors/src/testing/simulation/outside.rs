//! The world outside: tools that act, time that passes, and a person who decides.

use super::{Simulation, rest};
use crate::durable::{CallId, Effect, Note, Outcome, RowState, Verdict};

impl Simulation {
    pub(super) fn call(&mut self) -> bool {
        let calls = self.life.calls.iter().enumerate();
        let due: Vec<_> = calls.filter(|(_, call)| self.due_ms(**call) <= self.clock_ms).map(|(at, _)| at).collect();
        let Some(first) = due.first() else { return false };
        let at = self.dice.as_mut().map_or(*first, |dice| due[dice.place(due.len())]);
        let Some(call) = self.life.calls.remove(at) else { return false };
        match self.life.accepted.live().calls.get(&call).map(|row| row.request.effect) {
            Some(Effect::AtMostOnce) => {
                self.life.commits += u64::from(self.life.accepted.start_call(self.clock_ms, call));
            }
            Some(Effect::Idempotent { .. } | Effect::Verify { .. }) => self.invoke(call),
            None => {}
        }
        true
    }

    /// From when on a call, or its probe, may be dispatched.
    fn due_ms(&self, call: CallId) -> u64 {
        match self.life.accepted.live().calls.get(&call).map(|row| &row.state) {
            Some(RowState::Probing(probing)) => probing.due_ms,
            _ => 0,
        }
    }

    /// The tool acts in the outside world, which no crash undoes, or its probe looks at it; then its answer is let in.
    pub(super) fn invoke(&mut self, call: CallId) {
        let Some(row) = self.life.accepted.live().calls.get(&call).cloned() else { return };
        if self.crashes == 0 {
            rest::intent_is_durable(&self.store, call);
        }
        let outcome = match row.state {
            RowState::Probing(_) => self.tool(&row.request.tool).probe(&row.request).into(),
            RowState::Intended | RowState::Started | RowState::InDoubt(_) => self.ask(call, &row.request),
        };
        self.answer(call, outcome);
    }

    fn answer(&mut self, call: CallId, outcome: Outcome) {
        let caller = self.life.accepted.live().calls.get(&call).map(|row| row.caller);
        self.bring(caller.into_iter().collect());
        let receipt = self.life.accepted.answer(self.clock_ms, vec![(call, outcome, None)]);
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
    }

    pub(super) fn fire(&mut self) -> bool {
        let timer = self.life.accepted.next_due_ms();
        let later = |due_ms: &u64| *due_ms > self.clock_ms;
        let probe = self.life.calls.iter().map(|call| self.due_ms(*call)).filter(later).min();
        let Some(due_ms) = timer.into_iter().chain(probe).min() else { return false };
        self.clock_ms = self.clock_ms.max(due_ms);
        if timer != Some(due_ms) {
            // Only a probe is due, and it is dispatched next.
            return true;
        }
        let cold = self.life.accepted.cold_due(self.clock_ms, 16);
        self.bring(cold);
        let receipt = self.life.accepted.fire(self.clock_ms, 16);
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
        true
    }

    /// Nothing else is left: a person looks into the outside world and decides what is in doubt.
    pub(super) fn resolve(&mut self) -> bool {
        let live = self.life.accepted.live();
        let doubted = live.calls.iter().find(|(_, row)| matches!(row.state, RowState::InDoubt(_)));
        let Some((call, row)) = doubted.map(|(call, row)| (*call, row.clone())) else { return false };
        let seen = self.tools.get(&row.request.tool).and_then(|acted| acted.effects.get(&row.request.key)).cloned();
        let verdict = match seen {
            _ if self.decisions < self.manner.repeats => Verdict::Repeat,
            Some(output) => Verdict::Ended(Outcome::Done(output)),
            None => Verdict::Ended(Outcome::failed("decided", "it is not in the tool's own books")),
        };
        self.bring(vec![row.caller]);
        let note = Note::Decided { call, decision: "as the books say".to_owned(), by: "the story".to_owned() };
        let decided = self.life.accepted.decide(self.clock_ms, call, verdict, note);
        let receipt = decided.expect("it is in doubt");
        self.decisions += 1;
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
        true
    }
}
