//! The thread that makes bases and ledger segments from the journal, and removes what they replace.
//!
//! ```text
//! base B1 ─┐
//!          ├─► base B2, read back ─► ledger segment (.., B1] ─► bases before B1 go ─► segments up to B1 go
//! journal ─┘
//! ```
//! The records between two bases are read once, for the newer base and for the ledger segment that is named with the next
//! (`history.rs`).
//!
//! **Invariants:** a base is made of the base before it and the journal since, both checked as they are read, never of
//! rows. Two bases stay, and every record after the older one. Nothing is removed before what replaces it was read back
//! and its folder synced. What a crash leaves half done is done again, or found done.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::{
    LocalOptions,
    archive::{Range, Segment},
    base::{self, Base},
    breath::Breath,
    ground,
    history::{Drafts, Scribe},
    layers::{Changes, Layers},
    losses,
    past::Counted,
};
use crate::{
    durable::{
        chain::Head,
        codec,
        id::{Sequence, StreamId},
        journal::{
            disk::Disk,
            replay::Walk,
            writer::{Setup, Shared},
        },
        live::Live,
        record::{FORMAT, Op, Record},
        store::Error,
    },
    mutant::Mutant,
};

/// After a failure it is tried again so much later.
const RETRY: Duration = Duration::from_secs(30);
/// It does not rest while the journal is so many times as long as it has to be for a base.
const LATE: u64 = 3;
/// How long a ledger segment is, but in tests.
const LEDGER_BYTES: usize = 64 * 1024 * 1024;
/// About so much memory is used for what changed since the last base; what is more is put aside.
const MEMORY_BYTES: usize = 128 * 1024 * 1024;
/// What a changed row takes in memory besides what it says.
const ROW_BYTES: usize = 400;

/// The thread. Dropping it ends it, and waits for that.
pub(super) struct Archiver {
    ends: Arc<(Mutex<bool>, Condvar)>,
    forgets: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Archiver {
    /// Nobody asks for the history of streams below this any more: what lies at the begin of the ledger may go.
    pub(super) fn forget(&self, below: StreamId) {
        self.forgets.store(below.0, Ordering::Relaxed);
    }

    /// Start it; `None` if the system gives no thread, which only lets the journal grow.
    pub(super) fn start(setup: &Setup, shared: &Arc<Mutex<Shared>>, options: &LocalOptions) -> Option<Self> {
        let ends = Arc::new((Mutex::new(false), Condvar::new()));
        let work = Work::new(setup, shared, options.base_bytes);
        let every = options.base_every;
        let (told, forgets) = (ends.clone(), work.forgets.clone());
        #[expect(clippy::disallowed_methods, reason = "bases are made by a thread of their own")]
        let thread =
            std::thread::Builder::new().name("headframe-base".to_owned()).spawn(move || run(&work, every, &told));
        let thread = thread.inspect_err(|error| tracing::error!(%error, "no bases are made in this life")).ok();
        thread.map(|thread| Self { ends, forgets, thread: Some(thread) })
    }
}

impl Drop for Archiver {
    fn drop(&mut self) {
        *self.ends.0.lock() = true;
        self.ends.1.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in there was told by the panic hook, and the next life makes the base.
            let _ = thread.join();
        }
    }
}

fn run(work: &Work, every: Duration, (ends, bell): &(Mutex<bool>, Condvar)) {
    let mut pause = every;
    Breath::stand_back();
    loop {
        let mut ended = ends.lock();
        if !*ended {
            bell.wait_for(&mut ended, pause);
        }
        if *ended {
            drop(ended);
            return work.end();
        }
        drop(ended);
        pause = every;
        let look = AssertUnwindSafe(|| work.look(&|| *ends.lock()));
        match catch_unwind(look) {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => {
                tracing::error!(%error, "no base could be made; the journal keeps everything, and it will be tried again");
            }
            // The panic hook has said what it was.
            Err(_) => tracing::error!(
                "whoever makes bases panicked; the journal keeps everything, and it will be tried again"
            ),
        }
        pause = RETRY;
    }
}

/// What it works on.
pub(super) struct Work {
    pub(super) setup: Setup,
    shared: Arc<Mutex<Shared>>,
    base_bytes: u64,
    /// Below which number nobody asks for the history of a stream any more; 0 when nobody said.
    pub(super) forgets: Arc<AtomicU64>,
    breath: Breath,
    /// History that is written and has no name yet.
    pub(super) drafts: Mutex<Option<Drafts>>,
    /// About so many bytes of events go into one ledger segment.
    pub(super) ledger_bytes: usize,
    /// About so many bytes of changes are kept in memory.
    pub(super) memory_bytes: usize,
}

impl Work {
    pub(super) fn new(setup: &Setup, shared: &Arc<Mutex<Shared>>, base_bytes: u64) -> Self {
        Self {
            setup: setup.clone(),
            shared: shared.clone(),
            base_bytes,
            forgets: Arc::default(),
            breath: Breath::default(),
            drafts: Mutex::default(),
            ledger_bytes: LEDGER_BYTES,
            memory_bytes: MEMORY_BYTES,
        }
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.setup.disk
    }

    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.setup.folder.join(name)
    }

    /// How far a base may go: no further than `HEAD` says, in every mode. A record that is acknowledged and not vouched for may
    /// be lost, and another take its number.
    pub(super) fn vouched(&self) -> Sequence {
        let shared = self.shared.lock();
        if Mutant::BasePastHead.is_chosen() { shared.durable } else { shared.noted }
    }

    /// Remove history that nobody asks for any more, make a base if one is due, and finish what an earlier life began.
    pub(super) fn look(&self, ends: &dyn Fn() -> bool) -> Result<(), Error> {
        // First, because on a full disk that is the room for a base.
        self.forget_what_may_go();
        let bases = base::list(self.disk(), &self.folder(base::FOLDER))?;
        let newest = bases.last().map_or(Sequence(0), |(sequence, _)| *sequence);
        let vouched = self.vouched();
        let last_len = bases.last().map_or(Ok(0), |(_, path)| self.len(path))?;
        let due = self.base_bytes.max(last_len / 2);
        if vouched > newest && self.waiting(newest) >= due {
            self.make(vouched, &|| self.goes_on(ends, newest, due))?;
        } else if bases.len() > 2 {
            self.trim(&|| self.goes_on(ends, newest, due))?;
        }
        Ok(())
    }

    /// Bytes of the journal's files that begin behind a record.
    fn waiting(&self, newest: Sequence) -> u64 {
        let newer = |segment: &&crate::durable::journal::segment::Segment| {
            segment.header.as_ref().is_ok_and(|header| header.first > newest)
        };
        self.shared.lock().segments.iter().filter(newer).count() as u64 * self.setup.segment_bytes
    }

    /// Between two small pieces of work: rest, unless that is late, and say whether to go on.
    fn goes_on(&self, ends: &dyn Fn() -> bool, newest: Sequence, due: u64) -> bool {
        if ends() {
            return false;
        }
        self.breath.draw(|| self.setup.background && self.waiting(newest) < due.saturating_mul(LATE));
        true
    }

    fn forget_what_may_go(&self) {
        let below = self.forgets.swap(0, Ordering::Relaxed);
        if below > 0
            && let Err(error) = self.forget(StreamId(below))
        {
            tracing::error!(%error, "history that was kept long enough could not be removed; it will be tried again");
            // Whatever was asked for meanwhile is newer.
            let _ = self.forgets.compare_exchange(0, below, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Remove ledger segments, oldest first, as long as they hold nothing but streams below this. The last stays: it says
    /// where the ledger ends.
    pub(super) fn forget(&self, below: StreamId) -> Result<(), Error> {
        let (disk, folder) = (self.disk(), &self.setup.folder);
        let Counted { files, gone: before, .. } = Counted::list(disk, folder)?;
        let mut gone = before;
        for (at, (range, path)) in files.iter().enumerate().take(files.len().saturating_sub(1)) {
            let newest = Segment::open(disk, path)?.streams().last().map(|entry| entry.stream);
            let follows_a_loss = range.from != gone.to.next();
            if newest.is_some_and(|newest| newest >= below)
                || follows_a_loss && !self.all_earlier_are_below(&files[at..], below)?
            {
                break;
            }
            gone.to = range.to;
            gone.below = gone.below.max(newest.map_or(StreamId(0), |newest| StreamId(newest.0 + 1)));
        }
        if gone != before {
            gone.note(disk, folder)?;
            tracing::info!(records = %gone.to, "history that was kept long enough is removed");
        }
        gone.remove_covered(disk, folder, losses::files(disk, folder)?)
    }

    /// Whether all streams that began before these segments have numbers below one. Nobody knows which began in records that
    /// were lost; but numbers ascend, so it is those below the first that begins afterwards.
    fn all_earlier_are_below(&self, files: &[(Range, PathBuf)], below: StreamId) -> Result<bool, Error> {
        for (_, path) in files {
            let segment = Segment::open(self.disk(), path)?;
            let begin = segment.streams().iter().filter(|entry| entry.heads.before == Head::default());
            if let Some(first) = begin.map(|entry| entry.stream).min() {
                return Ok(first <= below);
            }
        }
        Ok(false)
    }

    fn len(&self, path: &Path) -> Result<u64, Error> {
        let open = self.disk().open(path, crate::durable::journal::disk::Access::Read);
        open.and_then(|file| file.len()).map_err(|source| Error::Io {
            action: "read",
            file: path.to_path_buf(),
            source,
        })
    }

    /// Make a base that holds every record up to one that is durable, and remove what it replaces, as long as `goes_on` says
    /// so.
    pub(super) fn make(&self, to: Sequence, goes_on: &dyn Fn() -> bool) -> Result<(), Error> {
        let began = crate::clock::monotonic();
        let folder = self.folder(base::FOLDER);
        self.disk().create_folder(&folder).map_err(|source| Error::Io {
            action: "create",
            file: folder.clone(),
            source,
        })?;
        for draft in base::leftovers(self.disk(), &folder)? {
            self.disk().remove(&draft).map_err(|source| Error::Io { action: "remove", file: draft, source })?;
        }
        let old = ground::newest(self.disk(), &self.setup.folder, Some(to), &mut Vec::new())?;
        let mut layers = Layers::over(self.disk(), &folder, self.store(), old)?;
        let mut history = self.history_behind(layers.sequence());
        let draft = base::draft(&folder, to);
        let made = self.write(&mut layers, &draft, to, &mut history, goes_on);
        let cleared = layers.clear();
        let drafts = history.map(|scribe| scribe.drafts);
        let Ok(Some(made)) = made else {
            drafts.into_iter().for_each(|drafts| self.give_up(drafts));
            return made.map(drop);
        };
        base::publish(self.disk(), &folder, &draft, to)?;
        *self.drafts.lock() = drafts;
        cleared?;
        tracing::info!(record = %to, rows = made.rows, bytes = made.bytes, took = ?began.elapsed(), "a base was made");
        self.trim(goes_on)
    }

    /// Write what the next base is to be; `None` when it is time to end.
    fn write(
        &self,
        layers: &mut Layers<'_>,
        draft: &Path,
        to: Sequence,
        history: &mut Option<Scribe<'_>>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<base::Summary>, Error> {
        let Some((changes, meta)) = self.changes(layers, to, history, goes_on)? else { return Ok(None) };
        let header = base::Header { store: self.store(), sequence: to, meta };
        let made = layers.write(draft, &header, changes, goes_on);
        if !matches!(made, Ok(Some(_))) {
            // Half a base on a full disk is room that others need.
            let _ = self.disk().remove(draft);
        }
        made
    }

    pub(super) fn store(&self) -> u64 {
        let shared = self.shared.lock();
        let header = shared.segments.last().and_then(|segment| segment.header.as_ref().ok());
        header.map_or(0, |header| header.store)
    }

    /// What the records after a base changed, as far as it is not put aside, and what is noted beside the rows; `None` when
    /// it is time to end. Their events are written on the way.
    fn changes(
        &self,
        layers: &mut Layers<'_>,
        to: Sequence,
        history: &mut Option<Scribe<'_>>,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Option<(Changes, Vec<u8>)>, Error> {
        let from = layers.sequence().next();
        let mut live = Live::over(Some(&*layers), layers.meta())?;
        let (mut bytes, mut ended) = (0, false);
        self.walk(from, to, &mut |sequence, record| {
            if bytes + layers.read_bytes() + live.changed() * ROW_BYTES >= self.memory_bytes {
                let (changes, meta) = taken(&mut live);
                if !layers.put_aside(Sequence(sequence.0 - 1), changes, &meta, goes_on)? {
                    ended = true;
                    return Ok(false);
                }
                live = Live::over(Some(&*layers), &meta)?;
                bytes = 0;
            }
            ended = !goes_on();
            bytes += record.ops.iter().map(Op::size).sum::<usize>();
            live.advance(Some(&*layers), sequence, record)?;
            self.tell(history, |scribe| scribe.take(sequence, record));
            Ok(!ended)
        })?;
        self.tell(history, |scribe| if ended { Ok(()) } else { scribe.end_at(to) });
        Ok((!ended).then(|| taken(&mut live)))
    }

    /// Read records, checked, from a first to a last, all of them.
    pub(super) fn walk(
        &self,
        from: Sequence,
        to: Sequence,
        visit: &mut dyn FnMut(Sequence, &Record) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let segments = self.shared.lock().segments.clone();
        let walk = Walk { disk: self.disk(), segments: &segments, floor: to };
        let (mut reached, mut ended) = (Sequence(from.0 - 1), false);
        walk.run_from(from, &mut |read| {
            if read.sequence != reached.next() {
                // The journal begins later than what it is to go on from.
                return Ok(ControlFlow::Break(()));
            }
            let record: Record = codec::open(FORMAT, read.frame.payload)
                .map_err(|error| Error::Undecodable { sequence: read.sequence, cause: error.to_string() })?;
            reached = read.sequence;
            ended = !visit(read.sequence, &record)?;
            // What lies behind the last of them is not looked at.
            Ok(if ended || reached == to { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if ended || reached == to {
            return Ok(());
        }
        let cause =
            format!("records {} to {to} are not in the journal; restore a backup of the folder", reached.next());
        Err(Error::Inconsistent { folder: self.setup.folder.clone(), cause })
    }

    /// Archive what the older of two bases makes needless in the journal, and remove it there. Both are read back first.
    fn trim(&self, goes_on: &dyn Fn() -> bool) -> Result<(), Error> {
        let folder = self.folder(base::FOLDER);
        let good = self.good_bases(goes_on)?;
        let [.., older, newest] = good[..] else { return Ok(()) };
        if !self.archive(older, goes_on)? {
            return Ok(());
        }
        for (_, path) in base::list(self.disk(), &folder)?.iter().filter(|(sequence, _)| *sequence < older) {
            self.disk().remove(path).map_err(|source| Error::Io { action: "remove", file: path.clone(), source })?;
        }
        self.disk().sync_folder(&folder).map_err(|source| Error::Io { action: "sync", file: folder, source })?;
        self.remove_segments(older)?;
        self.draft_on(newest, goes_on);
        Ok(())
    }

    /// The two newest bases that read well. One that does not is put out of the way, so that another is made in its place;
    /// but for the one at which the ledger ends, because nothing takes its place. Fewer when it is time to end.
    fn good_bases(&self, goes_on: &dyn Fn() -> bool) -> Result<Vec<Sequence>, Error> {
        let folder = self.folder(base::FOLDER);
        let ledger_end = Counted::list(self.disk(), &self.setup.folder)?.end;
        let mut good = Vec::new();
        for (sequence, path) in base::list(self.disk(), &folder)?.into_iter().rev() {
            match Base::open(self.disk(), &path).and_then(|base| base.verify()) {
                Ok(_) => good.insert(0, sequence),
                Err(error @ Error::DamagedFile { .. }) => {
                    tracing::error!(%error, "a base image is damaged, and another is made in its place");
                    if sequence != ledger_end {
                        base::put_aside(self.disk(), &folder, &path)?;
                    }
                }
                Err(error) => return Err(error),
            }
            if good.len() == 2 || !goes_on() {
                break;
            }
        }
        Ok(good)
    }

    /// Remove segments whose records all lie before the end of a base.
    fn remove_segments(&self, to: Sequence) -> Result<(), Error> {
        let reading = self.shared.lock().reading.clone();
        // Whoever reads finishes first.
        let _alone = reading.write();
        loop {
            let first = {
                let shared = self.shared.lock();
                let [first, second, ..] = &shared.segments[..] else { return Ok(()) };
                let is_needless = second.header.as_ref().is_ok_and(|header| header.first.0 <= to.0 + 1);
                is_needless.then(|| first.path.clone())
            };
            let Some(path) = first else { return Ok(()) };
            self.disk().remove(&path).map_err(|source| Error::Io { action: "remove", file: path, source })?;
            let journal = self.setup.journal();
            self.disk().sync_folder(&journal).map_err(|source| Error::Io { action: "sync", file: journal, source })?;
            self.shared.lock().segments.remove(0);
        }
    }
}

/// All that changed, and what is noted beside it.
fn taken(live: &mut Live) -> (Changes, Vec<u8>) {
    let mut capture = live.begin_capture();
    while live.capture(&mut capture, usize::MAX / 2) {}
    (capture.changes, live.meta().to_vec())
}
