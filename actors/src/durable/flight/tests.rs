//! What a start finds of the life before it.

use std::sync::Barrier;

use proptest::prelude::*;

use super::{
    page::{Book, FILE, PAGE, SUSPECTS_MAX, encode_slot},
    *,
};

const FIRST: Named = Named::Turn { actor: ActorId(256), entry: 7 };
const SECOND: Named = Named::Turn { actor: ActorId(512), entry: 1 };
const CALL: Named = Named::Call { caller: ActorId(256), call: CallId(9) };
const KIND: Label = Label::Kind("counter");

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("flight")
    }

    fn open(&self) -> (Arc<Recorder>, Vec<(Named, u32)>) {
        let (recorder, suspects) = Recorder::open(&self.file()).unwrap();
        (Arc::new(recorder), suspects.iter().map(|suspect| (suspect.named, suspect.deaths)).collect())
    }

    /// A life that dies while it is at this. What a process leaves is what it wrote, so forgetting the guard is dying.
    fn dies_of(&self, named: Named) -> Vec<(Named, u32)> {
        let (recorder, suspects) = self.open();
        std::mem::forget(recorder.begin(named, KIND));
        suspects
    }
}

#[test]
fn a_life_that_ended_by_itself_leaves_no_suspect_and_no_file() {
    let folder = Folder::new();
    let (recorder, _) = folder.open();
    drop(recorder.begin(FIRST, KIND));
    recorder.close();
    assert!(!folder.file().exists());
    assert_eq!(folder.open().1, []);
}

#[test]
fn every_death_is_counted_once() {
    let folder = Folder::new();
    assert_eq!(folder.dies_of(FIRST), []);
    assert_eq!(folder.dies_of(FIRST), [(FIRST, 1)]);
    assert_eq!(folder.dies_of(SECOND), [(FIRST, 2)]);
    assert_eq!(folder.open().1, [(FIRST, 2), (SECOND, 1)]);
    assert_eq!(folder.open().1, [(FIRST, 2), (SECOND, 1)], "a life that died idle adds nothing");
}

#[test]
fn what_survived_is_no_longer_suspected_and_the_rest_is() {
    let folder = Folder::new();
    folder.dies_of(FIRST);
    let (recorder, _) = folder.open();
    recorder.keep(vec![Suspect { named: SECOND, deaths: 2, is_fresh: false }], 1);
    recorder.close();
    assert_eq!(folder.open().1, [(SECOND, 2)], "also after a life that ended by itself");
}

#[test]
fn an_idle_thread_is_at_nothing_once_the_watcher_has_looked() {
    let folder = Folder::new();
    let (recorder, _) = folder.open();
    drop(recorder.begin(FIRST, KIND));
    assert!(!recorder.survey(|running| panic!("{running:?} has ended")));
    assert_eq!(folder.open().1, []);
}

#[test]
fn a_call_is_suspected_only_while_it_is_polled() {
    let folder = Folder::new();
    let (recorder, _) = folder.open();
    let calling = recorder.noted_call(ActorId(256), CallId(9), &"tool".into(), std::future::pending::<()>());
    let poll = std::pin::pin!(calling).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
    assert!(poll.is_pending());
    assert_eq!(folder.open().1, []);
    folder.dies_of(CALL);
    assert_eq!(folder.open().1, [(CALL, 1)]);
}

#[test]
fn every_thread_is_noted_and_one_that_ended_makes_room() {
    let folder = Folder::new();
    let (recorder, _) = folder.open();
    for _ in 0..3 {
        let together = Barrier::new(SLOTS);
        std::thread::scope(|scope| {
            for number in 0..SLOTS as u64 {
                let (recorder, together) = (&recorder, &together);
                scope.spawn(move || {
                    let noted = recorder.begin(Named::Turn { actor: ActorId(number), entry: 1 }, KIND);
                    together.wait();
                    let mut running = 0;
                    recorder.survey(|_| running += 1);
                    assert_eq!(running, SLOTS);
                    together.wait();
                    drop(noted);
                });
            }
        });
        // A scope ends before the destructors of its threads' locals do.
        while recorder.free.lock().len() < SLOTS {
            std::thread::yield_now();
        }
    }
}

#[test]
fn two_systems_in_one_thread_do_not_share_a_slot() {
    let (one, other) = (Folder::new(), Folder::new());
    let (first, second) = (one.open().0, other.open().0);
    std::mem::forget(first.begin(FIRST, KIND));
    std::mem::forget(second.begin(SECOND, KIND));
    assert_eq!((one.open().1, other.open().1), (vec![(FIRST, 1)], vec![(SECOND, 1)]));
}

#[test]
fn a_torn_copy_of_the_book_leaves_the_other() {
    let folder = Folder::new();
    folder.dies_of(FIRST);
    drop(folder.open());
    let whole = std::fs::read(folder.file()).unwrap();
    let newest = usize::from(
        Book::decode(&whole[..PAGE]).unwrap().generation < Book::decode(&whole[PAGE..2 * PAGE]).unwrap().generation,
    );
    let mut torn = whole;
    torn[newest * PAGE + 40] ^= 1;
    std::fs::write(folder.file(), torn).unwrap();
    let (recorder, _) = folder.open();
    drop(recorder);
    assert!(
        Book::read(&std::fs::read(folder.file()).unwrap()).0.generation >= 2,
        "the life goes on from the older copy"
    );
}

#[test]
fn a_slot_of_an_earlier_life_is_nothing() {
    let mut file = vec![0; FILE];
    file[..PAGE].copy_from_slice(&Book { generation: 5, life: 4, ..Book::default() }.encode());
    file[2 * PAGE..2 * PAGE + 32].copy_from_slice(&encode_slot(FIRST, 3));
    file[2 * PAGE + 64..2 * PAGE + 96].copy_from_slice(&encode_slot(SECOND, 4));
    assert_eq!(Book::read(&file).1, [SECOND]);
}

#[test]
fn the_book_never_outgrows_its_page_and_forgets_the_least_suspected() {
    let mut book = Book::default();
    book.blame([FIRST]);
    book.blame((0..500).map(|number| Named::Turn { actor: ActorId(number), entry: 2 }).chain([FIRST]));
    assert_eq!(book.suspects.len(), SUSPECTS_MAX);
    let read = Book::decode(&book.encode()).unwrap();
    assert_eq!((read.suspects.len(), read.suspects[0].named, read.suspects[0].deaths), (SUSPECTS_MAX, FIRST, 2));
}

/// Bytes that stay on disk: a build that changes them must still read these.
#[test]
fn the_book_and_the_slots_keep_their_bytes() {
    let suspects = vec![Suspect { named: CALL, deaths: 2, is_fresh: false }];
    let page = Book { generation: 3, life: 2, strays: 1, suspects }.encode();
    assert_eq!(
        hex(&page[..60]),
        "68662d666c69740a01000000030000000000000002000000000000000100000001000000020000000200000000010000000000000900000000000000"
    );
    assert_eq!(hex(&encode_slot(FIRST, 2)[4..]), "01000000020000000000000000010000000000000700000000000000");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

crate::properties! {
    #[test]
    fn garbage_is_nobody_and_stops_no_start(bytes in proptest::collection::vec(any::<u8>(), 0..FILE + 100)) {
        let folder = Folder::new();
        std::fs::write(folder.file(), bytes).unwrap();
        prop_assert_eq!(folder.dies_of(FIRST), []);
        prop_assert_eq!(folder.open().1, [(FIRST, 1)]);
    }
}

#[tokio::test]
async fn a_suspected_call_that_panics_holds_up_nobody() {
    let recorder = Arc::new(Recorder::in_memory());
    recorder.let_first([CallId(9)]);
    let tool: Arc<str> = "tool".into();
    assert!(!recorder.admits(CallId(8)) && recorder.admits(CallId(9)));
    let panics = recorder.noted_call(ActorId(256), CallId(9), &tool, Box::pin(async { panic!("asked to") }));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(panics);
    assert!(tasks.join_next().await.unwrap().is_err_and(|error| error.is_panic()));
    assert!(recorder.admits_all());
}

/// What noting costs a turn: `cargo test -p headframe-actors --lib noting_a_turn -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
#[expect(clippy::print_stdout, reason = "a measurement is for people")]
fn noting_a_turn_costs_less_than_a_microsecond() {
    const TURNS: u32 = 1_000_000;
    let folder = Folder::new();
    let measure = |recorder: &Arc<Recorder>| {
        let began = crate::clock::monotonic();
        for entry in 0..TURNS {
            drop(recorder.begin(Named::Turn { actor: ActorId(256), entry: entry.into() }, KIND));
        }
        began.elapsed() / TURNS
    };
    let recorders = [folder.open().0, Arc::new(Recorder::in_memory())];
    let least = |recorder| (0..5).map(|_| measure(recorder)).min().unwrap();
    let [with_file, in_memory] = [least(&recorders[0]), least(&recorders[1])];
    let file = std::fs::File::create(folder.0.path().join("raw")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; FILE], 0).unwrap();
    let raw = || {
        let began = crate::clock::monotonic();
        for _ in 0..TURNS {
            std::os::unix::fs::FileExt::write_all_at(&file, &[1; 32], 2 * PAGE as u64).unwrap();
        }
        began.elapsed() / TURNS
    };
    let raw = (0..5).map(|_| raw()).min().unwrap();
    println!("noted in {with_file:?} with a file ({raw:?} of it the write), in {in_memory:?} in memory");
    assert!(with_file < Duration::from_micros(1), "{with_file:?}");
}
