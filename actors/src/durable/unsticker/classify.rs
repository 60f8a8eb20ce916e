//! From what an actor or a call looks like to what it waits for in vain, if for anything.
//!
//! **Invariant:** pure, and total: a new state of a call or an actor does not compile without a class.

use super::{Reason, Waiting};
use crate::durable::{
    call::RowState,
    id::{ActorId, CallId},
};

/// An actor as the unsticker sees it.
#[derive(Clone, Debug)]
pub(crate) struct ActorView {
    pub(crate) actor: ActorId,
    pub(crate) kind: &'static str,
    /// Whether somebody outside may write to it at any time.
    pub(crate) may_rest: bool,
    /// Its stream is not run in this life.
    pub(crate) is_held: bool,
    pub(crate) suspended: Option<String>,
    /// Whether its parent is there.
    pub(crate) has_parent: bool,
    pub(crate) mail: usize,
    /// Whether its turn is being taken right now.
    pub(crate) is_busy: bool,
    /// Whether it moved since the last look.
    pub(crate) has_moved: bool,
    /// When the first of them is due.
    pub(crate) next_due_ms: Option<u64>,
    /// Call rows that are there.
    pub(crate) calls: usize,
    pub(crate) children: u32,
}

/// Who has a call in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Its adapter runs.
    Adapter,
    /// It waits before its tool.
    Queue,
    /// Its tool is there and does not know it.
    Nobody,
    /// There is no such tool here.
    NoTool,
}

/// A call as the unsticker sees it.
#[derive(Clone, Debug)]
pub(crate) struct CallView<'a> {
    pub(crate) call: CallId,
    pub(crate) caller: ActorId,
    pub(crate) tool: &'a str,
    pub(crate) path: &'a str,
    pub(crate) intended_at: u64,
    pub(crate) state: &'a RowState,
    pub(crate) holder: Holder,
}

/// So long after its time a timer is overdue.
pub(crate) const OVERDUE_MS: u64 = 5_000;

/// Where an actor stands, by what it waits for first.
enum Standing {
    Held,
    Suspended(String),
    Mail,
    Timer(u64),
    Call,
    Child,
    Nothing,
}

fn standing(view: &ActorView) -> Standing {
    match (&view.suspended, view) {
        (_, ActorView { is_held: true, .. }) => Standing::Held,
        (Some(reason), _) => Standing::Suspended(reason.clone()),
        (None, ActorView { mail: 1.., .. }) => Standing::Mail,
        (None, ActorView { next_due_ms: Some(due_ms), .. }) => Standing::Timer(*due_ms),
        (None, ActorView { calls: 1.., .. }) => Standing::Call,
        (None, ActorView { children: 1.., .. }) => Standing::Child,
        (None, _) => Standing::Nothing,
    }
}

/// What an actor waits for in vain.
pub(crate) fn classify_actor(view: &ActorView, now_ms: u64) -> Option<Waiting> {
    let who = format!("{} ({})", view.actor, view.kind);
    let (reason, sentence, since_ms) = match standing(view) {
        // Whoever holds it knows that it waits.
        Standing::Held => return None,
        _ if !view.has_parent => (Reason::Orphan, format!("{who} has no parent any more"), None),
        Standing::Suspended(reason) => (Reason::Suspended, format!("{who} is suspended: {reason}"), None),
        Standing::Mail if view.is_busy || view.has_moved => return None,
        Standing::Mail => (Reason::LostDoorbell, format!("{who} has {} messages that nobody takes", view.mail), None),
        Standing::Timer(due_ms) if due_ms.saturating_add(OVERDUE_MS) < now_ms => {
            (Reason::OverdueTimer, format!("{who} waits for a timer that is due"), Some(due_ms))
        }
        // Its calls and children are looked at themselves.
        Standing::Timer(_) | Standing::Call | Standing::Child => return None,
        Standing::Nothing if view.may_rest || view.is_busy || view.has_moved => return None,
        Standing::Nothing => {
            (Reason::WaitsForNothing, format!("{who} has no mail, timer, call or child, and has not ended"), None)
        }
    };
    Some(Waiting { actor: view.actor, call: None, reason, sentence, since_ms })
}

/// What a call waits for in vain.
pub(crate) fn classify_call(view: &CallView<'_>) -> Option<Waiting> {
    let who = format!("{} of {} to tool {}", view.call, view.path, view.tool);
    let (reason, sentence) = match (view.state, view.holder) {
        (RowState::InDoubt(failure), _) => {
            (Reason::InDoubt, format!("{who} is in doubt: {}: {}", failure.class, failure.message))
        }
        (_, Holder::Adapter | Holder::Queue) => return None,
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::NoTool) => {
            (Reason::NoTool, format!("{who} waits for a tool that is not registered here"))
        }
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::Nobody) => {
            (Reason::LostCall, format!("{who} has nobody who makes it"))
        }
    };
    let (actor, since_ms) = (view.caller, Some(view.intended_at));
    Some(Waiting { actor, call: Some(view.call), reason, sentence, since_ms })
}
