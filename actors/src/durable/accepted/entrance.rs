//! What enters from outside: submissions, messages and index rows that no turn wrote.
//!
//! **Invariants:** an entrance takes effect whole or not at all, and not twice under one key: whoever finds the row of its
//! `unless` is given that instead, also when the row is in the store and not in memory.

use bytes::Bytes;

use super::{Accepted, Receipt};
use crate::durable::{
    entry::Body,
    id::{ActorId, StreamId},
    live::Known,
    record::Op,
};

/// Something from outside that becomes a message: it takes no turn and cannot fail.
#[derive(Clone, Debug, Default)]
pub struct Entrance {
    /// If this index row is there already, nothing happens and its value is returned.
    pub unless: Option<Bytes>,
    /// Index rows to write.
    pub puts: Vec<(Bytes, Bytes)>,
    /// A root actor to make: kind, id, first message.
    pub(crate) root: Option<(u32, ActorId, Bytes)>,
    /// A message to deliver.
    pub(crate) deliver: Option<(ActorId, Body)>,
    /// Who waits for a reply.
    pub(crate) reply: Option<u64>,
}

impl Entrance {
    /// The keys of its index rows.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.puts.iter().map(|(key, _)| key).chain(&self.unless)
    }

    /// About how many bytes enter.
    pub(crate) fn bytes(&self) -> usize {
        let rows: usize = self.puts.iter().map(|(key, value)| key.len() + value.len()).sum();
        let first = self.root.as_ref().map_or(0, |(_, _, first)| first.len());
        let message = match &self.deliver {
            Some((_, Body::Message(message))) => message.len(),
            _ => 0,
        };
        rows + first + message
    }
}

/// The row that an [`Entrance`] found instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing(pub Bytes);

/// What came of an [`Entrance`].
#[derive(Debug)]
pub(crate) enum Entered {
    Done(Receipt),
    Exists(Existing),
    /// What the store was asked may be outdated: ask again.
    LookAgain,
    /// This actor must be brought into memory first.
    Cold(ActorId),
}

impl Accepted {
    /// Let something in from outside. `looked` is what was found under its `unless`, in memory or in the store, and the
    /// count of evictions that this belongs to.
    pub(crate) fn let_in(
        &mut self,
        now_ms: u64,
        entrance: &mut Option<Entrance>,
        looked: Option<(Option<Bytes>, u64)>,
    ) -> Entered {
        let Some(wanted) = entrance.as_ref() else { return Entered::LookAgain };
        if let (Some(key), Some((found, evictions))) = (&wanted.unless, looked)
            && let Known::Unknown(now) = self.known(key)
        {
            match found {
                Some(found) if now == evictions => return Entered::Exists(Existing(found)),
                None if now == evictions => {}
                _ => return Entered::LookAgain,
            }
        }
        if let Some((to, _)) = &wanted.deliver
            && self.is_cold(*to)
        {
            return Entered::Cold(*to);
        }
        match entrance.take().map(|entrance| self.enter(now_ms, entrance)) {
            Some(Ok(receipt)) => Entered::Done(receipt),
            Some(Err(existing)) => Entered::Exists(existing),
            None => Entered::LookAgain,
        }
    }

    /// Let something in from outside.
    pub(crate) fn enter(&mut self, now_ms: u64, entrance: Entrance) -> Result<Receipt, Existing> {
        if let Some(existing) = entrance.unless.as_ref().and_then(|key| self.live.index.get(key)) {
            return Err(Existing(existing.clone()));
        }
        let at = self.begin(now_ms, entrance.bytes());
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        if let Some((kind, actor, first)) = entrance.root {
            self.push(Op::Spawn { actor, kind, parent: ActorId::ENGINE, stream: StreamId(actor.0) });
            self.deliver(actor, at, Body::Message(first), entrance.reply, &mut receipt);
        }
        for (key, value) in entrance.puts {
            self.index(key, Some(value));
        }
        if let Some((to, body)) = entrance.deliver {
            self.deliver(to, at, body, entrance.reply, &mut receipt);
        }
        Ok(receipt)
    }
}
