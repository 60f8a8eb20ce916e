//! What a later build wrote of runs and plans is refused by name.

use super::*;
use crate::{
    durable::{Behavior, Body, Registry, codec},
    phase::Phase,
    plan::Digest,
    run::{self, Run, RunId},
    task::Task,
};

const LATER: &str = "the value has version 999";

fn plan(beside: bool) -> Plan {
    let plan = Plan::builder("later").phase("only", |phase| {
        phase.task(
            "charge",
            "bank",
            |task| if beside { task.deadline(std::time::Duration::from_secs(1)) } else { task },
        )
    });
    plan.build()
}

#[test]
fn a_plan_and_a_row_of_a_later_build_are_refused_by_name() {
    for beside in [false, true] {
        let refused = Plan::decode(&codec::of_a_later_build(&plan(beside).encode())).unwrap_err().to_string();
        assert_eq!(refused, format!("{LATER}, and this build reads version 3"));
    }
    let row = run::Row {
        run: RunId([7; 16]),
        actor: crate::durable::ActorId(7 << 8),
        namespace: "default".to_owned(),
        workflow: "pay".to_owned(),
        plan: Digest([1; 32]),
        labels: Vec::new(),
        submitted_at: 1,
        ended_at: None,
        outcome: None,
        held: None,
        cancelled: None,
    };
    let refused = run::Row::decode(&codec::of_a_later_build(&row.encode())).unwrap_err().to_string();
    assert_eq!(refused, format!("{LATER}, and this build reads version 2"));
}

/// Events, states and messages of a behaviour.
fn refuses<B: Behavior>(message: &B::Message) {
    let registry = Registry::new().with::<B>();
    let kind = registry.get(codec::fnv1a(B::KIND)).expect("it was just registered");
    let refused = |error: Option<codec::Error>, what: &str, known: u16| {
        let error = error.unwrap_or_else(|| panic!("the {what} of a {} is read", B::KIND)).to_string();
        assert_eq!(error, format!("{LATER}, and this build reads version {known}"), "{what} of a {}", B::KIND);
    };
    let state = kind.load(None, &[]).expect("nothing was written").snapshot();
    assert!(kind.load(Some(&state), &[]).is_ok());
    refused(kind.load(Some(&codec::of_a_later_build(&state)), &[]).err(), "state", B::STATE_VERSION);
    // Nothing of an event is looked at before its version.
    let event = codec::seal(codec::Format::part(B::KIND, "event", B::VERSION), &());
    refused(kind.load(None, &[codec::of_a_later_build(&event)]).err(), "event", B::VERSION);
    let Body::Message(sealed) = Body::message::<B>(message) else { panic!("it is a message") };
    assert!(kind.describe_message(&sealed).is_ok());
    let later = codec::of_a_later_build(&sealed);
    refused(kind.describe_message(&later).err(), "message", B::VERSION);
}

#[test]
fn states_events_and_messages_of_a_later_build_are_refused_by_name() {
    refuses::<Run>(&run::Message::More);
    refuses::<Phase>(&crate::phase::Message::More);
    refuses::<Task>(&crate::task::Message::BackoffOver);
}
