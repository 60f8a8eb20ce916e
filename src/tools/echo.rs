//! `echo`: answers what it was given.

use headframe_actors::{
    durable::{Effect, Outcome},
    json::Json,
    tool::{CallContext, Tool},
};

/// The tool `echo`: its arguments, whatever they are, become its output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Tool for Echo {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    async fn call(&self, _cx: &CallContext, input: Json) -> Outcome {
        Outcome::Done(input)
    }
}
