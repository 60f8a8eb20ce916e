//! The unsticker: finds what waits for something that does not exist, and does the smallest thing about it.
//!
//! ```text
//! what is in memory ─► classify (pure) ─► findings ─► book (pure: age, cures tried) ─► at most one action per actor
//! ```
//! Stuck is a contradiction, not an age: a long call is waited for as long as its adapter lives. Only one that promised
//! heartbeats, and is silent, is given up.
//!
//! **Invariants:** ages and silence are counted in the unsticker's own looks, so that a process that stood still accuses
//! nobody. Nothing is done about a call whose adapter lives and promised nothing, or about what a person must decide.
//! Every kind of waiting has a class: [`classify`] matches without a wildcard. Absent on purpose: the clock, and whoever
//! acts.

#[cfg(test)]
mod at_scale;
mod book;
mod classify;
mod offline;
mod reason;
#[cfg(test)]
mod tests;

pub use self::reason::{Reason, Waiting};
pub(crate) use self::{
    book::{Action, Book, Due},
    classify::{ActorView, CallView, Holder, OVERDUE_MS, classify_actor, classify_call, classify_timer},
};
