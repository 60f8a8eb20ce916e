//! The rows of a running store. Rows that a full disk has closed are opened again when there is room.
//!
//! ```text
//! open ──► shut: no room ──► open again, once all rows were counted
//!   └────────► bad: the next start builds them again
//! ```
//! **Invariants:** whoever reads waits for rows that only want room, and hears of every other trouble at once. Rows that are
//! opened again hold everything that was written to them in this life. Rows that turned out to be of no use are not used
//! again in this life, and the next one is told.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    ground::{self, FOLDER, UNUSABLE},
    shelf::{Check, Opened, Shelf},
};
use crate::{
    clock,
    durable::{
        journal::writer::Setup,
        store::{
            Checkpoint, Error, Rows, Slice,
            rows::{self, Mark, Rows as _},
        },
    },
};

/// How often it is tried again to open them.
const RETRY: Duration = Duration::from_millis(250);

/// The rows.
pub(super) struct LiveRows {
    setup: Setup,
    store: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// How many there were when somebody last could ask.
    counted: AtomicU64,
    /// The record up to which everything was written. Memory has let go of rows that are no older.
    written: AtomicU64,
}

enum State {
    Open(Arc<Shelf>),
    /// The disk has no room for them.
    Shut {
        why: io::Error,
        tried: Instant,
    },
    /// They are of no use.
    Bad {
        why: String,
    },
    /// The store was let go of.
    LetGo,
}

impl LiveRows {
    /// Those of a shelf whose mark this is.
    pub(super) fn new(setup: &Setup, shelf: Shelf, mark: &Mark) -> Self {
        let (counted, written) = (AtomicU64::new(shelf.count()), AtomicU64::new(mark.from.0));
        let state = Mutex::new(State::Open(Arc::new(shelf)));
        Self { setup: setup.clone(), store: mark.store, state, changed: Condvar::new(), counted, written }
    }

    /// Write a checkpoint. Rows that want room are tried to be opened, and not waited for.
    pub(super) fn write(&self, checkpoint: &Checkpoint<'_>, go_on: &mut dyn FnMut(u64) -> bool) -> Result<(), Error> {
        let Checkpoint { since, from, to, .. } = *checkpoint;
        let mark = Mark { store: self.store, from, to, reached: true, meta: checkpoint.meta.clone() };
        self.mend();
        let shelf = self.now(&self.state.lock())?;
        let mut changes = checkpoint.changes.iter().map(|(key, value)| (key.clone(), value.clone()));
        let written = shelf.write(since, &mark, &mut changes, go_on);
        written.map_err(|error| self.failed(error, true))?;
        let state = self.state.lock();
        if matches!(&*state, State::Open(open) if !Arc::ptr_eq(open, &shelf)) {
            // Nobody looked whether what was just written is there still.
            return Err(Error::Closed { cause: "the rows were opened again while they were written".to_owned() });
        }
        self.written.store(from.0, Relaxed);
        Ok(())
    }

    /// Some rows, as they are between two checkpoints.
    pub(super) fn slice(&self, from: &[u8], most: usize) -> Result<Slice, Error> {
        self.read(|shelf| shelf.slice(from, most))
    }

    /// Put this row where a key is, or nothing, as a disk that loses things would.
    #[cfg(test)]
    pub(super) fn tamper(&self, key: &[u8], row: Option<&[u8]>) {
        self.wait().expect("they are open").tamper(key, row);
    }

    /// How many there are; none while they cannot be used. Nobody waits for the disk to be told that: while they are being
    /// opened again, it is as many as there were.
    pub(super) fn count(&self) -> u64 {
        if let Some(state) = self.state.try_lock() {
            let count = match &*state {
                State::Open(shelf) => shelf.count(),
                State::Shut { .. } | State::Bad { .. } | State::LetGo => 0,
            };
            self.counted.store(count, Relaxed);
        }
        self.counted.load(Relaxed)
    }

    /// Let go of the folder, also while others still hold this.
    pub(super) fn close(&self) {
        *self.state.lock() = State::LetGo;
        self.changed.notify_all();
    }

    /// Why nothing is written to them for now, if they want room.
    pub(super) fn trouble(&self) -> Option<String> {
        match &*self.state.lock() {
            State::Shut { why, .. } => Some(format!("the rows in {} want room: {why}", self.folder().display())),
            State::Open(_) | State::Bad { .. } | State::LetGo => None,
        }
    }

    /// Open them again if they want room and may have it by now.
    pub(super) fn mend(&self) {
        self.try_again(&mut self.state.lock());
    }

    fn folder(&self) -> PathBuf {
        self.setup.folder.join(FOLDER)
    }

    fn now(&self, state: &State) -> Result<Arc<Shelf>, Error> {
        match state {
            State::Open(shelf) => Ok(shelf.clone()),
            State::Shut { why, .. } => {
                Err(Error::Io { action: "write rows to", file: self.folder(), source: again(why) })
            }
            State::Bad { why } => Err(Error::Rows { folder: self.folder(), cause: why.clone() }),
            State::LetGo => Err(Error::Closed { cause: "it was let go of".to_owned() }),
        }
    }

    /// Have them open, however long it takes until there is room.
    fn wait(&self) -> Result<Arc<Shelf>, Error> {
        let mut state = self.state.lock();
        loop {
            self.try_again(&mut state);
            if !matches!(*state, State::Shut { .. }) {
                return self.now(&state);
            }
            // Whoever is woken looks again, and so does whoever is not.
            let _ = self.changed.wait_for(&mut state, RETRY);
        }
    }

    fn try_again(&self, state: &mut MutexGuard<'_, State>) {
        if !matches!(&**state, State::Shut { tried, .. } if tried.elapsed() >= RETRY) {
            return;
        }
        // What a full disk has cut off is looked at as after a crash.
        match Shelf::open(&self.folder(), self.store, Check::Rows) {
            Ok(Opened { mark, .. }) if mark.from.0 < self.written.load(Relaxed) => {
                let written = self.written.load(Relaxed);
                let why =
                    format!("they hold every record up to {}, and had held those up to {written} before", mark.from);
                tracing::error!(why, "rows that were written are gone; they are built again");
                self.condemn(state, why);
            }
            Ok(opened) => {
                tracing::info!("there is room for rows again");
                self.turn(state, State::Open(Arc::new(opened.shelf)));
            }
            Err(rows::Error::Unusable { why }) => self.condemn(state, why),
            Err(error) => {
                let why = match error {
                    rows::Error::Io { source, .. } => source,
                    error => io::Error::other(error),
                };
                self.turn(state, State::Shut { why, tried: clock::monotonic() });
            }
        }
    }

    /// What an error says of them, and of a handle that a failed write has closed.
    fn failed(&self, error: rows::Error, wrote: bool) -> Error {
        let mut state = self.state.lock();
        let (is_open, is_shut) = (matches!(*state, State::Open(_)), matches!(*state, State::Shut { .. }));
        match &error {
            rows::Error::Unusable { why } if is_open || is_shut => self.condemn(&mut state, why.clone()),
            rows::Error::Io { source, .. } if is_open && wrote => {
                self.turn(&mut state, State::Shut { why: again(source), tried: clock::monotonic() });
            }
            _ => {}
        }
        drop(state);
        ground::unread(&self.folder(), error)
    }

    /// The next start builds them again, and must know of it.
    fn condemn(&self, state: &mut MutexGuard<'_, State>, why: String) {
        // Without the note the next start finds out by itself, or by reading the same row.
        let _ = std::fs::write(self.setup.folder.join(UNUSABLE), &why);
        self.turn(state, State::Bad { why });
    }

    fn turn(&self, state: &mut MutexGuard<'_, State>, to: State) {
        **state = to;
        self.changed.notify_all();
    }

    /// Read, and again where a handle was closed meanwhile by somebody who writes.
    fn read<T>(&self, mut read: impl FnMut(&Shelf) -> Result<T, rows::Error>) -> Result<T, Error> {
        loop {
            let shelf = self.wait()?;
            match read(&shelf) {
                Err(rows::Error::Closed { cause }) => {
                    let mut state = self.state.lock();
                    if matches!(&*state, State::Open(open) if Arc::ptr_eq(open, &shelf)) {
                        let why = io::Error::other(cause);
                        self.turn(&mut state, State::Shut { why, tried: clock::monotonic() });
                    }
                }
                read => return read.map_err(|error| self.failed(error, false)),
            }
        }
    }
}

impl Rows for LiveRows {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.read(|shelf| shelf.get(key))
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut dyn FnMut(&[u8], Bytes) -> bool) -> Result<(), Error> {
        let mut from = from.to_vec();
        self.read(|shelf| {
            let mut next = from.clone();
            let scanned = shelf.scan(&from, to, &mut |key, value| {
                // Where to go on with another handle: right behind this key.
                next = [key, &[0]].concat();
                visit(key, value)
            });
            from = next;
            scanned
        })
    }
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;
    use crate::durable::{id::Sequence, journal::disk::RealDisk};

    /// Rows in a folder, of which each of these records was a checkpoint with one row more.
    fn rows(folder: &Path) -> LiveRows {
        let setup = Setup {
            disk: Arc::new(RealDisk),
            folder: folder.to_path_buf(),
            synced: true,
            segment_bytes: 1 << 20,
            head_every: Duration::from_secs(1),
            background: false,
        };
        let mark = Mark { store: 7, from: Sequence(0), to: Sequence(0), reached: true, meta: Bytes::new() };
        let opened = Shelf::create(&folder.join(FOLDER), &mark).unwrap();
        LiveRows::new(&setup, opened.shelf, &opened.mark)
    }

    fn write(rows: &LiveRows, record: u64) {
        let row = Bytes::from(format!("row {record}"));
        let changes = BTreeMap::from([(row.clone(), Some(row))]);
        let (since, to) = (Sequence(record - 1), Sequence(record));
        let checkpoint = Checkpoint { since, from: to, to, meta: Bytes::new(), changes: &changes };
        rows.write(&checkpoint, &mut |_| true).unwrap();
    }

    /// The disk was full, and may have room again.
    fn shut(rows: &LiveRows) {
        let tried = clock::monotonic().checked_sub(RETRY).unwrap();
        rows.turn(&mut rows.state.lock(), State::Shut { why: io::ErrorKind::StorageFull.into(), tried });
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &to)
            } else {
                drop(fs::copy(entry.path(), to))
            }
        }
    }

    #[test]
    fn rows_that_wanted_room_are_opened_again_with_all_that_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let rows = rows(folder.path());
        write(&rows, 1);
        write(&rows, 2);
        shut(&rows);
        assert_eq!(rows.get(b"row 2").unwrap().as_deref(), Some(&b"row 2"[..]));
        write(&rows, 3);
        assert!(!folder.path().join(UNUSABLE).exists());
    }

    /// Whole rows of an earlier checkpoint were once taken for those of the last one. What memory had let go of since was then
    /// what it had been, until a round of the scrubber found it.
    #[test]
    fn rows_that_lost_a_whole_checkpoint_while_they_wanted_room_are_of_no_use() {
        let folder = tempfile::tempdir().unwrap();
        let (live, older) = (folder.path().join(FOLDER), folder.path().join("older"));
        let rows = rows(folder.path());
        write(&rows, 1);
        copy(&live, &older);
        write(&rows, 2);
        shut(&rows);
        fs::remove_dir_all(&live).unwrap();
        fs::rename(&older, &live).unwrap();
        let refused = rows.get(b"row 2").unwrap_err();
        assert!(matches!(&refused, Error::Rows { cause, .. } if cause.contains("had held those up to 2")), "{refused}");
        assert!(folder.path().join(UNUSABLE).exists(), "the next start builds them again");
    }
}
