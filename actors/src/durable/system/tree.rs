//! The tree under which everything in a system runs.
//!
//! ```text
//! engine (rest-for-one; ends with the store)
//! ├── store      significant: ends when the store closes, and everything else with it, in reverse order
//! ├── timers     turns due timers into messages
//! ├── clocks     looks for jumps of the wall clock
//! ├── passivation ends hosts that are idle
//! ├── unsticker  looks for waits that contradict what is there
//! ├── scrubber   compares rows with base and journal
//! ├── janitor    removes keys whose time is over
//! ├── ...        services of whoever builds the system, such as the collector of artifacts
//! ├── tools (one-for-one): the actor before each tool
//! └── runs       the keeper of all hosts: dynamic, a host's failures count for itself alone (`keeper.rs`)
//! ```
//! Hosts are not restarted by a supervisor's rules but by reloading them: a message may be taken again, and the fence
//! keeps a former host from doing harm. So a keeper that died is replaced, and everyone with mail is rung.
//!
//! **Invariants:** a service ends by itself only when the store has closed; when the tree ends, the store closes. The restarts of a service are written down at
//! most once a minute, in an index row of its own.

use std::{future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use super::{Error, System, inner::Inner};
#[cfg(test)]
use crate::durable::faults::{Action, Site, Who};
use crate::durable::{
    id::ActorId,
    keeper::Keeper,
    supervision::{
        AutoShutdown, Backoff, ChildInfo, ChildSpec, Happened, Intensity, Observer, Policy, Restart, Setup, Shutdown,
        StartFailure, Strategy, Supervisor,
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
    let beside = inner.services.iter().map(|beside| beside.child(inner));
    let store = service(inner, "store", |inner| async move { inner.until_closed().await });
    let root = Setup::new("engine", policy(Strategy::RestForOne, 10).auto_shutdown(AutoShutdown::AnySignificant))
        .child(store.significant())
        .child(service(inner, "timers", Inner::run_timers))
        .child(service(inner, "clocks", Inner::run_clocks))
        .child(service(inner, "passivation", Inner::run_passivation))
        .child(service(inner, "unsticker", Inner::run_unsticker))
        .child(service(inner, "scrubber", Inner::run_scrubber))
        .child(service(inner, "janitor", Inner::run_janitor));
    let root = beside.fold(root, Setup::child);
    #[cfg(test)]
    let root = std::mem::take(&mut *inner.faults.services.lock()).into_iter().fold(root, Setup::child);
    let root = root.child(tools.observer(observer.clone()).into_child()).child(keeper(inner)).observer(observer);
    Supervisor::start(root).await
}

/// A tree that gave up leaves a system that takes work in and does none of it. So the store closes, and whoever started
/// the system hears of it and starts again. A system that stops ends its tree first and closes by itself.
pub(super) fn close_when_it_ends(inner: &Arc<Inner>, root: ActorCell) {
    let weak = Arc::downgrade(inner);
    inner.runtime.spawn(async move {
        // An error says that it has ended before.
        let _ = root.wait(None).await;
        if let Some(inner) = weak.upgrade().filter(|inner| !inner.core.lock().draining) {
            inner.close("what does the work failed too often and was given up");
        }
    });
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
            #[cfg(test)]
            if let Some(Action::Error) = inner.fault(Site::SpawnService, Who::Service(name)).await {
                return Err("a fault".into());
            }
            #[cfg(test)]
            let weak = Arc::downgrade(&inner);
            let running: Running = Box::pin(async move { run(inner).await });
            let service = Service {
                name,
                running: Mutex::new(Some(running)),
                #[cfg(test)]
                inner: weak,
            };
            Ok(Actor::spawn_linked(None, service, (), supervisor).await?.0.get_cell())
        }
    };
    // What it does may be cut short anywhere: nothing is half done between two of its steps.
    ChildSpec::new(name, start).restart(Restart::Transient).shutdown(Shutdown::BrutalKill)
}

/// A service of whoever builds the system.
pub(crate) struct Beside {
    pub(super) name: &'static str,
    pub(super) run: Arc<dyn Fn(System) -> Running + Send + Sync>,
}

impl Beside {
    fn child(&self, inner: &Arc<Inner>) -> ChildSpec {
        let run = self.run.clone();
        service(inner, self.name, move |inner| {
            let running = run(System::for_service(inner.clone()));
            async move {
                // One that has nothing more to do waits, because a service ends when the store closes, and not before.
                let running = async {
                    running.await;
                    std::future::pending().await
                };
                tokio::select! {
                    () = running => {}
                    () = inner.until_closed() => {}
                }
            }
        })
    }
}

type Running = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Does one thing, as an actor, so that it can be watched and killed.
struct Service {
    name: &'static str,
    running: Mutex<Option<Running>>,
    #[cfg(test)]
    inner: std::sync::Weak<Inner>,
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
        #[cfg(test)]
        if let Some(inner) = self.inner.upgrade() {
            inner.faults.sites.enlist(self.name, myself.get_cell());
            inner.fault(Site::ServiceStarts, Who::Service(self.name)).await;
        }
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
    let inner = Arc::downgrade(inner);
    Arc::new(move |report| {
        #[cfg(test)]
        if let Some(inner) = inner.upgrade() {
            inner.faults.reports.lock().push(report.clone());
        }
        if let Happened::Escalated { reason, .. } = &report.happened {
            tracing::error!(supervisor = %report.supervisor, child = %report.child, reason, "a supervisor gives up");
        }
        if let Some(inner) = inner.upgrade() {
            inner.note_service_restart(&report);
        }
    })
}

impl Inner {
    async fn until_closed(self: Arc<Self>) {
        // An error says that nobody can close it any more.
        let _ = self.failure.subscribe().wait_for(Option::is_some).await;
    }
}

impl System {
    /// What runs beside the hosts: the services of the system, and the actor before each tool.
    pub async fn services(&self) -> Vec<ChildInfo> {
        let Some(life) = &self.life else { return Vec::new() };
        let Ok(mut services) = life.root.which_children().await else { return Vec::new() };
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

    /// Kill anything that [`System::tree`] shows, as a fault would, by the id under which it shows it: an actor
    /// (`actor_1f00`), a service, or the actor before a tool, by its name. A tool that is named like a service is reached
    /// with [`System::kill_tool`].
    ///
    /// # Errors
    /// [`Error::Missing`], which says what there is, if nothing has that id; [`Error::OutcomeUnknown`] if the store closed.
    pub async fn kill(&self, id: &str) -> Result<Killed, Error> {
        if let Some(actor) = id.strip_prefix("actor_").and_then(|_| id.parse().ok()) {
            return self.kill_actor(actor).await;
        }
        if self.kill_service(id).await {
            return Ok(Killed::Service);
        }
        let names: Vec<_> = self.services().await.iter().map(|child| child.id.to_string()).collect();
        Err(Error::Missing(format!(
            "service or tool `{id}` to kill; there are {}, and actors by their ids",
            names.join(", ")
        )))
    }

    async fn kill_actor(&self, actor: ActorId) -> Result<Killed, Error> {
        if self.kill_host(actor) {
            return Ok(Killed::Host);
        }
        match self.actor(actor).await? {
            Some(_) => Ok(Killed::Nothing),
            None => Err(Error::Missing(format!("live actor {actor} to kill; `System::tree` shows those there are"))),
        }
    }
}

/// What [`System::kill`] killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// The host of an actor.
    Host,
    /// A service, or the actor before a tool.
    Service,
    /// The actor has no host now: it is asleep, suspended, or waits until a back-off is over.
    Nothing,
}
