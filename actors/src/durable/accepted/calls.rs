//! Calls in the accepted view: intended, started, answered, probed, doubted, decided.

use std::sync::Arc;

use bytes::Bytes;

use super::{Accepted, Commit, Receipt, Refused};
use crate::{
    durable::{
        call::{Answer, Effect, Failure, Outcome, Probing, Request, Row, RowState, Settled, Verdict, settle},
        codec,
        entry::Body,
        id::{ActorId, CallId},
        record::{Note, Op},
    },
    mutant::Mutant,
};

impl Accepted {
    pub(super) fn intend(&mut self, caller: ActorId, at: u32, call: CallId, request: Request, doubt: Option<Failure>) {
        let intended_at = self.open.base_ms() + u64::from(at);
        let state = doubt.map_or(RowState::Intended, RowState::InDoubt);
        let wanted = state == RowState::Intended;
        let (tool, beats) = (codec::fnv1a(&request.tool), request.heartbeat_ms);
        self.push(Op::Call { call, row: Arc::new(Row { caller, request, intended_at, state }) });
        if let Some(within_ms) = beats {
            self.push(Op::CallBeats { call, within_ms });
        }
        if wanted {
            self.open.effects().calls.push((tool, call));
            self.open.demand += 1;
        }
    }

    /// Let a batch of outcomes in, of attempts and of probes. An outcome whose row is gone is late: counted, and nothing
    /// else.
    pub(crate) fn answer(&mut self, now_ms: u64, outcomes: Vec<(CallId, Outcome, Option<Bytes>)>) -> Receipt {
        let at = self.begin(now_ms, outcomes.iter().map(|(_, outcome, _)| outcome.bytes()).sum());
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        for (call, outcome, checkpoint) in outcomes {
            let Some(row) = self.live.calls.get(&call) else {
                self.late_answers += 1;
                continue;
            };
            let (caller, may_have_begun) = (row.caller, self.may_have_begun(call, row));
            if !matches!(row.request.effect, Effect::Idempotent { .. }) {
                self.open.effects().outcomes.push((call, outcome.clone(), checkpoint.clone()));
            }
            let verdict = match settle(row, outcome, self.open.base_ms() + u64::from(at)) {
                Settled::Answer(Verdict::Ended(Outcome::Failed(failure))) if may_have_begun => {
                    Verdict::Refused(failure)
                }
                Settled::Answer(verdict) => verdict,
                Settled::Probe(probing) => {
                    self.probe(call, probing);
                    continue;
                }
            };
            match &verdict {
                Verdict::InDoubt(failure) => self.push(Op::CallDoubted { call, failure: Box::new(failure.clone()) }),
                _ if Mutant::SecondAnswerCounts.is_chosen() => self.push(Op::Nothing),
                Verdict::Ended(_) | Verdict::Repeat | Verdict::NotMade(_) | Verdict::Refused(_) => {
                    self.push(Op::CallEnded { call, caller })
                }
            };
            self.deliver(caller, at, Body::Answer(Arc::new(Answer { call, verdict, checkpoint })), None, &mut receipt);
        }
        receipt
    }

    /// Who waits for a call.
    pub(crate) fn caller(&self, call: CallId) -> impl Iterator<Item = ActorId> {
        self.live.calls.get(&call).map(|row| row.caller).into_iter()
    }

    /// Who waits for these outcomes.
    pub(crate) fn callers<'a>(
        &'a self,
        outcomes: &'a [(CallId, Outcome, Option<Bytes>)],
    ) -> impl Iterator<Item = ActorId> + 'a {
        outcomes.iter().filter_map(|(call, ..)| self.live.calls.get(call).map(|row| row.caller))
    }

    /// The system stops, and calls were asked to stop because of that, which is no outcome of theirs: the rows stay, and
    /// the next life goes on with them. What was done is done, and what surely was not may still be, unless its caller does
    /// not want it any more: that one is told whatever became of it.
    pub(crate) fn keep_what_counts(
        &mut self,
        now_ms: u64,
        outcomes: &mut Vec<(CallId, Outcome, Option<Bytes>)>,
        is_unwanted: impl Fn(CallId) -> bool,
    ) {
        outcomes.retain(|(call, outcome, _)| {
            if matches!(outcome, Outcome::Done(_)) || is_unwanted(*call) {
                return true;
            }
            if matches!(outcome, Outcome::Failed(_)) {
                self.take_back_start(now_ms, *call);
            }
            false
        });
    }

    /// Nobody knows whether a call happened: its tool is asked once that is durable, unless its caller is held.
    fn probe(&mut self, call: CallId, probing: Probing) {
        let Some(row) = self.live.calls.get(&call) else { return };
        let (tool, is_held) = (codec::fnv1a(&row.request.tool), self.is_held(row.caller));
        self.push(Op::CallProbing { call, probing: Box::new(probing) });
        if !is_held {
            self.open.effects().calls.push((tool, call));
            self.open.demand += 1;
        }
    }

    /// A call that must not be made again by itself: a person or a rule decides it.
    pub(crate) fn doubt(&mut self, now_ms: u64, call: CallId, failure: Failure) -> Receipt {
        let at = self.begin(now_ms, 1_024);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let Some(row) = self.live.calls.get(&call).filter(|row| row.state == RowState::Intended) else {
            return receipt;
        };
        let (caller, checkpoint) = (row.caller, row.request.checkpoint.clone());
        self.push(Op::CallDoubted { call, failure: Box::new(failure.clone()) });
        let answer = Answer { call, verdict: Verdict::InDoubt(failure), checkpoint };
        self.deliver(caller, at, Body::Answer(Arc::new(answer)), None, &mut receipt);
        receipt
    }

    /// A call that does not run is no longer wanted: its row goes, and with it any chance to begin. A former life may have
    /// begun one that is made again, and then nobody knows what became of that. Nothing if it has begun in this life, or is
    /// decided elsewhere.
    pub(crate) fn cancel_idle(&mut self, now_ms: u64, call: CallId) -> Option<Receipt> {
        let row = self.live.calls.get(&call).filter(|row| row.state == RowState::Intended)?;
        let outcome = if self.may_have_begun(call, row) {
            Outcome::unknown("cancelled", "cancelled before it was made again; a former life may have made it")
        } else {
            Outcome::failed("cancelled", "cancelled before it began")
        };
        Some(self.answer(now_ms, vec![(call, outcome, None)]))
    }

    /// Whether a former life may have made a call that this one makes, too: its start is not written down.
    fn may_have_begun(&self, call: CallId, row: &Row) -> bool {
        let is_repeated = matches!(row.request.effect, Effect::Idempotent { .. }) && row.state == RowState::Intended;
        is_repeated && call.0 <= self.former_ids
    }

    /// Take a turn's commit, and cancel in the same record what it cancels: no process dies between them. `cancel` says what
    /// becomes of one call; returned beside the commit's receipt are those of its cancels.
    pub(crate) fn accept_and_cancel(
        &mut self,
        now_ms: u64,
        commit: &mut Commit,
        mut cancel: impl FnMut(&mut Self, CallId) -> Option<Receipt>,
    ) -> Result<(Receipt, Vec<Receipt>), Refused> {
        let mut receipt = self.accept(now_ms, commit)?;
        if Mutant::CancelsOutsideCommit.is_chosen() && !receipt.cancelled.is_empty() {
            self.open.roll();
        }
        self.open.is_one_commit = true;
        let cancelled = std::mem::take(&mut receipt.cancelled);
        let told = cancelled.into_iter().filter_map(|call| cancel(self, call)).collect();
        self.open.is_one_commit = false;
        Ok((receipt, told))
    }

    /// A call that runs is no longer wanted. It was asked to stop; should the process end first, no later life makes it
    /// again: that it began is written down.
    pub(crate) fn cancel_running(&mut self, now_ms: u64, call: CallId) {
        let is_intended = self.live.calls.get(&call).is_some_and(|row| row.state == RowState::Intended);
        if is_intended && !Mutant::CancelledCallMadeAgain.is_chosen() {
            self.begin(now_ms, 24);
            self.push(Op::CallStarted { call });
        }
    }

    /// A call whose caller is gone, and that nobody makes: of one that may have been made nobody knows whether it was.
    /// The answer lies with the dead letters. Nothing if its caller is there.
    pub(crate) fn end_orphan_call(&mut self, now_ms: u64, call: CallId) -> Option<Receipt> {
        let row = self.live.calls.get(&call)?;
        if self.live.actors.contains_key(&row.caller) || self.is_cold(row.caller) {
            return None;
        }
        let outcome = match (&row.state, row.request.effect) {
            (RowState::Intended, Effect::AtMostOnce) => Outcome::failed("orphan", "its caller is gone"),
            (RowState::Intended | RowState::Started, _) => Outcome::unknown("orphan", "its caller is gone"),
            (RowState::InDoubt(_) | RowState::Probing(_), _) => return None,
        };
        Some(self.answer(now_ms, vec![(call, outcome, None)]))
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
        self.write_note(caller, at, note);
        self.push(Op::CallEnded { call, caller });
        self.deliver(
            caller,
            at,
            Body::Answer(Arc::new(Answer { call, verdict, checkpoint: None })),
            None,
            &mut receipt,
        );
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

    /// After a start: who must be in memory before calls are doubted, and, where streams are held, told apart.
    pub(crate) fn callers_to_look_at(&self, now_ms: u64, holds: bool) -> Vec<ActorId> {
        let doubtful = self.live.calls.values().filter(|row| holds || is_doubtful(row, now_ms));
        doubtful.map(|row| row.caller).collect()
    }

    /// After a start: of an at-most-once call that was under way when the last life ended, and of any call whose tool no
    /// longer remembers its key, nobody knows whether it happened. Nor of a `verify` call that was written down: it may
    /// have been made, which its probe finds out.
    pub(crate) fn doubt_calls_of_the_last_life(&mut self, now_ms: u64) -> Receipt {
        let crash = || Outcome::unknown("crash", "the process ended while the call was under way");
        let doubtful = self.live.calls.iter().filter(|(_, row)| is_doubtful(row, now_ms));
        let outcomes = doubtful.map(|(call, row)| (*call, crash(), row.request.checkpoint.clone())).collect();
        self.probe_calls_of_the_last_life(now_ms);
        self.answer(now_ms, outcomes)
    }

    /// After a failed store, in the same process: whatever began is `held`, with its outcome if it has one, and is no
    /// business of this. What was to happen once and is not held surely did not begin; only keys may be forgotten.
    pub(crate) fn take_over_calls(&mut self, now_ms: u64, held: impl Fn(CallId) -> bool) -> Receipt {
        let idle = |of: fn(&Row, u64) -> bool| {
            let idle = self.live.calls.iter().filter(|(call, row)| of(row, now_ms) && !held(**call));
            idle.map(|(call, _)| *call).collect::<Vec<_>>()
        };
        let started = idle(|row, _| row.state == RowState::Started);
        let forgotten = idle(|row, now_ms| row.state == RowState::Intended && row.request.is_forgotten(now_ms));
        for call in started {
            self.take_back_start(now_ms, call);
        }
        let unsure = || Outcome::unknown("forgotten", "the store failed, and the tool no longer remembers the key");
        let checkpoint = |call: &CallId| self.live.calls.get(call).and_then(|row| row.request.checkpoint.clone());
        let outcomes = forgotten.iter().map(|call| (*call, unsure(), checkpoint(call))).collect();
        self.answer(now_ms, outcomes)
    }

    fn probe_calls_of_the_last_life(&mut self, now_ms: u64) {
        let is_unsure =
            |row: &Row| row.state == RowState::Intended && matches!(row.request.effect, Effect::Verify { .. });
        let unsure: Vec<_> = self.live.calls.iter().filter(|(_, row)| is_unsure(row)).map(|(call, _)| *call).collect();
        for call in unsure {
            let probing = Probing::of_the_last_life(now_ms);
            self.begin(now_ms, probing.bytes());
            self.probe(call, probing);
        }
    }

    /// The system stops, and a call that was to be made once surely was not: it can be made in the next life.
    pub(crate) fn take_back_start(&mut self, now_ms: u64, call: CallId) {
        let is_started = |row: &Arc<Row>| row.state == RowState::Started && row.request.effect == Effect::AtMostOnce;
        if self.live.calls.get(&call).is_some_and(is_started) {
            self.begin(now_ms, 24);
            self.push(Op::CallNotStarted { call });
        }
    }
}

/// Whether nobody knows what became of a call when the process ended.
fn is_doubtful(row: &Row, now_ms: u64) -> bool {
    let is_started = row.state == RowState::Started && !Mutant::AtMostOnceRepeated.is_chosen();
    is_started || (row.state == RowState::Intended && row.request.is_forgotten(now_ms))
}
