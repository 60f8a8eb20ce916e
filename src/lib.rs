//! Headframe: supervised, durable actors and long workflows that survive any crash exactly once.
//!
//! Start with [`Engine`]. The actors underneath are in [`headframe_actors`], re-exported here by their rooms.

#[cfg(feature = "server")]
pub mod api;
pub mod artifacts;
pub mod engine;
pub mod metrics;
pub mod spec;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tools;

pub use headframe_actors::{clock, durable, json, phase, plan, run, task, tool};

pub use self::engine::{Engine, Error, RunHandle, Submission};
