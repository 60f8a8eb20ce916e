//! Room that is given back when the disk is full.
//!
//! A full disk meets preallocation, rows, bases or artifacts, never a record that was accepted. Then nothing more is let
//! in, and the ballast makes room for what was: the work goes on with journal and memory. Once there is space again the
//! ballast is filled again, and the door opens.
//!
//! **Invariant:** the door is open only while the ballast is whole.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    clock,
    durable::journal::{disk::Disk, segment, writer::Setup},
};

/// Its name.
pub(super) const NAME: &str = "ballast";
/// How often a missing ballast is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A file full of zeros.
pub(super) struct Ballast {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    len: u64,
    state: Mutex<State>,
}

enum State {
    /// Nobody asked for one yet.
    Absent,
    Whole,
    /// It was given back, or could not be made.
    Given {
        why: String,
        tried: Instant,
    },
}

impl Ballast {
    /// As long as a segment, and at most 8 MiB.
    pub(super) fn new(setup: &Setup) -> Self {
        let (disk, path) = (setup.disk.clone(), setup.folder.join(NAME));
        Self { disk, path, len: setup.segment_bytes.min(8 << 20), state: Mutex::new(State::Absent) }
    }

    /// Have it, whole; otherwise, why not.
    pub(super) fn fill(&self) -> Option<String> {
        let mut state = self.state.lock();
        *state = self.filled();
        match &*state {
            State::Given { why, .. } => Some(why.clone()),
            State::Absent | State::Whole => None,
        }
    }

    fn filled(&self) -> State {
        let has = self.disk.open(&self.path, crate::durable::journal::disk::Access::Read).and_then(|file| file.len());
        if has.is_ok_and(|len| len == self.len) {
            return State::Whole;
        }
        match segment::fill(&*self.disk, &self.path, self.len) {
            Ok(_) => State::Whole,
            Err(error) => {
                // Half of it on a full disk is room that others need.
                let _ = self.disk.remove(&self.path);
                let why = format!("the disk is nearly full: {} bytes of reserve cannot be written: {error}", self.len);
                State::Given { why, tried: clock::monotonic() }
            }
        }
    }

    /// Give it back if the journal is in trouble; fill it again once that may work.
    pub(super) fn look(&self, in_trouble: bool) {
        let mut state = self.state.lock();
        match &*state {
            State::Whole if in_trouble => {
                // If it cannot be removed there is nothing else to give.
                let _ = self.disk.remove(&self.path);
                let why = "the disk is full: the reserve was given back to what was accepted".to_owned();
                *state = State::Given { why, tried: clock::monotonic() };
            }
            State::Given { tried, .. } if !in_trouble && tried.elapsed() >= RETRY => *state = self.filled(),
            State::Absent | State::Whole | State::Given { .. } => {}
        }
    }

    /// Why nothing more should be let in.
    pub(super) fn shortage(&self) -> Option<String> {
        match &*self.state.lock() {
            State::Given { why, .. } => Some(why.clone()),
            State::Absent | State::Whole => None,
        }
    }
}
