//! What happens to a whole store whose files are not as it left them, with work in flight: mended and told, or refused by name.

use std::{fs, path::Path};

use super::{
    killed::{Killed, copy_all},
    *,
};
use crate::durable::store::{Local, Store as _};

/// What goes wrong with the files.
type Fault = Box<dyn Fn(&Killed)>;

/// Flip a bit of a file.
fn flip(file: &Path, at: u64) {
    let mut bytes = fs::read(file).unwrap();
    bytes[usize::try_from(at).unwrap()] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(len).unwrap();
}

/// How far a file is written; the rest of it is zeros.
fn used(file: &Path) -> u64 {
    fs::read(file).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64
}

fn len(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_store_goes_on_and_nothing_is_mended_that_was_whole() {
    let killed = Killed::new();
    assert_eq!(killed.finishes("as it was left").await, Vec::<String>::new());
    assert!(killed.files("base", "base").len() >= 2 && !killed.files("ledger", "led").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_gone_cut_or_exchanged_are_built_again_and_that_is_told() {
    let (first, live) = (Killed::new(), "live");
    let (later, other) = (first.later(), Killed::new());
    let faults: Vec<(&str, Fault)> = vec![
        ("they are gone", Box::new(move |killed| fs::remove_dir_all(killed.path(live)).unwrap())),
        ("`db` is missing or empty", Box::new(|killed| fs::remove_file(killed.path("live/db")).unwrap())),
        ("`db` is missing or empty", Box::new(|killed| cut(&killed.path("live/db"), 0))),
        ("", Box::new(|killed| cut(&killed.path("live/db"), used(&killed.path("live/db")) / 2))),
        ("`conf` is not what sled writes", Box::new(|killed| flip(&killed.path("live/conf"), 3))),
        ("and the journal ends at", Box::new(move |killed| exchange(killed, &later))),
        ("another store", Box::new(move |killed| estrange(killed, &other))),
        (
            "Not a directory",
            Box::new(move |killed| {
                fs::remove_dir_all(killed.path(live)).unwrap();
                fs::write(killed.path(live), "a file").unwrap();
            }),
        ),
    ];
    for (why, fault) in faults {
        let killed = first.copy();
        fault(&killed);
        let told = killed.finishes(why).await;
        assert!(told.iter().any(|told| told.contains("were built again") && told.contains(why)), "`{why}`: {told:?}");
        assert_eq!(killed.finishes(why).await, Vec::<String>::new(), "once is enough");
    }
}

/// Rows of a later moment.
fn exchange(killed: &Killed, later: &Killed) {
    fs::remove_dir_all(killed.path("live")).unwrap();
    copy_all(&later.path("live"), &killed.path("live"));
}

/// Rows of another store.
fn estrange(killed: &Killed, other: &Killed) {
    for name in ["HEAD", "journal", "base", "ledger"] {
        let _ = fs::remove_file(other.path(name)).or_else(|_| fs::remove_dir_all(other.path(name)));
    }
    let store = other.store().unwrap();
    store.open().unwrap();
    store.recover(&mut |_, _| Ok(())).unwrap();
    store.release();
    exchange(killed, other);
}

/// A file that was three times in the place of the folder once stopped the store from opening.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_place_of_the_rows_is_put_aside_as_often_as_it_is_there() {
    let killed = Killed::new();
    for _ in 0..4 {
        fs::remove_dir_all(killed.path("live")).unwrap();
        fs::write(killed.path("live"), "a file").unwrap();
        fs::write(killed.path("live.new"), "another").unwrap();
        assert_eq!(killed.finishes("a file").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_flipped_in_the_rows_is_never_taken_for_the_truth() {
    let (first, mut rebuilt) = (Killed::new(), 0);
    let whole = used(&first.path("live/db"));
    for part in 0..10 {
        let killed = first.copy();
        flip(&killed.path("live/db"), whole * part / 10);
        rebuilt += killed.finishes(&format!("a bit in part {part}")).await.len();
    }
    assert!(rebuilt > 0, "none of the bits mattered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_journal_is_refused_by_name_and_a_torn_end_is_cut_and_told() {
    let first = Killed::new();
    let last = |killed: &Killed| killed.files("journal", "seg").pop().unwrap();
    let faults: Vec<(&str, &str, Fault)> = vec![
        ("HF0003", "were acknowledged and are damaged", Box::new(move |killed| damage_end(&last(killed), 3))),
        ("HF0004", "HEAD is there and the journal is not", {
            Box::new(|killed| fs::remove_dir_all(killed.path("journal")).unwrap())
        }),
        ("HF0004", "the journal begins at record", {
            Box::new(|killed| fs::remove_file(&killed.files("journal", "seg")[0]).unwrap())
        }),
        ("HF0003", "", Box::new(move |killed| fs::remove_file(last(killed)).unwrap())),
    ];
    for (code, why, fault) in faults {
        let killed = first.copy();
        fault(&killed);
        // What a start need not read it does not read: without rows and the newer base it reads all there is.
        fs::remove_dir_all(killed.path("live")).unwrap();
        fs::remove_file(killed.files("base", "base").pop().unwrap()).unwrap();
        let refused = killed.start().await.err().unwrap_or_else(|| panic!("`{why}` is opened")).to_string();
        assert!(refused.contains(code) && refused.contains(why), "`{why}`: {refused}");
    }
    // Above HEAD: a record that nobody was told of.
    let killed = first.copy();
    tear(&last(&killed));
    let told = killed.finishes("a torn end").await;
    assert!(told.iter().any(|told| told.contains("was torn, and nobody had been told of it")), "{told:?}");
    for (fault, why) in [(0, "HEAD was missing"), (1, "HEAD was unreadable"), (2, "one slot of HEAD was torn")] {
        let killed = first.copy();
        match fault {
            0 => fs::remove_file(killed.path("HEAD")).unwrap(),
            1 => [0, 4096].map(|at| flip(&killed.path("HEAD"), at)).into_iter().collect(),
            _ => flip(&killed.path("HEAD"), 20),
        }
        let told = killed.finishes(why).await;
        assert!(told.iter().any(|told| told.contains(why)), "`{why}`: {told:?}");
    }
}

/// Where the records of a segment begin.
fn starts(bytes: &[u8]) -> Vec<usize> {
    const PAGE: usize = 4096;
    const OVERHEAD: usize = 28;
    let (mut at, mut starts) = (PAGE, Vec::new());
    while bytes.get(at..at + 8).is_some_and(|id| id == &bytes[PAGE..PAGE + 8]) {
        starts.push(at);
        at += OVERHEAD + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    starts.push(at);
    starts
}

/// Flip a bit of one of the last records of a segment.
fn damage_end(segment: &Path, from_end: usize) {
    let mut bytes = fs::read(segment).unwrap();
    let starts = starts(&bytes);
    // Where a segment began lately it is its first.
    bytes[starts[(starts.len() - 1).saturating_sub(from_end)] + 30] ^= 1;
    fs::write(segment, bytes).unwrap();
}

/// Half a record more.
fn tear(segment: &Path) {
    let mut bytes = fs::read(segment).unwrap();
    let starts = starts(&bytes);
    let (last, end) = (starts[starts.len() - 2], starts[starts.len() - 1]);
    let half = bytes[last..last + (end - last) / 2].to_vec();
    bytes[end..end + half.len()].copy_from_slice(&half);
    fs::write(segment, bytes).unwrap();
}

/// The older base once was thrown away when the newer one turned out to be damaged and another was made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_base_is_told_and_replaced_from_the_one_before_it() {
    for rows_too in [false, true] {
        let killed = Killed::new();
        let bases = killed.files("base", "base");
        let [.., older, newest] = &bases[..] else { panic!("there are two") };
        flip(newest, len(newest) / 2);
        let problems = Local::check(&killed.path("")).unwrap().problems;
        assert!(problems.len() == 1 && problems[0].starts_with("HF0009"), "{problems:?}");
        if rows_too {
            fs::remove_dir_all(killed.path("live")).unwrap();
        }
        let system = killed.start().await.unwrap();
        let told = system.repairs().iter().any(|told| told.contains("a base image is damaged"));
        assert_eq!(told, rows_too, "{:?}", system.repairs());
        killed.is_finished(&system, "with the older base").await;
        assert!(older.exists());
        // Work goes on until there are two good ones. What is written does not pack: few records fill a segment.
        let mended = async {
            while !Local::check(&killed.path("")).unwrap().problems.is_empty() {
                system.put(vec![("filler".into(), noise())]).await.unwrap();
            }
        };
        tokio::time::timeout(6 * SOON, mended).await.expect("another base is made");
        assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new());
        system.stop(SOON).await;
        fs::remove_dir_all(killed.path("live")).unwrap();
        let killed_again = killed.start().await.unwrap();
        assert_eq!(killed_again.ledger().verify().unwrap().problems, Vec::<String>::new());
        killed_again.stop(SOON).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_good_base_rows_carry_the_store_and_without_rows_it_is_refused_by_name() {
    let killed = Killed::new();
    for base in killed.files("base", "base") {
        flip(&base, len(&base) / 2);
    }
    let problems = Local::check(&killed.path("")).unwrap().problems;
    assert!(problems.iter().filter(|problem| problem.starts_with("HF0009")).count() >= 2, "{problems:?}");
    let without_rows = killed.copy();
    let system = killed.start().await.unwrap();
    killed.is_finished(&system, "without a base").await;
    system.stop(SOON).await;
    fs::remove_dir_all(without_rows.path("live")).unwrap();
    let refused = without_rows.start().await.err().unwrap().to_string();
    assert!(refused.contains("HF0004") && refused.contains("no base image that can be read"), "{refused}");
    assert!(refused.contains("restore a backup"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_segment_that_is_damaged_or_gone_is_named_and_costs_no_state() {
    for gone in [false, true] {
        let killed = Killed::new();
        let segment = killed.files("ledger", "led").remove(0);
        if gone {
            fs::remove_file(&segment).unwrap()
        } else {
            flip(&segment, len(&segment) / 2)
        }
        let problems = Local::check(&killed.path("")).unwrap().problems.join("\n");
        let named = if gone { "HF0004" } else { "HF0009" };
        assert!(problems.contains(named), "{problems}");
        let system = killed.start().await.unwrap();
        killed.is_finished(&system, "without history").await;
        let told = match system.ledger().verify() {
            Ok(verified) => verified.problems.join("\n"),
            Err(error) => error.to_string(),
        };
        assert!(told.contains("HF000"), "{told}");
        system.stop(SOON).await;
    }
}

/// Without it nothing more could be put aside, and the journal grew for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_base_at_which_the_ledger_ends_can_be_given_up_for_the_history_after_it() {
    let killed = Killed::new();
    let ledger = killed.files("ledger", "led").pop().unwrap();
    let (_, end) = ledger.file_stem().unwrap().to_str().unwrap().split_once('-').unwrap();
    let base = killed.path("base").join(format!("{end}.base"));
    flip(&base, len(&base) / 2);
    let loss = Local::loss(&killed.path("")).unwrap().expect("it is damaged");
    let (from, to) = loss.history.expect("the events after it");
    assert_eq!((loss.state, from), (None, end.parse::<u64>().unwrap() + 1), "{loss:?}");
    Local::accept_loss(&killed.path(""), &kinds(), 0).unwrap();
    assert_eq!(Local::loss(&killed.path("")).unwrap(), None);
    assert_eq!(killed.finishes("without some history").await, Vec::<String>::new());
    let notes = Local::check(&killed.path("")).unwrap().notes;
    assert!(notes[0].contains(&format!("records {from} to {to} was lost")), "{notes:?}");
}
