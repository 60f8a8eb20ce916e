//! The thread that writes rows to the store, so that a start need not replay everything and memory need not hold
//! everything.
//!
//! ```text
//! due ─► capture, slice by slice, at the boundaries between records ─► wait until the last slice is durable
//!     ─► write: from the first boundary, to the last ─► rows that nobody needs leave memory
//! ```
//! The slices are taken under the lock by whoever seals a record there (`committer.rs`), because only between two records
//! a row is as the journal will say; so the committer never waits for this thread, nor this thread for a quiet moment.
//!
//! **Invariants:** only what is durable is written; when a write fails, everything it held is written again by a later
//! one. This thread needs no commit to get on.

use std::{
    ops::ControlFlow,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::MutexGuard;

#[cfg(test)]
use super::faults::{Site, Who};
use super::{
    accepted::Accepted,
    id::Sequence,
    live::Capture,
    store::{self, Checkpoint},
    system::{Core, Drive, Inner},
};
use crate::mutant::Mutant;

/// Rows that are captured at once, under the lock.
const SLICE: usize = 256;
/// After a write that failed, the next is tried so much later.
const RETRY: Duration = Duration::from_secs(1);

/// Whether anything is due is looked at this often while rows change.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// And this often while none do: all that can happen then is that the disk fills, or that work begins.
const LOOK_IDLY: Duration = Duration::from_secs(1);

/// A checkpoint on its way.
#[derive(Debug, Default)]
pub(crate) struct Job {
    capture: Capture,
    /// The boundary of the first slice.
    from: Option<Sequence>,
    /// The boundary of the last.
    to: Sequence,
    /// Bytes of records that waited when it began.
    bytes: u64,
    meta: bytes::Bytes,
    is_whole: bool,
}

impl Job {
    /// Take one more slice, if this is the boundary between two records.
    pub(crate) fn slice(&mut self, accepted: &mut Accepted, waiting: u64) {
        let Some(boundary) = accepted.boundary().filter(|_| !self.is_whole) else { return };
        if self.from.is_none() {
            self.capture = accepted.begin_capture();
            self.from = Some(boundary);
            self.bytes = waiting;
        }
        self.is_whole = !accepted.capture(&mut self.capture, SLICE);
        self.to = boundary;
        self.meta = accepted.live().meta();
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.is_whole
    }
}

/// Run until the system ends.
pub(crate) fn run(inner: &Arc<Inner>, mut since: Sequence) {
    while wait_until_due(inner) {
        let Some(job) = capture(inner) else { return };
        match inner.runtime.block_on(write(inner, job, since)) {
            Some(Ok(from)) => since = from,
            Some(Err(error)) => {
                if not_written(inner, &error).is_break() {
                    return;
                }
                let mut core = inner.core.lock();
                look_for_shortage(inner, &mut core);
                if core.closed.is_none() {
                    // Nobody rings this bell early but an end.
                    let _ = inner.captured.wait_for(&mut core, RETRY);
                }
            }
            None => return,
        }
    }
}

/// The same as a task.
#[cfg(test)]
pub(crate) async fn run_as_task(inner: Arc<Inner>, mut since: Sequence) {
    let mut began = crate::clock::monotonic();
    loop {
        let rest = {
            let mut core = inner.core.lock();
            if core.closed.is_some() {
                return;
            }
            let is_due = is_due(&inner, &mut core, began);
            (!is_due).then(|| rest(&inner, &core, began))
        };
        if let Some(rest) = rest {
            inner.captured.heard(rest).await;
            continue;
        }
        inner.fault(Site::BeforeCapture, Who::Nobody).await;
        let Some(job) = capture_as_task(&inner).await else { return };
        inner.fault(Site::BeforeRows, Who::Nobody).await;
        match write(&inner, job, since).await {
            Some(Ok(from)) => since = from,
            Some(Err(error)) => {
                if not_written(&inner, &error).is_break() {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
            None => return,
        }
        began = crate::clock::monotonic();
    }
}

/// They will be tried again, unless nothing helps but a start, which builds them again.
fn not_written(inner: &Inner, error: &store::Error) -> ControlFlow<()> {
    if let store::Error::Rows { .. } = error {
        inner.close(&error.to_string());
        return ControlFlow::Break(());
    }
    inner.meters.checkpoint_failures.increment(1);
    tracing::warn!(%error, "rows could not be written; the journal has everything, and they will be tried again");
    inner.report_checkpoint(Some(error.to_string()));
    ControlFlow::Continue(())
}

/// Sleep until rows are to be written; `false` when the system ends.
fn wait_until_due(inner: &Inner) -> bool {
    let mut core = inner.core.lock();
    let began = crate::clock::monotonic();
    loop {
        if core.closed.is_some() {
            return false;
        }
        if is_due(inner, &mut core, began) {
            return true;
        }
        let rest = rest(inner, &core, began);
        let _ = inner.captured.wait_for(&mut core, rest);
        look_for_shortage(inner, &mut core);
    }
}

/// Whether rows are to be written, so long after the last time.
fn is_due(inner: &Inner, core: &mut Core, began: Instant) -> bool {
    // What room there is belongs to the work that was let in, until memory holds too much.
    let waits = core.shortage.is_some() && inner.unsaved.waiting() < inner.pace.bytes.saturating_mul(2);
    let is_old = crate::clock::monotonic().duration_since(began) >= inner.pace.every && !waits;
    let is_large = inner.unsaved.left() >= inner.pace.bytes && !waits;
    let is_crowded = !waits && core.accepted.is_crowded(inner.idle.actors_max());
    // What waits may be of rows that an earlier checkpoint took.
    let is_any = core.accepted.live().changed() > 0 || inner.is_full();
    let is_due = is_any && (is_old || is_large || is_crowded) || core.checkpoint_asked;
    core.checkpoint_asked &= !is_due;
    is_due
}

/// How long nobody looks.
fn rest(inner: &Inner, core: &Core, began: Instant) -> Duration {
    let is_idle = core.shortage.is_none() && core.accepted.live().changed() == 0 && !inner.is_full();
    pause(inner.pace.every, crate::clock::monotonic().duration_since(began), is_idle)
}

/// The same. When the time has come and nothing has changed, it is not looked for more often than before.
fn pause(every: Duration, elapsed: Duration, is_idle: bool) -> Duration {
    let most = if is_idle { every.clamp(LOOK_AGAIN, LOOK_IDLY) } else { LOOK_AGAIN };
    match every.checked_sub(elapsed) {
        Some(left) if !left.is_zero() => left.clamp(Duration::from_millis(5), most),
        Some(_) | None => most,
    }
}

/// Ask the store whether it is short of room; without the lock, because it may give room back, or take it again.
fn look_for_shortage(inner: &Inner, core: &mut MutexGuard<'_, Core>) {
    let shortage = MutexGuard::unlocked(core, || inner.store.shortage());
    if shortage.is_some() != core.shortage.is_some() {
        match &shortage {
            Some(why) => tracing::error!(why, "nothing more is let in for now"),
            None => tracing::info!("there is room again"),
        }
    }
    inner.is_short.store(shortage.is_some(), std::sync::atomic::Ordering::Relaxed);
    core.shortage = shortage;
}

/// Have everything captured that changed; `None` when the system ends first.
fn capture(inner: &Inner) -> Option<Job> {
    let mut core = inner.core.lock();
    core.job = Some(Job::default());
    core.checkpoint_runs = true;
    loop {
        if let Some(captured) = captured(inner, &mut core) {
            return captured;
        }
        if core.accepted.boundary().is_some() {
            // Others first; there is more to take.
            MutexGuard::bump(&mut core);
        } else {
            let _ = inner.captured.wait_for(&mut core, Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
async fn capture_as_task(inner: &Inner) -> Option<Job> {
    {
        let mut core = inner.core.lock();
        core.job = Some(Job::default());
        core.checkpoint_runs = true;
    }
    loop {
        if let Some(captured) = captured(inner, &mut inner.core.lock()) {
            return captured;
        }
        inner.captured.heard(Duration::from_millis(5)).await;
    }
}

/// What is captured, once that is everything, or nothing when the system ends.
fn captured(inner: &Inner, core: &mut Core) -> Option<Option<Job>> {
    if core.closed.is_some() {
        return Some(None);
    }
    // Nothing was accepted for a while: no need to wait for whoever seals.
    slice(inner, core);
    core.job.as_ref().is_none_or(Job::is_whole).then(|| core.job.take())
}

/// Take the next slice of whatever is being captured. Called under the lock, after a record was sealed.
pub(crate) fn slice(inner: &Inner, core: &mut Core) {
    let Core { job, accepted, .. } = core;
    if let Some(job) = job {
        job.slice(accepted, inner.unsaved.waiting());
        if job.is_whole() {
            inner.captured.notify_all();
        }
    }
}

/// Write what was captured, once it is durable; `None` when the system ends first.
async fn write(inner: &Arc<Inner>, job: Job, since: Sequence) -> Option<Result<Sequence, store::Error>> {
    let from = job.from.unwrap_or(since);
    if job.capture.changes.is_empty() {
        // What changed is gone again.
        inner.saved(job.bytes);
        inner.report_checkpoint(None);
        return Some(Ok(since));
    }
    if !Mutant::CheckpointPastDurable.is_chosen() {
        inner.until_durable(job.to).await.ok()?;
    }
    let began = crate::clock::monotonic();
    let checkpoint = Checkpoint { since, from, to: job.to, meta: job.meta, changes: &job.capture.changes };
    #[cfg(test)]
    if inner.fault_at_once(Site::WriteRows, Who::Nobody).is_some() {
        inner.with_accepted(|accepted, _| accepted.not_checkpointed(job.capture)).ok()?;
        return Some(Err(store::Error::Closed { cause: "a fault".to_owned() }));
    }
    let rows = job.capture.changes.len() as u64;
    let written = inner.store.checkpoint(&checkpoint, &mut |done| {
        inner.handed_on(job.bytes, done, rows);
        inner.pause_checkpoint()
    });
    match written {
        Ok(()) => {
            let mut written = job.capture.written();
            // A part at a time: whoever takes turns waits for the lock meanwhile.
            while let Some(part) = written.part(SLICE) {
                inner.with_accepted(|accepted, _| accepted.checkpointed(part)).ok()?;
            }
            inner.with_accepted(|accepted, _| accepted.give_room_back()).ok()?;
            inner.saved(job.bytes);
            inner.report_checkpoint(None);
            inner.meters.checkpoint_seconds.record(began.elapsed().as_secs_f64());
            inner.meters.checkpoint_rows.increment(rows);
            tracing::debug!(rows, took = ?began.elapsed(), %from, "rows are written");
            Some(Ok(from))
        }
        Err(error) => {
            inner.with_accepted(|accepted, _| accepted.not_checkpointed(job.capture)).ok()?;
            inner.not_saved();
            Some(Err(error))
        }
    }
}

impl Inner {
    /// Between two batches of rows: let others have the disk and the processor, unless it is getting late, or too many are in
    /// memory and wait for their rows to leave it.
    fn pause_checkpoint(&self) -> bool {
        let core = self.core.lock();
        let is_crowded = core.accepted.live().actors.len() > self.idle.actors_max();
        let goes_on = core.closed.is_none();
        drop(core);
        if self.drive == Drive::Threads && !is_crowded && self.unsaved.left() < self.pace.bytes {
            std::thread::sleep(Duration::from_millis(1));
        }
        goes_on
    }

    fn report_checkpoint(&self, trouble: Option<String>) {
        let mut core = self.core.lock();
        core.checkpoint_runs = false;
        core.checkpoints += u64::from(trouble.is_none());
        core.checkpoint_trouble = trouble;
        self.captured.notify_all();
    }

    /// Write all rows that changed until now, and wait for it.
    pub(crate) async fn checkpoint_now(self: &Arc<Self>, within: Duration) -> Result<(), String> {
        let Some(wanted) = self.ask_for_checkpoint() else { return Ok(()) };
        match self.drive {
            Drive::Threads => {
                let inner = self.clone();
                let done = self.blocking(move || inner.wait_for_checkpoint(wanted, within)).await;
                done.unwrap_or_else(|_| Err("the system stopped".to_owned()))
            }
            #[cfg(test)]
            Drive::Tasks => {
                let done = async {
                    while !has_checkpoint(&self.core.lock(), wanted) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        self.core.lock().ask_again(wanted);
                    }
                };
                tokio::time::timeout(within, done).await.map_err(|_| why_no_checkpoint(&self.core.lock()))
            }
        }
    }

    /// Which checkpoint has all that changed until now; nothing if there is nothing to be written.
    fn ask_for_checkpoint(&self) -> Option<u64> {
        let mut core = self.core.lock();
        let (runs, more) = (core.checkpoint_runs, core.accepted.live().changed() > 0);
        if self.rows.is_none() || !runs && !more {
            return None;
        }
        core.checkpoint_asked |= more;
        self.captured.notify_all();
        // One that is under way has all that it was in time for; what came since is in the one after it.
        Some(core.checkpoints + 1 + u64::from(runs && more))
    }

    fn wait_for_checkpoint(&self, wanted: u64, within: Duration) -> Result<(), String> {
        let mut core = self.core.lock();
        let until = crate::clock::monotonic() + within;
        while !has_checkpoint(&core, wanted) {
            if self.captured.wait_until(&mut core, until).timed_out() {
                return Err(why_no_checkpoint(&core));
            }
            core.ask_again(wanted);
        }
        Ok(())
    }
}

impl Core {
    /// The one that was under way may have failed.
    fn ask_again(&mut self, wanted: u64) {
        self.checkpoint_asked |= self.checkpoints < wanted;
    }
}

/// Whether it is written, or never will be.
fn has_checkpoint(core: &Core, wanted: u64) -> bool {
    core.checkpoints >= wanted || core.closed.is_some()
}

fn why_no_checkpoint(core: &Core) -> String {
    core.checkpoint_trouble.clone().unwrap_or_else(|| "it took too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle system once looked two hundred times a second.
    #[test]
    fn a_system_without_changes_is_looked_at_once_a_second() {
        let after = |every_ms, elapsed_ms, is_idle| {
            pause(Duration::from_millis(every_ms), Duration::from_millis(elapsed_ms), is_idle).as_millis()
        };
        let elapsed = [0, 4_100, 4_900, 4_999, 5_000, 60_000];
        assert_eq!(elapsed.map(|ms| after(5_000, ms, true)), [1_000, 900, 100, 5, 1_000, 1_000]);
        assert_eq!(elapsed.map(|ms| after(5_000, ms, false)), [250, 250, 100, 5, 250, 250]);
        assert_eq!([false, true].map(|is_idle| after(20, 0, is_idle)), [20, 20]);
        assert_eq!(
            [false, true].map(|is_idle| after(20, 20, is_idle)),
            [250, 250],
            "who wants rows soon gets them soon"
        );
    }
}
