//! Appends records, one synced before the next is written.
//!
//! **Invariant:** a record is reported only when it is synced; after the first failure nothing is written any more,
//! because a failed sync may have dropped what it could not write, and a second one would then succeed.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::{
    disk::{Disk, File},
    frame::{self, OVERHEAD, PAYLOAD_MAX, Place},
    head::{self, Head},
    segment::{self, HEADER, Header, Segment},
    spare::{Blank, Spare},
};
use crate::{
    clock,
    durable::{
        id::{Epoch, Sequence},
        store::{Error, Stats},
    },
    mutant::Mutant,
};

/// Where a journal lives and how it is kept.
#[derive(Clone)]
pub(crate) struct Setup {
    /// The file system.
    pub(crate) disk: Arc<dyn Disk>,
    /// The data folder.
    pub(crate) folder: PathBuf,
    /// Whether each record is synced.
    pub(crate) synced: bool,
    /// How long a segment is.
    pub(crate) segment_bytes: u64,
    /// How far HEAD may be behind.
    pub(crate) head_every: Duration,
    /// Whether the next segment is made by a thread of its own.
    pub(crate) background: bool,
}

impl Setup {
    /// The folder of segments.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join(segment::FOLDER)
    }
}

/// What others may look at while a record is being synced.
#[derive(Default)]
pub(crate) struct Shared {
    /// The segments that count, in order.
    pub(crate) segments: Vec<Segment>,
    /// The last record reported.
    pub(crate) durable: Sequence,
    /// The last record that HEAD vouches for.
    pub(crate) noted: Sequence,
    /// Figures.
    pub(crate) stats: Stats,
    /// Why the next segment could not be made ready.
    pub(crate) trouble: Option<String>,
    /// Held by whoever reads segments, so that none of them is removed meanwhile.
    pub(crate) reading: Arc<RwLock<()>>,
    /// Where the time of each record's sync is recorded, if anywhere.
    pub(crate) sync_seconds: Option<metrics::Histogram>,
}

/// The segment being filled.
pub(crate) struct Active {
    file: Box<dyn File>,
    path: PathBuf,
    header: Header,
    len: u64,
    end: u64,
    last: Sequence,
    crc: u32,
    buffer: Vec<u8>,
}

impl Active {
    /// Begin a segment in an empty file, behind a record; nothing is synced.
    pub(crate) fn begin(blank: Blank, header: Header, buffer: Vec<u8>) -> Result<Self, Error> {
        let Blank { path, file, len } = blank;
        file.write_at(&header.encode(), 0).map_err(super::io("write", &path))?;
        let last = Sequence(header.first.0 - 1);
        Ok(Self { file, path, header, len, end: HEADER, last, crc: header.previous, buffer })
    }

    /// Write the next record; it is not synced.
    pub(crate) fn put(&mut self, payload: &[u8]) -> Result<(), Error> {
        let place = Place { segment: self.header.id, sequence: self.last.next().0, previous: self.crc };
        self.buffer.clear();
        let crc = frame::seal(&mut self.buffer, place, payload);
        self.file.write_at(&self.buffer, self.end).map_err(super::io("write", &self.path))?;
        self.end += self.buffer.len() as u64;
        self.last = self.last.next();
        self.crc = crc;
        Ok(())
    }

    /// Sync it and give it its final name.
    pub(crate) fn publish(&mut self, setup: &Setup) -> Result<(), Error> {
        if !(Mutant::TailNotSynced.is_chosen() && self.last >= self.header.first) {
            self.file.sync_all().map_err(super::io("sync", &self.path))?;
        }
        self.path = segment::publish(&*setup.disk, &setup.journal(), &self.path, self.header.number)?;
        Ok(())
    }

    /// As others see it.
    pub(crate) fn segment(&self) -> Segment {
        Segment { number: self.header.number, path: self.path.clone(), header: Ok(self.header), held: None }
    }

    fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(super::io("sync", &self.path))
    }

    fn has_room(&self, payload: usize) -> bool {
        self.end + (payload + OVERHEAD) as u64 <= self.len
    }
}

/// The journal of one life, open for records.
pub(crate) struct Writer {
    setup: Setup,
    shared: Arc<Mutex<Shared>>,
    active: Active,
    spare: Spare,
    head: head::Writer,
    noted: Sequence,
    noted_at: Instant,
    closed: Option<String>,
}

impl Writer {
    /// Go on in a segment that is published, with a HEAD that says so.
    pub(crate) fn new(
        setup: Setup,
        shared: Arc<Mutex<Shared>>,
        active: Active,
        spare: Spare,
        head: head::Writer,
    ) -> Self {
        let (noted, noted_at) = (active.last, clock::monotonic());
        Self { setup, shared, active, spare, head, noted, noted_at, closed: None }
    }

    /// The life that this is.
    pub(crate) fn epoch(&self) -> Epoch {
        self.active.header.epoch
    }

    /// Why nothing is written any more.
    pub(crate) fn closed(&self) -> Result<(), Error> {
        self.closed.clone().map_or(Ok(()), |cause| Err(Error::Closed { cause }))
    }

    /// Make a record durable.
    pub(crate) fn append(&mut self, sequence: Sequence, payload: &[u8]) -> Result<(), Error> {
        self.closed()?;
        let expected = self.active.last.next();
        let result = if sequence != expected {
            Err(Error::Misuse { cause: format!("record {sequence} came where {expected} was due") })
        } else if payload.len() > PAYLOAD_MAX {
            Err(Error::Misuse { cause: format!("record {sequence} has {} bytes, above {PAYLOAD_MAX}", payload.len()) })
        } else {
            self.write(payload)
        };
        self.or_close(result)?;
        self.afterwards();
        Ok(())
    }

    /// Note in HEAD how far we are.
    pub(crate) fn note(&mut self) -> Result<(), Error> {
        self.closed()?;
        if self.noted == self.active.last {
            return Ok(());
        }
        let result = self.write_head();
        self.or_close(result)
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), Error> {
        if !self.active.has_room(payload.len()) {
            self.rotate(payload.len())?;
        }
        self.active.put(payload)?;
        if Mutant::HeadAheadOfSync.is_chosen() {
            self.write_head()?;
        }
        let began = clock::monotonic();
        if self.setup.synced && !Mutant::AckBeforeSync.is_chosen() {
            self.active.sync()?;
        }
        let mut shared = self.shared.lock();
        if let Some(seconds) = shared.sync_seconds.as_ref().filter(|_| self.setup.synced) {
            seconds.record(began.elapsed().as_secs_f64());
        }
        shared.durable = self.active.last;
        shared.stats.records += 1;
        shared.stats.payload_bytes += payload.len() as u64;
        shared.stats.written_bytes += (payload.len() + OVERHEAD) as u64;
        shared.stats.syncs += u64::from(self.setup.synced);
        Ok(())
    }

    /// The record is durable and will be reported as such: a failure from here on meets the next one.
    fn afterwards(&mut self) {
        if self.active.end > self.active.len / 4 {
            self.see_to_the_next();
        }
        if clock::monotonic().duration_since(self.noted_at) >= self.setup.head_every {
            // The store is closed by a failure, and says so when it is next asked for anything.
            let _ = self.note();
        }
    }

    /// Have the next segment made, also when it could not be made before.
    pub(crate) fn see_to_the_next(&mut self) {
        self.spare.prepare();
        self.shared.lock().trouble = self.spare.trouble();
    }

    fn write_head(&mut self) -> Result<(), Error> {
        if !self.setup.synced {
            self.active.sync()?;
        }
        let head = Head { store: self.active.header.store, incarnation: self.epoch(), durable: self.active.last };
        self.head.note(head).map_err(super::io("write", &self.setup.folder.join(head::NAME)))?;
        self.noted = self.active.last;
        self.noted_at = clock::monotonic();
        let mut shared = self.shared.lock();
        shared.noted = self.noted;
        shared.stats.syncs += 1 + u64::from(!self.setup.synced);
        Ok(())
    }

    fn rotate(&mut self, payload: usize) -> Result<(), Error> {
        if !self.setup.synced {
            self.active.sync()?;
        }
        let blank = self.spare.take(HEADER + (payload + OVERHEAD) as u64)?;
        let header = Header {
            number: self.active.header.number + 1,
            id: fresh_id(&*self.setup.disk),
            first: self.active.last.next(),
            previous: self.active.crc,
            ..self.active.header
        };
        let mut next = Active::begin(blank, header, std::mem::take(&mut self.active.buffer))?;
        next.publish(&self.setup)?;
        let mut shared = self.shared.lock();
        shared.segments.push(next.segment());
        shared.stats.syncs += 2;
        self.active = next;
        Ok(())
    }

    fn or_close<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && !Mutant::FailedSyncTriedAgain.is_chosen()
        {
            self.closed = Some(error.to_string());
        }
        result
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A clean end leaves nothing to doubt; an unclean one is what starts are made for.
        let _ = self.note();
    }
}

/// Zeros must never look like the beginning of a record.
pub(crate) fn fresh_id(disk: &dyn Disk) -> u64 {
    if Mutant::GuessedSegment.is_chosen() { 1 } else { disk.random().max(1) }
}
