//! A simulated world for durable actors: crashes at every commit, tools that count their effects, and an oracle.
//!
//! The world drives the accepted view by itself: no tokio, no threads, no wall clock. One seed-free order of steps, so
//! that every run of a story is the same until it is told to crash. Offered to users as well: a plan of yours can be
//! made to die around every commit.
//!
//! ```
//! use headframe_actors::{durable::Effect, plan::Plan, testing::{Fake, Story}};
//!
//! let plan = Plan::builder("pay").phase("pay", |phase| phase.task("charge", "bank", |task| task.retry(3)));
//! let story = Story::of(plan.build()).tool("bank", Fake::works(Effect::IDEMPOTENT));
//! for ending in story.dying_around_every_commit() {
//!     assert_eq!(ending.effects("bank"), 1, "{}", ending.death);
//! }
//! ```

pub(crate) mod fake;
pub mod oracle;
mod scale;
pub(crate) mod story;
mod world;

pub use self::{
    fake::Fake,
    scale::{Scale, note},
    story::{Death, Ending, Story},
};
pub use crate::small_disk::{on_a_small_disk, set_read_only};
