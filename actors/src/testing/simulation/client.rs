//! The client of the run, and the rows that a client reads.

use bytes::Bytes;

use super::{RUN, Simulation};
use crate::{
    durable::{
        ActorId, Body, Entrance, Partition, codec,
        sim::{self, Known, stored},
        store::Store as _,
    },
    run::{self, Run},
};

/// Under which the run is submitted.
const KEY: &[u8] = b"key/story";

impl Simulation {
    /// As clients do: submit under a key, and again after a crash.
    pub(super) fn submit(&mut self) {
        let begin =
            run::Begin { run: RUN, plan: self.plan.digest(), input: self.manner.input.clone(), labels: Vec::new() };
        let first = codec::seal(sim::message_format::<Run>(), &run::Message::Start(begin));
        let actor = self.life.ids.actor(Partition(7));
        let key = Bytes::from_static(KEY);
        let row = run::Row {
            run: RUN,
            actor,
            namespace: "default".to_owned(),
            workflow: self.plan.name.clone(),
            plan: self.plan.digest(),
            labels: Vec::new(),
            submitted_at: self.clock_ms,
            ended_at: None,
            outcome: None,
            held: None,
            cancelled: None,
        };
        let entrance = Entrance {
            unless: Some(key.clone()),
            puts: vec![(run::index_key(RUN), row.encode()), (key, Bytes::from(actor.0.to_be_bytes().to_vec()))],
            root: Some((codec::fnv1a("run"), actor, first)),
            ..Entrance::default()
        };
        if self.index(KEY).is_some() {
            return;
        }
        if let Ok(receipt) = self.life.accepted.enter(self.clock_ms, entrance) {
            self.life.runnable.extend(receipt.ring);
            self.life.commits += 1;
            self.client.submitted_in.get_or_insert(receipt.sequence);
        }
    }

    pub(super) fn cancel(&mut self) {
        self.client.has_cancelled = true;
        // Nobody cancels what they see has ended.
        let Some(root) = self.root() else { return };
        self.bring(vec![root]);
        if !self.life.accepted.live().actors.contains_key(&root) {
            return;
        }
        let message = run::Message::Cancel { reason: "the story says so".to_owned() };
        let body = Body::Message(codec::seal(sim::message_format::<Run>(), &message));
        let entrance = Entrance { deliver: Some((root, body)), ..Entrance::default() };
        if let Ok(receipt) = self.life.accepted.enter(self.clock_ms, entrance) {
            self.life.runnable.extend(receipt.ring);
            self.life.commits += 1;
        }
    }

    pub(super) fn root(&self) -> Option<ActorId> {
        let row = self.index(KEY)?;
        Some(ActorId(u64::from_be_bytes(row[..].try_into().ok()?)))
    }

    /// An index row, in memory or not.
    fn index(&self, key: &[u8]) -> Option<Bytes> {
        match self.life.accepted.known(key) {
            Known::Here(value) => Some(value),
            Known::Gone => None,
            Known::Unknown(_) => {
                let rows = self.store.open().expect("memory opens").rows?;
                rows.get(&stored::index_key(key)).expect("what was written can be read")
            }
        }
    }

    pub(super) fn outcome(&self) -> Option<run::Outcome> {
        self.row()?.outcome
    }

    pub(super) fn row(&self) -> Option<run::Row> {
        let row = self.index(&run::index_key(RUN))?;
        Some(run::Row::decode(&row).expect("a row decodes"))
    }
}
