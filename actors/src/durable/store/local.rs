//! The store of a single process: a folder with a journal, rows, base images and ledger segments.
//!
//! ```text
//! FOLDER/HEAD, journal/   what happened, in order: the truth (`journal.rs`)
//! FOLDER/live/            rows as of the last checkpoint, in sled: where a start begins (`shelf.rs`, `ground.rs`, `live_rows.rs`)
//! FOLDER/base/            all rows as of some record: what rows are built from again (`base.rs`)
//! FOLDER/ledger/          events of records whose segments are gone from the journal (`archive.rs`)
//! FOLDER/ballast          room that is given back when the disk is full (`ballast.rs`)
//! FOLDER/open             there while a life lasts (`lives.rs`)
//! FOLDER/format           the newest format that wrote here (`format.rs`)
//! FOLDER/versions         the newest versions of events and states that were written here (`versions.rs`)
//! ```
//! A thread of its own makes bases and ledger segments, and removes what they replace (`archiver.rs`).
//!
//! **Invariants:** one process at a time; every rule of the journal (`journal.rs`). Readers never wait for a sync. Rows
//! are a cache: whatever is wrong with them, they are put aside and built again from the last base and the journal since.
//! A base is never made from rows, whose losses would become the truth.

mod archive;
mod archiver;
mod ballast;
mod base;
mod breath;
#[cfg(test)]
mod crashes;
mod format;
mod gone;
mod ground;
mod history;
mod images;
mod inspect;
mod layers;
mod live_rows;
mod lives;
mod loss;
mod losses;
mod options;
mod parts;
mod past;
mod scrub;
pub(crate) mod shelf;
mod versions;

use std::{fmt, ops::ControlFlow, path::Path, sync::Arc};

use parking_lot::Mutex;

#[cfg(test)]
pub(crate) use self::inspect::check;
pub(crate) use self::options::Tuning;
pub use self::options::{Durability, LocalOptions};
use self::{archiver::Archiver, ballast::Ballast, live_rows::LiveRows};
use super::{
    Checked, Checkpoint, Error, Fence, Image, Loss, Opened, Past, Recovered, RowsChecked, Settled, Slice, Stats, Store,
};
use crate::{
    durable::{
        id::{Epoch, Sequence, StreamId},
        journal::{
            disk::{Disk, Guard, RealDisk},
            lock, recovery,
            replay::Walk,
            segment,
            survey::Survey,
            writer::{Setup, Shared, Writer},
        },
        kind::Registry,
    },
    mutant::Mutant,
};

/// What a start begins from.
#[derive(Default)]
struct Begun {
    from: Sequence,
    store: Option<u64>,
    /// The journal that goes with the rows; it is looked at again if there is none.
    survey: Option<Survey>,
}

/// A data folder.
pub struct Local {
    // Before the lock, because fields are dropped in order and the writer still notes how far it came.
    writer: Mutex<Option<Writer>>,
    shared: Arc<Mutex<Shared>>,
    setup: Setup,
    options: LocalOptions,
    /// The rows, once they are opened.
    shelf: Mutex<Option<Arc<LiveRows>>>,
    /// What this life may write.
    versions: Mutex<versions::Versions>,
    /// How far the rows go, and which store they belong to.
    begun: Mutex<Begun>,
    archiver: Mutex<Option<Archiver>>,
    ballast: Ballast,
    lock: Mutex<Option<Box<dyn Guard>>>,
}

impl Local {
    /// Take a data folder; it is made if it is not there. Nothing in it is read or changed before
    /// [`recover`](Store::recover).
    ///
    /// # Errors
    /// [`Error::Held`] if another process has it, [`Error::Io`] if the system refuses.
    pub fn open(folder: &Path, options: LocalOptions) -> Result<Self, Error> {
        Self::open_on(Arc::new(RealDisk), folder, options, Tuning::default())
    }

    /// Read everything and change nothing; a process may be writing meanwhile.
    ///
    /// # Errors
    /// If the folder cannot be read at all; what is wrong inside is told in [`Checked::problems`].
    pub fn check(folder: &Path) -> Result<Checked, Error> {
        inspect::check(&RealDisk, folder)
    }

    /// Compare the rows with what base and journal come to. Nothing of the folder is changed: a copy of the rows is read,
    /// in the folder for temporary files. While another process has the folder this is skipped, and the answer says so.
    ///
    /// # Errors
    /// If base or journal cannot be read.
    pub fn check_rows(folder: &Path) -> Result<RowsChecked, Error> {
        scrub::check(folder)
    }

    /// Build the rows again from base and journal; those that are there are put aside as `live.bad-1`. Says what was done.
    ///
    /// # Errors
    /// If the folder is in use, or the rows cannot be built.
    pub fn repair(folder: &Path) -> Result<Vec<String>, Error> {
        let local = Self::open(folder, LocalOptions::default())?;
        ground::condemn(folder, "somebody asked for it")?;
        let opened = Store::open(&local);
        if opened.is_err() {
            // What cannot be built again is not given up.
            ground::spare(folder);
        }
        local.release();
        Ok(opened?.repairs)
    }

    /// Who works in a folder, as they describe themselves.
    ///
    /// # Errors
    /// If the lock cannot be looked at.
    pub fn holder(folder: &Path) -> Result<Option<String>, Error> {
        Ok(match inspect::quiet(folder)? {
            inspect::Quiet::Free(_) => None,
            inspect::Quiet::Held(holder) => Some(holder),
        })
    }

    /// What is damaged, and what accepting that would cost; `None` if nothing is. Changes nothing.
    ///
    /// # Errors
    /// If the folder cannot be read, or nothing in it holds a whole state.
    pub fn loss(folder: &Path) -> Result<Option<Loss>, Error> {
        loss::plan(&RealDisk, folder)
    }

    /// Whether a loss was being accepted, and that did not come to its end.
    #[must_use]
    pub fn is_unsettled(folder: &Path) -> bool {
        loss::is_unsettled(&RealDisk, folder)
    }

    /// Refuse a folder that a newer build wrote, or a build in which one of these behaviours writes newer versions.
    ///
    /// # Errors
    /// [`Error::Newer`] and [`Error::NewerVersion`]; or if what says so cannot be read.
    pub fn refuse_newer(folder: &Path, ours: &Registry) -> Result<(), Error> {
        refuse_newer(&RealDisk, folder, ours)
    }

    /// What was kept before upgrades, and what needs it.
    ///
    /// # Errors
    /// If the folder cannot be read, or a newer build wrote in it.
    pub fn images(folder: &Path, ours: &Registry) -> Result<Vec<Image>, Error> {
        images::list(&RealDisk, folder, &ours.versions())
    }

    /// Remove what was kept before upgrades, but for what [`images`](Self::images) says is needed; tells what there was.
    /// Nobody can go back to an older build afterwards. That the store reads well is for the caller to look at before.
    ///
    /// # Errors
    /// If the folder is in use, a newer build wrote in it, or something cannot be removed; doing it again goes on.
    pub fn prune_images(folder: &Path, ours: &Registry) -> Result<Vec<Image>, Error> {
        let local = Self::open(folder, LocalOptions::default())?;
        let pruned =
            refuse_newer(&*local.setup.disk, folder, ours).and_then(|()| images::prune(&local, &ours.versions()));
        local.release();
        pruned
    }

    /// Accept what [`loss`](Self::loss) tells of: cut the journal before it, tell the runs, put open calls in doubt, and hold
    /// everything until a person says to go on. Or, where only history is lost, name what is missing and go on.
    ///
    /// # Errors
    /// If the folder is in use, a newer build or newer behaviours than `ours` wrote in it, or something cannot be written;
    /// doing it again goes on.
    pub fn accept_loss(folder: &Path, ours: &Registry, now_ms: u64) -> Result<Settled, Error> {
        let local = Self::open(folder, LocalOptions::default())?;
        let settled = refuse_newer(&*local.setup.disk, folder, ours).and_then(|()| loss::accept(&local, now_ms));
        local.release();
        settled
    }

    /// The last record that was acknowledged.
    #[must_use]
    pub fn durable(&self) -> Sequence {
        self.shared.lock().durable
    }

    /// Why the next file of the journal could not be made ready, mostly that the disk is full. Appends go on until the
    /// current file ends, which is the time there is to make room.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        options: LocalOptions,
        tuning: Tuning,
    ) -> Result<Self, Error> {
        let setup = Setup {
            disk,
            folder: folder.to_path_buf(),
            synced: options.durability == Durability::Power,
            segment_bytes: options.segment_bytes.max(2 * segment::HEADER),
            head_every: tuning.head_every,
            background: tuning.background,
        };
        let lock = if options.read_only { None } else { Some(take_folder(&*setup.disk, folder)?) };
        let ballast = Ballast::new(&setup);
        Ok(Self {
            writer: Mutex::new(None),
            shared: Arc::default(),
            setup,
            options,
            shelf: Mutex::new(None),
            versions: Mutex::default(),
            begun: Mutex::default(),
            archiver: Mutex::new(None),
            ballast,
            lock: Mutex::new(lock),
        })
    }

    /// Put this row where a key is, or nothing, as a disk that loses things would.
    #[cfg(test)]
    pub(crate) fn tamper(&self, key: &[u8], row: Option<&[u8]>) {
        let rows = self.shelf.lock().clone().expect("it keeps rows");
        rows.tamper(key, row);
    }

    fn start_archiver(&self) {
        if self.setup.background {
            *self.archiver.lock() = Archiver::start(&self.setup, &self.shared, &self.options);
        }
    }

    fn prepare(&self) -> Result<Opened, Error> {
        let found = ground::prepare(&self.setup, self.options.cut_after, &self.versions.lock())?;
        *self.begun.lock() = Begun { from: found.opened.from, store: Some(found.store), survey: None };
        *self.shelf.lock() = Some(found.shelf);
        Ok(found.opened)
    }

    fn open_without_rows(&self) -> Result<Opened, Error> {
        let (opened, survey) = ground::image(&*self.setup.disk, &self.setup.folder)?;
        *self.begun.lock() = Begun { from: opened.from, store: None, survey: Some(survey) };
        Ok(opened)
    }

    fn survey(&self) -> Result<Survey, Error> {
        let (disk, folder) = (&*self.setup.disk, &self.setup.folder);
        if self.options.read_only { Survey::hold(disk, folder) } else { Survey::take(disk, folder) }
    }

    fn look(&self, found: &recovery::Found) -> Epoch {
        let mut shared = self.shared.lock();
        shared.segments.clone_from(&found.survey.live);
        shared.durable = found.reached.last;
        found.survey.epoch()
    }
}

impl Store for Local {
    fn claim(&self, ours: versions::Versions) -> Result<(), Error> {
        versions::refuse_newer(&*self.setup.disk, &self.setup.folder, &ours)?;
        *self.versions.lock() = ours;
        Ok(())
    }

    fn open(&self) -> Result<Opened, Error> {
        if self.options.read_only {
            return self.open_without_rows();
        }
        if loss::is_unsettled(&*self.setup.disk, &self.setup.folder) {
            return Err(Error::Unsettled { folder: self.setup.folder.clone() });
        }
        if self.options.rows { self.prepare() } else { self.open_without_rows() }
    }

    fn recover(&self, visit: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error> {
        let mut writer = self.writer.lock();
        if writer.is_some() {
            return Err(misuse("it was recovered before"));
        }
        // A folder that is only read may be read again, and then its journal is looked at again.
        let (from, store, survey) = {
            let mut begun = self.begun.lock();
            (begun.from, begun.store, begun.survey.take())
        };
        let survey = match survey {
            Some(survey) if self.options.read_only => survey,
            _ => self.survey()?,
        };
        let wanted = recovery::Wanted { after: from, cut: self.options.cut_after };
        let found = recovery::read(&*self.setup.disk, survey, wanted, visit)?;
        let mut repairs = found.repairs.clone();
        let epoch = if self.options.read_only {
            self.look(&found)
        } else {
            repairs.extend(self.ballast.fill());
            let epoch = writer.insert(recovery::begin(&self.setup, &self.shared, &found, store)?).epoch();
            self.start_archiver();
            epoch
        };
        Ok(Recovered { fence: Fence { partition: None, epoch }, durable: found.reached.last, repairs })
    }

    fn append(&self, fence: Fence, sequence: Sequence, payload: &[u8]) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        let writer = writer.as_mut().ok_or_else(|| misuse("it was opened to be read only, or not recovered"))?;
        if fence.epoch != writer.epoch() {
            return Err(Error::Fenced { epoch: fence.epoch, current: writer.epoch() });
        }
        writer.append(sequence, payload)
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error> {
        // Segments are not removed while somebody reads them; and not after somebody looked which there are.
        let reading = self.shared.lock().reading.clone();
        let _reading = reading.read();
        let (segments, durable) = {
            let shared = self.shared.lock();
            (shared.segments.clone(), shared.durable)
        };
        if from > durable {
            return Ok(());
        }
        let walk = Walk { disk: &*self.setup.disk, segments: &segments, floor: durable };
        walk.run_from(from.max(Sequence(1)), &mut |record| {
            let wanted = record.sequence <= durable && visit(record.sequence, record.frame.payload);
            Ok(if wanted && record.sequence < durable { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        Ok(())
    }

    fn checkpoint(&self, checkpoint: &Checkpoint<'_>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        let shelf = self.shelf.lock().clone().ok_or_else(|| misuse("it keeps no rows"))?;
        let durable = self.durable();
        if checkpoint.to > durable && !Mutant::CheckpointPastDurable.is_chosen() {
            return Err(misuse(&format!("a checkpoint goes to {}, and the journal to {durable}", checkpoint.to)));
        }
        // In every mode: what the rows say must never be ahead of the journal.
        self.writer.lock().as_mut().ok_or_else(|| misuse("it was not recovered"))?.note()?;
        shelf.write(checkpoint, go_on)
    }

    fn slice(&self, from: &[u8], most: usize) -> Result<Option<Slice>, Error> {
        let shelf = self.shelf.lock().clone();
        shelf.map(|shelf| shelf.slice(from, most)).transpose()
    }

    fn image(&self, until: Sequence) -> Result<Opened, Error> {
        ground::image_before(&*self.setup.disk, &self.setup.folder, until)
    }

    fn condemn(&self, why: &str) {
        if let Err(error) = ground::condemn(&self.setup.folder, why) {
            tracing::error!(%error, "it could not be noted that the rows are of no use; `headframe store repair` builds them again");
        }
    }

    fn past(&self) -> Result<Box<dyn Past>, Error> {
        past::read(&*self.setup.disk, &self.setup.folder)
    }

    fn forget(&self, below: StreamId) {
        if let Some(archiver) = &*self.archiver.lock() {
            archiver.forget(below);
        }
    }

    fn shortage(&self) -> Option<String> {
        if self.trouble().is_some()
            && let Some(writer) = self.writer.lock().as_mut()
        {
            // While nothing is let in no record may come that would look again.
            writer.see_to_the_next();
        }
        let rows = self.shelf.lock().clone();
        let trouble = self.trouble().or_else(|| rows.as_ref().and_then(|rows| rows.trouble()));
        self.ballast.look(trouble.is_some());
        if let Some(rows) = rows {
            // Perhaps in the room that was just given back.
            rows.mend();
        }
        self.ballast.shortage().or(trouble)
    }

    fn idle(&self) -> Result<(), Error> {
        self.writer.lock().as_mut().map_or(Ok(()), Writer::note)
    }

    fn release(&self) {
        // The archiver reads and removes segments.
        drop(self.archiver.lock().take());
        let rows = self.shelf.lock().take();
        if let Some(shelf) = &rows {
            shelf.close();
        }
        let is_whole = self.writer.lock().as_ref().is_some_and(|writer| writer.closed().is_ok());
        if rows.is_some() && is_whole && self.lock.lock().is_some() {
            lives::end(&*self.setup.disk, &self.setup.folder);
        }
        // The writer first: it notes how far it came while the folder is still ours.
        drop(self.writer.lock().take());
        drop(self.lock.lock().take());
    }

    fn measure_syncs(&self, seconds: metrics::Histogram) {
        self.shared.lock().sync_seconds = Some(seconds);
    }

    fn stats(&self) -> Stats {
        let rows = self.shelf.lock().as_ref().map_or(0, |rows| rows.count());
        Stats { rows, ..self.shared.lock().stats }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared.lock();
        f.debug_struct("Local")
            .field("folder", &self.setup.folder)
            .field("durable", &shared.durable)
            .field("locked", &self.lock.lock().is_some())
            .finish_non_exhaustive()
    }
}

fn take_folder(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Guard>, Error> {
    let create = |source| Error::Io { action: "create", file: folder.to_path_buf(), source };
    disk.create_folder(folder).map_err(create)?;
    lock::take(disk, folder)
}

fn refuse_newer(disk: &dyn Disk, folder: &Path, ours: &Registry) -> Result<(), Error> {
    format::refuse_newer(disk, folder)?;
    versions::refuse_newer(disk, folder, &ours.versions())
}

fn misuse(cause: &str) -> Error {
    Error::Misuse { cause: cause.to_owned() }
}
