//! Who makes records durable, writes rows and reads them.
//!
//! In life these are threads, because they wait for a disk. In a simulation they are tasks on the one thread of a runtime
//! whose time stands still while anything can be done: there no thread and no clock of the machine decides what comes
//! first, and a run can be told again. That way exists in this crate's tests alone; without them there is nothing to
//! choose, and the choice compiles to nothing.

use std::{sync::Arc, time::Instant};

use parking_lot::{Condvar, MutexGuard, WaitTimeoutResult};
use tokio::task::JoinError;

use super::inner::{Core, Inner};
#[cfg(test)]
use crate::durable::faults::{Site, Who};
use crate::durable::{
    checkpointer, committer,
    id::Sequence,
    watch::{self as watcher, Limits, LongTurn},
};

/// Who does what may wait for a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Drive {
    /// Threads of their own.
    #[default]
    Threads,
    /// Tasks beside all others.
    #[cfg(test)]
    Tasks,
}

/// Wakes a thread that waits under the lock, or the task in its place.
#[derive(Default)]
pub(crate) struct Signal {
    threads: Condvar,
    #[cfg(test)]
    task: tokio::sync::Notify,
}

impl Signal {
    pub(crate) fn notify_one(&self) {
        self.threads.notify_one();
        #[cfg(test)]
        self.task.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.threads.notify_all();
        #[cfg(test)]
        self.task.notify_one();
    }

    pub(crate) fn wait(&self, core: &mut MutexGuard<'_, Core>) {
        self.threads.wait(core);
    }

    pub(crate) fn wait_for(&self, core: &mut MutexGuard<'_, Core>, time: std::time::Duration) -> WaitTimeoutResult {
        self.threads.wait_for(core, time)
    }

    pub(crate) fn wait_until(&self, core: &mut MutexGuard<'_, Core>, until: Instant) -> WaitTimeoutResult {
        self.threads.wait_until(core, until)
    }

    /// Completes at the next signal, or at once if there was one that no task heard; at the latest after so long.
    #[cfg(test)]
    pub(crate) async fn heard(&self, within: std::time::Duration) {
        // Whoever waits looks again either way.
        let _ = tokio::time::timeout(within, self.task.notified()).await;
    }
}

/// Start the committer, the checkpointer and the watcher of long turns.
pub(super) fn start(inner: &Arc<Inner>, rows_at: Sequence, long_turn: LongTurn, limits: Limits) -> std::io::Result<()> {
    match inner.drive {
        Drive::Threads => {
            spawn_committer(inner)?;
            spawn_checkpointer(inner, rows_at)?;
            watcher::spawn(inner.flight.clone(), long_turn, limits)
        }
        // A turn that does not end holds the only thread there is: nobody could watch it.
        #[cfg(test)]
        Drive::Tasks => {
            inner.runtime.spawn(committer::run_as_task(inner.clone()));
            inner.runtime.spawn(checkpointer::run_as_task(inner.clone(), rows_at));
            Ok(())
        }
    }
}

fn spawn_checkpointer(inner: &Arc<Inner>, since: Sequence) -> std::io::Result<()> {
    let checkpointer = Arc::clone(inner);
    #[expect(clippy::disallowed_methods, reason = "rows are written by a thread of their own")]
    std::thread::Builder::new().name("headframe-rows".to_owned()).spawn(move || {
        let run = std::panic::AssertUnwindSafe(|| checkpointer::run(&checkpointer, since));
        if std::panic::catch_unwind(run).is_err() {
            checkpointer.close("the checkpointer panicked");
        }
    })?;
    Ok(())
}

fn spawn_committer(inner: &Arc<Inner>) -> std::io::Result<()> {
    let committer = Arc::clone(inner);
    #[expect(clippy::disallowed_methods, reason = "the committer is the thread that syncs")]
    std::thread::Builder::new().name("headframe-commit".to_owned()).spawn(move || {
        let run = std::panic::AssertUnwindSafe(|| committer::run(&committer));
        if std::panic::catch_unwind(run).is_err() {
            committer.close("the committer panicked");
        }
    })?;
    Ok(())
}

impl Inner {
    /// Do what may wait for a disk where nobody else waits for that.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        match self.drive {
            Drive::Threads => self.runtime.spawn_blocking(work).await,
            #[cfg(test)]
            Drive::Tasks => {
                self.fault(Site::ReadRows, Who::Nobody).await;
                Ok(work())
            }
        }
    }
}
