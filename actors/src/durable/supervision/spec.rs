//! How a child is described, and a supervisor before it is started.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use ractor::ActorCell;

use super::{
    child::ChildId,
    error::Error,
    handle::Supervisor,
    policy::{AutoShutdown, Kind, Policy, Restart, Shutdown},
    report::Observer,
};

/// Why a child could not be started.
pub type StartFailure = Box<dyn std::error::Error + Send + Sync>;
/// A child that is being started.
pub type Starting = Pin<Box<dyn Future<Output = Result<ActorCell, StartFailure>> + Send>>;
/// Starts a child: given its supervisor, to which it links the child.
pub(super) type Start = Arc<dyn Fn(ActorCell) -> Starting + Send + Sync>;

/// How a child is started, ended, and treated when it ends by itself.
#[derive(Clone)]
pub struct ChildSpec {
    /// What it is called, once in its supervisor.
    pub id: ChildId,
    /// When it is started again.
    pub restart: Restart,
    /// How it is ended.
    pub shutdown: Shutdown,
    /// Whether it counts for [`AutoShutdown`].
    pub significant: bool,
    /// What it is.
    pub kind: Kind,
    pub(super) start: Start,
}

impl ChildSpec {
    /// A permanent worker that gets 5 s to stop. `start` spawns it linked to the supervisor it is given, and keeps
    /// `pre_start` short: its supervisor waits for it, and answers nobody meanwhile.
    pub fn new<F, S>(id: impl Into<ChildId>, start: F) -> Self
    where
        F: Fn(ActorCell) -> S + Send + Sync + 'static,
        S: Future<Output = Result<ActorCell, StartFailure>> + Send + 'static,
    {
        Self {
            id: id.into(),
            restart: Restart::default(),
            shutdown: Shutdown::default(),
            significant: false,
            kind: Kind::Worker,
            start: Arc::new(move |supervisor| Box::pin(start(supervisor))),
        }
    }

    /// When it is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is ended.
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Ask it to stop, and kill it when it has not ended within this time.
    #[must_use]
    pub fn within(self, deadline: Duration) -> Self {
        self.shutdown(Shutdown::Within(deadline))
    }

    /// Let it count for [`AutoShutdown`].
    #[must_use]
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// Whether it can be a child of such a supervisor.
    pub(super) fn check(&self, policy: &Policy) -> Result<(), Error> {
        let invalid = |why| Err(Error::Invalid { child: self.id.clone(), why });
        if !self.significant {
            return Ok(());
        }
        if self.restart == Restart::Permanent {
            return invalid("a permanent child never ends, so it cannot be significant");
        }
        if policy.auto_shutdown == AutoShutdown::Never {
            return invalid("its supervisor never shuts down by itself, so it cannot be significant");
        }
        Ok(())
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("id", &self.id).field("restart", &self.restart).finish_non_exhaustive()
    }
}

/// A supervisor that has not been started yet.
#[derive(Clone)]
pub struct Setup {
    pub(super) name: Arc<str>,
    pub(super) policy: Policy,
    pub(super) children: Vec<ChildSpec>,
    pub(super) observer: Option<Observer>,
}

impl Setup {
    /// A supervisor without children. The name stands in its reports, and nowhere else.
    pub fn new(name: impl Into<Arc<str>>, policy: Policy) -> Self {
        Self { name: name.into(), policy, children: Vec::new(), observer: None }
    }

    /// Add a child; they are started in this order.
    #[must_use]
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Tell this one what happens. It is called by the supervisor itself: it must be quick, and must not wait.
    #[must_use]
    pub fn observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Make it a permanent child of another supervisor, which waits for its end without a deadline. Its own children
    /// are the same at each start.
    #[must_use]
    pub fn into_child(self) -> ChildSpec {
        let id = self.name.clone();
        let start = move |parent| {
            let setup = self.clone();
            async move { Ok(Supervisor::start_linked(setup, parent).await?.cell()) }
        };
        ChildSpec { kind: Kind::Supervisor, ..ChildSpec::new(id, start).shutdown(Shutdown::Infinity) }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("name", &self.name).field("children", &self.children).finish_non_exhaustive()
    }
}
