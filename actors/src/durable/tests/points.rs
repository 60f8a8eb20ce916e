//! Deaths between any two operations on rows, on real files: a first creation, checkpoints, rebuilding, an accepted loss.
//!
//! The journal, bases and ledger segments die on a simulated disk (`store/local/crashes.rs`). sled has no such seam, so here
//! a process really dies: this binary, run again with [`mortal`] as its only test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    killed::{mortal_runtime, runtime},
    *,
};
use crate::durable::{
    dying,
    store::{Local, LocalOptions},
};

const FOLDER: &str = "HEADFRAME_TEST_DIES_IN";
const POINT: &str = "HEADFRAME_TEST_DIES_AT";

/// What the outside knows.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Witness {
    counter: Option<ActorId>,
    /// What was acknowledged.
    told: u64,
    /// Whether a loss may be accepted by now.
    lossy: bool,
    /// Whether the story came to its end.
    ended: bool,
}

impl Witness {
    fn write(self, place: &Path) {
        // It is there whole or not at all, as the outside is.
        fs::write(place.join("witness.new"), serde_json::to_vec(&self).unwrap()).unwrap();
        fs::rename(place.join("witness.new"), place.join("witness")).unwrap();
    }

    fn read(place: &Path) -> Self {
        fs::read(place.join("witness")).map(|told| serde_json::from_slice(&told).unwrap()).unwrap_or_default()
    }
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_process_dies_while_rows_are_made_written_and_built_again() {
    // Threads are not in step, so a story may have a point more or less: the last is the one at which it ends by itself.
    let (runtime, mut point, mut ended) = (runtime(), 0, false);
    while !ended {
        let place = tempfile::tempdir().unwrap();
        let witness = live_and_die(place.path(), point);
        runtime.block_on(lives_on(&place.path().join("data"), witness, point));
        (point, ended) = (point + 1, witness.ended);
    }
    assert!(point > 90, "{point} points");
}

fn live_and_die(place: &Path, point: i64) -> Witness {
    let died = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "durable::tests::points::mortal", "--nocapture"])
        .env(FOLDER, place)
        .env(POINT, point.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let witness = Witness::read(place);
    assert_eq!(died.code(), witness.ended.then_some(0), "at point {point}: {witness:?}");
    witness
}

/// The next start opens; what was acknowledged is there, and at most the one message of which nobody heard.
async fn lives_on(data: &Path, witness: Witness, point: i64) {
    let scene = format!("point {point} of {witness:?}");
    let opened = match start(data).await {
        Err(refused) if witness.lossy => {
            assert!(["HF0003", "HF0020"].iter().any(|code| refused.to_string().contains(code)), "{scene}: {refused}");
            Local::accept_loss(data, &kinds(), 0).unwrap_or_else(|error| panic!("{scene}: {error}"));
            start(data).await
        }
        opened => opened,
    };
    let system = opened.unwrap_or_else(|error| panic!("{scene}: {error}"));
    if let Some(counter) = witness.counter {
        let found = count(&system, Address::new(counter)).await.total;
        assert!(found <= witness.told + 1 && (witness.lossy || found >= witness.told), "{scene}: {found}");
        system.tell(Address::<Counter>::new(counter), Told::Add(1)).await.unwrap();
        assert_eq!(count(&system, Address::new(counter)).await.total, found + 1, "{scene}");
    }
    assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new(), "{scene}");
    system.stop(SOON).await;
    assert_eq!(Local::check(data).unwrap().problems, Vec::<String>::new(), "{scene}");
    let rows = Local::check_rows(data).unwrap();
    assert_eq!((rows.skipped, rows.problems), (None, Vec::new()), "{scene}");
}

async fn start(data: &Path) -> Result<System, store::Error> {
    let options = LocalOptions { segment_bytes: 64 * 1024, ..LocalOptions::default() };
    builder().checkpoint(SOON, 1 << 26).start(Arc::new(Local::open(data, options)?)).await
}

/// The process that dies: not a test, but what the test above runs.
#[test]
#[ignore = "run by the test above, in a process of its own"]
fn mortal() {
    let Some(place) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = mortal_runtime();
    let point: i64 = std::env::var(POINT).unwrap().parse().unwrap();
    dying::after(point);
    let mut witness = Witness::default();
    runtime.block_on(live(&place, &mut witness));
    witness.ended = true;
    witness.write(&place);
}

async fn live(place: &Path, witness: &mut Witness) {
    let data = place.join("data");
    // Made, written twice, opened again.
    life(place, witness).await;
    life(place, witness).await;
    // Built again, because they are damaged, and because somebody asked for it.
    fs::write(data.join("live/db"), "").unwrap();
    life(place, witness).await;
    assert_eq!(Local::repair(&data).unwrap().len(), 1);
    life(place, witness).await;
    // Built again in front of a loss.
    witness.lossy = true;
    witness.write(place);
    damage(&data.join("journal"));
    fs::remove_dir_all(data.join("live")).unwrap();
    Local::accept_loss(&data, &kinds(), 0).unwrap();
    life(place, witness).await;
}

/// Tell a counter of something, before and after its rows are written.
async fn life(place: &Path, witness: &mut Witness) {
    let system = start(&place.join("data")).await.unwrap();
    if witness.counter.is_none() {
        witness.counter = Some(counter(&system).await.id);
        witness.write(place);
    }
    let counter = Address::<Counter>::new(witness.counter.unwrap());
    for _ in 0..2 {
        system.tell(counter, Told::Add(1)).await.unwrap();
        witness.told += 1;
        witness.write(place);
        system.checkpoint(SOON).await.unwrap();
    }
    system.stop(SOON).await;
}

/// Flip a bit of the second record of the newest segment that has three.
fn damage(journal: &Path) {
    const PAGE: usize = 4096;
    const OVERHEAD: usize = 28;
    let mut segments: Vec<_> = fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    for segment in segments.iter().rev() {
        let mut bytes = fs::read(segment).unwrap();
        let (mut at, mut starts) = (PAGE, Vec::new());
        while bytes.get(at..at + 8).is_some_and(|id| id == &bytes[PAGE..PAGE + 8] && id != [0; 8]) {
            starts.push(at);
            at += OVERHEAD + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        }
        if starts.len() > 2 {
            bytes[starts[1] + OVERHEAD] ^= 1;
            return fs::write(segment, &bytes).unwrap();
        }
    }
    panic!("no segment has three records");
}
