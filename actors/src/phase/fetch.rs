//! The phase's own calls: items are fetched from an artifact window by window, and long outputs are put aside.
//!
//! **Invariant:** a phase ends only when its own calls have.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    outputs::Output,
    start::{begin, plan},
    state::{Event, Phase, Status, Unit},
};
use crate::{
    durable::{Answer, CallId, Effect, Failure, Key, Outcome, Rejection, Request, Turn, Verdict},
    json::Json,
    plan::{ForEach, Items},
};

/// The tool that reads a window of items from an artifact.
pub const ITEMS_TOOL: &str = "items";
/// The tool that puts an artifact aside.
pub const ARTIFACT_TOOL: &str = "artifact";
/// Reading or writing an artifact takes no longer, or something is wrong.
const TIMEOUT_MS: u64 = 120_000;

/// What one of the phase's own calls is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Errand {
    /// Items of a fan-out, from this one on.
    Fetch {
        /// Which task.
        task: u32,
        /// The first item wanted.
        from: u32,
    },
    /// Outputs of a fan-out that go aside.
    PutAside {
        /// Which task.
        task: u32,
    },
}

/// A window of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// The position of its first item.
    pub from: u32,
    /// How many items there are in all.
    pub total: u32,
    /// The items.
    pub items: Vec<Json>,
}

impl Window {
    /// The item at a position, if the window holds it.
    pub(super) fn get(&self, at: u32) -> Option<&Json> {
        self.items.get(at.checked_sub(self.from)? as usize)
    }
}

/// Whether data for a fan-out is a reference to an artifact, by itself or as what a process printed.
pub(super) fn reference(data: &Value) -> Option<&Value> {
    let data = data.get("stdout").unwrap_or(data);
    (data.get("$artifact").is_some() || data.get("$list").is_some()).then_some(data)
}

/// Ask for the items from `from` on.
pub(super) fn fetch(
    turn: &mut Turn<'_, Phase>,
    task: u32,
    for_each: &ForEach,
    over: &Value,
    from: u32,
) -> Result<(), Failure> {
    let items = match for_each.items {
        Items::Json => "json",
        Items::Lines => "lines",
        Items::Nul => "nul",
    };
    let input = json!({ "over": over, "items": items, "from": from, "max_items": for_each.max_items });
    errand(turn, Errand::Fetch { task, from }, ITEMS_TOOL, input.into())
}

/// Put aside every list that has grown long; what is left of such a list too, once nothing follows. A phase that stops
/// hands nothing on, so it puts nothing aside.
pub(super) fn put_aside(turn: &mut Turn<'_, Phase>) -> Result<(), Failure> {
    let state = turn.state();
    if state.status != Status::Running || state.failure.is_some() {
        return Ok(());
    }
    let is_complete =
        |task: &u32| state.tallies.get(task).is_some_and(|tally| tally.items.is_some_and(|items| tally.ended >= items));
    let due = state.outputs.iter().filter_map(|(task, output)| match output {
        Output::Many(many) if many.is_due(is_complete(task)) => Some((*task, many.pairs())),
        _ => None,
    });
    let due: Vec<_> = due.collect();
    for (task, pairs) in due {
        let input = json!({ "put": pairs.value() });
        errand(turn, Errand::PutAside { task }, ARTIFACT_TOOL, input.into())?;
    }
    Ok(())
}

fn errand(turn: &mut Turn<'_, Phase>, errand: Errand, tool: &str, input: Json) -> Result<(), Failure> {
    let internal = |rejection: Rejection| Failure::new("internal", rejection.reason);
    let begin = begin(turn).map_err(internal)?.clone();
    let plan = plan(turn).map_err(internal)?;
    let ordinal = turn.state().errands_sent;
    let path = format!("{}/{}/{tool}", begin.run, plan.phases[begin.phase as usize].name);
    let key = Key::of(&[&begin.run.0, path.as_bytes(), b"errand", &ordinal.to_be_bytes()]);
    let call = turn.call(Request {
        tool: tool.to_owned(),
        path,
        key,
        attempt: 1,
        effect: Effect::IDEMPOTENT,
        input,
        timeout_ms: TIMEOUT_MS,
        heartbeat_ms: None,
        checkpoint: None,
        key_since_ms: turn.now_ms(),
    });
    turn.emit(&Event::Sent { call, errand });
    Ok(())
}

/// One of the phase's own calls came back.
pub(super) fn returned(turn: &mut Turn<'_, Phase>, answer: Answer) -> Result<(), Rejection> {
    let Some(errand) = turn.state().errands.get(&answer.call).map(|(errand, _)| *errand) else { return Ok(()) };
    let given = match answer.verdict {
        Verdict::Ended(Outcome::Done(output)) => read(errand, &output),
        Verdict::Ended(Outcome::Failed(failure) | Outcome::Unknown(failure))
        | Verdict::NotMade(failure)
        | Verdict::Refused(failure) => Err(failure),
        // These calls only read, or write what is named by its content: nothing about them is worth a person's time.
        Verdict::InDoubt(failure) => {
            turn.settle(answer.call);
            Err(failure)
        }
        Verdict::Repeat => Err(Failure::new("decided", "a call of the phase itself is not repeated by decision")),
    };
    let event = match given {
        Ok(Given::Window(window)) => Event::Fetched { call: answer.call, window },
        Ok(Given::Reference(reference)) => Event::PutAside { call: answer.call, reference },
        Err(failure) => failed(answer.call, errand, failure),
    };
    turn.emit(&event);
    Ok(())
}

enum Given {
    Window(Window),
    Reference(Json),
}

fn read(errand: Errand, output: &Json) -> Result<Given, Failure> {
    let malformed = |what: &str| Failure::new("internal", format!("the answer has no {what}"));
    match errand {
        Errand::Fetch { from, .. } => {
            let value = output.value();
            let items = value.get("items").and_then(Value::as_array).ok_or_else(|| malformed("items"))?;
            let total = value.get("total").and_then(Value::as_u64).and_then(|total| u32::try_from(total).ok());
            let total = total.ok_or_else(|| malformed("total"))?;
            Ok(Given::Window(Window { from, total, items: items.iter().map(Json::from).collect() }))
        }
        Errand::PutAside { .. } => {
            let value = output.value();
            let reference = value.get("artifact").ok_or_else(|| malformed("artifact"))?;
            Ok(Given::Reference(Json::from(reference)))
        }
    }
}

/// The data of a fan-out cannot be had, or what it gave cannot be kept: an optional task does not excuse that.
fn failed(call: CallId, errand: Errand, failure: Failure) -> Event {
    let (Errand::Fetch { task, .. } | Errand::PutAside { task }) = errand;
    Event::ErrandFailed { call, unit: Unit { task, item: None }, optional: false, failure }
}
