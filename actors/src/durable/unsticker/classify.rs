//! From what an actor, a call or a timer looks like to what waits in vain, if anything does.
//!
//! **Invariant:** pure, and total: a new state of a call or an actor does not compile without a class.

use std::time::Duration;

use super::{Reason, Waiting};
use crate::{
    durable::{
        call::{Row, RowState},
        id::{ActorId, CallId},
    },
    mutant::Mutant,
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
    pub(crate) parent: ActorId,
    /// Whether its parent is there.
    pub(crate) has_parent: bool,
    pub(crate) mail: usize,
    /// Whether its turn is being taken right now.
    pub(crate) is_busy: bool,
    /// Whether it moved since the last look.
    pub(crate) has_moved: bool,
    /// When the first of them is due.
    pub(crate) next_due_ms: Option<u64>,
    /// Calls that it says it waits for.
    pub(crate) calls: u32,
    /// Whether all calls were gone through, and none is its own.
    pub(crate) lacks_calls: bool,
    /// Children that it says it has.
    pub(crate) children: u32,
    /// Whether one of them is in memory.
    pub(crate) has_children_here: bool,
    /// Whether all actors were gone through, and none is its child.
    pub(crate) lacks_children: bool,
}

/// Who has a call in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// Its adapter runs.
    Adapter,
    /// Its adapter runs, promised heartbeats, and is silent for longer than this.
    Silent(Duration),
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
    /// Whether its caller is there.
    pub(crate) has_caller: bool,
    pub(crate) tool: &'a str,
    pub(crate) path: &'a str,
    pub(crate) intended_at: u64,
    pub(crate) state: &'a RowState,
    pub(crate) holder: Holder,
}

impl CallView<'_> {
    pub(crate) fn of(call: CallId, row: &Row, has_caller: bool, holder: Holder) -> CallView<'_> {
        CallView {
            call,
            caller: row.caller,
            has_caller,
            tool: &row.request.tool,
            path: &row.request.path,
            intended_at: row.intended_at,
            state: &row.state,
            holder,
        }
    }
}

/// So long after its time a timer is overdue.
pub(crate) const OVERDUE_MS: u64 = 5_000;

/// Where an actor stands, by what it waits for first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Held,
    Suspended(String),
    Mail,
    Timer(u64),
    Call,
    Child,
    /// It waits for a call that is not there.
    NoCall,
    /// It waits for a child that is not there.
    NoChild,
    Nothing,
}

pub(super) fn standing(view: &ActorView) -> Standing {
    match (&view.suspended, view) {
        (_, ActorView { is_held: true, .. }) => Standing::Held,
        (Some(reason), _) => Standing::Suspended(reason.clone()),
        (None, ActorView { mail: 1.., .. }) => Standing::Mail,
        (None, ActorView { next_due_ms: Some(due_ms), .. }) => Standing::Timer(*due_ms),
        (None, ActorView { calls: 1.., lacks_calls: false, .. }) => Standing::Call,
        (None, ActorView { children: 1.., lacks_children: false, .. }) => Standing::Child,
        (None, ActorView { calls: 1.., .. }) => Standing::NoCall,
        (None, ActorView { children: 1.., .. }) => Standing::NoChild,
        (None, _) => Standing::Nothing,
    }
}

/// What an actor waits for in vain.
pub(crate) fn classify_actor(view: &ActorView, now_ms: u64) -> Option<Waiting> {
    // Nothing is said of most.
    let who = format_args!("{} ({})", view.actor, view.kind);
    let (reason, sentence, since_ms) = match standing(view) {
        // Whoever holds it knows that it waits.
        Standing::Held => return None,
        _ if !view.has_parent => {
            let sentence = format!("{who} works for {}, which is gone, so nobody waits for what it gives", view.parent);
            (Reason::Orphan, sentence, None)
        }
        Standing::Suspended(reason) => return Some(Waiting::suspended(view.actor, view.kind, &reason)),
        Standing::Mail if view.is_busy || view.has_moved => return None,
        Standing::Mail => {
            let messages = if view.mail == 1 { "message" } else { "messages" };
            let sentence = format!("{who} has {} {messages} and is not running, because its bell was lost", view.mail);
            (Reason::LostDoorbell, sentence, None)
        }
        Standing::Timer(due_ms) if due_ms.saturating_add(OVERDUE_MS) < now_ms => {
            (Reason::OverdueTimer, format!("{who} waits for a timer that is due and was not fired"), Some(due_ms))
        }
        // Its calls and children are looked at themselves.
        Standing::Timer(_) | Standing::Call | Standing::Child => return None,
        Standing::NoCall | Standing::NoChild | Standing::Nothing if view.is_busy || view.has_moved => return None,
        Standing::NoCall => {
            (Reason::MissingCall, format!("{who} waits for the answer of a call that is not there"), None)
        }
        Standing::NoChild => {
            (Reason::MissingChild, format!("{who} waits for the end of a child that is not there"), None)
        }
        Standing::Nothing if view.may_rest => return None,
        Standing::Nothing => {
            let sentence = format!("{who} has not ended, and has no mail, timer, call or child that could wake it");
            (Reason::WaitsForNothing, sentence, None)
        }
    };
    Some(Waiting { actor: view.actor, call: None, reason, sentence, since_ms })
}

/// What a call waits for in vain.
pub(crate) fn classify_call(view: &CallView<'_>) -> Option<Waiting> {
    let who = format_args!("{} of {} to tool {}", view.call, view.path, view.tool);
    let (reason, sentence) = match (view.state, view.holder) {
        (RowState::InDoubt(failure), _) => {
            (Reason::InDoubt, format!("{who} waits for a decision: {}: {}", failure.class, failure.message))
        }
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::Adapter)
            if !Mutant::LivingCallTakenForLost.is_chosen() =>
        {
            return None;
        }
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::Silent(within)) => {
            (Reason::LostHeartbeat, format!("{who} runs, promised a heartbeat every {within:?}, and is silent"))
        }
        (RowState::Intended | RowState::Started, Holder::Queue | Holder::Nobody | Holder::NoTool)
            if !view.has_caller =>
        {
            (Reason::OrphanCall, format!("{who} has not begun, and {} that asked for it is gone", view.caller))
        }
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::Queue) => return None,
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::NoTool) => {
            (Reason::NoTool, format!("{who} waits for a tool that is not registered here"))
        }
        (RowState::Intended | RowState::Started | RowState::Probing(_), Holder::Nobody | Holder::Adapter) => {
            (Reason::LostCall, format!("{who} waits to be made, and its tool was never told of it"))
        }
    };
    let (actor, since_ms) = (view.caller, Some(view.intended_at));
    Some(Waiting { actor, call: Some(view.call), reason, sentence, since_ms })
}

/// What a timer that is long due, of an actor that is not in memory, waits for in vain.
pub(crate) fn classify_timer(actor: ActorId, is_gone: bool, due_ms: u64) -> Waiting {
    let (reason, sentence) = if is_gone {
        (Reason::OrphanTimer, format!("a timer is due, and {actor} that set it is gone"))
    } else {
        (Reason::OverdueTimer, format!("{actor} waits for a timer that is due and was not fired"))
    };
    Waiting { actor, call: None, reason, sentence, since_ms: Some(due_ms) }
}
