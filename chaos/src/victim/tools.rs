//! The victim's tools: each asks the recorder to do something, and says what it answered.

mod program;

use std::{path::PathBuf, sync::Arc, time::Duration};

use headframe::{
    clock::{Clock as _, SteadyClock},
    durable::{Effect, Outcome},
    json::Json,
    tool::{CallContext, Tool},
};
use serde::Deserialize;

pub(super) use self::program::{NAME as PROGRAM, Program};
use super::{Said, Teller, healing::Wounds};
use crate::{fault::Fault, random, recorder, workload::FOREVER};

/// All of them. `swift` answers when it is first polled; the others go on in tasks of their own.
pub(super) const NAMES: &[&str] =
    &["swift", "idem", "lossy", "slow", "flaky", "deny", "once", "hang", "mute", "stubborn", PROGRAM];

/// Where the outside world is, and who calls it.
pub(crate) struct Outside {
    pub(crate) socket: PathBuf,
    pub(crate) life: u32,
    /// What the engine goes by.
    pub(crate) clock: SteadyClock,
    /// Who hears what happens here.
    pub(crate) teller: Teller,
    /// Whether some tools never answer a first attempt.
    pub(crate) hangs: bool,
    /// Actors before tools that were killed, until somebody is called through them again.
    pub(crate) killed: Wounds<&'static str>,
    /// Calls that hang, by their keys, until they are made again.
    pub(crate) hanging: Wounds<u64>,
}

impl Outside {
    /// The actor before this tool dies now.
    pub(super) fn about_to_kill(&self, tool: &'static str) {
        self.killed.struck(tool);
    }

    /// A call came through the actor before this tool.
    fn called_through(&self, tool: &'static str) {
        self.healed(Fault::Actors, self.killed.over(tool));
    }

    fn healed(&self, fault: Fault, after: Option<Duration>) {
        if let Some(after) = after {
            self.teller.tell(Said::healed(fault, after));
        }
    }

    fn call(&self, cx: &CallContext, tool: &str, label: String, deaf: bool) -> recorder::Request {
        let call = recorder::Call {
            tool: tool.to_owned(),
            key: cx.key().to_string(),
            call: cx.call_id().to_string(),
            label,
            attempt: cx.attempt(),
            life: self.life,
            epoch: cx.fencing_token(),
            deaf,
        };
        recorder::Request::Call { call, at_ms: self.clock.now_ms() }
    }
}

/// A tool of the outside world.
pub(super) struct Remote {
    name: &'static str,
    outside: Arc<Outside>,
}

#[derive(Deserialize)]
struct Input {
    label: String,
}

/// What a tool does once it was heard outside.
#[derive(Clone, Copy, PartialEq)]
enum Manners {
    Answers,
    /// Breaks down before it has heard the answer.
    BreaksDown,
    /// Never answers; lets go when it is asked to stop.
    Hangs,
    /// Never answers, whatever it is asked.
    Ignores,
}

impl Remote {
    pub(super) fn new(name: &'static str, outside: &Arc<Outside>) -> Self {
        Self { name, outside: outside.clone() }
    }

    fn manners(&self, cx: &CallContext) -> Manners {
        let drawn = random::number_of(&cx.key().to_string());
        let hangs = self.outside.hangs && cx.attempt() == 1;
        // Drawn anew in each life: what hangs for longer than a life would hang for ever, and keep others from their turn.
        let now = random::number_of(&format!("{} {}", cx.key(), self.outside.life));
        match self.name {
            "lossy" if cx.attempt() == 1 && drawn.is_multiple_of(7) => Manners::BreaksDown,
            "hang" if hangs && now.is_multiple_of(2) => Manners::Hangs,
            "mute" if hangs && now.is_multiple_of(8) => Manners::Hangs,
            "stubborn" if hangs && now.is_multiple_of(8) => Manners::Ignores,
            _ => Manners::Answers,
        }
    }

    /// Whoever waits only for a short time may miss any answer.
    fn is_deaf(&self, manners: Manners) -> bool {
        manners != Manners::Answers || ["hang", "mute", "stubborn"].contains(&self.name)
    }

    /// Between the start of a call and its effect lies time in which the victim can die.
    fn delay(&self, key: u64) -> Duration {
        let drawn = key >> 32;
        match self.name {
            "once" => Duration::from_micros(drawn % 6_000),
            _ if drawn.is_multiple_of(4) => Duration::from_micros(drawn % 3_000),
            _ => Duration::ZERO,
        }
    }

    async fn hang(&self, cx: &CallContext, key: u64, ignores: bool) -> Outcome {
        self.outside.hanging.struck(key);
        let what = if ignores { "ignores being asked to stop" } else { self.name };
        self.outside.teller.tell(Said::Struck { fault: Fault::Hangs, what: what.to_owned() });
        if ignores {
            return std::future::pending().await;
        }
        cx.cancelled().await;
        Outcome::unknown("cancelled", "hung until it was asked to stop")
    }
}

impl Tool for Remote {
    fn effect(&self) -> Effect {
        if self.name == "once" { Effect::AtMostOnce } else { FOREVER }
    }

    fn max_concurrent(&self) -> usize {
        16
    }

    fn can_beat(&self) -> bool {
        self.name == "mute"
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        self.outside.called_through(self.name);
        let label = match input.parse::<Input>() {
            Ok(input) => input.label,
            Err(error) => return Outcome::failed("input", error.to_string()),
        };
        let (key, manners) = (random::number_of(&cx.key().to_string()), self.manners(cx));
        let request = || self.outside.call(cx, self.name, label.clone(), self.is_deaf(manners));
        if self.name == "swift" {
            return recorder::call_at_once(&self.outside.socket, request());
        }
        if cx.attempt() > 1 {
            self.outside.healed(Fault::Hangs, self.outside.hanging.over(key));
        }
        let delay = self.delay(key);
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        if cx.is_cancelled() {
            return Outcome::failed("cancelled", "cancelled before the outside world heard of it");
        }
        let outcome = tokio::select! {
            biased;
            outcome = recorder::call(&self.outside.socket, request()) => outcome,
            // Only the slow one lets go of what it has asked for.
            () = cx.cancelled(), if self.name == "slow" => Outcome::unknown("cancelled", "did not wait for the answer"),
        };
        match manners {
            Manners::Answers => outcome,
            // A panic without a word on stderr: that file is searched for panics nobody asked for.
            Manners::BreaksDown => std::panic::resume_unwind(Box::new("the caller broke down")),
            Manners::Hangs => self.hang(cx, key, false).await,
            Manners::Ignores => self.hang(cx, key, true).await,
        }
    }
}
