//! Restarts, written down: of an actor in its stream, of a service in an index row.
//!
//! **Invariant:** for each child at most one record a minute, with a count; what a crash takes away are the counts of the
//! last minute.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::inner::Inner;
use crate::durable::{
    accepted::Entrance,
    cut,
    id::ActorId,
    record::Note,
    supervision::{Happened, Report, RestartLog, RestartRecord},
};

/// The longest reason that is written down, in bytes.
const REASON_MAX: usize = 1_000;

/// Restarts that are to be written down.
#[derive(Default)]
pub(crate) struct Restarts {
    hosts: Mutex<RestartLog>,
    services: Mutex<RestartLog>,
}

impl Inner {
    /// An actor is loaded again after its host died.
    pub(crate) fn note_restart(&self, actor: ActorId, reason: &str) {
        self.meters.actor_restarts.increment(1);
        let record = self.restarts.hosts.lock().count(self.clock.now_ms(), &actor.to_string().into(), reason);
        if let Some(record) = record {
            self.write_actors_restart(&record);
        }
    }

    /// A service, or the actor before a tool, is started again.
    pub(super) fn note_service_restart(&self, report: &Report) {
        if matches!(report.happened, Happened::Restarting { .. }) {
            self.meters.service_restarts.increment(1);
        }
        if let Some(record) = self.restarts.services.lock().note(self.clock.now_ms(), report) {
            tracing::warn!(child = %record.child, count = record.count, reason = record.reason, "restarted");
            self.write_services_restart(&record);
        }
    }

    /// Write down those that were counted and whose minute is over.
    pub(super) async fn note_due_restarts(self: &Arc<Self>) {
        let now_ms = self.clock.now_ms();
        let (hosts, services) = (self.restarts.hosts.lock().due(now_ms), self.restarts.services.lock().due(now_ms));
        self.write_restarts(&hosts, &services).await;
    }

    /// Write down all that were counted, because the system stops.
    pub(super) async fn note_pending_restarts(self: &Arc<Self>) {
        let take = |log: &Mutex<RestartLog>| std::mem::take(&mut *log.lock()).finish();
        let (hosts, services) = (take(&self.restarts.hosts), take(&self.restarts.services));
        self.write_restarts(&hosts, &services).await;
    }

    async fn write_restarts(self: &Arc<Self>, hosts: &[RestartRecord], services: &[RestartRecord]) {
        for record in services {
            self.write_services_restart(record);
        }
        let actors: Vec<_> = hosts.iter().filter_map(|record| record.child.parse().ok()).collect();
        // A closed store takes no notes.
        if !actors.is_empty() && self.bring(actors).await.is_ok() {
            for record in hosts {
                self.write_actors_restart(record);
            }
        }
    }

    /// Nothing if the actor has finished.
    fn write_actors_restart(&self, record: &RestartRecord) {
        let Ok(actor) = record.child.parse::<ActorId>() else { return };
        let note = Note::Restarts { count: record.count, reason: short(&record.reason) };
        // A closed store takes no notes.
        let _ = self.with_accepted(|accepted, now_ms| {
            if accepted.live().actors.contains_key(&actor) {
                accepted.note(now_ms, actor, note);
            }
        });
    }

    /// In an index row, because the services have no stream of their own.
    fn write_services_restart(&self, record: &RestartRecord) {
        let row = restart_row(self.clock.now_ms(), record);
        let entrance = Entrance { puts: vec![row], ..Entrance::default() };
        // A closed store takes no notes.
        let _ = self.with_accepted(|accepted, now_ms| accepted.enter(now_ms, entrance));
    }
}

/// The key and the value of the row.
fn restart_row(at_ms: u64, record: &RestartRecord) -> (Bytes, Bytes) {
    let row = serde_json::json!({ "at_ms": at_ms, "count": record.count, "reason": short(&record.reason) });
    (Bytes::from(format!("restart/{}", record.child)), Bytes::from(row.to_string()))
}

fn short(reason: &str) -> String {
    let mut reason = reason.to_owned();
    cut(&mut reason, REASON_MAX);
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that stay on disk, one row for each service that was ever started again.
    #[test]
    fn the_row_of_a_restart_keeps_its_bytes() {
        let record = RestartRecord { child: "timers".into(), count: 3, reason: "it broke".to_owned() };
        let (key, row) = restart_row(1_795_244_940_000, &record);
        assert_eq!(&key[..], b"restart/timers");
        assert_eq!(&row[..], br#"{"at_ms":1795244940000,"count":3,"reason":"it broke"}"#);
    }
}
