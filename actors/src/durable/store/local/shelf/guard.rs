//! Calls into code that may panic, or never come back.
//!
//! **Invariant:** neither ends the caller. What never comes back keeps its thread until the process ends.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::Duration,
};

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

/// Call something on a thread of its own, and wait for it for a while.
pub(super) fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Broken> {
    let (answer, answered) = sync_channel(1);
    let work = move || {
        // Whoever asked may have given up.
        let _ = answer.send(caught(work));
    };
    #[expect(clippy::disallowed_methods, reason = "it is waited for below, and left alone when it hangs")]
    thread::Builder::new().name("headframe-shelf".to_owned()).spawn(work).map_err(Broken::NoThread)?;
    match answered.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => Err(Broken::Late(limit)),
        Err(RecvTimeoutError::Disconnected) => Err(Broken::Panicked("its thread ended without a word".to_owned())),
    }
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
