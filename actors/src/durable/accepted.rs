//! The accepted view: what has happened, in memory and in order, ahead of the disk.
//!
//! Acceptance is one synchronous call: check activation and version, extend the chain, coalesce, say whom to ring. It
//! knows no threads, no disk and no clock, so that a simulation can drive it step by step.
//!
//! **Invariants:** a commit is accepted whole or refused whole; a message is consumed once; a call's row and its answer
//! trade places in one commit; an actor that stops has no children and no calls left; a timer that was due when a message
//! was accepted is in the mailbox before it.

#[cfg(test)]
mod at_scale;
mod calls;
mod ending;
mod entrance;
mod letters;
mod prune;
mod restored;
mod rows;
mod sweep;
mod timers;
mod trouble;

use bytes::Bytes;

pub use self::entrance::{Entrance, Existing};
pub(crate) use self::{
    ending::Ended,
    entrance::Entered,
    letters::{Fix, Fixed, Found},
    prune::{Below, Pruned},
    sweep::Sweeping,
};
use super::{
    care::Care,
    entry::{Body, Entry, Fate},
    id::{ActorId, CallId, Sequence, StreamId},
    live::Live,
    open::{Open, Sealed},
    outbox::Outbox,
    record::Op,
    supervision::AutoShutdown,
};
use crate::mutant::Mutant;

/// One turn's work, on its way in.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) actor: ActorId,
    pub(crate) activation: u64,
    pub(crate) version: u64,
    pub(crate) entry: u64,
    pub(crate) outbox: Box<Outbox>,
}

/// What acceptance tells the one who carries.
#[derive(Debug, Default)]
pub(crate) struct Receipt {
    /// The record that will hold it.
    pub(crate) sequence: Sequence,
    /// Actors whose mailbox was empty and is not any more.
    pub(crate) ring: Vec<ActorId>,
    /// Calls whose callers no longer want them.
    pub(crate) cancelled: Vec<CallId>,
    /// Actors that are being ended, and of which something may be left to do.
    pub(crate) ending: Vec<ActorId>,
    /// The committed actor's next message.
    pub(crate) next: Option<Entry>,
    /// Whether the committed actor finished.
    pub(crate) stopped: bool,
}

/// Why a commit was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A newer activation exists, or the version moved on: this host is of the past.
    #[error("{0} has a newer activation")]
    Fenced(ActorId),
    /// These actors must be brought into memory first.
    #[error("{} actors are not in memory", .0.len())]
    Cold(Vec<ActorId>),
    /// The behaviour broke a rule of the runtime.
    #[error("{actor} broke a rule: {rule}")]
    Broken {
        /// Which actor.
        actor: ActorId,
        /// Which rule.
        rule: String,
    },
}

/// What a new activation starts from.
#[derive(Debug)]
pub(crate) struct Activation {
    pub(crate) number: u64,
    pub(crate) kind: u32,
    pub(crate) parent: ActorId,
    pub(crate) stream: StreamId,
    pub(crate) version: u64,
    pub(crate) snapshot: Option<Bytes>,
    pub(crate) events: Vec<Bytes>,
}

/// The accepted view.
#[derive(Debug)]
pub(crate) struct Accepted {
    live: Live,
    open: Open,
    activations: rustc_hash::FxHashMap<ActorId, u64>,
    last_activation: u64,
    watchers: rustc_hash::FxHashMap<Bytes, Vec<u64>>,
    /// Streams whose actors are not run in this life.
    held: rustc_hash::FxHashSet<StreamId>,
    generations: u64,
    /// No call of this life has an id up to this one.
    former_ids: u64,
    late_answers: u64,
    turns: u64,
    buried: u64,
    residency: rows::Residency,
    /// Kinds whose actors end with their significant children.
    auto_shutdowns: rustc_hash::FxHashMap<u32, AutoShutdown>,
}

impl Accepted {
    pub(crate) fn new(live: Live, next: Sequence) -> Self {
        // Generations of timers must not repeat across lives.
        let (generations, former_ids) = (live.latest_ms, live.highest_id);
        Self {
            live,
            open: Open::starting_at(next),
            activations: rustc_hash::FxHashMap::default(),
            last_activation: 0,
            watchers: rustc_hash::FxHashMap::default(),
            held: rustc_hash::FxHashSet::default(),
            generations,
            former_ids,
            late_answers: 0,
            turns: 0,
            buried: 0,
            residency: rows::Residency::default(),
            auto_shutdowns: rustc_hash::FxHashMap::default(),
        }
    }

    /// Let actors of these kinds end with their significant children.
    pub(crate) fn shut_down_by_kind(&mut self, auto_shutdowns: rustc_hash::FxHashMap<u32, AutoShutdown>) {
        self.auto_shutdowns = auto_shutdowns;
    }

    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    #[cfg(test)]
    pub(crate) fn sabotage(&mut self) -> &mut Live {
        &mut self.live
    }

    pub(crate) fn open(&mut self) -> &mut Open {
        &mut self.open
    }

    pub(crate) fn late_answers(&self) -> u64 {
        self.late_answers
    }

    /// Messages taken in turns, and messages put with the dead letters.
    pub(crate) fn taken(&self) -> (u64, u64) {
        (self.turns, self.buried)
    }

    pub(crate) fn seal(&mut self) -> Option<Sealed> {
        self.open.seal()
    }

    pub(crate) fn head(&self, actor: ActorId) -> Option<Entry> {
        let row = self.live.actors.get(&actor)?;
        if row.suspended.is_some() || self.held.contains(&row.stream) { None } else { row.mailbox.front().cloned() }
    }

    /// Which activation of an actor may commit.
    #[cfg(test)]
    pub(crate) fn activation_of(&self, actor: ActorId) -> Option<u64> {
        self.activations.get(&actor).copied()
    }

    /// Do not run the actors of these streams in this life; what comes for them waits.
    pub(crate) fn hold(&mut self, streams: impl IntoIterator<Item = StreamId>) {
        self.held.extend(streams);
    }

    pub(crate) fn is_held(&self, actor: ActorId) -> bool {
        !self.held.is_empty() && self.live.actors.get(&actor).is_some_and(|row| self.held.contains(&row.stream))
    }

    /// Open a new activation; every older one is refused from now on.
    pub(crate) fn activate(&mut self, actor: ActorId) -> Option<Activation> {
        let row = self.live.actors.get(&actor)?;
        self.last_activation += 1;
        self.activations.insert(actor, self.last_activation);
        Some(Activation {
            number: self.last_activation,
            kind: row.kind,
            parent: row.parent,
            stream: row.stream,
            version: row.version,
            snapshot: row.snapshot.clone(),
            events: row.events.clone(),
        })
    }

    /// Take a turn's commit. A commit that is refused is left as it is, so that it can be handed in again.
    pub(crate) fn accept(&mut self, now_ms: u64, commit: &mut Commit) -> Result<Receipt, Refused> {
        self.check(commit)?;
        let (actor, entry) = (commit.actor, commit.entry);
        let outbox = &mut *commit.outbox;
        let at = self.begin(now_ms, outbox.bytes);
        self.turns += 1;
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        let head = self.consume(actor, at, entry, outbox);
        self.write(actor, at, &mut receipt, outbox);
        if let Some(head) = head {
            self.respond(actor, at, head, outbox, &mut receipt);
        }
        if outbox.stop {
            self.finish(actor, at, &mut receipt);
            receipt.stopped = true;
        } else {
            receipt.next = self.head(actor);
        }
        Ok(receipt)
    }

    fn check(&self, commit: &Commit) -> Result<(), Refused> {
        let actor = commit.actor;
        let row = self.live.actors.get(&actor).ok_or(Refused::Fenced(actor))?;
        let is_latest =
            self.activations.get(&actor) == Some(&commit.activation) || Mutant::FenceByVersionOnly.is_chosen();
        let current = is_latest && row.version == commit.version;
        if !current || row.mailbox.front().is_none_or(|entry| entry.number != commit.entry) {
            return Err(Refused::Fenced(actor));
        }
        let calls = row.calls as usize + commit.outbox.calls.len();
        let children = row.children as usize + commit.outbox.spawns.len();
        let may_leave = Mutant::StopLeavesChildren.is_chosen();
        if commit.outbox.stop && !may_leave && (children > 0 || calls > commit.outbox.settled.len()) {
            let rule = format!("it stops with {children} children and {calls} calls left");
            return Err(Refused::Broken { actor, rule });
        }
        self.all_here(commit.outbox.sends.iter().map(|(to, _)| *to)).map_err(Refused::Cold)
    }

    /// The time of a commit never runs back.
    fn begin(&mut self, now_ms: u64, bytes: usize) -> u32 {
        let now_ms = now_ms.max(self.live.latest_ms);
        self.open.begin(bytes, now_ms)
    }

    fn push(&mut self, op: Op) -> (Sequence, u32) {
        self.live.apply(self.open.sequence(), self.open.base_ms(), &op);
        self.open.push(op)
    }

    /// Remove the head message and write the turn; returns the message.
    fn consume(&mut self, actor: ActorId, at: u32, entry: u64, outbox: &mut Outbox) -> Option<Entry> {
        let row = self.live.actors.get_mut(&actor)?;
        let head = row.mailbox.pop_front()?;
        let coalesced = self.open.take_back(head.place);
        let stays = Mutant::RefusedMessageStays.is_chosen() && outbox.refusal.is_some();
        let consumed = if coalesced || stays { 0 } else { entry };
        let events = std::mem::take(&mut outbox.events);
        // The head is off the mailbox already, whether or not the disk knows of it.
        let at_ms = self.open.base_ms() + u64::from(at);
        self.live.turn(self.open.sequence(), actor, at_ms, 0, &events, &outbox.digests);
        self.open.push(Op::Turn { actor, at, consumed, events });
        self.advance(actor);
        Some(head)
    }

    /// Whoever waits gets the reply; a refused message that nobody waits for is kept with its reason.
    fn respond(&mut self, actor: ActorId, at: u32, head: Entry, outbox: &mut Outbox, receipt: &mut Receipt) {
        let refusal = outbox.refusal.take();
        // Whoever asked is told, and that is enough.
        if let Some(refusal) = refusal.as_ref().filter(|refusal| refusal.is_fatal && head.reply.is_none())
            && let Some(parent) = self.live.actors.get(&actor).map(|row| row.parent)
        {
            let fate = Fate::Poisoned { child: actor, reason: refusal.reason.clone() };
            self.tell_owner(actor, parent, at, fate, &refusal.reason, receipt);
        }
        match (head.reply, refusal) {
            (Some(token), _) => {
                let reply = outbox.reply.take().unwrap_or_else(|| Err("the actor gave no reply".to_owned()));
                self.reply(token, reply);
            }
            (None, Some(refusal)) => self.give_up(actor, at, refusal.reason, head.body),
            (None, None) => {}
        }
    }

    fn advance(&mut self, actor: ActorId) {
        let Some(stream) = self.live.actors.get(&actor).map(|row| row.stream) else { return };
        if let Some(head) = self.live.streams.get(&stream) {
            self.open.advance(stream, *head);
        }
    }

    fn write(&mut self, actor: ActorId, at: u32, receipt: &mut Receipt, outbox: &mut Outbox) {
        let stream = self.live.actors.get(&actor).map_or(StreamId(0), |row| row.stream);
        for child in outbox.spawns.drain(..) {
            self.push(Op::Spawn { actor: child.id, kind: child.kind, parent: actor, stream });
            if child.care != Care::default() {
                self.look_after(child.id, actor, child.care);
            }
            self.deliver(child.id, at, Body::Message(child.first), None, receipt);
        }
        for (to, body) in outbox.sends.drain(..) {
            self.deliver(to, at, body, None, receipt);
        }
        if Mutant::TimerOutsideCommit.is_chosen() && !outbox.timers.is_empty() {
            self.open.roll();
        }
        for change in outbox.timers.drain(..) {
            self.timer(actor, change);
        }
        for call in outbox.settled.drain(..) {
            self.push(Op::CallEnded { call, caller: actor });
        }
        for (call, request, doubt) in outbox.calls.drain(..) {
            self.intend(actor, at, call, request, doubt);
        }
        receipt.cancelled.append(&mut outbox.cancelled);
        for (key, value) in outbox.puts.drain(..) {
            self.index(key, value);
        }
        for note in outbox.notes.drain(..) {
            self.push(Op::Note { actor, at, note });
            self.advance(actor);
        }
        if let Some(state) = outbox.snapshot.take() {
            self.push(Op::Snapshot { actor, state });
        }
    }

    /// Write or remove an index row; whoever watches it hears what it is now, once that is durable.
    pub(crate) fn index(&mut self, key: Bytes, value: Option<Bytes>) {
        if let Some(watchers) = self.watchers.remove(&key) {
            let told = watchers.into_iter().map(|watcher| (watcher, value.clone()));
            self.open.effects().watchers.extend(told);
            self.open.demand += 1;
        }
        self.push(match value {
            Some(value) => Op::Put { key, value },
            None => Op::Remove { key },
        });
    }

    /// Nobody waits for that any more.
    pub(crate) fn unwatch(&mut self, key: &Bytes, watcher: u64) {
        if let Some(watchers) = self.watchers.get_mut(key) {
            watchers.retain(|known| *known != watcher);
            if watchers.is_empty() {
                self.watchers.remove(key);
            }
        }
    }

    /// Hear of the next change of an index row, once it is durable.
    pub(crate) fn watch(&mut self, key: Bytes, watcher: u64) {
        self.watchers.entry(key).or_default().push(watcher);
    }

    /// Put a message into a mailbox, behind whatever came due for that actor before: a timer that its service is late to
    /// fire is no later input for that.
    fn deliver(&mut self, to: ActorId, at: u32, body: Body, reply: Option<u64>, receipt: &mut Receipt) {
        self.fire_before(to, at, receipt);
        self.put_into_mailbox(to, at, body, reply, receipt);
    }

    fn put_into_mailbox(&mut self, to: ActorId, at: u32, body: Body, reply: Option<u64>, receipt: &mut Receipt) {
        let Some(row) = self.live.actors.get(&to) else {
            // Taken for finished it would lose a message for good; a store that closes loses nothing.
            assert!(!self.is_cold(to), "{to} was told something, and nobody had brought it into memory");
            self.give_up(to, at, "late: the actor has finished".to_owned(), body);
            if let Some(token) = reply {
                self.reply(token, Err("the actor has finished".to_owned()));
            }
            return;
        };
        let (idle, is_ending) = (row.mailbox.is_empty(), row.supervised.is_ending);
        let number = row.next_entry;
        let place = self.push(Op::Deliver { to, at, number, body });
        if let Some(entry) = self.live.actors.get_mut(&to).and_then(|row| row.mailbox.back_mut()) {
            entry.place = Some(place);
            entry.reply = reply;
        }
        if is_ending {
            receipt.ending.push(to);
        } else if idle {
            receipt.ring.push(to);
        }
    }

    fn reply(&mut self, token: u64, reply: Result<Bytes, String>) {
        self.open.effects().replies.push((token, reply));
        self.open.demand += 1;
    }
}
