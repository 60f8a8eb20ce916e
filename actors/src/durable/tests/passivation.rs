//! Actors that are idle cost disk, and no memory; whoever is told something is there again.

use std::{path::Path, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::SOON;
use crate::durable::{
    ActorId, Address, Behavior, Live, Rejection, SendError, System, Turn,
    store::{Durability, Local, LocalOptions},
};

const IN_TIME: Duration = Duration::from_secs(300);
/// Spawns under way at once: their commits share records.
const AT_ONCE: usize = 512;

/// Counts, may have a child that counts too, and finishes when told to.
struct Sleeper;

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Say {
    Rest,
    Add,
    Nest,
    Look,
    Finish,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Did {
    Added,
    Nested(Address<Sleeper>),
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Known {
    total: u64,
    child: Option<Address<Sleeper>>,
}

impl Behavior for Sleeper {
    const KIND: &'static str = "sleeper";
    const VERSION: u16 = 1;
    type State = Known;
    type Message = Say;
    type Event = Did;
    type Reply = Known;

    fn decide(turn: &mut Turn<'_, Self>, message: Say) -> Result<(), Rejection> {
        match message {
            Say::Rest => {}
            Say::Add => turn.emit(&Did::Added),
            Say::Nest => {
                let child = turn.spawn::<Sleeper>(&Say::Add);
                turn.emit(&Did::Nested(child));
            }
            Say::Look => turn.reply(&turn.state().clone()),
            Say::Finish => turn.stop(),
        }
        Ok(())
    }

    fn apply(state: &mut Known, event: &Did) {
        match event {
            Did::Added => state.total += 1,
            Did::Nested(child) => state.child = Some(*child),
        }
    }
}

async fn start(folder: &Path) -> System {
    let options = LocalOptions { durability: Durability::Process, ..LocalOptions::default() };
    let store = Local::open(folder, options).unwrap();
    let builder = System::builder().behavior::<Sleeper>().passivate(Duration::from_millis(100), 1_000);
    builder.start(Arc::new(store)).await.unwrap()
}

/// The first in every hundred has a child.
async fn spawn(system: &System, count: usize) -> Vec<Address<Sleeper>> {
    let mut spawned = Vec::with_capacity(count);
    while spawned.len() < count {
        let mut batch = tokio::task::JoinSet::new();
        for at in spawned.len()..count.min(spawned.len() + AT_ONCE) {
            let system = system.clone();
            batch.spawn(async move {
                let first = if at % 100 == 0 { Say::Nest } else { Say::Add };
                system.spawn_root::<Sleeper>(None, |_| Vec::new(), &first).await.unwrap().unwrap()
            });
        }
        spawned.extend(batch.join_all().await);
    }
    spawned.sort_by_key(|address| address.id);
    spawned
}

/// Wait until nobody is in memory.
async fn all_asleep(system: &System) {
    let asleep = async {
        loop {
            system.checkpoint(IN_TIME).await.unwrap();
            let figures = system.figures();
            if (figures.actors, figures.hosted) == (0, 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asleep = tokio::time::timeout(IN_TIME, asleep).await;
    assert!(asleep.is_ok(), "still in memory: {:?}", system.figures());
}

async fn look(system: &System, address: Address<Sleeper>) -> Known {
    system.ask(address, Say::Look, SOON).await.unwrap()
}

/// Wait until an actor is gone: what it was told before is taken.
async fn gone(system: &System, actor: ActorId) {
    let gone = async {
        while system.actor(actor).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
}

async fn idle_actors_cost_no_memory(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let system = start(folder.path()).await;
    let before = Cost::now(folder.path());
    let actors = spawn(&system, count).await;
    let awake = Cost::now(folder.path());
    all_asleep(&system).await;
    let asleep = Cost::now(folder.path());
    before.tell(count, "awake", &awake);
    before.tell(count, "asleep", &asleep);
    let all = count + count.div_ceil(100);
    let census = system.census().await.unwrap();
    assert_eq!((census.actors, census.in_memory, census.with_mail), (all, 0, 0));

    // One is woken, and a child, with its parent.
    assert_eq!(look(&system, childless(&system, &actors).await).await.total, 1);
    let (parent, child) = a_parent(&system, &actors).await;
    all_asleep(&system).await;
    system.tell(child, Say::Add).await.unwrap();
    assert_eq!(look(&system, child).await.total, 2);
    let is_here = |actor: Address<Sleeper>| move |live: &Live| live.actors.contains_key(&actor.id);
    let alone = system.read(|live| is_here(child)(live) && !is_here(parent)(live)).await.unwrap();
    assert!(!alone, "a child is in memory with its ancestors, or not at all");

    // Who finished is not revived.
    let finished = childless(&system, &actors).await;
    system.tell(finished, Say::Finish).await.unwrap();
    gone(&system, finished.id).await;
    all_asleep(&system).await;
    system.tell(finished, Say::Add).await.unwrap();
    let refused = system.ask(finished, Say::Look, SOON).await;
    assert!(matches!(refused, Err(SendError::Rejected(_))), "{refused:?}");
    let dead = system.dead_letters().await.unwrap();
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|(_, letter)| letter.reason.starts_with("late")), "{dead:?}");

    // The next life finds all the others.
    system.stop(SOON).await;
    drop(system);
    let system = start(folder.path()).await;
    assert_eq!(system.census().await.unwrap().actors, all - 1);
    let others: Vec<_> = actors.iter().copied().filter(|actor| *actor != finished).collect();
    let (parent, child) = a_parent(&system, &others).await;
    assert_eq!((look(&system, parent).await.child, look(&system, child).await.total), (Some(child), 1));
    assert!(system.actor(finished.id).await.unwrap().is_none());
    assert_eq!(system.dead_letters().await.unwrap().len(), 2);
    system.stop(SOON).await;
}

/// One that has a child.
async fn a_parent(system: &System, actors: &[Address<Sleeper>]) -> (Address<Sleeper>, Address<Sleeper>) {
    for actor in actors {
        if let Some(child) = look(system, *actor).await.child
            && look(system, child).await.total == 1
        {
            return (*actor, child);
        }
    }
    panic!("one in a hundred has a child");
}

async fn childless(system: &System, actors: &[Address<Sleeper>]) -> Address<Sleeper> {
    for actor in actors {
        if look(system, *actor).await.child.is_none() {
            return *actor;
        }
    }
    panic!("most have no child");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_idle_actors_leave_memory_and_wake_when_they_are_told_something() {
    idle_actors_cost_no_memory(2_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute; prints what an idle actor costs"]
async fn a_hundred_thousand_idle_actors_leave_memory() {
    idle_actors_cost_no_memory(100_000).await;
}

/// A host is not needed for a row to stay. Once a parent kept its host until the rows of all its children had left memory, and
/// was asked four times a second: of 60,000 sleeping runs those questions took two thirds of the processor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_lets_go_of_its_host_while_its_children_are_in_memory() {
    let builder = System::builder().behavior::<Sleeper>().passivate(Duration::from_millis(20), 1_000);
    // Without rows nobody leaves memory.
    let system = builder.start(Arc::new(crate::durable::store::Memory::new())).await.unwrap();
    let parent = system.spawn_root::<Sleeper>(None, |_| Vec::new(), &Say::Nest).await.unwrap().unwrap();
    let alone = async {
        while (system.figures().actors, system.figures().hosted) != (2, 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, alone).await.expect("both let go");
    let child = look(&system, parent).await.child.unwrap();
    assert_eq!(look(&system, child).await.total, 1);
    system.stop(SOON).await;
}

/// What the process and its folder take.
struct Cost {
    memory: u64,
    disk: u64,
}

impl Cost {
    fn now(folder: &Path) -> Self {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or_default();
        Self { memory: pages * 4_096, disk: disk(folder) }
    }

    #[expect(clippy::print_stderr, reason = "figures for whoever measures")]
    fn tell(&self, count: usize, when: &str, now: &Self) {
        let each = |now: u64, before: u64| now.saturating_sub(before) / count as u64;
        eprintln!(
            "{count} {when}: {} MiB of memory, {} B each; {} MiB of disk, {} B each",
            now.memory >> 20,
            each(now.memory, self.memory),
            now.disk >> 20,
            each(now.disk, self.disk)
        );
    }
}

fn disk(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => disk(&entry.path()),
        Ok(data) => data.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}
