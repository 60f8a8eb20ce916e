//! A simulated world for workflows: proves that one of yours does what it should wherever its process dies.
//!
//! The tools are fakes that count what they did, time is a clock that moves to what is due next, and the process dies
//! around every commit. Whatever happens, the [oracle] holds the world to what Headframe promises; your test adds what the
//! workflow promises.
//!
#![doc = include_str!("../docs/TESTING.md")]

use std::{path::Path, sync::Arc};

pub use headframe_actors::testing::*;
use headframe_actors::tool::Tool as _;

use crate::{
    spec::{self, Expressions},
    tools::{Echo, Sleep},
};

/// Worlds of workflows in YAML.
pub trait FromSpec: Sized {
    /// A workflow, given as its text, or as the path of a file that holds it. Templates and conditions mean what they mean
    /// to the engine. The tools `sleep` and `echo` do what they do there; give it a [`Fake`] of every other.
    ///
    /// # Panics
    /// If the text is no sound workflow; every problem is told with its line and column.
    #[must_use]
    fn with_spec(spec: impl AsRef<str>) -> Self;
}

impl FromSpec for World {
    fn with_spec(spec: impl AsRef<str>) -> Self {
        let spec = spec.as_ref();
        let is_text = spec.contains('\n') || spec.contains(": ");
        let checked = if is_text { spec::parse("the workflow", spec) } else { spec::load(Path::new(spec)) };
        let plan = checked.unwrap_or_else(|problems| panic!("{problems}"));
        Self::with_checked(plan, Arc::new(Expressions::new()))
            .sleeping_tool("sleep", Arc::new(|input, now_ms| Sleep.sleeps_until(input, now_ms)))
            .tool("echo", Fake::answers(Echo.effect(), Clone::clone))
    }
}
