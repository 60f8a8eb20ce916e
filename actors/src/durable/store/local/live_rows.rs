//! The rows of a running store. Rows that a full disk has closed are opened again when there is room.
//!
//! ```text
//! open ──► shut: no room ──► open again, once all rows were counted
//!   └────────► bad: the next start builds them again
//! ```
//! **Invariants:** whoever reads waits for rows that only want room, and hears of every other trouble at once. Rows that
//! turned out to be of no use are not used again in this life, and the next one is told.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{
    ground::{self, FOLDER, UNUSABLE},
    shelf::{Check, Shelf},
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
    pub(super) fn new(setup: &Setup, shelf: Shelf, store: u64) -> Self {
        let counted = AtomicU64::new(shelf.count());
        let state = Mutex::new(State::Open(Arc::new(shelf)));
        Self { setup: setup.clone(), store, state, changed: Condvar::new(), counted }
    }

    /// Write a checkpoint. Rows that want room are tried to be opened, and not waited for.
    pub(super) fn write(&self, checkpoint: &Checkpoint<'_>, go_on: &mut dyn FnMut() -> bool) -> Result<(), Error> {
        let Checkpoint { since, from, to, .. } = *checkpoint;
        let mark = Mark { store: self.store, from, to, reached: true, meta: checkpoint.meta.clone() };
        self.mend();
        let shelf = self.now(&self.state.lock())?;
        let mut changes = checkpoint.changes.iter().map(|(key, value)| (key.clone(), value.clone()));
        let written = shelf.write(since, &mark, &mut changes, go_on);
        written.map(drop).map_err(|error| self.failed(error, true))
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
            self.counted.store(count, Ordering::Relaxed);
        }
        self.counted.load(Ordering::Relaxed)
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
