//! What a loss of records means for what is live: nobody knows what became of the calls, and everyone is told.

use std::sync::Arc;

use bytes::Bytes;

use super::Accepted;
use crate::durable::{
    call::{Answer, Effect, Failure, Row, RowState, Verdict},
    entry::Body,
    id::ActorId,
    record::{Note, Op},
    restored::Restored,
};

impl Accepted {
    /// Records were lost: tell every root, put open calls in doubt, and hold everything until a person says to go on. Gives
    /// how many roots and calls that were.
    pub(crate) fn restore(&mut self, now_ms: u64, from: u64, to: u64) -> (u64, u64) {
        let mut roots: Vec<_> = self.live.streams.keys().map(|stream| ActorId(stream.0)).collect();
        roots.sort_unstable();
        for root in &roots {
            self.note(now_ms, *root, Note::Restored { from, to });
        }
        let doubtful = self.live.calls.iter().filter(|(_, row)| is_doubtful(row, now_ms));
        let doubtful: Vec<_> = doubtful.map(|(call, row)| (*call, row.clone())).collect();
        for (call, row) in &doubtful {
            let message = format!("records {from} to {to} were lost, and with them what became of the call");
            let (failure, at) = (Failure::new("restored", message), self.begin(now_ms, 1_024));
            self.push(Op::CallDoubted { call: *call, failure: Box::new(failure.clone()) });
            let checkpoint = row.request.checkpoint.clone();
            let answer = Answer { call: *call, verdict: Verdict::InDoubt(failure), checkpoint };
            self.deliver(row.caller, at, Body::Answer(Arc::new(answer)), None, &mut super::Receipt::default());
        }
        self.begin(now_ms, 256);
        let restored = Restored { from, to, at_ms: now_ms, confirmed_by: None };
        self.index(Bytes::from_static(Restored::KEY), Some(restored.encode()));
        (roots.len() as u64, doubtful.len() as u64)
    }
}

/// A tool that still knows the key answers a repeat with the first effect; of any other open call nobody knows.
fn is_doubtful(row: &Row, now_ms: u64) -> bool {
    let is_known = matches!(row.request.effect, Effect::Idempotent { .. }) && !row.request.is_forgotten(now_ms);
    !is_known && !matches!(row.state, RowState::InDoubt(_))
}
