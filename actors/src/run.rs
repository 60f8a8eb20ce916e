//! A run: owns the graph of a plan, starts phases as what they need has ended, and ends once.
//!
//! ```text
//! new ─► running ─► ended
//!            │        ▲
//!            ▼        │
//!         stopping ───┘
//! ```
//! **Invariants:** a phase starts only when all it needs has ended well; the index row of a run says how it ended in the
//! commit in which it ends.

pub(crate) mod about;
mod id;
pub(crate) mod measures;
mod row;
mod state;
#[cfg(all(test, feature = "testing"))]
mod tests;

pub use self::{
    id::RunId,
    measures::{FAMILIES, MEASURES},
    row::{Outcome, Row, index_key, plan_key},
    state::{Begin, Event, INPUT_MAX, Message, PhaseStatus, Run, State, Status},
};
