//! Makes the next segment while the current one is still filling.
//!
//! A full disk then meets a file that nobody waits for, and not a record that was accepted.
//!
//! **Invariant:** what is handed out is full of zeros, synced, and as long as was asked for. A failure is kept until a
//! later try succeeds, so that the engine can make room in time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    disk::{Disk, File},
    segment,
};
use crate::{clock, durable::store::Error};

const RETRY: Duration = Duration::from_millis(100);

/// A file full of zeros, not yet a segment.
pub(crate) struct Blank {
    /// Its provisional name.
    pub(crate) path: PathBuf,
    /// The file.
    pub(crate) file: Box<dyn File>,
    /// How long it is.
    pub(crate) len: u64,
}

impl Blank {
    /// Make one, and wait.
    pub(crate) fn make(disk: &dyn Disk, path: PathBuf, len: u64) -> Result<Self, Error> {
        match segment::fill(disk, &path, len) {
            Ok(file) => Ok(Self { path, file, len }),
            Err(error) => {
                // Half a file on a full disk is room that somebody else may need.
                let _ = disk.remove(&path);
                Err(super::io("make room for the journal in", &path)(error))
            }
        }
    }
}

/// The next segment.
pub(crate) struct Spare {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    len: u64,
    background: bool,
    state: State,
}

enum State {
    Absent,
    Making(JoinHandle<Result<Blank, Error>>),
    Ready(Blank),
    Failed(Error, Instant),
}

impl Spare {
    /// None yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: &Path, len: u64, background: bool) -> Self {
        Self { disk, path: folder.join("spare.new"), len, background, state: State::Absent }
    }

    /// See to it that there will be one.
    pub(crate) fn prepare(&mut self) {
        self.look();
        let due = match &self.state {
            State::Absent => true,
            State::Failed(_, at) => clock::monotonic().duration_since(*at) >= RETRY,
            State::Making(_) | State::Ready(_) => false,
        };
        if due {
            self.start();
        }
    }

    /// Why the last try failed, if no later one succeeded.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        self.look();
        match &self.state {
            State::Failed(error, _) => Some(error.to_string()),
            State::Absent | State::Making(_) | State::Ready(_) => None,
        }
    }

    /// Hand out a file with room for so many bytes; waits for it if it must.
    pub(crate) fn take(&mut self, room: u64) -> Result<Blank, Error> {
        if room > self.len {
            return Blank::make(&*self.disk, self.path.with_file_name("large.new"), room);
        }
        match std::mem::replace(&mut self.state, State::Absent) {
            State::Ready(blank) => Ok(blank),
            State::Making(thread) => join(thread),
            State::Absent | State::Failed(..) => Blank::make(&*self.disk, self.path.clone(), self.len),
        }
    }

    fn start(&mut self) {
        let (disk, path, len) = (self.disk.clone(), self.path.clone(), self.len);
        let make = move || Blank::make(&*disk, path, len);
        if !self.background {
            self.state = settled(make());
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "filling a file with zeros takes longer than a record may wait")]
        let thread = thread::Builder::new().name("journal-spare".to_owned()).spawn(make);
        self.state = match thread {
            Ok(thread) => State::Making(thread),
            // Without a thread the file is made when it is needed.
            Err(error) => State::Failed(super::io("start a thread to fill", &self.path)(error), clock::monotonic()),
        };
    }

    fn look(&mut self) {
        if let State::Making(thread) = &self.state
            && thread.is_finished()
            && let State::Making(thread) = std::mem::replace(&mut self.state, State::Absent)
        {
            self.state = settled(join(thread));
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        if let State::Making(thread) = std::mem::replace(&mut self.state, State::Absent) {
            // The folder's lock is let go of next, and nobody may still be writing then.
            let _ = thread.join();
        }
    }
}

fn settled(made: Result<Blank, Error>) -> State {
    made.map_or_else(|error| State::Failed(error, clock::monotonic()), State::Ready)
}

fn join(thread: JoinHandle<Result<Blank, Error>>) -> Result<Blank, Error> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
