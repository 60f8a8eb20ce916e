//! How durable children are looked after: one test for each rule, on real hosts.

mod ending;
mod reload;
mod significant;

use std::{marker::PhantomData, sync::atomic::AtomicU32};

use super::*;
use crate::durable::{
    live::DeadLetter,
    supervision::{AutoShutdown, Backoff, Policy, Strategy},
};

/// What an owner of some kind declares.
trait Rules: Send + 'static {
    const KIND: &'static str;
    const POLICY: Policy;
}

macro_rules! rules {
    ($name:ident, $kind:literal, $policy:expr) => {
        struct $name;

        impl Rules for $name {
            const KIND: &'static str = $kind;
            const POLICY: Policy = $policy;
        }
    };
}

rules!(OneForOne, "one-for-one", Policy::new(Strategy::OneForOne));
rules!(OneForAll, "one-for-all", Policy::new(Strategy::OneForAll));
rules!(RestForOne, "rest-for-one", Policy::new(Strategy::RestForOne));
rules!(Strict, "strict", Policy::DEFAULT.intensity(1, Duration::from_secs(3_600)));
rules!(Slowly, "slowly", Policy::new(Strategy::OneForAll).backoff(SLOW));
rules!(Any, "any-significant", Policy::DEFAULT.auto_shutdown(AutoShutdown::AnySignificant));
rules!(All, "all-significant", Policy::DEFAULT.auto_shutdown(AutoShutdown::AllSignificant));

const SLOW: Backoff = Backoff { base: Duration::from_secs(7_200), max: Duration::from_secs(7_200), seed: 0 };

/// Hires workers, and remembers what befell its children.
struct Owner<R>(PhantomData<fn() -> R>);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Order {
    Begin,
    Hire(Care),
    /// A child that owns others itself, and ends with its first significant one.
    Found,
    Rest,
    Look,
    Fate(Fate),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Did {
    Hired(ActorId),
    Heard(String),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Owned {
    children: Vec<ActorId>,
    fates: Vec<String>,
}

impl<R: Rules> Behavior for Owner<R> {
    const KIND: &'static str = R::KIND;
    const VERSION: u16 = 1;
    const SUPERVISION: Policy = R::POLICY;
    type State = Owned;
    type Message = Order;
    type Event = Did;
    type Reply = Owned;

    fn decide(turn: &mut Turn<'_, Self>, order: Order) -> Result<(), Rejection> {
        match order {
            Order::Begin | Order::Rest => {}
            Order::Hire(care) => {
                let child = turn.spawn_with::<Worker>(care, &Task::Work(1));
                turn.emit(&Did::Hired(child.id));
            }
            Order::Found => {
                let child = turn.spawn::<Owner<Any>>(&Order::Begin);
                turn.emit(&Did::Hired(child.id));
            }
            Order::Look => turn.reply(&turn.state().clone()),
            Order::Fate(fate) => {
                let (what, child, reason) = match fate {
                    Fate::Poisoned { child, reason } => ("poisoned", child, reason),
                    Fate::Suspended { child, reason } => ("suspended", child, reason),
                    Fate::Stuck { child, reason } => ("stuck", child, reason),
                    Fate::Ended { child, reason } => ("ended", child, reason),
                };
                let at = turn.state().children.iter().position(|known| *known == child);
                let at = at.map_or("a stranger".to_owned(), |at| at.to_string());
                turn.emit(&Did::Heard(format!("{what} {at}: {reason}")));
            }
        }
        Ok(())
    }

    fn apply(state: &mut Owned, did: &Did) {
        match did {
            Did::Hired(child) => state.children.push(*child),
            Did::Heard(fate) => state.fates.push(fate.clone()),
        }
    }

    fn on_fate(fate: Fate) -> Option<Order> {
        Some(Order::Fate(fate))
    }
}

/// Counts; dies while the fuse burns; makes calls and children.
struct Worker;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Task {
    Work(u64),
    /// Panics as often as the fuse says, and then counts.
    Burn,
    Call,
    Answered(Answer),
    Hire,
    Retire,
    Look,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Done {
    Worked(u64),
    Hired(ActorId),
    Called,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Work {
    total: u64,
    children: Vec<ActorId>,
}

/// Panics that are left.
#[derive(Default)]
struct Fuse(AtomicU32);

impl Behavior for Worker {
    const KIND: &'static str = "worker";
    const VERSION: u16 = 1;
    type State = Work;
    type Message = Task;
    type Event = Done;
    type Reply = Work;

    fn decide(turn: &mut Turn<'_, Self>, task: Task) -> Result<(), Rejection> {
        match task {
            Task::Work(number) => turn.emit(&Done::Worked(number)),
            Task::Burn => {
                let fuse = turn.extension::<Fuse>().expect("the system has a fuse");
                let burn = |left: u32| left.checked_sub(1);
                assert!(fuse.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, burn).is_err(), "the fuse burns");
                turn.emit(&Done::Worked(1_000));
            }
            Task::Call => {
                let request = Request {
                    tool: "slow".to_owned(),
                    path: "test".to_owned(),
                    key: Key::of(&[&turn.me().0.to_be_bytes()]),
                    attempt: 1,
                    effect: Effect::IDEMPOTENT,
                    input: Json::from(json!(1)),
                    timeout_ms: 60_000,
                    checkpoint: None,
                    key_since_ms: turn.now_ms(),
                    heartbeat_ms: None,
                };
                turn.call(request);
                turn.emit(&Done::Called);
            }
            Task::Answered(_) => {}
            Task::Hire => {
                let child = turn.spawn::<Worker>(&Task::Work(1));
                turn.emit(&Done::Hired(child.id));
            }
            Task::Retire => turn.stop(),
            Task::Look => turn.reply(&turn.state().clone()),
        }
        Ok(())
    }

    fn apply(state: &mut Work, done: &Done) {
        match done {
            Done::Worked(number) => state.total += number,
            Done::Hired(child) => state.children.push(*child),
            Done::Called => {}
        }
    }

    fn on_answer(answer: Answer) -> Option<Task> {
        Some(Task::Answered(answer))
    }
}

/// A system with an owner, and what a test does with them.
struct Firm<R> {
    store: Memory,
    system: System,
    owner: Address<Owner<R>>,
    fuse: Arc<Fuse>,
    calls: Arc<AtomicU32>,
}

fn firm_builder<R: Rules>(fuse: &Arc<Fuse>, calls: &Arc<AtomicU32>) -> SystemBuilder {
    let builder = System::builder().behavior::<Worker>().behavior::<Owner<R>>().extension(fuse.clone());
    let builder = if R::KIND == Any::KIND { builder } else { builder.behavior::<Owner<Any>>() };
    builder.tool("slow", Arc::new(Slow(calls.clone()))).unstick_every(Duration::from_millis(5))
}

impl<R: Rules> Firm<R> {
    async fn new(hired: &[Care]) -> Self {
        Self::with(hired, |builder| builder).await
    }

    async fn with(hired: &[Care], change: impl FnOnce(SystemBuilder) -> SystemBuilder) -> Self {
        let (store, fuse, calls) = (Memory::new(), Arc::new(Fuse::default()), Arc::new(AtomicU32::new(0)));
        let builder = change(firm_builder::<R>(&fuse, &calls));
        let system = builder.start(Arc::new(store.reopen())).await.unwrap();
        let owner = system.spawn::<Owner<R>>("owner", &Order::Begin).await.unwrap();
        for care in hired {
            system.tell(owner, Order::Hire(*care)).await.unwrap();
        }
        let firm = Self { store, system, owner, fuse, calls };
        for child in 0..hired.len() {
            firm.look(child).await;
        }
        firm
    }

    /// The process dies here: another life begins on what is durable.
    async fn reborn(self) -> Self {
        let system = firm_builder::<R>(&self.fuse, &self.calls).start(Arc::new(self.store.reopen())).await.unwrap();
        Self { system, ..self }
    }

    async fn owned(&self) -> Owned {
        self.system.ask(self.owner, Order::Look, SOON).await.unwrap()
    }

    async fn child(&self, at: usize) -> Address<Worker> {
        Address::new(self.owned().await.children[at])
    }

    async fn look(&self, at: usize) -> Work {
        self.system.ask(self.child(at).await, Task::Look, SOON).await.unwrap()
    }

    async fn tell(&self, at: usize, task: Task) {
        self.system.tell(self.child(at).await, task).await.unwrap();
    }

    /// A child dies so often of one message.
    async fn burn(&self, at: usize, deaths: u32) {
        self.fuse.0.store(deaths, Ordering::SeqCst);
        self.tell(at, Task::Burn).await;
    }

    /// Which activation of each child may commit.
    async fn activations(&self) -> Vec<Option<u64>> {
        let children = self.owned().await.children;
        let core = self.system.inner.core.lock();
        children.iter().map(|child| core.accepted.activation_of(*child)).collect()
    }

    /// Wait until the owner has heard so many fates; returns them.
    async fn fates(&self, count: usize) -> Vec<String> {
        eventually(async || {
            let fates = self.owned().await.fates;
            (fates.len() >= count).then_some(fates)
        })
        .await
    }

    async fn is_gone(&self, actor: ActorId) -> bool {
        self.system.actor(actor).await.unwrap().is_none()
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        self.system.dead_letters().await.unwrap().into_iter().map(|(_, letter)| letter).collect()
    }
}

/// Look until there is something to see: what happens beside the test has no other sign.
async fn eventually<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let seen = async {
        loop {
            match look().await {
                Some(seen) => return seen,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("it comes to that in time")
}

async fn until_true(look: impl AsyncFn() -> bool) {
    eventually(async || look().await.then_some(())).await;
}

const THREE: [Care; 3] = [Care::TRANSIENT; 3];
