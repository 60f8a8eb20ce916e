//! One life of the process: what a crash takes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::durable::{
    Accepted, ActorId, CallId, Ids, Live, Sequence,
    sim::{Hosted, Sealed, read_window},
    store::{Fence, Memory, Store as _},
};

/// What a crash takes.
pub(super) struct Life {
    pub(super) accepted: Accepted,
    pub(super) ids: Ids,
    pub(super) fence: Fence,
    pub(super) hosts: BTreeMap<ActorId, Hosted>,
    /// The rows hold every record up to this one.
    pub(super) rows_at: Sequence,
    pub(super) runnable: VecDeque<ActorId>,
    pub(super) calls: VecDeque<CallId>,
    pub(super) commits: u64,
    /// Calls that a former life intended, and may have made.
    pub(super) inherited: BTreeSet<CallId>,
    /// A record on its way to the disk.
    pub(super) writing: Option<Writing>,
    /// Actors whose next message is not durable yet, where messages are delivered only then.
    pub(super) held: Vec<ActorId>,
    /// The number up to which an actor's messages are durable, where they are delivered only then.
    pub(super) deliverable: BTreeMap<ActorId, u64>,
}

/// A record that was sealed and is not acknowledged.
pub(super) struct Writing {
    pub(super) sealed: Sealed,
    /// The last message in each mailbox when it was sealed.
    pub(super) mailboxes: BTreeMap<ActorId, u64>,
    /// How the run stood then.
    pub(super) seen: Option<crate::run::Row>,
}

impl Life {
    pub(super) fn begin(store: &Memory) -> Self {
        let opened = store.open().expect("memory opens");
        let (live, recovered) = Live::start(store, &opened).expect("what was acknowledged can be recovered");
        let ids = Ids::after(live.highest_id);
        let mut accepted = Accepted::new(live, recovered.durable.next());
        if let Some(rows) = &opened.rows {
            let (window_ms, timers) = read_window(&**rows, 0, u64::MAX).expect("what was written can be read");
            accepted.extend_window(window_ms, timers);
        }
        let inherited = accepted.live().calls.keys().copied().collect();
        let deliverable = mailboxes(accepted.live());
        Self {
            accepted,
            rows_at: opened.from,
            ids,
            fence: recovered.fence,
            hosts: BTreeMap::new(),
            runnable: VecDeque::new(),
            calls: VecDeque::new(),
            commits: 0,
            inherited,
            writing: None,
            held: Vec::new(),
            deliverable,
        }
    }
}

/// The number of the last message in each mailbox.
pub(super) fn mailboxes(live: &Live) -> BTreeMap<ActorId, u64> {
    let last = |row: &crate::durable::Actor| row.mailbox.back().map(|entry| entry.number);
    live.actors.iter().filter_map(|(actor, row)| Some((*actor, last(row)?))).collect()
}
