//! The tree under which everything in a system runs.
//!
//! ```text
//! engine (rest-for-one)
//! ├── store      ends when the store closes, and everything after it with it
//! ├── timers     turns due timers into messages
//! ├── clocks     looks for jumps of the wall clock
//! ├── passivation ends hosts that are idle
//! ├── unsticker  looks for waits that contradict what is there
//! ├── scrubber   compares rows with base and journal
//! ├── tools (one-for-one): the actor before each tool
//! └── runs       the keeper of all hosts: dynamic, a host's failures count for itself alone (`directory.rs`)
//! ```
//! Hosts are not restarted by a supervisor's rules but by reloading them: a message may be taken again, and the fence
//! keeps a former host from doing harm. So a keeper that died is replaced, and everyone with mail is rung.
//!
//! **Invariants:** a service ends by itself only when the store has closed. The restarts of a service are written down at
//! most once a minute, in an index row of its own.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use super::{System, inner::Inner};
use crate::durable::{
    accepted::Entrance,
    directory::Keeper,
    supervision::{
        Backoff, ChildInfo, ChildSpec, Happened, Intensity, Observer, Policy, Restart, RestartLog, RestartRecord,
        Setup, Shutdown, StartFailure, Strategy, Supervisor,
    },
};

/// Whoever stands before tools may be killed as often as this, in 10 s, before that counts as a failure of all of them.
const TOOL_RESTARTS: u32 = 1_000;
/// A restart that comes again at once waits this long, and longer each time, up to the second.
const WAIT: Backoff = Backoff { base: Duration::from_millis(10), max: Duration::from_secs(1), seed: 0 };

/// Start it.
pub(super) async fn start(inner: &Arc<Inner>) -> Result<Supervisor, StartFailure> {
    let policy = |strategy, max_restarts| Policy {
        strategy,
        intensity: Intensity { max_restarts, period: Duration::from_secs(10) },
        backoff: WAIT,
        ..Policy::default()
    };
    let observer = observer(inner);
    let tools = inner.tools.values().map(|slot| slot.child(inner));
    let tools = tools.fold(Setup::new("tools", policy(Strategy::OneForOne, TOOL_RESTARTS)), Setup::child);
    let root = Setup::new("engine", policy(Strategy::RestForOne, 10))
        .child(service(inner, "store", |inner| async move { inner.until_closed().await }))
        .child(service(inner, "timers", Inner::run_timers))
        .child(service(inner, "clocks", Inner::run_clocks))
        .child(service(inner, "passivation", Inner::run_passivation))
        .child(service(inner, "unsticker", Inner::run_unsticker))
        .child(service(inner, "scrubber", Inner::run_scrubber))
        .child(tools.observer(observer.clone()).into_child())
        .child(keeper(inner))
        .observer(observer);
    Supervisor::start(root).await
}

fn keeper(inner: &Arc<Inner>) -> ChildSpec {
    let inner = inner.clone();
    let start = move |supervisor: ActorCell| {
        let inner = inner.clone();
        async move { Ok(Actor::spawn_linked(None, Keeper, inner, supervisor).await?.0.get_cell()) }
    };
    ChildSpec::new("runs", start).within(Duration::from_secs(5))
}

/// A child that does one thing for as long as the store is open.
fn service<F>(
    inner: &Arc<Inner>,
    name: &'static str,
    run: impl Fn(Arc<Inner>) -> F + Send + Sync + 'static,
) -> ChildSpec
where
    F: Future<Output = ()> + Send + 'static,
{
    let (inner, run) = (Arc::downgrade(inner), Arc::new(run));
    let start = move |supervisor: ActorCell| {
        let (inner, run) = (inner.clone(), run.clone());
        async move {
            let inner = inner.upgrade().ok_or("the system is gone")?;
            let running: Running = Box::pin(async move { run(inner).await });
            let service = Service { name, running: Mutex::new(Some(running)) };
            Ok(Actor::spawn_linked(None, service, (), supervisor).await?.0.get_cell())
        }
    };
    // What it does may be cut short anywhere: nothing is half done between two of its steps.
    ChildSpec::new(name, start).restart(Restart::Transient).shutdown(Shutdown::BrutalKill)
}

type Running = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Does one thing, as an actor, so that it can be watched and killed.
struct Service {
    name: &'static str,
    running: Mutex<Option<Running>>,
}

impl Actor for Service {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        // Its own first message: what it does begins once it is up.
        myself.send_message(())?;
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<()>, (): (), (): &mut ()) -> Result<(), ActorProcessingErr> {
        let running = self.running.lock().take();
        if let Some(running) = running {
            running.await;
        }
        tracing::debug!(service = self.name, "a service has ended, because the store is closed");
        myself.stop(None);
        Ok(())
    }
}

/// Writes restarts down.
fn observer(inner: &Arc<Inner>) -> Observer {
    let (inner, log) = (Arc::downgrade(inner), Mutex::new(RestartLog::default()));
    Arc::new(move |report| {
        if let Happened::Escalated { reason, .. } = &report.happened {
            tracing::error!(supervisor = %report.supervisor, child = %report.child, reason, "a supervisor gives up");
        }
        let Some(inner) = inner.upgrade() else { return };
        if let Some(record) = log.lock().note(inner.clock.now_ms(), &report) {
            tracing::warn!(child = %record.child, count = record.count, reason = record.reason, "restarted");
            inner.write_restart(&record);
        }
    })
}

/// The index row of a service that was started again: JSON, because people and other programs read it.
fn restart_row(at_ms: u64, record: &RestartRecord) -> (Bytes, Bytes) {
    let mut reason = record.reason.clone();
    crate::durable::cut(&mut reason, 1_000);
    let row = serde_json::json!({ "at_ms": at_ms, "count": record.count, "reason": reason });
    (Bytes::from(format!("restart/{}", record.child)), Bytes::from(row.to_string()))
}

impl Inner {
    async fn until_closed(self: Arc<Self>) {
        // An error says that nobody can close it any more.
        let _ = self.failure.subscribe().wait_for(Option::is_some).await;
    }

    /// In an index row, because the services have no stream of their own.
    fn write_restart(&self, record: &RestartRecord) {
        let row = restart_row(self.clock.now_ms(), record);
        let entrance = Entrance { puts: vec![row], ..Entrance::default() };
        // A closed store takes no notes.
        let _ = self.with_accepted(|accepted, now_ms| accepted.enter(now_ms, entrance));
    }
}

impl System {
    /// What runs beside the hosts: the services of the system, and the actor before each tool.
    pub async fn services(&self) -> Vec<ChildInfo> {
        let Ok(mut services) = self.life.root.which_children().await else { return Vec::new() };
        let tools = services.iter().find(|child| &*child.id == "tools").and_then(|child| child.cell.clone());
        if let Some(Ok(tools)) = match tools.and_then(Supervisor::of) {
            Some(tools) => Some(tools.which_children().await),
            None => None,
        } {
            services.extend(tools);
        }
        services
    }

    /// Kill a service, or the actor before a tool, as a fault would; says whether there was one.
    pub async fn kill_service(&self, name: &str) -> bool {
        let cell = self.services().await.into_iter().find(|child| &*child.id == name).and_then(|child| child.cell);
        cell.is_some_and(|cell| {
            cell.kill();
            true
        })
    }
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
