//! A whole store on a real disk that is full: a small file system of its own, where the machine lets us mount one.

use std::{fs, io::Write as _, path::Path};

use tokio::sync::Semaphore;

use super::*;
use crate::{
    durable::store::{Local, LocalOptions},
    small_disk::on_a_small_disk,
};

const DISK_MIB: u32 = 24;
const SEGMENT: u64 = 1024 * 1024;

/// Play a scene on a small disk, or say that it was not played.
fn play<F: Future<Output = ()>>(test: &str, scene: impl FnOnce(std::path::PathBuf) -> F) {
    let played = on_a_small_disk(DISK_MIB, &format!("{}::{test}", module_path!()), |folder| {
        killed::runtime().block_on(scene(folder.to_path_buf()));
    });
    if let Err(why) = played {
        say(&format!("{test} was skipped: {why}"));
    }
}

/// Past the test's captured output, so that everybody sees it.
fn say(what: &str) {
    std::io::stderr().write_all(format!("{what}\n").as_bytes()).unwrap();
}

#[test]
fn a_full_disk_closes_the_door_and_what_was_let_in_goes_on_until_there_is_room_again() {
    play("a_full_disk_closes_the_door_and_what_was_let_in_goes_on_until_there_is_room_again", door);
}

#[test]
fn a_start_on_a_full_disk_says_so_and_changes_nothing() {
    play("a_start_on_a_full_disk_says_so_and_changes_nothing", start);
}

fn on(disk: &Path) -> Result<Arc<Local>, store::Error> {
    let options = LocalOptions { segment_bytes: SEGMENT, base_bytes: 4 * SEGMENT, ..LocalOptions::default() };
    Local::open(&disk.join("data"), options).map(Arc::new)
}

/// Answers once it is let.
struct Gate(Arc<Semaphore>);

impl Tool for Gate {
    async fn call(&self, _: &CallContext, _: Json) -> Outcome {
        self.0.acquire().await.unwrap().forget();
        Outcome::Done(Json::from(json!("done")))
    }
}

fn gated(gate: &Arc<Semaphore>) -> SystemBuilder {
    let sleepy = builder().passivate(Duration::from_millis(20), 1_000).checkpoint(Duration::from_millis(50), 1 << 20);
    sleepy.tool("gate", Arc::new(Gate(gate.clone())))
}

/// Take all the room there is.
fn fill(disk: &Path) {
    let mut filler = fs::OpenOptions::new().create(true).append(true).open(disk.join("filler")).unwrap();
    for block in [1024 * 1024, 4096, 1] {
        while filler.write_all(&vec![1; block]).is_ok() {}
    }
}

/// Tell counters of one until the door is closed; counts what was acknowledged.
async fn until_refused(system: &System, counters: &[Address<Counter>], told: &mut [u64]) -> SendError<Told> {
    let refused = async {
        loop {
            for (counter, told) in counters.iter().zip(&mut *told) {
                match system.tell(*counter, Told::Add(1)).await {
                    Ok(()) => *told += 1,
                    Err(error) => return error,
                }
            }
        }
    };
    tokio::time::timeout(SOON * 3, refused).await.expect("a full disk closes the door")
}

async fn door(disk: std::path::PathBuf) {
    let gate = Arc::new(Semaphore::new(0));
    let system = gated(&gate).start(on(&disk).unwrap()).await.unwrap();
    let (caller, sleeper) = (counter(&system).await, counter(&system).await);
    let mut counters = Vec::new();
    for _ in 0..400 {
        counters.push(counter(&system).await);
    }
    let mut told = vec![0; counters.len()];
    for round in 1..=2 {
        system.tell(caller, Told::Call { tool: "gate".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
        system.tell(sleeper, Told::AddLater { number: 5, after_ms: 100 }).await.unwrap();
        fill(&disk);
        let refused = until_refused(&system, &counters, &mut told).await;
        assert!(matches!(refused, SendError::Busy { .. }), "{refused}");
        assert!(refused.to_string().starts_with("HF0012: nothing more is taken in for now: the"), "{refused}");
        assert!(!disk.join("data/ballast").exists(), "the reserve is given back");
        // What was let in goes on: a call ends, a timer fires, whoever is not in memory is read.
        gate.add_permits(1);
        let drained = async {
            while !system.read(|live| live.calls.is_empty() && live.timers.is_empty()).await.unwrap() {
                tokio::task::yield_now().await;
            }
            system.census().await.unwrap().actors
        };
        let actors = tokio::time::timeout(SOON, drained).await.expect("what was let in goes on");
        assert_eq!((actors, system.failure()), (counters.len() + 2, None));

        fs::remove_file(disk.join("filler")).unwrap();
        let let_in = async { while system.tell(counters[0], Told::Add(0)).await.is_err() {} };
        tokio::time::timeout(SOON, let_in).await.expect("the door opens by itself");
        assert!(disk.join("data/ballast").exists(), "the reserve is whole again");
        system.checkpoint(SOON).await.expect("the rows are open again");
        assert_eq!(until(&system, caller, |count| count.verdicts.len() == round).await.verdicts[round - 1], "done");
        until(&system, sleeper, |count| count.total == 5 * round as u64).await;
    }
    all_there(&system, &counters, &told).await;
    system.stop(SOON).await;
    let checked = Local::check(&disk.join("data")).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
    assert_eq!(Local::check_rows(&disk.join("data")).unwrap().problems, Vec::<String>::new());
    let system = gated(&gate).start(on(&disk).unwrap()).await.unwrap();
    all_there(&system, &counters, &told).await;
    assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new());
    system.stop(SOON).await;
}

async fn all_there(system: &System, counters: &[Address<Counter>], told: &[u64]) {
    for (counter, told) in counters.iter().zip(told) {
        assert_eq!(count(system, *counter).await.total, *told);
    }
}

async fn start(disk: std::path::PathBuf) {
    let gate = Arc::new(Semaphore::new(0));
    let system = gated(&gate).start(on(&disk).unwrap()).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Add(7)).await.unwrap();
    system.stop(SOON).await;
    fill(&disk);
    for _ in 0..2 {
        let refused = match on(&disk) {
            Ok(store) => gated(&gate).start(store).await.err().expect("there is no room").to_string(),
            Err(refused) => refused.to_string(),
        };
        assert!(refused.contains("HF0006") && refused.contains("No space left"), "{refused}");
    }
    fs::remove_file(disk.join("filler")).unwrap();
    let system = gated(&gate).start(on(&disk).unwrap()).await.unwrap();
    assert_eq!(count(&system, address).await.total, 7);
    system.stop(SOON).await;
    assert_eq!(Local::check(&disk.join("data")).unwrap().problems, Vec::<String>::new());
}
