//! A store that was killed with work in flight: real files for other tests to damage, and what must hold once it is open.
//!
//! The process that works and kills itself is this binary, run again with [`working`] as its only test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use super::*;
use crate::durable::{
    journal::{disk::RealDisk, head},
    store::{Local, LocalOptions, Store as _},
};

const FOLDER: &str = "HEADFRAME_TEST_WORKS_IN";
const TOLD: &str = "told.json";
const COUNTERS: usize = 5;

/// What was acknowledged before the process died.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Work {
    counters: Vec<(ActorId, u64)>,
    /// Makes a call that may be repeated.
    repeats: ActorId,
    /// Makes a call that may not.
    charges: ActorId,
    /// Has set a timer.
    sleeps: ActorId,
    /// The last record that held any of it.
    pub(super) last: u64,
}

/// A folder, and what was acknowledged in it.
pub(super) struct Killed {
    place: TempDir,
    pub(super) work: Work,
}

impl Killed {
    /// A store with two bases, history in ledger segments, rows of a checkpoint, and records after all of these.
    pub(super) fn new() -> Self {
        static FIRST: OnceLock<(Files, Work)> = OnceLock::new();
        let (files, work) = FIRST.get_or_init(|| {
            let killed = Self::of_a_life_on(tempfile::tempdir().unwrap());
            (read_all(killed.place.path()), killed.work)
        });
        Self { place: written(files), work: work.clone() }
    }

    /// The same store after another life, which was killed, too.
    pub(super) fn later(&self) -> Self {
        Self::of_a_life_on(self.copy().place)
    }

    fn of_a_life_on(place: TempDir) -> Self {
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "durable::tests::killed::working", "--nocapture"])
            .env(FOLDER, place.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(died.code(), None, "it kills itself");
        let work = serde_json::from_slice(&fs::read(place.path().join(TOLD)).unwrap()).unwrap();
        Self { place, work }
    }

    pub(super) fn copy(&self) -> Self {
        Self { place: written(&read_all(self.place.path())), work: self.work.clone() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join("data").join(name)
    }

    /// The files of a folder, in the order of their names.
    pub(super) fn files(&self, folder: &str, end: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|is| is == end)).collect();
        files.sort();
        files
    }

    pub(super) fn store(&self) -> Result<Local, store::Error> {
        Local::open(&self.path(""), options())
    }

    pub(super) async fn start(&self) -> Result<System, store::Error> {
        let works = Closure::new(Effect::IDEMPOTENT, |_| async { Outcome::Done(Json::from(json!("done"))) });
        builder().tool("slow", Arc::new(works)).start(Arc::new(self.store()?)).await
    }

    /// The store opens, all that was acknowledged is there, and the work finishes; what the start mended is returned.
    pub(super) async fn finishes(&self, scene: &str) -> Vec<String> {
        let system = self.start().await.unwrap_or_else(|error| panic!("{scene}: {error}"));
        self.is_finished(&system, scene).await;
        assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new(), "{scene}");
        system.stop(SOON).await;
        assert_eq!(Local::check(&self.path("")).unwrap().problems, Vec::<String>::new(), "{scene}");
        let rows = Local::check_rows(&self.path("")).unwrap();
        assert_eq!((rows.skipped, rows.problems), (None, Vec::new()), "{scene}");
        system.repairs().to_vec()
    }

    pub(super) async fn is_finished(&self, system: &System, scene: &str) {
        for (counter, total) in &self.work.counters {
            assert_eq!(count(system, Address::new(*counter)).await.total, *total, "{scene}");
        }
        let done = until(system, Address::new(self.work.repeats), |count| !count.verdicts.is_empty()).await;
        let doubted = until(system, Address::new(self.work.charges), |count| !count.verdicts.is_empty()).await;
        assert_eq!(
            (done.verdicts, doubted.verdicts),
            (vec!["done".to_owned()], vec!["doubt: crash".to_owned()]),
            "{scene}"
        );
        until(system, Address::new(self.work.sleeps), |count| count.total == 5).await;
        let unstuck = system.unstick_now().await;
        assert!(unstuck.is_empty(), "{scene}: recovery left something to the unsticker: {unstuck:?}");
    }
}

fn options() -> LocalOptions {
    let base_every = Duration::from_millis(5);
    LocalOptions { segment_bytes: 64 * 1024, base_bytes: 128 * 1024, base_every, ..LocalOptions::default() }
}

/// Everything in a folder, by its path in there.
pub(super) type Files = Vec<(PathBuf, Vec<u8>)>;

pub(super) fn read_all(folder: &Path) -> Files {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inside)).unwrap() {
            let path = inside.join(entry.unwrap().file_name());
            if folder.join(&path).is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(folder.join(&path)).unwrap();
                files.push((path, bytes));
            }
        }
    }
    files
}

fn write_all(files: &Files, folder: &Path) {
    for (path, bytes) in files {
        fs::create_dir_all(folder.join(path).parent().unwrap()).unwrap();
        fs::write(folder.join(path), bytes).unwrap();
    }
    // sled looks for it, and it is mostly empty.
    if folder.join("db").exists() {
        fs::create_dir_all(folder.join("blobs")).unwrap();
    }
    if folder.join("data/live/db").exists() {
        fs::create_dir_all(folder.join("data/live/blobs")).unwrap();
    }
}

fn written(files: &Files) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    write_all(files, place.path());
    place
}

pub(super) fn copy_all(from: &Path, to: &Path) {
    write_all(&read_all(from), to);
}

/// The process that dies: not a test, but what the tests run.
#[test]
#[ignore = "run by other tests, in a process of its own"]
fn working() {
    let Some(place) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    mortal_runtime().block_on(work(&place));
}

/// A runtime in a process that will die, and leaves no core behind.
pub(super) fn mortal_runtime() -> tokio::runtime::Runtime {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(rustix::process::Resource::Core, none).unwrap();
    runtime()
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn work(place: &Path) {
    let (data, calls) = (place.join("data"), Arc::new(AtomicU32::new(0)));
    let store = Arc::new(Local::open(&data, options()).unwrap());
    let system = builder().checkpoint(SOON, 1 << 26).tool("slow", Arc::new(Slow(calls.clone())));
    let system = system.start(store.clone()).await.unwrap();
    let mut told = match fs::read(place.join(TOLD)) {
        Ok(told) => serde_json::from_slice(&told).unwrap(),
        Err(_) => begin(&system, &calls).await,
    };
    let is = |entry: &fs::DirEntry, end: &str| entry.path().extension().is_some_and(|is| is == end);
    let files = |folder: &str, end: &str| {
        fs::read_dir(data.join(folder)).map_or(0, |entries| entries.flatten().filter(|entry| is(entry, end)).count())
    };
    // Beside them lie drafts.
    while files("ledger", "led") < 2 || files("base", "base") != 2 {
        system.put(vec![("filler".into(), vec![0_u8; 4096].into())]).await.unwrap();
        add(&system, &mut told).await;
    }
    add(&system, &mut told).await;
    system.checkpoint(SOON).await.unwrap();
    for _ in 0..20 {
        add(&system, &mut told).await;
    }
    let later = Told::AddLater { number: 5, after_ms: 300 };
    system.tell(Address::<Counter>::new(told.sleeps), later).await.unwrap();
    until(&system, Address::new(told.sleeps), |count| count.scheduled == 5).await;
    // HEAD says as much as it will ever say.
    told.last = store.durable().0;
    store.idle().unwrap();
    let noted = head::read(&RealDisk, &data.join(head::NAME)).unwrap().head().unwrap();
    assert!(noted.durable.0 >= told.last);
    fs::write(place.join(TOLD), serde_json::to_vec(&told).unwrap()).unwrap();
    std::process::abort();
}

async fn begin(system: &System, calls: &AtomicU32) -> Work {
    let mut counters = Vec::new();
    for _ in 0..COUNTERS {
        counters.push((counter(system).await.id, 0));
    }
    let (repeats, charges, sleeps) = (counter(system).await, counter(system).await, counter(system).await);
    for (caller, effect) in [(repeats, Effect::IDEMPOTENT), (charges, Effect::AtMostOnce)] {
        system.tell(caller, Told::Call { tool: "slow".to_owned(), effect }).await.unwrap();
    }
    until(system, repeats, |_| calls.load(Ordering::SeqCst) == 2).await;
    Work { counters, repeats: repeats.id, charges: charges.id, sleeps: sleeps.id, last: 0 }
}

/// Tell every counter of one more.
async fn add(system: &System, told: &mut Work) {
    for (counter, total) in &mut told.counters {
        system.tell(Address::<Counter>::new(*counter), Told::Add(1)).await.unwrap();
        *total += 1;
    }
}
