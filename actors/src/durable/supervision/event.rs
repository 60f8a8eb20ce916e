//! What a supervisor's decisions are made of: what it hears, and what it wants done.

use super::{
    child::{ChildId, Key, Slot},
    error::Error,
    exit::Exit,
    report::Happened,
    spec::ChildSpec,
};

/// Names a question until it is answered.
pub(super) type Ticket = u64;

/// What a supervisor hears.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// The start of this child is over, and it is up.
    Started(Key),
    /// The start of this child is over, and it is not up.
    StartFailed(Key, String),
    /// This child ended.
    Exited(Key, Exit),
    /// Time has passed.
    Woke,
    /// Everything is to end.
    Shutdown,
    /// Somebody wants something.
    Asked(Ticket, Command),
}

/// What can be wanted of a supervisor.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Start(ChildSpec),
    Terminate(ChildId),
    Restart(ChildId),
    Delete(ChildId),
}

/// What a supervisor wants done.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// Start it, and tell how that went. There is no other start until then, except by hand.
    Start(Key, ChildSpec),
    /// Ask it to stop.
    Stop(Key),
    /// Kill it.
    Kill(Key),
    /// Tell the observer.
    Report(ChildId, Happened),
    /// Answer a question; after a start, with the child in this slot.
    Reply(Ticket, Result<Slot, Error>),
}

/// Why a supervisor ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It was told to.
    Asked,
    /// A child failed too often.
    Escalated(ChildId),
    /// Its significant children have ended.
    Auto(ChildId),
    /// A child did not start when the supervisor did.
    StartFailed { child: ChildId, reason: String },
}
