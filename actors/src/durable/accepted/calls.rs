//! Calls in the accepted view: intended, started, answered, doubted, decided.

use bytes::Bytes;

use super::{Accepted, Receipt};
use crate::durable::{
    call::{Answer, Effect, Failure, Outcome, Request, Row, RowState, Verdict},
    codec,
    entry::Body,
    id::{ActorId, CallId},
    record::{Note, Op},
};

impl Accepted {
    pub(super) fn intend(&mut self, caller: ActorId, at: u32, call: CallId, request: Request, doubt: Option<Failure>) {
        let intended_at = self.open.base_ms() + u64::from(at);
        let state = doubt.map_or(RowState::Intended, RowState::InDoubt);
        let wanted = state == RowState::Intended;
        let tool = codec::fnv1a(&request.tool);
        self.push(Op::Call { call, row: Box::new(Row { caller, request, intended_at, state }) });
        if wanted {
            self.open.effects().calls.push((tool, call));
            self.open.demand += 1;
        }
    }

    /// Let a batch of outcomes in. An outcome whose row is gone is late: counted, and nothing else.
    pub(crate) fn answer(&mut self, now_ms: u64, outcomes: Vec<(CallId, Outcome, Option<Bytes>)>) -> Receipt {
        let at = self.begin(now_ms, outcomes.iter().map(|(_, outcome, _)| outcome.bytes()).sum());
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        for (call, outcome, checkpoint) in outcomes {
            let Some(row) = self.live.calls.get(&call) else {
                self.late_answers += 1;
                continue;
            };
            let caller = row.caller;
            let verdict = settle(row, outcome, self.open.base_ms() + u64::from(at));
            match &verdict {
                Verdict::InDoubt(failure) => self.push(Op::CallDoubted { call, failure: failure.clone() }),
                Verdict::Ended(_) | Verdict::Repeat => self.push(Op::CallGone { call }),
            };
            self.deliver(caller, at, Body::Answer(Answer { call, verdict, checkpoint }), None, &mut receipt);
        }
        receipt
    }

    /// A call that must not be made again by itself: a person or a rule decides it.
    pub(crate) fn doubt(&mut self, now_ms: u64, call: CallId, failure: Failure) -> Receipt {
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let Some(row) = self.live.calls.get(&call).filter(|row| row.state == RowState::Intended) else {
            return receipt;
        };
        let (caller, checkpoint) = (row.caller, row.request.checkpoint.clone());
        self.push(Op::CallDoubted { call, failure: failure.clone() });
        let answer = Answer { call, verdict: Verdict::InDoubt(failure), checkpoint };
        self.deliver(caller, at, Body::Answer(answer), None, &mut receipt);
        receipt
    }

    /// A person or a rule decides a call in doubt.
    pub(crate) fn decide(&mut self, now_ms: u64, call: CallId, verdict: Verdict, note: Note) -> Option<Receipt> {
        let row = self.live.calls.get(&call)?;
        if !matches!(row.state, RowState::InDoubt(_)) {
            return None;
        }
        let caller = row.caller;
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        self.push(Op::Note { actor: caller, at, note });
        self.advance(caller);
        self.push(Op::CallGone { call });
        self.deliver(caller, at, Body::Answer(Answer { call, verdict, checkpoint: None }), None, &mut receipt);
        Some(receipt)
    }

    /// Write down that an at-most-once call is about to be made; `false` if its row is gone or not fresh.
    pub(crate) fn start_call(&mut self, now_ms: u64, call: CallId) -> bool {
        let Some(row) = self.live.calls.get(&call).filter(|row| row.state == RowState::Intended) else { return false };
        let tool = codec::fnv1a(&row.request.tool);
        self.begin(now_ms, 24);
        self.push(Op::CallStarted { call });
        self.open.effects().started.push((tool, call));
        self.open.demand += 1;
        true
    }

    /// A running call saves something for its next attempt; a call that is gone saves nothing.
    pub(crate) fn save_checkpoint(&mut self, now_ms: u64, call: CallId, bytes: Bytes) {
        if self.live.calls.contains_key(&call) {
            self.begin(now_ms, bytes.len());
            self.push(Op::CallCheckpoint { call, bytes });
        }
    }

    /// After a start: of an at-most-once call that was under way when the last life ended, and of any call whose tool no
    /// longer remembers its key, nobody knows whether it happened.
    pub(crate) fn doubt_calls_of_the_last_life(&mut self, now_ms: u64) -> Receipt {
        let is_forgotten = |row: &Row| match row.request.effect {
            Effect::Idempotent { remembers_ms } => now_ms.saturating_sub(row.request.key_since_ms) > remembers_ms,
            Effect::AtMostOnce => false,
        };
        let is_doubtful =
            |row: &Row| row.state == RowState::Started || (row.state == RowState::Intended && is_forgotten(row));
        let crash = || Outcome::unknown("crash", "the process ended while the call was under way");
        let doubtful = self.live.calls.iter().filter(|(_, row)| is_doubtful(row));
        let outcomes = doubtful.map(|(call, row)| (*call, crash(), row.request.checkpoint.clone())).collect();
        self.answer(now_ms, outcomes)
    }

    /// The system stops, and a call that was to be made once surely was not: it can be made in the next life.
    pub(crate) fn take_back_start(&mut self, now_ms: u64, call: CallId) {
        if self.live.calls.get(&call).is_some_and(|row| row.state == RowState::Started) {
            self.begin(now_ms, 24);
            self.push(Op::CallNotStarted { call });
        }
    }
}

/// What becomes of a call whose attempt ended so. Only an idempotent call's unknown outcome goes back to its caller,
/// who may repeat it with the same key while the tool remembers keys.
fn settle(row: &Row, outcome: Outcome, now_ms: u64) -> Verdict {
    match (outcome, row.request.effect) {
        (Outcome::Unknown(failure), Effect::AtMostOnce) => Verdict::InDoubt(failure),
        (Outcome::Unknown(failure), Effect::Idempotent { remembers_ms })
            if now_ms.saturating_sub(row.request.key_since_ms) > remembers_ms =>
        {
            Verdict::InDoubt(failure)
        }
        (outcome, _) => Verdict::Ended(outcome),
    }
}
