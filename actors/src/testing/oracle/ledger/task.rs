//! One task: calls and their results, waits and their ends.

use super::{
    super::{
        Violation,
        findings::Invariant::{I4, I8},
    },
    SLACK_MS, Told,
    stream::Place,
};
use crate::{durable::CallId, task::Event as T};

/// What a task waits for.
#[derive(Clone, Copy, Default)]
enum Wait {
    #[default]
    Nothing,
    /// The outcome of a call.
    Call,
    /// Its back-off.
    Backoff,
    /// A time, in milliseconds since 1970.
    Sleep(u64),
    /// A decision.
    Decision,
}

#[derive(Default)]
pub(super) struct Task {
    wait: Wait,
}

impl Task {
    pub(super) fn take(&mut self, event: &T, told: &mut Told, place: &mut Place<'_>) {
        match event {
            T::Began { call, .. } => self.call(*call, told, place),
            T::Called { call, .. } => {
                self.backoff_is_over("it calls again", place);
                self.call(*call, told, place);
            }
            T::Repeated { call } => self.call(*call, told, place),
            T::MadeAgain { call, .. } => {
                self.answered("an attempt that was not made", place);
                self.call(*call, told, place);
            }
            T::AttemptFailed { .. } | T::AttemptUnknown { .. } => {
                self.answered("an outcome", place);
                self.wait = Wait::Backoff;
            }
            T::Doubted { .. } => {
                told.doubted += 1;
                self.wait = Wait::Decision;
            }
            T::FellAsleep { until_ms, .. } => {
                place.findings.tested(I8, 1);
                if !matches!(self.wait, Wait::Nothing) {
                    self.backoff_is_over("it falls asleep", place);
                }
                self.wait = Wait::Sleep(*until_ms);
            }
            T::Succeeded => self.succeeded(place),
            T::Failed { .. } | T::Stopped => self.wait = Wait::Nothing,
            T::FellBack { .. } => {
                if !matches!(self.wait, Wait::Decision) {
                    self.answered("a failure for good", place);
                }
                // The call of the next tool follows at once.
                self.wait = Wait::Backoff;
            }
            T::Stopping { .. } | T::Prepared { .. } | T::DeadlineOver => {}
        }
    }

    fn call(&mut self, call: CallId, told: &mut Told, place: &Place<'_>) {
        // Two intents under one id would be the same call; the earlier one counts.
        told.intents.entry(call.to_string()).or_insert(place.item.at_ms);
        self.wait = Wait::Call;
    }

    /// A call has one outcome.
    fn answered(&mut self, what: &str, place: &mut Place<'_>) {
        place.findings.tested(I4, 1);
        if !matches!(self.wait, Wait::Call) {
            place.found(Violation::duplicated(I4, format!("it recorded {what} without a call that waits for one")));
        }
        self.wait = Wait::Nothing;
    }

    /// A timer is applied once.
    fn backoff_is_over(&mut self, what: &str, place: &mut Place<'_>) {
        place.findings.tested(I8, 1);
        if !matches!(self.wait, Wait::Backoff) {
            place.found(Violation::duplicated(I8, format!("{what}, and no wait was set that could have ended")));
        }
    }

    fn succeeded(&mut self, place: &mut Place<'_>) {
        match std::mem::take(&mut self.wait) {
            Wait::Sleep(until_ms) if place.item.at_ms + SLACK_MS < until_ms => {
                let early = until_ms - place.item.at_ms;
                place.found(Violation::wrong(I8, format!("it woke {early} ms too early, at {}", place.item.at_ms)));
            }
            Wait::Call | Wait::Decision | Wait::Sleep(_) => {}
            Wait::Nothing | Wait::Backoff => {
                place.found(Violation::duplicated(
                    I4,
                    "it succeeded without a call that waited for its outcome".to_owned(),
                ));
            }
        }
    }
}
