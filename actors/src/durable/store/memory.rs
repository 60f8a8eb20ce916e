//! The store for tests and simulation: bytes in memory, laid out as on disk.
//!
//! All handles made from one another by [`Memory::reopen`] share the bytes, as processes share a disk: the later one's
//! recovery fences the earlier one off. No thread, no clock, no randomness.
//!
//! **Invariant:** a handle that failed stays closed; what it left behind is what its [`Tail`] says, to the byte.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{Checkpoint, Error, Fence, Opened, Recovered, Rows, Slice, Stats, Store};
use crate::{
    durable::{
        id::{Epoch, Sequence},
        journal::frame::{self, Place},
    },
    mutant::Mutant,
};

/// The one segment there is.
const SEGMENT: u64 = 0x5EED;

/// What becomes of the record whose append was cut short by a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing of it is there.
    Lost,
    /// All of it is there, though nobody was told.
    Kept,
    /// So many of its first bytes are there, header included; all of it if it has no more.
    Partial(usize),
}

/// Records in memory.
#[derive(Debug, Default)]
pub struct Memory {
    shared: Arc<Mutex<Shared>>,
    life: Mutex<Life>,
}

/// What outlives a handle.
#[derive(Clone, Debug, Default)]
struct Shared {
    bytes: Vec<u8>,
    /// Where each whole record ends.
    ends: Vec<usize>,
    crc: u32,
    epoch: Epoch,
    /// Why nothing more should be let in.
    shortage: Option<String>,
    /// Whether rows are kept at all.
    keeps_rows: bool,
    rows: BTreeMap<Bytes, Bytes>,
    from: Sequence,
    to: Sequence,
    meta: Bytes,
    /// Why the rows are of no use.
    condemned: Option<String>,
}

/// What ends with a handle.
#[derive(Debug, Default)]
struct Life {
    recovered: bool,
    closed: Option<String>,
    fails: Option<(u64, Tail)>,
    /// How many rows are written before a crash.
    rows_left: Option<usize>,
    stats: Stats,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store that keeps rows too.
    #[must_use]
    pub fn with_rows() -> Self {
        let memory = Self::default();
        memory.shared.lock().keeps_rows = true;
        memory
    }

    /// Be short of room for this reason, or of nothing any more.
    pub fn run_short(&self, why: Option<&str>) {
        self.shared.lock().shortage = why.map(str::to_owned);
    }

    /// Put this row where a key is, or nothing, as a disk that loses things would.
    pub fn tamper(&self, key: &[u8], row: Option<Bytes>) {
        let mut shared = self.shared.lock();
        match row {
            Some(row) => shared.rows.insert(Bytes::copy_from_slice(key), row),
            None => shared.rows.remove(key),
        };
    }

    /// Crash in the next checkpoint, after so many of its rows.
    pub fn fail_checkpoint_after(&self, rows: usize) {
        self.life.lock().rows_left = Some(rows);
    }

    /// Crash in the n-th append from now, counted from 1: it returns [`Error::Closed`], as do all after it, and leaves of
    /// its record what `tail` says.
    pub fn fail_at(&self, n: u64, tail: Tail) {
        let mut life = self.life.lock();
        life.fails = Some((life.stats.records + n, tail));
    }

    /// Crash between two appends: every later one returns [`Error::Closed`].
    pub fn crash(&self) {
        self.life.lock().closed.get_or_insert_with(|| "a crash was asked for".to_owned());
    }

    /// As [`Memory::reopen`], of a handle that crashed in a checkpoint only: its life goes on.
    #[cfg(feature = "testing")]
    pub(crate) fn revived(&self) -> Self {
        let life = self.life.lock();
        let revived = Life { recovered: life.recovered, closed: None, fails: None, rows_left: None, stats: life.stats };
        Self { shared: self.shared.clone(), life: Mutex::new(revived) }
    }

    /// A copy of the bytes as they are now, without the rows: what is found in the records alone.
    #[must_use]
    pub fn without_rows(&self) -> Self {
        let shared = self.shared.lock();
        let bare = Shared {
            bytes: shared.bytes.clone(),
            ends: shared.ends.clone(),
            crc: shared.crc,
            epoch: shared.epoch,
            ..Shared::default()
        };
        Self { shared: Arc::new(Mutex::new(bare)), life: Mutex::default() }
    }

    /// A row is gone, and no record says so.
    #[cfg(test)]
    pub(crate) fn lose_row(&self, key: &[u8]) -> bool {
        self.shared.lock().rows.remove(key).is_some()
    }

    /// Another handle on the same bytes. Its recovery cuts a torn tail and fences this handle off.
    #[must_use]
    pub fn reopen(&self) -> Self {
        Self { shared: self.shared.clone(), life: Mutex::default() }
    }

    /// A handle on a copy of the bytes as they are now: what a crash at this moment would leave, while this store goes on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { shared: Arc::new(Mutex::new(self.shared.lock().clone())), life: Mutex::default() }
    }

    /// The last record that was acknowledged, or found by a recovery.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        self.shared.lock().durable()
    }
}

/// The rows of a [`Memory`].
struct MemoryRows(Arc<Mutex<Shared>>);

impl Rows for MemoryRows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.lock().rows.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        // A copy, because `visit` may write.
        let rows: Vec<_> = {
            let shared = self.0.lock();
            let range = shared.rows.range(Bytes::copy_from_slice(from)..Bytes::copy_from_slice(to));
            range.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let _ = rows.into_iter().try_for_each(|(key, value)| if visit(&key, value) { Ok(()) } else { Err(()) });
        Ok(())
    }
}

impl Store for Memory {
    fn open(&self) -> Result<Opened, Error> {
        let mut shared = self.shared.lock();
        let repairs = shared.condemned.take().map(|why| {
            (shared.rows, shared.from, shared.to, shared.meta) = Default::default();
            format!("the rows were built again: {why}")
        });
        let rows = shared.keeps_rows.then(|| Arc::new(MemoryRows(self.shared.clone())) as Arc<dyn Rows>);
        Ok(Opened {
            rows,
            from: shared.from,
            to: shared.to,
            meta: shared.meta.clone(),
            repairs: repairs.into_iter().collect(),
        })
    }

    fn checkpoint(&self, checkpoint: &Checkpoint<'_>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        self.life.lock().open()?;
        {
            let mut shared = self.shared.lock();
            if checkpoint.to > shared.durable() && !Mutant::CheckpointPastDurable.is_chosen() {
                return Err(Error::Misuse {
                    cause: format!("a checkpoint goes to {}, past the journal", checkpoint.to),
                });
            }
            shared.to = checkpoint.to;
            // Ids are noted before any row that holds one.
            shared.meta = checkpoint.meta.clone();
        }
        for (written, (key, value)) in checkpoint.changes.iter().enumerate() {
            let crashes = self.life.lock().rows_left == Some(written);
            // Nothing is held meanwhile: it may wait for somebody who waits for the store.
            if crashes || !go_on(written as u64) {
                let cause = format!("a crash was asked for, after {written} rows");
                self.life.lock().closed = Some(cause.clone());
                return Err(Error::Closed { cause });
            }
            let rows = &mut self.shared.lock().rows;
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
        self.life.lock().open()?;
        self.shared.lock().from = checkpoint.from;
        Ok(())
    }

    fn slice(&self, from: &[u8], most: usize) -> Result<Option<Slice>, Error> {
        self.life.lock().open()?;
        let shared = self.shared.lock();
        if !shared.keeps_rows {
            return Ok(None);
        }
        let mut left = shared.rows.range(Bytes::copy_from_slice(from)..).map(|(key, row)| (key.clone(), row.clone()));
        let rows = left.by_ref().take(most).collect();
        Ok(Some(Slice { rows, next: left.next().map(|(key, _)| key), from: shared.from, to: shared.to }))
    }

    fn condemn(&self, why: &str) {
        self.shared.lock().condemned = Some(why.to_owned());
    }

    fn recover(&self, visit: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error> {
        let mut life = self.life.lock();
        if life.recovered {
            return Err(Error::Misuse { cause: "it was recovered before".to_owned() });
        }
        let (repairs, from, durable, epoch) = {
            let mut shared = self.shared.lock();
            let repairs = shared.cut().into_iter().collect();
            // From here on no former life adds a record to those that are read.
            shared.epoch = Epoch(shared.epoch.0 + 1);
            (repairs, shared.from, shared.durable(), shared.epoch)
        };
        for sequence in (from.next().0..=durable.0).map(Sequence) {
            // A copy, because `visit` may read rows.
            let payload = self.shared.lock().payload(sequence).to_vec();
            visit(sequence, &payload)?;
        }
        life.recovered = true;
        Ok(Recovered { fence: Fence { partition: None, epoch }, durable, repairs })
    }

    fn append(&self, fence: Fence, sequence: Sequence, payload: &[u8]) -> Result<(), Error> {
        let mut life = self.life.lock();
        let mut shared = self.shared.lock();
        life.admits(&shared, fence, sequence)?;
        let before = shared.bytes.len();
        let crashed = life.fails.filter(|(at, _)| *at == life.stats.records + 1);
        if let Some((_, tail)) = crashed {
            return Err(life.die(&mut shared, tail, payload));
        }
        shared.push(payload);
        life.stats.records += 1;
        life.stats.syncs += 1;
        life.stats.payload_bytes += payload.len() as u64;
        life.stats.written_bytes += (shared.bytes.len() - before) as u64;
        Ok(())
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error> {
        let (mut sequence, last) = (from.max(Sequence(1)), self.durable());
        while sequence <= last {
            // A copy, because `visit` may append.
            let payload = self.shared.lock().payload(sequence).to_vec();
            if !visit(sequence, &payload) {
                break;
            }
            sequence = sequence.next();
        }
        Ok(())
    }

    fn shortage(&self) -> Option<String> {
        self.shared.lock().shortage.clone()
    }

    fn idle(&self) -> Result<(), Error> {
        self.life.lock().open()
    }

    fn release(&self) {
        self.crash();
    }

    fn stats(&self) -> Stats {
        self.life.lock().stats
    }
}

impl Life {
    fn open(&self) -> Result<(), Error> {
        self.closed.clone().map_or(Ok(()), |cause| Err(Error::Closed { cause }))
    }

    fn admits(&mut self, shared: &Shared, fence: Fence, sequence: Sequence) -> Result<(), Error> {
        if !self.recovered {
            return Err(Error::Misuse { cause: "it was not recovered".to_owned() });
        }
        if fence.epoch != shared.epoch {
            return Err(Error::Fenced { epoch: fence.epoch, current: shared.epoch });
        }
        self.open()?;
        let expected = shared.durable().next();
        if sequence != expected {
            let cause = format!("record {sequence} came where {expected} was due");
            self.closed = Some(cause.clone());
            return Err(Error::Misuse { cause });
        }
        Ok(())
    }

    fn die(&mut self, shared: &mut Shared, tail: Tail, payload: &[u8]) -> Error {
        let start = shared.bytes.len();
        shared.push(payload);
        // Whatever is left of it, this life never learns that it is durable.
        shared.ends.pop();
        let kept = match tail {
            Tail::Lost => 0,
            Tail::Kept => usize::MAX,
            Tail::Partial(bytes) => bytes,
        };
        shared.bytes.truncate(start.saturating_add(kept));
        let cause = format!("a crash was asked for, with its record {tail:?}");
        self.closed = Some(cause.clone());
        Error::Closed { cause }
    }
}

impl Shared {
    fn durable(&self) -> Sequence {
        Sequence(self.ends.len() as u64)
    }

    fn push(&mut self, payload: &[u8]) {
        let place = Place { segment: SEGMENT, sequence: self.durable().next().0, previous: self.crc };
        self.crc = frame::seal(&mut self.bytes, place, payload);
        self.ends.push(self.bytes.len());
    }

    /// Cut a torn tail, by reading what the bytes say and nothing else.
    fn cut(&mut self) -> Option<String> {
        let len = self.bytes.len();
        self.ends.clear();
        self.crc = 0;
        let mut at = 0;
        while let Some(frame) = frame::open(&self.bytes[at..]) {
            at += frame.size();
            self.crc = frame.crc;
            self.ends.push(at);
        }
        self.bytes.truncate(at);
        (at < len).then(|| format!("record {} was torn, and nobody had been told of it", self.durable().next()))
    }

    fn payload(&self, sequence: Sequence) -> &[u8] {
        let index = usize::try_from(sequence.0 - 1).expect("it is one of the records in memory");
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start + frame::HEADER..self.ends[index] - 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_leaves_of_its_record_what_was_asked_for() {
        let size = frame::OVERHEAD + "second".len();
        let partial = (0..=size + 1).map(|kept| (Tail::Partial(kept), kept >= size, kept > 0 && kept < size));
        for (tail, there, told) in [(Tail::Lost, false, false), (Tail::Kept, true, false)].into_iter().chain(partial) {
            let memory = crashed(tail);
            assert_eq!(memory.durable(), Sequence(1), "the dead life never learns of it");
            let next = memory.reopen();
            let (records, recovered) = read(&next);
            assert_eq!(records, if there { vec!["first", "second"] } else { vec!["first"] }, "{tail:?}");
            assert_eq!(recovered.repairs.len(), usize::from(told), "{tail:?}");
            next.append(recovered.fence, recovered.durable.next(), b"third").unwrap();
            assert_eq!(read(&next.reopen()).0.last().unwrap(), "third", "{tail:?}");
        }
    }

    #[test]
    fn a_dead_handle_stays_dead_and_a_newer_one_fences_it_off() {
        let memory = crashed(Tail::Lost);
        let fence = Fence { partition: None, epoch: Epoch(1) };
        assert!(matches!(memory.append(fence, Sequence(2), b"more"), Err(Error::Closed { .. })));
        read(&memory.reopen());
        assert!(matches!(memory.append(fence, Sequence(2), b"more"), Err(Error::Fenced { current: Epoch(2), .. })));
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let memory = Memory::new();
        let fence = read(&memory).1.fence;
        memory.append(fence, Sequence(1), b"both").unwrap();
        let fork = memory.fork();
        memory.append(fence, Sequence(2), b"one").unwrap();
        assert_eq!(read(&fork).0, ["both"]);
        memory.append(fence, Sequence(3), b"the fork's recovery fences nobody off here").unwrap();
    }

    fn crashed(tail: Tail) -> Memory {
        let memory = Memory::new();
        let fence = read(&memory).1.fence;
        memory.fail_at(2, tail);
        memory.append(fence, Sequence(1), b"first").unwrap();
        assert!(matches!(memory.append(fence, Sequence(2), b"second"), Err(Error::Closed { .. })));
        memory
    }

    fn read(memory: &Memory) -> (Vec<String>, Recovered) {
        let mut records = Vec::new();
        let recovered = memory.recover(&mut |_, payload| {
            records.push(String::from_utf8_lossy(payload).into_owned());
            Ok(())
        });
        (records, recovered.unwrap())
    }
}
