//! Durable actors, and the actors that carry out a plan.
//!
//! Two strata. [`durable`] hosts any state machine so that a crash at any point loses nothing and repeats nothing; it
//! knows nothing of runs and is useful alone. Above it, [`plan`] says what to do, and [`run`], [`phase`], [`task`] and
//! [`tool`] do it.
//!
//! **Invariants:** `durable` imports nothing from the upper stratum (a test guards it). Nothing here is global: no
//! recorder, no subscriber, no signal handler, no printing, no exit. Absent on purpose: HTTP, CLI, YAML, dashboards.

#[cfg(windows)]
compile_error!("Headframe runs on Linux (where it is proved) and macOS; Windows is not supported yet");

pub mod clock;
pub mod durable;
#[cfg(test)]
mod golden;
mod hex;
#[cfg(test)]
mod interleavings;
pub mod json;
pub mod metrics;
#[doc(hidden)]
pub mod mutant;
pub mod phase;
pub mod plan;
#[cfg(feature = "testing")]
pub mod replay;
pub mod run;
#[cfg(feature = "testing")]
mod scale;
#[cfg(all(test, feature = "testing"))]
mod simulated;
#[cfg(feature = "testing")]
mod small_disk;
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tool;
mod words;
