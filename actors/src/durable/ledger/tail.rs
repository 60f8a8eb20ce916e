//! Following one stream: what is in the ledger first, then what becomes durable.
//!
//! **Invariants:** the disk is read on a thread that may block. A reading ends at the border of a record once it has enough,
//! so that a reader never holds more than that and one record, however long the stream is; the next one goes on there. Who
//! is too slow for what becomes durable reads it from the disk instead: nothing is kept for anybody.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::{Item, Ledger, Reader, item};
use crate::durable::{
    id::{Sequence, StreamId},
    store::{self, Past},
    system::Observed,
};

/// Events after which a reading ends with the record.
const ENOUGH: usize = 1_000;

/// Follows one stream.
pub struct Tail {
    receiver: broadcast::Receiver<Arc<Observed>>,
    failure: watch::Receiver<Option<Arc<str>>>,
    ledger: Ledger,
    stream: StreamId,
    /// The last record that was looked at.
    seen: Sequence,
    /// Who is whose, as of that record; nothing while history is read.
    at: Option<Place>,
    /// Whether there may be more on the disk.
    is_behind: bool,
}

/// Where a reading stands among the records.
struct Place {
    reader: Reader,
    /// Who was live before the first record that was read.
    past: Box<dyn Past>,
}

/// What one reading of the disk gave.
struct Read {
    items: Vec<Item>,
    seen: Sequence,
    at: Option<Place>,
    /// Whether it ended because it had enough.
    has_more: bool,
}

impl Tail {
    pub(crate) fn new(
        receiver: broadcast::Receiver<Arc<Observed>>,
        failure: watch::Receiver<Option<Arc<str>>>,
        ledger: Ledger,
        stream: StreamId,
    ) -> Self {
        Self { receiver, failure, ledger, stream, seen: Sequence(0), at: None, is_behind: true }
    }

    /// The next events of the stream, at least one; `None` once the system has stopped. Whoever gives up waiting loses
    /// nothing.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<Item>>, store::Error> {
        loop {
            let items = if self.is_behind {
                match self.read().await? {
                    Some(items) => items,
                    None => return Ok(None),
                }
            } else {
                let heard = tokio::select! {
                    biased;
                    heard = self.receiver.recv() => heard,
                    _ = self.failure.wait_for(Option::is_some) => Err(broadcast::error::RecvError::Closed),
                };
                match heard {
                    Ok(observed) => self.take(&observed)?,
                    // Too much happened at once: what was missed is on the disk.
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        self.is_behind = true;
                        continue;
                    }
                    Err(broadcast::error::RecvError::Closed) => return Ok(None),
                }
            };
            if !items.is_empty() {
                return Ok(Some(items));
            }
        }
    }

    fn take(&mut self, observed: &Observed) -> Result<Vec<Item>, store::Error> {
        let mut items = Vec::new();
        if let Some(at) = self.at.as_mut().filter(|_| observed.sequence > self.seen) {
            let registry = &self.ledger.registry;
            at.reader.read(&*at.past, registry, observed.sequence, &observed.record, &mut |item| {
                items.push(item);
                true
            })?;
            self.seen = observed.sequence;
        }
        Ok(items)
    }

    /// Read on from the disk; nothing once the runtime ends.
    async fn read(&mut self) -> Result<Option<Vec<Item>>, store::Error> {
        let (ledger, stream, seen, at) = (self.ledger.clone(), self.stream, self.seen, self.at.take());
        // Without `at` the next reading begins anew, and tells nothing twice: this may be given up while it waits.
        let Ok(read) = tokio::task::spawn_blocking(move || ledger.read_on(stream, seen, at)).await else {
            return Ok(None);
        };
        let Read { items, seen, at, has_more } = read?;
        (self.seen, self.at, self.is_behind) = (seen, at, has_more);
        Ok(Some(items))
    }
}

impl Ledger {
    /// The events of a stream after a record. Who is whose is known from `at`, or else read from the beginning.
    fn read_on(&self, stream: StreamId, seen: Sequence, at: Option<Place>) -> Result<Read, store::Error> {
        let past = self.store.past()?;
        // Records that were not looked at yet may have become history.
        let at = at.filter(|_| past.end() <= seen);
        let Some(Place { mut reader, past }) = at else { return self.read_anew(stream, seen, past) };
        let (read, is_whole) = self.read_records(Vec::new(), seen, seen, &mut reader, &*past)?;
        Ok(Read { at: is_whole.then_some(Place { reader, past }), ..read })
    }

    fn read_anew(&self, stream: StreamId, after: Sequence, past: Box<dyn Past>) -> Result<Read, store::Error> {
        let mut reader = Reader::new(Some(stream));
        let (mut items, mut seen, mut has_more) = (Vec::new(), after, false);
        past.visit(Some(stream), &mut |head, event| {
            has_more = items.len() >= ENOUGH && event.record > seen;
            if has_more {
                return false;
            }
            if event.record > after {
                seen = event.record;
                items.push(item(&self.registry, (event.stream, head), event));
            }
            true
        })?;
        if has_more {
            return Ok(Read { items, seen, at: None, has_more });
        }
        // What lies between the past and what was told is read for who is whose.
        let (read, is_whole) = self.read_records(items, past.end(), after.max(past.end()), &mut reader, &*past)?;
        Ok(Read { at: is_whole.then_some(Place { reader, past }), ..read })
    }

    /// Read the records after `from`; those up to `told` only for who is whose. `false` if the rest went into the past
    /// meanwhile: it is to be read there, by a reading that begins anew.
    fn read_records(
        &self,
        mut items: Vec<Item>,
        from: Sequence,
        told: Sequence,
        reader: &mut Reader,
        past: &(dyn Past + 'static),
    ) -> Result<(Read, bool), store::Error> {
        let (mut seen, mut has_more) = (told, false);
        let is_whole = self.scan(from.next(), &mut |sequence, record| {
            has_more = items.len() >= ENOUGH;
            if has_more {
                return Ok(false);
            }
            seen = seen.max(sequence);
            reader.read(past, &self.registry, sequence, record, &mut |item| {
                if sequence > told {
                    items.push(item);
                }
                true
            })
        })?;
        Ok((Read { items, seen, at: None, has_more: has_more || !is_whole }, is_whole))
    }
}
