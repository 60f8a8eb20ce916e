//! Dead letters in the accepted view: delivered again or dropped by a person, each in one commit.
//!
//! **Invariants:** a letter is gone in the same commit that delivers its message again; a letter that cannot be delivered
//! stays. Who decided is in the stream of the actor that it was for, if that lives.

use bytes::Bytes;

use super::{Accepted, Receipt};
use crate::durable::{
    entry::Body,
    id::ActorId,
    live::{DeadLetter, Known, dead_letter_key},
    record::{Note, Op},
};

/// What is to become of a dead letter.
#[derive(Clone, Debug)]
pub(crate) enum Fix {
    /// Deliver it again, and these beside it.
    Retry(Vec<(ActorId, Body)>),
    /// Forget it.
    Drop,
}

/// A dead letter as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) number: u64,
    pub(crate) letter: DeadLetter,
    pub(crate) sealed: Bytes,
    /// The count of evictions that this belongs to.
    pub(crate) evictions: u64,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Fixed {
    Done(Receipt),
    /// The actor that it was for has finished; the letter stays.
    Gone,
    /// What was found may be outdated, or an actor left memory: look again.
    LookAgain,
}

impl Accepted {
    /// Deliver a dead letter again, behind what its actor has already, or drop it.
    pub(crate) fn fix_letter(&mut self, now_ms: u64, found: &Found, fix: &Fix, by: &str) -> Fixed {
        let key = dead_letter_key(found.number);
        let is_there = match self.known(&key) {
            Known::Here(sealed) => sealed == found.sealed,
            Known::Gone => false,
            Known::Unknown(evictions) => evictions == found.evictions,
        };
        let to = found.letter.to;
        let also: &[_] = if let Fix::Retry(also) = fix { also } else { &[] };
        if !is_there || self.is_cold(to) || also.iter().any(|(to, _)| self.is_cold(*to)) {
            return Fixed::LookAgain;
        }
        let lives = self.live.actors.contains_key(&to);
        if !lives && matches!(fix, Fix::Retry(_)) {
            return Fixed::Gone;
        }
        let at = self.begin(now_ms, 1_024 + found.sealed.len());
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        self.push(Op::Remove { key });
        if lives {
            self.write_note(to, at, note(found.number, fix, by));
        }
        if let Fix::Retry(also) = fix {
            self.deliver(to, at, found.letter.body.clone(), None, &mut receipt);
            for (to, body) in
                also.iter().filter(|(to, _)| self.live.actors.contains_key(to)).cloned().collect::<Vec<_>>()
            {
                self.deliver(to, at, body, None, &mut receipt);
            }
        }
        Fixed::Done(receipt)
    }

    /// A person lets a suspended actor run again.
    pub(crate) fn resume(&mut self, now_ms: u64, actor: ActorId) -> Option<Receipt> {
        self.live.actors.get(&actor).filter(|row| row.suspended.is_some() && !row.supervised.is_ending)?;
        self.begin(now_ms, 24);
        let mut receipt = Receipt { sequence: self.open.sequence(), ..Receipt::default() };
        self.push(Op::Resume { actor });
        receipt.ring.push(actor);
        Some(receipt)
    }
}

fn note(number: u64, fix: &Fix, by: &str) -> Note {
    let by = by.to_owned();
    match fix {
        Fix::Retry(_) => Note::Redelivered { letter: number, by },
        Fix::Drop => Note::Dropped { letter: number, by },
    }
}
