//! What the runs do: several workflows beside each other, the probe, and those that lose something on purpose.
//!
//! **Invariant:** what a number does depends on the number alone, so that it can be submitted again under its key.

use std::time::Duration;

use headframe::{
    Submission,
    durable::Reason,
    plan::{InDoubt, InputKind, PhaseBuilder, Plan, TaskBuilder},
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// One step after the other.
    Steps,
    /// The same over six items.
    Fan,
    /// A tool that refuses a third of its calls.
    Retries,
    /// Waits.
    Sleeps,
    /// A tool that never works, and another in its place.
    Fallback,
    /// Is cancelled while it waits.
    Cancelled,
    /// Calls that may happen once, some of whose answers are lost: a rule decides.
    Once,
    /// Calls that may be repeated, some of whose answers are lost.
    Lossy,
    /// Whether it answers.
    Probe,
    /// Loses a bell.
    Bell,
    /// Loses a call.
    Call,
    /// Loses the timers of everybody, for a time.
    Timers,
    /// Falls silent, and promised heartbeats.
    Heartbeat,
    /// Loses its hosts, and the actor before its tool.
    Host,
}

impl Kind {
    /// The load, in turn.
    pub(crate) const LOAD: [Self; 8] =
        [Self::Steps, Self::Fan, Self::Retries, Self::Sleeps, Self::Fallback, Self::Cancelled, Self::Once, Self::Lossy];
    /// What is lost on purpose, in turn.
    pub(crate) const STALLS: [Self; 5] = [Self::Bell, Self::Call, Self::Heartbeat, Self::Host, Self::Timers];
    pub(crate) const ALL: [Self; 14] = [
        Self::Steps,
        Self::Fan,
        Self::Retries,
        Self::Sleeps,
        Self::Fallback,
        Self::Cancelled,
        Self::Once,
        Self::Lossy,
        Self::Probe,
        Self::Bell,
        Self::Call,
        Self::Timers,
        Self::Heartbeat,
        Self::Host,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Fan => "fan",
            Self::Retries => "retries",
            Self::Sleeps => "sleeps",
            Self::Fallback => "fallback",
            Self::Cancelled => "cancelled",
            Self::Once => "once",
            Self::Lossy => "lossy",
            Self::Probe => "probe",
            Self::Bell => "lost-bell",
            Self::Call => "lost-call",
            Self::Timers => "lost-timers",
            Self::Heartbeat => "lost-heartbeat",
            Self::Host => "killed-host",
        }
    }

    /// What the unsticker calls what is lost; none where recovery alone must suffice.
    pub(crate) fn reason(self) -> Option<Reason> {
        match self {
            Self::Bell => Some(Reason::LostDoorbell),
            Self::Call => Some(Reason::LostCall),
            Self::Timers => Some(Reason::OverdueTimer),
            Self::Heartbeat => Some(Reason::LostHeartbeat),
            _ => None,
        }
    }

    /// Looks of the unsticker within which what was lost is found and cured, from the submission of its run on.
    ///
    /// One look may pass before anything is lost, and one while a timer that is due is not overdue yet.
    pub(crate) fn looks_max(self) -> u64 {
        self.reason().map_or(0, |reason| u64::from(reason.looks_max()) + 1 + u64::from(self == Self::Timers))
    }

    /// When its client changes its mind, after the acknowledgement.
    pub(crate) fn cancelled_after(self) -> Option<Duration> {
        (self == Self::Cancelled).then_some(Duration::from_millis(15))
    }

    /// The plan, unchecked.
    pub(crate) fn plan(self) -> Plan {
        let named = Plan::builder(self.name()).input("key", InputKind::String);
        match self {
            Self::Steps => named.phase("walk", |phase| {
                phase
                    .sequential()
                    .task("first", "noop", text)
                    .task("second", "slow", |task| task.with(json!({"after": "{{ outputs.walk.first }}"})))
            }),
            Self::Fan => named.phase("each", |phase| {
                let over = json!([1, 2, 3, 4, 5, 6]);
                phase.max_parallel(4).task("item", "noop", |task| task.for_each(over).with(json!("{{ item }}")))
            }),
            Self::Retries => named.phase("try", |phase| phase.task("flaky", "flaky", |task| again(text(task), 50))),
            Self::Sleeps => {
                named.phase("rest", |phase| sleep(phase, 120)).phase("after", |phase| phase.task("note", "noop", text))
            }
            // A kill may leave a call of which nobody knows, and nothing falls back from that: a rule counts it as failed.
            Self::Fallback => named.phase("either", |phase| {
                phase.task("broken", "broken", |task| {
                    again(text(task), 2).in_doubt(InDoubt::Fail).fallback("noop", text)
                })
            }),
            Self::Cancelled => named.phase("rest", |phase| sleep(phase, 60_000)),
            // What nobody knows of counts as failed, and the run goes on without it.
            Self::Once => named.phase("pay", |phase| {
                let pay = |task| text(task).in_doubt(InDoubt::Fail).optional();
                phase.task("charge", "once", pay).task("note", "noop", text)
            }),
            Self::Lossy => named.phase("send", |phase| phase.task("mail", "lossy", |task| again(text(task), 20))),
            Self::Probe => named.phase("only", |phase| phase.task("once", "noop", text)),
            Self::Bell | Self::Timers => named.phase("rest", |phase| sleep(phase, 400)),
            Self::Call => named.phase("only", |phase| phase.task("once", "stalled", text)),
            Self::Heartbeat => named.phase("only", |phase| {
                phase.task("once", "silent", |task| again(text(task), 20).heartbeat(Duration::from_secs(1)))
            }),
            Self::Host => named.phase("rest", |phase| sleep(phase, 400).task("once", "slow", text)),
        }
        .build()
    }
}

fn text(task: TaskBuilder) -> TaskBuilder {
    task.with(json!({"text": "{{ input.key }}"}))
}

fn again(task: TaskBuilder, attempts: u32) -> TaskBuilder {
    task.retry(attempts).backoff(Duration::from_millis(5)).backoff_factor(1.0)
}

fn sleep(phase: PhaseBuilder, ms: u64) -> PhaseBuilder {
    phase.task("sleep", "sleep", |task| task.with(json!({"ms": ms})))
}

/// What a number is submitted with.
pub(crate) fn submission(number: u64) -> Submission {
    let key = format!("k{number}");
    Submission { input: json!({"key": &key}), key: Some(key), labels: Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headframe::{
        durable::Effect,
        run::Outcome,
        spec::Expressions,
        testing::{Fake, World},
    };

    use super::*;

    /// What the victim's tools do, each at its worst.
    fn world(kind: Kind) -> World {
        let world = World::with_templates(kind.plan(), Arc::new(Expressions::new()))
            .input(json!({"key": "k1"}))
            .tool("sleep", Fake::sleeps(120))
            .tool("flaky", Fake::fails(Effect::IDEMPOTENT, 3))
            .tool("broken", Fake::fails(Effect::IDEMPOTENT, u32::MAX))
            .tool("once", Fake::loses_an_answer(Effect::AtMostOnce))
            .tool("lossy", Fake::loses_answers(Effect::IDEMPOTENT, 3))
            .every_other_tool(&Fake::works(Effect::IDEMPOTENT));
        if kind == Kind::Cancelled { world.cancelled_after(4) } else { world }
    }

    /// A soak of an hour had a run at its end that waited for a person, who was not there.
    #[test]
    fn no_run_waits_for_a_person_wherever_its_process_dies() {
        for kind in Kind::LOAD {
            let world = world(kind);
            for ending in world.dying_around_every_commit() {
                assert_eq!(ending.decisions(), 0, "{}: {}", kind.name(), ending.death);
                let is_right = match kind {
                    Kind::Cancelled => matches!(ending.outcome, Outcome::Cancelled { .. } | Outcome::Succeeded(_)),
                    _ => matches!(ending.outcome, Outcome::Succeeded(_)),
                };
                assert!(is_right, "{}: {:?} {}", kind.name(), ending.outcome, ending.death);
            }
        }
    }

    #[test]
    fn every_kind_is_load_a_probe_or_a_stall_and_has_a_name() {
        let mut some = [&Kind::LOAD[..], &[Kind::Probe], &Kind::STALLS].concat();
        some.sort();
        assert_eq!(some, {
            let mut all = Kind::ALL;
            all.sort();
            all
        });
        let names: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
