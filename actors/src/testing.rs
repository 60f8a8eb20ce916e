//! A simulated world for durable actors: crashes at every commit, tools that count their effects, and an oracle.
//!
//! The world drives the accepted view by itself: no tokio, no threads, no wall clock. Steps have one order, or one that a
//! seed draws, so that every story can be told again. Offered to users as well: a plan of yours can be made to die around
//! every commit.
//!
//! ```
//! use headframe_actors::{durable::Effect, plan::Plan, testing::{Fake, World}};
//!
//! let plan = Plan::builder("pay").phase("pay", |phase| phase.task("charge", "bank", |task| task.retry(3)));
//! let world = World::with_plan(plan.build()).tool("bank", Fake::works(Effect::IDEMPOTENT));
//! for ending in world.dying_around_every_commit() {
//!     assert_eq!(ending.effects("bank"), 1, "{}", ending.death);
//! }
//! ```

#[cfg(test)]
mod at_scale;
mod dice;
pub(crate) mod fake;
pub mod oracle;
pub(crate) mod simulation;
pub(crate) mod world;

pub use self::{
    dice::Dice,
    fake::Fake,
    world::{Crash, Death, Ending, World},
};
pub use crate::{
    replay,
    scale::{Scale, note},
    small_disk::{on_a_small_disk, set_read_only},
};
