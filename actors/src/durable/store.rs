//! Where records are kept: the trait, and the stores behind it.
//!
//! A store sees sealed records only: opaque bytes in one order, each durable or not. Versions, mailboxes, coalescing
//! and chain heads belong to the accepted view, one module above.
//!
//! **Invariants:** records are dense, from 1; what `append` returned `Ok` for is there after any crash; a record is
//! there whole or not at all; a writer of an older epoch is refused. A failed append closes the store for good: a failed
//! sync is never retried on the same handle.

#[cfg(test)]
mod contract;
mod error;
mod findings;
mod local;
mod memory;
pub(crate) mod rows;

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

#[cfg(test)]
pub(crate) use self::local::{Tuning, check};
pub use self::{
    error::Error,
    findings::{Checked, Image, Kept, Loss, RowsChecked, Settled, Stats},
    local::{Durability, Local, LocalOptions},
    memory::{Memory, Tail},
};
use super::chain::Head;
use super::id::{ActorId, Epoch, Partition, Sequence, StreamId};

/// Which partitions a record belongs to, and under which life of their owner it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// `None`: all partitions of a store with a single owner.
    pub partition: Option<Partition>,
    /// The owner's epoch.
    pub epoch: Epoch,
}

/// What a start found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The fence for this life: its epoch is above any before.
    pub fence: Fence,
    /// The last durable record.
    pub durable: Sequence,
    /// What was mended on the way, in sentences for people.
    pub repairs: Vec<String>,
}

/// Live rows as of some record: opaque keys and values, in the order of their keys.
///
/// Blocking, and slow now and then: never used on a thread that others wait for.
pub trait Rows: Send + Sync {
    /// One row.
    ///
    /// # Errors
    /// If it cannot be read.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The rows from one key on and before another, while `visit` says `true`.
    ///
    /// # Errors
    /// If they cannot be read.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error>;
}

/// What a start begins from.
#[derive(Clone, Default)]
pub struct Opened {
    /// The rows, if the store keeps any.
    pub rows: Option<Arc<dyn Rows>>,
    /// The rows hold every record up to this one.
    pub from: Sequence,
    /// And perhaps some up to this one.
    pub to: Sequence,
    /// What the checkpoint noted beside the rows.
    pub meta: Bytes,
    /// What was mended on the way, in sentences for people.
    pub repairs: Vec<String>,
}

/// One event of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEvent {
    /// Its stream.
    pub stream: StreamId,
    /// Its number in the stream, from 1.
    pub number: u64,
    /// The record it became durable with.
    pub record: Sequence,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: u64,
    /// Whose event it is.
    pub actor: ActorId,
    /// The actor's kind.
    pub kind: u32,
    /// Whether the runtime wrote it.
    pub is_note: bool,
    /// What happened, sealed.
    pub payload: Bytes,
}

/// History that is no longer among the records: events of every record up to its end, by stream.
pub trait Past: Send + Sync {
    /// The last record it covers.
    fn end(&self) -> Sequence;

    /// Visit events, those of each stream in order, while `visit` says `true`; of one stream, or of all. With each comes
    /// where its stream has come to with it.
    ///
    /// # Errors
    /// If it is damaged.
    fn visit(&self, stream: Option<StreamId>, visit: &mut dyn FnMut(Head, PastEvent) -> bool) -> Result<(), Error>;

    /// The kind and the stream of an actor that lived at the end.
    ///
    /// # Errors
    /// If it cannot be read.
    fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, Error>;

    /// Where a stream that lived at the end had come to.
    ///
    /// # Errors
    /// If it cannot be read.
    fn head(&self, stream: StreamId) -> Result<Head, Error>;

    /// Visit the bytes of every row that was live at the end.
    ///
    /// # Errors
    /// If one cannot be read.
    fn live(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let _ = visit;
        Ok(())
    }

    /// Recompute every chain in it, and tell what is wrong, in sentences.
    ///
    /// # Errors
    /// If it cannot be read at all.
    fn verify(&self) -> Result<Vec<String>, Error>;

    /// Records whose events were damaged, and that somebody accepted to be without.
    fn lost(&self) -> Vec<(Sequence, Sequence)> {
        Vec::new()
    }
}

/// Of a store that keeps every record.
struct NoPast;

impl Past for NoPast {
    fn end(&self) -> Sequence {
        Sequence(0)
    }

    fn visit(&self, _: Option<StreamId>, _: &mut dyn FnMut(Head, PastEvent) -> bool) -> Result<(), Error> {
        Ok(())
    }

    fn whose(&self, _: ActorId) -> Result<Option<(u32, StreamId)>, Error> {
        Ok(None)
    }

    fn head(&self, _: StreamId) -> Result<Head, Error> {
        Ok(Head::default())
    }

    fn verify(&self) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
}

/// One checkpoint: rows that changed, and how far they go.
pub struct Checkpoint<'a> {
    /// Before it, the rows held every record up to this one.
    pub since: Sequence,
    /// With it, they do up to this one.
    pub from: Sequence,
    /// Some of them hold records up to this one, which is durable.
    pub to: Sequence,
    /// To be noted beside the rows.
    pub meta: Bytes,
    /// Keys, each with its row, or `None` where the row is gone.
    pub changes: &'a BTreeMap<Bytes, Option<Bytes>>,
}

/// Some rows, as they are between two checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Keys with their rows, in the order of the keys.
    pub rows: Vec<(Bytes, Bytes)>,
    /// The key of the row after them; `None` if these were the last.
    pub next: Option<Bytes>,
    /// They hold every record up to this one.
    pub from: Sequence,
    /// And perhaps some up to this one.
    pub to: Sequence,
}

/// Keeps records. Blocking: the committer calls it from a thread of its own.
pub trait Store: Send + Sync + 'static {
    /// What this life may write: for each kind and part (`task state`) its version. Comes before [`open`](Self::open).
    ///
    /// # Errors
    /// If something was written with a newer version; nothing was changed then.
    fn claim(&self, versions: BTreeMap<String, u16>) -> Result<(), Error> {
        let _ = versions;
        Ok(())
    }

    /// Find the rows that a start begins from; called once, before [`recover`](Store::recover). Without it, or without
    /// rows, a start begins from nothing.
    ///
    /// # Errors
    /// If what is there cannot be read.
    fn open(&self) -> Result<Opened, Error> {
        Ok(Opened::default())
    }

    /// Find what is durable and hand over, in order, every record that the opened rows do not hold; called once, before
    /// the first append.
    ///
    /// # Errors
    /// If the store is damaged below what was acknowledged, or `visit` refuses a record.
    #[expect(clippy::type_complexity, reason = "written out it says more than a name would")]
    fn recover(&self, visit: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error>;

    /// Make one record durable. `sequence` is one above the last.
    ///
    /// # Errors
    /// If it is not known to be durable; the store is then closed.
    fn append(&self, fence: Fence, sequence: Sequence, payload: &[u8]) -> Result<(), Error>;

    /// Read durable records again, from a sequence on, in order, while `visit` says `true`.
    ///
    /// # Errors
    /// If a record below the durable end cannot be read.
    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error>;

    /// Write rows, durably; a crash on the way leaves some of them written. `go_on` is told now and then how many of them
    /// were handed on, may wait, and says whether to go on.
    ///
    /// # Errors
    /// If not all of it was written; the rows are then as after a crash, and the journal is unharmed.
    fn checkpoint(&self, checkpoint: &Checkpoint<'_>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        let _ = (checkpoint, go_on);
        Err(Error::Misuse { cause: "it keeps no rows".to_owned() })
    }

    /// At most so many rows from a key on; `None` if it keeps none. A checkpoint waits meanwhile, and this for a checkpoint.
    ///
    /// # Errors
    /// If a row cannot be read.
    fn slice(&self, from: &[u8], most: usize) -> Result<Option<Slice>, Error> {
        let _ = (from, most);
        Ok(None)
    }

    /// The last image of all rows that was not made from rows, and holds nothing after a record. Without one: no rows, before
    /// the first record.
    ///
    /// # Errors
    /// If it cannot be read.
    fn image(&self, until: Sequence) -> Result<Opened, Error> {
        let _ = until;
        Ok(Opened::default())
    }

    /// The rows are of no use, for this reason: the next start builds them again.
    fn condemn(&self, why: &str) {
        let _ = why;
    }

    /// The history that is no longer among the records.
    ///
    /// # Errors
    /// If it cannot be read.
    fn past(&self) -> Result<Box<dyn Past>, Error> {
        Ok(Box::new(NoPast))
    }

    /// Nobody asks for the history of streams below this any more: it may go, as far as it is the oldest there is, in the
    /// background.
    fn forget(&self, below: StreamId) {
        let _ = below;
    }

    /// Why nothing more should be let in for now, mostly that the disk is full. What was accepted is safe.
    fn shortage(&self) -> Option<String> {
        None
    }

    /// Record here how long each sync of a record takes, in seconds. One that does not sync records nothing.
    fn measure_syncs(&self, seconds: metrics::Histogram) {
        let _ = seconds;
    }

    /// Nothing comes for a while: note how far acknowledgements went.
    ///
    /// # Errors
    /// If the note cannot be written.
    fn idle(&self) -> Result<(), Error>;

    /// Write nothing more and let go of everything, so that another life can begin.
    fn release(&self);

    /// Figures of this life.
    fn stats(&self) -> Stats;
}
