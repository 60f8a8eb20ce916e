//! Taking up what was unfinished, after a start and when timers come due.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::inner::Inner;
use crate::durable::{call::RowState, codec};

impl Inner {
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
            let fired = self.with_accepted(|accepted, now_ms| {
                let receipt = accepted.fire(now_ms, MOST);
                let due = accepted.next_due_ms();
                // Under the lock: a timer that is set from here on is compared with this.
                self.armed_ms.store(due.unwrap_or(u64::MAX), Ordering::Relaxed);
                (receipt, due, now_ms)
            });
            let Ok((receipt, due, now_ms)) = fired else { return };
            self.ring_all(&receipt, None);
            let set = self.timer_set.notified();
            match due {
                None => set.await,
                Some(due) => {
                    let wait = Duration::from_millis(due.saturating_sub(now_ms)).min(LOOK_AGAIN);
                    // Either way the loop looks again.
                    let _ = tokio::time::timeout(wait, set).await;
                }
            }
        }
    }
}
