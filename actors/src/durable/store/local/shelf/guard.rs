//! Calls into code that may panic, or never come back.
//!
//! **Invariant:** neither ends the caller. What never comes back keeps its thread until the process ends.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel},
    thread,
    time::Duration,
};

use parking_lot::Mutex;

/// How a call ended without an answer.
#[derive(Debug)]
pub(super) enum Broken {
    /// It panicked and said this.
    Panicked(String),
    /// It had not come back after so long.
    Late(Duration),
    /// There was no thread for it.
    NoThread(io::Error),
}

/// A thread for calls that may never come back, one after the other. Whoever allocates on a thread that ends leaves memory
/// behind in which others find little room: a thread for each batch once cost a gigabyte while 500,000 rows were written.
#[derive(Default)]
pub(super) struct Hand(Mutex<Option<Sender<Job>>>);

type Job = Box<dyn FnOnce() + Send>;

/// Work that was handed over, and the thread that does it.
pub(super) struct Handed<T> {
    answered: Receiver<Result<T, Broken>>,
    jobs: Sender<Job>,
}

impl Hand {
    /// Call something there, and wait for it for a while. If it does not come back, the next call gets another thread.
    pub(super) fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Broken> {
        self.end(limit, self.begin(work)?)
    }

    /// Have something called there. Whoever begins is to [`end`](Self::end) it before anything else is begun.
    pub(super) fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Handed<T>, Broken> {
        let (answer, answered) = sync_channel(1);
        let job = move || {
            // Whoever asked may have given up.
            let _ = answer.send(caught(work));
        };
        let jobs = match self.0.lock().take() {
            Some(jobs) => jobs,
            None => start().map_err(Broken::NoThread)?,
        };
        jobs.send(Box::new(job)).map_err(|_| lost())?;
        Ok(Handed { answered, jobs })
    }

    /// Wait for what was begun.
    pub(super) fn end<T>(&self, limit: Duration, handed: Handed<T>) -> Result<T, Broken> {
        match handed.answered.recv_timeout(limit) {
            Ok(outcome) => {
                *self.0.lock() = Some(handed.jobs);
                outcome
            }
            Err(RecvTimeoutError::Timeout) => Err(Broken::Late(limit)),
            Err(RecvTimeoutError::Disconnected) => Err(lost()),
        }
    }
}

fn lost() -> Broken {
    Broken::Panicked("its thread ended without a word".to_owned())
}

/// A thread that does what it is sent, and ends when nobody can send any more.
fn start() -> io::Result<Sender<Job>> {
    let (jobs, sent) = channel::<Job>();
    #[expect(clippy::disallowed_methods, reason = "every job is waited for, and the thread left alone when it hangs")]
    thread::Builder::new().name("headframe-shelf".to_owned()).spawn(move || sent.into_iter().for_each(|job| job()))?;
    Ok(jobs)
}

/// Call something here, and take its panic for an answer.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Broken> {
    // Whatever the panic left half done is not used again: the caller closes what it called.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Broken::Panicked(words(&*panic)))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}
