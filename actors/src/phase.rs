//! A phase: starts its tasks within a bound, gathers what they give, and ends once.
//!
//! ```text
//! new ─► running ─► ended
//!            │        ▲
//!            ▼        │
//!         stopping ───┘
//! ```
//! **Invariants:** at most `max_parallel` tasks run; a task's end is counted once; outputs are kept only if somebody
//! reads them; it ends when nothing of it runs.

mod fetch;
mod items;
mod outputs;
mod start;
mod state;
mod turns;

pub use self::{
    fetch::{ARTIFACT_TOOL, Errand, ITEMS_TOOL, Window},
    outputs::{Many, Output},
    start::OUTPUTS_MAX,
    state::{Begin, End, Event, Message, Phase, State, Status, Tally, Unit},
};
