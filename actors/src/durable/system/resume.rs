//! Taking up what was unfinished, after a start and when timers come due.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::inner::Inner;
#[cfg(test)]
use crate::durable::faults::{Site, Who};
use crate::durable::{
    call::RowState,
    codec,
    id::ActorId,
    live::stored,
    store::{self, Rows},
};

impl Inner {
    /// Ring everyone who has mail.
    pub(crate) fn ring_everyone(self: &Arc<Self>) {
        let mail = self.with_accepted(|accepted, _| {
            let actors = accepted.live().actors.iter();
            actors.filter(|(_, row)| !row.mailbox.is_empty()).map(|(actor, _)| *actor).collect::<Vec<_>>()
        });
        for actor in mail.unwrap_or_default() {
            self.directory.ring(self, actor);
        }
    }

    /// After a start: hand every other call to its tool, ring everyone who has mail.
    pub(super) fn resume_work(self: &Arc<Self>) {
        let started = self.with_accepted(|accepted, _| {
            let live = accepted.live();
            let calls: Vec<_> = live
                .calls
                .iter()
                .filter(|(_, row)| row.state == RowState::Intended && !accepted.is_held(row.caller))
                .map(|(call, row)| (codec::fnv1a(&row.request.tool), *call))
                .collect();
            let mail: Vec<_> =
                live.actors.iter().filter(|(_, row)| !row.mailbox.is_empty()).map(|(actor, _)| *actor).collect();
            (calls, mail)
        });
        let Ok((calls, mail)) = started else { return };
        self.resume_endings();
        for actor in mail {
            self.directory.ring(self, actor);
        }
        let (known, unknown): (Vec<_>, Vec<_>) = calls.into_iter().partition(|(tool, _)| self.tools.contains_key(tool));
        if !unknown.is_empty() {
            tracing::warn!(calls = unknown.len(), "calls wait for tools that are not registered in this process");
        }
        self.dispatch(&known, &[]);
    }

    pub(super) async fn run_timers(self: Arc<Self>) {
        const MOST: usize = 256;
        // Wall time may jump; look again at least this often.
        const LOOK_AGAIN: Duration = Duration::from_secs(1);
        loop {
            #[cfg(feature = "testing")]
            self.until_timers_fire().await;
            #[cfg(test)]
            self.fault(Site::TimersLook, Who::Service("timers")).await;
            let fired = self.with_accepted(|accepted, now_ms| {
                let receipt = accepted.fire(now_ms, MOST);
                let cold = accepted.cold_due(now_ms, MOST);
                let due = accepted.next_due_ms();
                // Under the lock: a timer that is set from here on is compared with this.
                self.armed_ms.store(due.unwrap_or(u64::MAX), Ordering::Relaxed);
                (receipt, cold, due, now_ms, accepted.window_ms())
            });
            let Ok((receipt, cold, due, now_ms, window_ms)) = fired else { return };
            #[cfg(test)]
            if !receipt.ring.is_empty() {
                self.fault_at_once(Site::TimersFired, Who::Service("timers"));
            }
            self.ring_all(&receipt, None);
            if !cold.is_empty() {
                if self.bring(cold).await.is_err() {
                    return;
                }
                continue;
            }
            if window_ms < now_ms.saturating_add(WINDOW_MS / 2) && self.extend_window(window_ms, now_ms).await.is_err()
            {
                return;
            }
            let set = self.timer_set.notified();
            match due {
                None if window_ms == u64::MAX => set.await,
                due => {
                    let wait = due.map_or(LOOK_AGAIN, |due| Duration::from_millis(due.saturating_sub(now_ms)));
                    // Either way the loop looks again.
                    let _ = tokio::time::timeout(wait.min(LOOK_AGAIN), set).await;
                }
            }
        }
    }

    /// Have the timers in memory that come due next.
    async fn extend_window(self: &Arc<Self>, from_ms: u64, now_ms: u64) -> Result<(), super::Error> {
        let read = move |rows: &dyn Rows| read_window(rows, from_ms, now_ms.saturating_add(WINDOW_MS));
        if let Some((window_ms, timers)) = self.from_rows(read).await? {
            self.with_accepted(|accepted, _| accepted.extend_window(window_ms, timers))?;
        }
        Ok(())
    }
}

/// Timers of actors that are not in memory are read so much ahead of time.
const WINDOW_MS: u64 = 10 * 60 * 1_000;
/// And at most so many of them at once.
const WINDOW_MAX: usize = 100_000;

/// The timers due from one time on and before another, or before the time that is returned, if there are too many.
pub(crate) fn read_window(rows: &dyn Rows, from_ms: u64, to_ms: u64) -> Result<(u64, Vec<DueTimer>), store::Error> {
    let [from, to] = [from_ms, to_ms].map(|due_ms| stored::timer_key((due_ms, ActorId(0), 0)));
    let (mut timers, mut window_ms) = (Vec::new(), to_ms);
    rows.scan(&from, &to, &mut |key, generation| {
        let Some(stored::Key::Timer(due_ms, actor, name)) = stored::read_key(key) else { return true };
        // All of one moment, or none of them.
        if timers.len() >= WINDOW_MAX && timers.last().is_some_and(|((last, ..), _): &DueTimer| *last < due_ms) {
            window_ms = due_ms;
            return false;
        }
        let generation = generation[..].try_into().map_or(0, u64::from_be_bytes);
        timers.push(((due_ms, actor, name), generation));
        true
    })?;
    Ok((window_ms, timers))
}

pub(crate) type DueTimer = ((u64, ActorId, u32), u64);
