//! Contradictions on purpose: an actor, a call or a row is gone, and nobody was told. Each is found, and cured or named.

use super::*;
use crate::durable::live::stored;

const TICK: Duration = Duration::from_millis(20);

/// Has a child that has a child, as deep as it is told; knows what befell those below it.
pub(super) struct Kin;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Say {
    Bear(u32),
    Befell(Fate),
    Look,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Did {
    Bore(Address<Kin>),
    Heard(ActorId),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Known {
    child: Option<Address<Kin>>,
    /// Of whom it heard that they are stuck.
    stuck: Vec<ActorId>,
}

impl Behavior for Kin {
    const KIND: &'static str = "kin";
    const VERSION: u16 = 1;
    type State = Known;
    type Message = Say;
    type Event = Did;
    type Reply = Known;

    fn decide(turn: &mut Turn<'_, Self>, message: Say) -> Result<(), Rejection> {
        match message {
            Say::Bear(0) => {}
            Say::Bear(more) => {
                let child = turn.spawn::<Kin>(&Say::Bear(more - 1));
                turn.emit(&Did::Bore(child));
            }
            Say::Befell(Fate::Stuck { child, .. }) => turn.emit(&Did::Heard(child)),
            Say::Befell(_) => {}
            Say::Look => turn.reply(&turn.state().clone()),
        }
        Ok(())
    }

    fn apply(state: &mut Known, event: &Did) {
        match event {
            Did::Bore(child) => state.child = Some(*child),
            Did::Heard(child) => state.stuck.push(*child),
        }
    }

    fn on_fate(fate: Fate) -> Option<Say> {
        Some(Say::Befell(fate))
    }
}

fn quick() -> SystemBuilder {
    builder().behavior::<Kin>().unstick_every(TICK)
}

/// A root, its child, and the child's child.
pub(super) async fn kin(system: &System) -> [Address<Kin>; 3] {
    let root = system.spawn_root::<Kin>(None, |_| Vec::new(), &Say::Bear(2)).await.unwrap().unwrap();
    let child = look(system, root).await.child.unwrap();
    let grandchild = look(system, child).await.child.unwrap();
    [root, child, grandchild]
}

async fn look(system: &System, address: Address<Kin>) -> Known {
    system.ask(address, Say::Look, SOON).await.unwrap()
}

pub(super) fn sabotage(system: &System, deed: impl FnOnce(&mut Live)) {
    system.inner.with_accepted(|accepted, _| deed(accepted.sabotage())).unwrap();
}

/// Wait until it was acted upon, so that a test fails rather than hangs.
async fn until_unstuck(system: &System, reason: Reason) {
    let seen = async {
        while !system.unstuck().contains_key(reason.word()) {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(SOON, seen).await.unwrap_or_else(|_| panic!("{reason:?}: {:?}", system.unstuck()));
}

async fn letters(system: &System) -> Vec<String> {
    system.dead_letters().await.unwrap().into_iter().map(|(_, letter)| letter.reason).collect()
}

fn notes(system: &System, word: &str) -> usize {
    let mut noted = 0;
    let mut read = |item: Item| {
        noted += usize::from(matches!(&item.what, What::Runtime(note) if note.to_string().contains(word)));
        true
    };
    system.ledger().all(&mut read).unwrap();
    noted
}

/// A note is read once it is durable.
async fn until_noted(system: &System, word: &str) {
    let noted = async {
        while notes(system, word) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, noted).await.unwrap_or_else(|_| panic!("no note says {word}"));
}

#[tokio::test]
async fn the_root_of_its_tree_hears_of_an_actor_that_outlived_its_parent() {
    let system = quick().start(Arc::new(Memory::new())).await.unwrap();
    let [root, child, grandchild] = kin(&system).await;
    sabotage(&system, |live| live.lose_actor(child.id));
    until_unstuck(&system, Reason::Orphan).await;
    assert!(look(&system, root).await.stuck.contains(&grandchild.id));
    let named = system.stuck().await.unwrap();
    let orphan =
        named.iter().find(|waiting| waiting.reason == Reason::Orphan).expect("it is named as long as it is there");
    assert!(orphan.actor == grandchild.id && orphan.sentence.contains(&child.id.to_string()), "{}", orphan.sentence);
    until_noted(&system, "orphan").await;
}

#[tokio::test]
async fn an_orphan_that_has_no_root_either_is_ended_and_its_end_lies_with_the_dead_letters() {
    let system = quick().start(Arc::new(Memory::new())).await.unwrap();
    let [root, child, grandchild] = kin(&system).await;
    sabotage(&system, |live| {
        live.lose_actor(child.id);
        live.lose_actor(root.id);
    });
    until_unstuck(&system, Reason::Orphan).await;
    assert_eq!(system.actor(grandchild.id).await.unwrap(), None);
    let letters = letters(&system).await;
    assert!(letters.iter().any(|reason| reason.contains("is gone, so nobody waits")), "{letters:?}");
}

#[tokio::test]
async fn an_actor_whose_child_is_not_there_is_told() {
    let system = quick().start(Arc::new(Memory::new())).await.unwrap();
    let [root, child, grandchild] = kin(&system).await;
    sabotage(&system, |live| {
        live.lose_actor(grandchild.id);
        live.lose_actor(child.id);
    });
    until_unstuck(&system, Reason::MissingChild).await;
    until_told(&system, root, root.id).await;
    until_noted(&system, "missing-child").await;
}

/// Wait until an actor heard of another.
async fn until_told(system: &System, address: Address<Kin>, of: ActorId) {
    let told = async {
        while !look(system, address).await.stuck.contains(&of) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, told).await.expect("it is told in time");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_and_nobody_makes_is_ended_and_never_made() {
    for effect in [Effect::AtMostOnce, Effect::IDEMPOTENT] {
        let calls = Arc::new(AtomicU32::new(0));
        let system = quick().tool("slow", Arc::new(Slow(calls.clone()))).start(Arc::new(Memory::new())).await.unwrap();
        let address = counter(&system).await;
        system.stall(Stall::Call("slow".to_owned()));
        system.inner.faults.holds_looks.store(true, Ordering::SeqCst);
        system.tell(address, Told::Call { tool: "slow".to_owned(), effect }).await.unwrap();
        until(&system, address, |count| count.call.is_some()).await;
        let seen = async {
            while system.stalls_left() > 0 {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(SOON, seen).await.expect("its tool is not told");
        sabotage(&system, |live| live.lose_actor(address.id));
        system.inner.faults.holds_looks.store(false, Ordering::SeqCst);
        until_unstuck(&system, Reason::OrphanCall).await;
        assert_eq!((system.figures().calls, calls.load(Ordering::SeqCst)), (0, 0), "{effect:?}");
        let letters = letters(&system).await;
        assert!(letters.iter().any(|reason| reason.starts_with("late")), "{letters:?}");
    }
}

#[tokio::test]
async fn an_actor_that_waits_for_a_call_that_is_not_there_is_told() {
    let calls = Arc::new(AtomicU32::new(0));
    let system = quick().tool("slow", Arc::new(Slow(calls.clone()))).start(Arc::new(Memory::new())).await.unwrap();
    let (waits, lacks) = (counter(&system).await, counter(&system).await);
    for address in [waits, lacks] {
        system.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    }
    let call = until(&system, lacks, |count| count.call.is_some()).await.call.unwrap();
    until(&system, waits, |_| calls.load(Ordering::SeqCst) == 2).await;
    sabotage(&system, |live| live.lose_call(call));
    until_unstuck(&system, Reason::MissingCall).await;
    assert_eq!(system.unstuck().len(), 1, "the other one is left alone: {:?}", system.unstuck());
    until_noted(&system, "missing-call").await;
}

#[tokio::test]
async fn a_timer_of_no_actor_is_forgotten() {
    let clock = Arc::new(crate::clock::ManualClock::at(1_000_000));
    let system = quick().clock(clock).start(Arc::new(Memory::new())).await.unwrap();
    system.stall(Stall::Timers);
    sabotage(&system, |live| live.stray_timer(1_000, ActorId(0x7700), 1));
    until_unstuck(&system, Reason::OrphanTimer).await;
    assert!(system.inner.core.lock().accepted.live().timers.is_empty());
}

/// A system whose actors left memory, started again on what it left behind; nobody is in memory.
async fn asleep(spoil: impl FnOnce(&Memory, [Address<Kin>; 3])) -> (System, [Address<Kin>; 3]) {
    let store = Memory::with_rows();
    let former = builder().behavior::<Kin>().start(Arc::new(store.reopen())).await.unwrap();
    let kin = kin(&former).await;
    // It has taken its first message: nobody has mail when the rows are written.
    look(&former, kin[2]).await;
    former.checkpoint(SOON).await.unwrap();
    former.stop(SOON).await;
    spoil(&store, kin);
    (quick().start(Arc::new(store.reopen())).await.unwrap(), kin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_that_is_not_in_memory_is_found_in_the_store() {
    let (system, [root, _, grandchild]) = asleep(|store, [_, child, _]| {
        assert!(store.lose_row(&stored::actor_key(child.id)));
    })
    .await;
    until_unstuck(&system, Reason::Orphan).await;
    until_told(&system, root, grandchild.id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_actor_that_is_not_in_memory_and_whose_child_is_not_there_is_told() {
    let (system, _) = asleep(|store, [.., grandchild]| {
        assert!(store.lose_row(&stored::actor_key(grandchild.id)));
    })
    .await;
    until_unstuck(&system, Reason::MissingChild).await;
    until_noted(&system, "missing-child").await;
}

/// They once stayed in memory for ever: each look at a store whose rows were being written left some behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looked_wrong_in_the_store_and_is_sound_leaves_memory_again() {
    let (system, [root, child, grandchild]) = asleep(|_, _| {}).await;
    system.inner.look_closer(vec![root.id, grandchild.id]).await;
    let left = async {
        while system.figures().actors > 0 {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(SOON, left).await.expect("nobody needs them");
    assert_eq!(system.unstuck(), std::collections::BTreeMap::new());
    assert!(look(&system, child).await.child.is_some(), "and they come back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_tree_that_is_not_in_memory_is_left_alone() {
    let (system, _) = asleep(|_, _| {}).await;
    for _ in 0..20 {
        tokio::time::sleep(TICK).await;
    }
    assert_eq!((system.unstuck().len(), system.figures().actors), (0, 0), "{:?}", system.unstuck());
}

#[tokio::test]
async fn a_tree_in_which_an_actor_is_missing_can_be_given_up() {
    let system = quick().start(Arc::new(Memory::new())).await.unwrap();
    let [root, child, grandchild] = kin(&system).await;
    sabotage(&system, |live| {
        live.lose_actor(grandchild.id);
        live.lose_actor(child.id);
    });
    let told = Body::message::<Kin>(&Say::Bear(0));
    tokio::time::timeout(SOON, system.prune(root.id, told, "a test")).await.expect("it ends").unwrap();
    assert_eq!(system.actor(root.id).await.unwrap().unwrap().children, 0);
}
