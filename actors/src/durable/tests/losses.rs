//! Real folders that are damaged, of an older format, or were left in disorder: what is told, and what going on costs.

use std::{fs, path::Path};

use super::*;
use crate::durable::store::{Local, LocalOptions, Store as _};

const ADDED: u64 = 20;
const PAGE: usize = 4096;
const OVERHEAD: usize = 28;

#[tokio::test]
async fn damage_below_head_is_named_and_accepting_it_goes_on_from_the_last_good_record() {
    let folder = tempfile::tempdir().unwrap();
    let address = live_once(folder.path(), true).await;
    let damaged = damage(&folder.path().join("journal/0000000001.seg"), 2, 3);
    fs::remove_dir_all(folder.path().join("live")).unwrap();
    let refused = start(folder.path()).await.err().unwrap().to_string();
    assert!(refused.contains("HF0003") && refused.contains("doctor --accept-loss"), "{refused}");

    let loss = Local::loss(folder.path()).unwrap().unwrap();
    assert_eq!((loss.until, loss.base, loss.history), (damaged - 1, 0, None));
    assert_eq!(loss.state.unwrap().0, damaged);
    let settled = Local::accept_loss(folder.path(), &kinds(), 0).unwrap();
    assert_eq!((settled.roots, settled.doubted), (1, 1), "{settled:?}");
    assert!(settled.aside.unwrap().join("0000000001.seg").exists());
    assert_eq!(Local::loss(folder.path()).unwrap(), None);
    assert_eq!(Local::check(folder.path()).unwrap().problems, Vec::<String>::new());

    let system = start(folder.path()).await.unwrap();
    let now = until(&system, address, |count| count.verdicts.contains(&"doubt: restored".to_owned())).await;
    assert!((1..ADDED).contains(&now.total), "{now:?}");
    let row = system.get(Restored::KEY).await.unwrap().unwrap();
    assert_eq!(Restored::decode(&row).unwrap().from, damaged);
    let mut told = 0;
    system
        .ledger()
        .all(&mut |item| {
            told += u32::from(matches!(&item.what, What::Runtime(note) if note.get("Restored").is_some()));
            true
        })
        .unwrap();
    assert_eq!((told, system.ledger().verify().unwrap().problems), (1, Vec::new()));
    system.stop(SOON).await;
}

#[tokio::test]
async fn a_loss_that_is_not_settled_keeps_the_store_closed_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    live_once(folder.path(), false).await;
    fs::write(folder.path().join("loss"), "3 4\n").unwrap();
    assert!(start(folder.path()).await.err().unwrap().to_string().contains("HF0020"));
    assert_eq!(Local::accept_loss(folder.path(), &kinds(), 0).unwrap().roots, 1);
    start(folder.path()).await.unwrap().stop(SOON).await;
}

#[tokio::test]
async fn damage_that_a_base_has_outlived_costs_history_and_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let address = live_once(folder.path(), false).await;
    // The two segments of two lives are enough for a base, and what comes after it is not.
    let base_bytes = 2 * LocalOptions::default().segment_bytes;
    let options = LocalOptions { base_bytes, base_every: Duration::from_millis(5), ..LocalOptions::default() };
    let system = builder().start(Arc::new(Local::open(folder.path(), options).unwrap())).await.unwrap();
    let based = async {
        while Local::check(folder.path()).unwrap().bases.files == 0 {
            system.tell(address, Told::Add(0)).await.unwrap();
        }
    };
    tokio::time::timeout(SOON, based).await.expect("a base is made");
    system.stop(SOON).await;
    let damaged = damage(&folder.path().join("journal/0000000001.seg"), 1, 2);
    fs::remove_dir_all(folder.path().join("live")).unwrap();

    let loss = Local::loss(folder.path()).unwrap().unwrap();
    assert_eq!((loss.state, loss.history), (None, Some((damaged, loss.base))), "{loss:?}");
    Local::accept_loss(folder.path(), &kinds(), 0).unwrap();
    let checked = Local::check(folder.path()).unwrap();
    assert_eq!((checked.problems, checked.notes.len(), checked.ledger.files), (Vec::new(), 1, 1));
    let (ledger, live) = look(folder.path());
    assert_eq!(ledger.verify().unwrap().problems, Vec::<String>::new());
    let refolded = ledger.refold(&live).unwrap();
    assert_eq!((refolded.incomplete, refolded.problems), (1, Vec::new()));
    let system = start(folder.path()).await.unwrap();
    assert_eq!(count(&system, address).await.total, ADDED);
    system.stop(SOON).await;
}

/// The chain once began anew behind a loss: what was shown there had hashes that no record and no base agreed with.
#[tokio::test]
async fn hashes_behind_an_accepted_loss_are_what_they_were() {
    let (folder, address) = with_its_first_segment().await;
    let before = hashes(folder.path());
    damage(&folder.path().join("journal/0000000001.seg"), 1, 2);
    let settled = Local::accept_loss(folder.path(), &kinds(), 0).unwrap();
    assert_eq!(settled.roots, 0, "history alone was lost: {settled:?}");
    let left = hashes(folder.path());
    let lost = before.keys().find(|number| !left.contains_key(number)).copied().expect("some events are lost");
    // A life that stops as soon as it has its base leaves it to the next one to archive what that makes needless.
    for life in 0..20 {
        if life >= 3 && Local::check(folder.path()).unwrap().ledger.files >= 2 {
            break;
        }
        live_to_a_base(folder.path(), address, 1).await;
    }
    assert!(Local::check(folder.path()).unwrap().ledger.files >= 2, "history is archived behind the loss");
    let after = hashes(folder.path());
    assert!(after.keys().any(|number| *number > lost), "there are events behind the loss");
    for (number, hash) in left.iter().chain(&before).filter(|(number, _)| after.contains_key(number)) {
        assert_eq!(after.get(number), Some(hash), "event {number}, and those from {lost} on were lost");
    }
    let (ledger, _) = look(folder.path());
    assert_eq!(ledger.verify().unwrap().problems, Vec::<String>::new());
}

/// Two lives and a base, and the journal of the first of them. A second base that was made at once leaves nothing of that to
/// be damaged, and it is tried again.
async fn with_its_first_segment() -> (tempfile::TempDir, Address<Counter>) {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let address = live_once(folder.path(), false).await;
        live_to_a_base(folder.path(), address, 2).await;
        if folder.path().join("journal/0000000001.seg").exists() {
            return (folder, address);
        }
    }
    panic!("the first segment was gone each time");
}

/// A life, its segment of the journal, and a base of so many segments.
async fn live_to_a_base(folder: &Path, address: Address<Counter>, segments: u64) {
    let base_bytes = segments * LocalOptions::default().segment_bytes;
    let options = LocalOptions { base_bytes, base_every: Duration::from_millis(5), ..LocalOptions::default() };
    let last = || Local::check(folder).unwrap().bases.last;
    // Before anything begins: the archiver may be done before the start is.
    let before = last();
    let system = builder().start(Arc::new(Local::open(folder, options).unwrap())).await.unwrap();
    let based = async {
        while last() == before {
            system.tell(address, Told::Add(1)).await.unwrap();
        }
    };
    tokio::time::timeout(SOON, based).await.expect("a base is made");
    system.stop(SOON).await;
}

/// What the ledger shows: the hash at each event of the one stream that there is.
fn hashes(folder: &Path) -> std::collections::BTreeMap<u64, String> {
    let mut hashes = std::collections::BTreeMap::new();
    let (ledger, _) = look(folder);
    ledger
        .all(&mut |item| {
            hashes.insert(item.number, item.hash);
            true
        })
        .unwrap();
    hashes
}

#[tokio::test]
async fn what_is_live_is_what_the_events_alone_come_to_and_a_lost_event_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    live_once(folder.path(), true).await;
    let (ledger, mut live) = look(folder.path());
    let refolded = ledger.refold(&live).unwrap();
    assert_eq!((refolded.actors, refolded.problems), (1, Vec::new()));
    live.actors.values_mut().for_each(|row| drop(row.events.pop()));
    assert!(ledger.refold(&live).unwrap().problems[0].contains("its row is not what its events come to"));
    live.calls.clear();
    assert!(ledger.refold(&live).unwrap().problems[0].contains("1 calls, and 0 and 0 are there"));
}

#[tokio::test]
async fn rows_are_compared_with_the_journal_and_built_again_when_they_are_of_no_use() {
    let folder = tempfile::tempdir().unwrap();
    let address = live_once(folder.path(), false).await;
    let found = Local::check_rows(folder.path()).unwrap();
    assert!(found.rows > 0 && found.problems.is_empty() && found.skipped.is_none(), "{found:?}");
    let db = fs::OpenOptions::new().write(true).open(folder.path().join("live/db")).unwrap();
    db.set_len(10).unwrap();
    assert_eq!(Local::check_rows(folder.path()).unwrap().problems.len(), 1);
    assert!(Local::repair(folder.path()).unwrap()[0].contains("were built again"));
    assert_eq!(Local::check_rows(folder.path()).unwrap().problems, Vec::<String>::new());
    assert!(folder.path().join("live.bad-1").exists());
    let system = start(folder.path()).await.unwrap();
    assert!(Local::check_rows(folder.path()).unwrap().skipped.is_some(), "the folder is in use");
    assert_eq!(count(&system, address).await.total, ADDED);
    system.stop(SOON).await;
}

#[tokio::test]
async fn an_older_folder_is_kept_as_it_was_and_a_newer_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let address = live_once(folder.path(), false).await;
    // What a build of format 1 leaves behind.
    fs::remove_dir_all(folder.path().join("live")).unwrap();
    fs::remove_file(folder.path().join("format")).unwrap();
    let journal = fs::read(folder.path().join("journal/0000000001.seg")).unwrap();
    let system = start(folder.path()).await.unwrap();
    assert!(system.repairs()[0].contains("before-format-1"), "{:?}", system.repairs());
    assert_eq!(count(&system, address).await.total, ADDED);
    system.stop(SOON).await;
    assert_eq!(fs::read(folder.path().join("before-format-1/journal/0000000001.seg")).unwrap(), journal);
    fs::write(folder.path().join("format"), "6\n").unwrap();
    assert!(start(folder.path()).await.err().unwrap().to_string().contains("HF0005"));
    assert!(Local::check(folder.path()).unwrap_err().to_string().contains("HF0005"));
}

#[tokio::test]
async fn a_life_that_did_not_end_in_order_is_known_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("open");
    let system = start(folder.path()).await.unwrap();
    assert!(mark.exists());
    system.stop(SOON).await;
    assert!(!mark.exists());
    drop(Local::open(folder.path(), LocalOptions::default()).map(|store| store.open().map(drop)).unwrap());
    assert!(mark.exists(), "rows were opened, and nobody let go of them");
}

async fn start(folder: &Path) -> Result<System, store::Error> {
    let slow = Arc::new(Slow(Arc::default()));
    builder().tool("slow", slow).start(Arc::new(Local::open(folder, LocalOptions::default())?)).await
}

/// A life in which something was counted, one record each, perhaps with a call left open.
async fn live_once(folder: &Path, calls: bool) -> Address<Counter> {
    let system = start(folder).await.unwrap();
    let address = counter(&system).await;
    if calls {
        let call = Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce };
        system.tell(address, call).await.unwrap();
        until(&system, address, |count| count.call.is_some()).await;
    }
    for _ in 0..ADDED {
        system.tell(address, Told::Add(1)).await.unwrap();
    }
    assert_eq!(count(&system, address).await.total, ADDED);
    system.stop(SOON).await;
    address
}

/// Flip a byte of the record at this part of a segment, and give its number.
fn damage(segment: &Path, part: usize, of: usize) -> u64 {
    let mut bytes = fs::read(segment).unwrap();
    let (mut at, mut starts) = (PAGE, Vec::new());
    while bytes.get(at..at + 8).is_some_and(|id| id == &bytes[PAGE..PAGE + 8]) {
        starts.push(at);
        at += OVERHEAD + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    let start = starts[starts.len() * part / of];
    bytes[start + OVERHEAD] ^= 1;
    fs::write(segment, &bytes).unwrap();
    u64::from_le_bytes(bytes[start + 12..start + 20].try_into().unwrap())
}

/// Ledger and state of one moment.
fn look(folder: &Path) -> (Ledger, Live) {
    let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() }).unwrap();
    let (live, _) = Live::fold(&store).unwrap();
    (Ledger::new(Arc::new(store), Registry::new().with::<Counter>()), live)
}

/// Such a base was once only passed over, and was taken for a true one when the journal had grown past it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_base_that_holds_more_than_the_journal_is_put_aside_and_told() {
    let killed = killed::Killed::new();
    let ahead = killed.path("base").join("00000000000000999999.base");
    fs::copy(killed.files("base", "base").pop().unwrap(), &ahead).unwrap();
    let told = killed.finishes("a base of another story").await;
    assert!(told.iter().any(|told| told.contains("holds more than the journal")), "{told:?}");
    assert!(!ahead.exists() && ahead.with_extension("base.bad").exists());
}
