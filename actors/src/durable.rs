//! Durable actors: state machines whose mailbox, state, timers and calls survive any crash.
//!
//! ```text
//! message ─► Behavior::decide ─► commit ─► accepted view ─► record ─► store
//!               (pure)         (all or nothing)   (memory, in order)   (synced: durable)
//! ```
//! A turn takes one message and becomes one commit. Acceptance is a synchronous call in memory; syncing is another
//! party's work, so no turn waits for the disk. What leaves (a call, an answer) waits until its record is durable.
//!
//! **Invariants:** state is the fold of events; a message is consumed by the commit that holds its effects; one
//! activation of an actor commits at a time. Absent on purpose: runs, phases, tasks, and any tool.
//!
#![doc = include_str!("../../docs/ACTORS.md")]

mod about;
mod accepted;
#[cfg(test)]
mod audit;
mod behavior;
mod call;
mod care;
mod chain;
mod checkpointer;
pub mod codec;
mod committer;
mod directory;
mod door;
mod dying;
mod entry;
#[cfg(test)]
pub(crate) mod faults;
mod flight;
mod hands;
mod host;
mod hosted;
mod id;
mod journal;
mod keeper;
mod kind;
mod ledger;
mod live;
pub mod meters;
mod open;
mod outbox;
mod record;
mod restored;
mod room;
mod scrub;
#[cfg(feature = "testing")]
pub(crate) mod sim;
pub mod store;
pub mod supervision;
mod system;
#[cfg(test)]
mod tests;
mod tree;
mod unsticker;
mod watch;

#[cfg(feature = "testing")]
pub use self::system::Stall;
pub use self::{
    about::About,
    accepted::{Entrance, Existing, Refused},
    behavior::{Behavior, Child, Rejection, Turn},
    call::{
        Answer, Effect, Failure, Key, Outcome, PROBE_WAIT_DEFAULT_MS, PROBES_DEFAULT, Probe, Probing,
        REMEMBERS_DEFAULT_MS, Request, Row, RowState, Verdict,
    },
    care::Care,
    chain::Head,
    entry::{Body, Entry, Fate, Fired},
    id::{ActorId, CallId, Epoch, Partition, Sequence, StreamId},
    kind::{Extensions, Registry},
    ledger::{Item, Ledger, Refolded, Tail, Verified, What},
    live::{Actor, DeadLetter, Index, Live},
    outbox::Address,
    record::Note,
    restored::Restored,
    system::{
        Census, Decision, Error, Expiring, Figures, Heir, Jumped, KeyFigures, Killed, Recovery, RowFate, Scrubbed,
        SendError, Survey, Swept, System, SystemBuilder,
    },
    tree::{Node, Presence, ServiceNode, ToolNode, Tree},
    unsticker::{Reason, Waiting},
    watch::LongTurn,
};
pub(crate) use self::{
    about::Place,
    call::cut,
    system::{Ended, Inner},
};
#[cfg(feature = "testing")]
pub(crate) use self::{
    accepted::{Accepted, Commit},
    kind::Ids,
    sim::seal_record,
};
