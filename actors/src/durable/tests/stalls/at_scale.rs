//! Every class of the unsticker, made on purpose on the real system: found, and cured or named, within its deadline, which
//! is counted in looks. Nobody looks here but the test, so no clock decides.

use std::collections::BTreeMap;

use super::{
    super::{
        heartbeats::falls_silent,
        orphans::{Kin, kin, sabotage},
    },
    *,
};
use crate::testing::{Scale, note};

/// The unsticker does not look by itself.
const NEVER: Duration = Duration::from_secs(86_400);

/// Something that went wrong, and how to see that it is right again.
struct Stalled {
    system: System,
    /// Who waits.
    actor: ActorId,
    is_cured: Box<dyn Fn(&Live) -> bool + Send + Sync>,
}

impl Stalled {
    fn new(system: &System, actor: ActorId, is_cured: impl Fn(&Live) -> bool + Send + Sync + 'static) -> Self {
        Self { system: system.clone(), actor, is_cured: Box::new(is_cured) }
    }

    /// It is told, which moves it.
    fn until_told(system: &System, actor: ActorId) -> Self {
        let version = read(system, move |live| live.actors[&actor].version);
        Self::new(system, actor, move |live| live.actors.get(&actor).is_some_and(|row| row.version > version))
    }

    fn is_cured(&self) -> bool {
        self.system.inner.with_accepted(|accepted, _| (self.is_cured)(accepted.live())).unwrap()
    }

    async fn until_cured(&self, what: &str) {
        let cured = async {
            while !self.is_cured() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, cured).await.unwrap_or_else(|_| panic!("{what} is not cured by what was done"));
    }

    async fn look(&self) {
        self.system.inner.look_and_act(false).await;
    }

    fn acts(&self, reason: Reason) -> u64 {
        self.system.unstuck().get(reason.word()).copied().unwrap_or(0)
    }

    /// Looks until something was done about it.
    async fn looks_until_act(&self, reason: Reason) -> u32 {
        let (before, mut looks) = (self.acts(reason), 0);
        while self.acts(reason) == before {
            assert!(looks < 20, "{reason:?} is not found");
            self.look().await;
            looks += 1;
        }
        looks
    }
}

fn read<T>(system: &System, look: impl FnOnce(&Live) -> T) -> T {
    system.inner.with_accepted(|accepted, _| look(accepted.live())).unwrap()
}

fn quiet() -> SystemBuilder {
    builder().behavior::<Stray>().behavior::<Kin>().unstick_every(NEVER)
}

async fn started(builder: SystemBuilder) -> System {
    builder.start(Arc::new(Memory::new())).await.unwrap()
}

async fn with_slow() -> (System, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    (started(quiet().tool("slow", Arc::new(Slow(calls.clone())))).await, calls)
}

async fn until_lost(system: &System) {
    let lost = async {
        while system.stalls_left() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, lost).await.expect("it is lost in time");
}

/// Calls a tool that is there, and the call is lost so often.
async fn loses_call(times: u32) -> Stalled {
    let quick = Closure::new(Effect::IDEMPOTENT, |_: Json| async { Outcome::Done(Json::NULL) });
    let system = started(quiet().tool("quick", Arc::new(quick))).await;
    let address = counter(&system).await;
    count(&system, address).await;
    (0..times).for_each(|_| system.stall(Stall::Call("quick".to_owned())));
    system.tell(address, Told::Call { tool: "quick".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&system, address, |count| count.call.is_some()).await;
    while system.stalls_left() >= times as usize {
        tokio::task::yield_now().await;
    }
    Stalled::new(&system, address.id, |live| live.calls.is_empty())
}

/// Is told something, and its bell is lost so often.
async fn loses_bell(times: u32) -> Stalled {
    let system = started(quiet()).await;
    let address = counter(&system).await;
    count(&system, address).await;
    (0..times).for_each(|_| system.stall(Stall::Bell(address.id)));
    system.tell(address, Told::Add(7)).await.unwrap();
    Stalled::new(&system, address.id, move |live| live.actors[&address.id].mailbox.is_empty())
}

/// What each class looks like on the real system. A class without its stall does not compile.
async fn stall(reason: Reason) -> Stalled {
    match reason {
        Reason::LostDoorbell => loses_bell(1).await,
        Reason::LostCall => loses_call(1).await,
        Reason::NoTool => {
            let (system, _) = with_slow().await;
            let address = counter(&system).await;
            system.tell(address, Told::Call { tool: "gone".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
            until(&system, address, |count| count.call.is_some()).await;
            named(&system, address.id).await
        }
        Reason::InDoubt => {
            let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
            let start = || quiet().tool("slow", Arc::new(Slow(calls.clone()))).start(Arc::new(store.reopen()));
            let dead = start().await.unwrap();
            let address = counter(&dead).await;
            dead.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
            until(&dead, address, |_| calls.load(Ordering::SeqCst) == 1).await;
            named(&start().await.unwrap(), address.id).await
        }
        Reason::Suspended | Reason::Poison => {
            let system = started(quiet()).await;
            let address = counter(&system).await;
            system.tell(address, Told::Panic).await.unwrap();
            let suspended = async {
                while !read(&system, |live| live.actors[&address.id].suspended.is_some()) {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(SOON, suspended).await.expect("it is given up in time");
            named(&system, address.id).await
        }
        Reason::OverdueTimer => {
            let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
            let system = started(quiet().clock(clock.clone())).await;
            let address = counter(&system).await;
            system.stall(Stall::Timers);
            system.tell(address, Told::AddLater { number: 9, after_ms: 1_000 }).await.unwrap();
            until(&system, address, |count| count.scheduled == 9).await;
            clock.advance(60_000);
            Stalled::new(&system, address.id, |live| live.timers.is_empty())
        }
        Reason::WaitsForNothing => {
            let system = started(quiet()).await;
            let stray = system.spawn_root::<Stray>(None, |_| Vec::new(), &None).await.unwrap().unwrap();
            system.ask(stray, None, SOON).await.unwrap();
            Stalled::until_told(&system, stray.id)
        }
        Reason::Orphan => {
            let system = started(quiet()).await;
            let [root, child, grandchild] = kin(&system).await;
            sabotage(&system, |live| live.lose_actor(child.id));
            Stalled { actor: grandchild.id, ..Stalled::until_told(&system, root.id) }
        }
        Reason::MissingChild => {
            let system = started(quiet()).await;
            let [root, child, grandchild] = kin(&system).await;
            sabotage(&system, |live| [grandchild.id, child.id].into_iter().for_each(|actor| live.lose_actor(actor)));
            Stalled::until_told(&system, root.id)
        }
        Reason::MissingCall => {
            let (system, calls) = with_slow().await;
            let address = counter(&system).await;
            system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
            let call = until(&system, address, |_| calls.load(Ordering::SeqCst) == 1).await.call.unwrap();
            sabotage(&system, |live| live.lose_call(call));
            Stalled::until_told(&system, address.id)
        }
        Reason::OrphanCall => {
            let (system, _) = with_slow().await;
            let address = counter(&system).await;
            system.stall(Stall::Call("slow".to_owned()));
            system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
            until(&system, address, |count| count.call.is_some()).await;
            until_lost(&system).await;
            sabotage(&system, |live| live.lose_actor(address.id));
            Stalled::new(&system, address.id, |live| live.calls.is_empty())
        }
        Reason::OrphanTimer => {
            let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
            let system = started(quiet().clock(clock)).await;
            system.stall(Stall::Timers);
            sabotage(&system, |live| live.stray_timer(1_000, ActorId(0x7700), 1));
            Stalled::new(&system, ActorId(0x7700), |live| live.timers.is_empty())
        }
        Reason::LostHeartbeat => {
            let calls = Arc::new(AtomicU32::new(0));
            let tool = falls_silent(Effect::IDEMPOTENT, &calls).with_heartbeat(NEVER);
            let system = started(quiet().tool("worker", Arc::new(tool))).await;
            let address = counter(&system).await;
            system.tell(address, Told::Call { tool: "worker".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
            until(&system, address, |_| calls.load(Ordering::SeqCst) == 1).await;
            Stalled::new(&system, address.id, |live| live.calls.is_empty())
        }
    }
}

/// A person must do something about it, and nobody else. Whoever else has mail has taken it.
async fn named(system: &System, actor: ActorId) -> Stalled {
    let is_quiet = |live: &Live| live.actors.values().all(|row| row.mailbox.is_empty() || row.suspended.is_some());
    let stalled = Stalled::new(system, actor, is_quiet);
    stalled.until_cured("mail").await;
    stalled
}

#[tokio::test]
async fn every_class_is_found_and_cured_or_named_within_its_deadline() {
    let (times, began) = (Scale::chosen().pick(2, 40, 2_000), crate::clock::monotonic());
    let mut slowest = BTreeMap::new();
    for reason in (0..times).flat_map(|_| Reason::ALL) {
        let stalled = stall(reason).await;
        let looks = if reason.is_cured() {
            let looks = stalled.looks_until_act(reason).await;
            stalled.until_cured(reason.word()).await;
            looks
        } else {
            let named = stalled.system.stuck().await.unwrap();
            assert!(
                named.iter().any(|waiting| (waiting.actor, waiting.reason) == (stalled.actor, reason)),
                "{named:?}"
            );
            for _ in 0..6 {
                stalled.look().await;
            }
            assert_eq!(stalled.system.unstuck(), BTreeMap::new(), "{reason:?} is left to a person");
            0
        };
        assert!(looks <= reason.looks_max(), "{reason:?} took {looks} looks, and may take {}", reason.looks_max());
        let most = slowest.entry(reason.word()).or_insert(0);
        *most = looks.max(*most);
        stalled.system.stop(SOON).await;
    }
    note(
        "stalls",
        &[
            ("classes", json!(slowest.len())),
            ("times_each", json!(times)),
            ("looks_of_the_slowest", json!(slowest)),
            ("seconds", json!(began.elapsed().as_secs_f64())),
        ],
    );
}

#[tokio::test]
async fn where_the_first_cure_does_not_help_the_next_follows_two_looks_later() {
    for (reason, stalled) in [(Reason::LostDoorbell, loses_bell(2).await), (Reason::LostCall, loses_call(2).await)] {
        assert_eq!(stalled.looks_until_act(reason).await, 2, "{reason:?}");
        assert!(!stalled.is_cured(), "{reason:?} was lost once more");
        assert_eq!(stalled.looks_until_act(reason).await, 2, "{reason:?}");
        stalled.until_cured(reason.word()).await;
    }
}
