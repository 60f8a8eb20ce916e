//! Dying while history is removed that was kept long enough.

use super::*;
use crate::durable::store::local::{archive, losses};

const NO_SPACE: i32 = 28;

/// Two lives that make bases, put history into ledger segments, and remove the oldest of them.
fn story(disk: &mut SimDisk, tale: &Tale, acknowledged: &mut u64) -> Result<(), Error> {
    for stops in [[9, 16, 24], [28, 32, 36]] {
        let mut life = open(disk)?;
        life.examine(tale, *acknowledged, &|| "on the way".to_owned());
        for to in stops {
            life.tell(tale, to, acknowledged)?;
            life.base()?;
        }
        life.forget(StreamId(u64::MAX))?;
        *disk = disk.killed();
    }
    Ok(())
}

fn whole(tale: &Tale) -> SimDisk {
    let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
    story(&mut disk, tale, &mut acknowledged).unwrap();
    disk
}

fn ledger(disk: &SimDisk) -> Vec<archive::Range> {
    archive::list(disk, Path::new("data/ledger")).unwrap().into_iter().map(|(range, _)| range).collect()
}

#[test]
fn all_segments_go_that_nobody_asks_for_but_the_last() {
    let disk = whole(&Tale::of(60));
    let (gone, left) = (Gone::read(&disk, Path::new("data")).unwrap(), ledger(&disk));
    assert_eq!(left.len(), 1, "the last says where the ledger ends");
    assert_eq!(left[0].from, gone.to.next());
    let notes = disk.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "gone")).count();
    assert_eq!(notes, 1, "older notes go, too");
    let checked = inspect::check(&disk, Path::new("data")).unwrap();
    assert_eq!(checked.problems, Vec::<String>::new());
    assert!(checked.notes.iter().any(|note| note.contains("is gone with its runs")), "{:?}", checked.notes);
}

#[test]
fn what_is_asked_for_stays_whole_wherever_the_process_dies_while_old_history_is_removed() {
    let tale = Tale::of(60);
    for step in 0..=whole(&tale).steps() {
        let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
        disk.die_after(step);
        let _ = story(&mut disk, &tale, &mut acknowledged);
        for fate in FATES {
            lives_on(&disk.after_crash(fate), &tale, acknowledged, &|| scene(&disk, step, fate));
        }
        // The next life removes what is left of what it covers.
        let killed = disk.killed();
        killed.die_after(u64::MAX);
        open(&killed).unwrap().forget(StreamId(0)).unwrap();
        let gone = Gone::read(&killed, Path::new("data")).unwrap();
        assert!(ledger(&killed).iter().all(|range| !gone.covers(*range)), "{}", scene(&disk, step, Fate::Kept));
        // And dies of it, on a note whose name its former life may not have made durable.
        for fate in FATES {
            lives_on(&killed.after_crash(fate), &tale, acknowledged, &|| scene(&disk, step, fate));
        }
    }
}

/// Where bases are made, and history is put into ledger segments, and none of it goes.
fn kept(tale: &Tale) -> SimDisk {
    let (disk, mut acknowledged) = (SimDisk::default(), 0);
    let mut life = open(&disk).unwrap();
    for to in [9, 16, 24, 32] {
        life.tell(tale, to, &mut acknowledged).unwrap();
        life.base().unwrap();
    }
    life.tell(tale, 36, &mut acknowledged).unwrap();
    drop(life);
    disk.killed()
}

/// Whoever found no room for a base once did not come to removing anything, so that there never was room again.
#[test]
fn old_history_goes_also_while_there_is_no_room_for_a_base() {
    let disk = kept(&Tale::of(60));
    let (twin, all) = (disk.killed(), ledger(&disk).len());
    let life = open(&twin).unwrap();
    let before = twin.steps();
    life.forget(StreamId(u64::MAX)).unwrap();
    let steps = twin.steps() - before;
    assert!(all > 1 && steps > 0);
    let life = open(&disk).unwrap();
    let work = Work::new(&life.local.setup, &life.local.shared, 0);
    work.forgets.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    disk.fail_at(disk.steps() + steps + 1, NO_SPACE);
    let refused = work.look(&|| false).unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert_eq!(ledger(&disk).len(), 1);
}

/// A stream that began in records that were lost may be asked for, and nobody knows it any more. The note of the loss once went
/// with the history before it, and what was left of such a stream was told as damage.
#[test]
fn history_behind_a_loss_stays_as_long_as_somebody_may_ask_for_what_began_there() {
    let disk = kept(&Tale::of(60));
    let files = archive::list(&disk, Path::new("data/ledger")).unwrap();
    let ranges = ledger(&disk);
    assert!(ranges.len() > 3, "{ranges:?}");
    disk.lose(&files[1].1);
    losses::note(&disk, Path::new("data"), ranges[1]).unwrap();
    open(&disk).unwrap().forget(StreamId(u64::MAX)).unwrap();
    assert_eq!(ledger(&disk), ranges[2..], "no stream begins there");
    let gone = Gone::read(&disk, Path::new("data")).unwrap();
    assert_eq!(losses::list(&disk, Path::new("data"), gone).unwrap(), [ranges[1]]);
}

#[test]
fn a_segment_with_a_stream_that_is_asked_for_stays_and_so_do_those_after_it() {
    let (tale, disk) = (Tale::of(60), SimDisk::default());
    let mut life = open(&disk).unwrap();
    for to in [9, 16, 24, 32] {
        life.tell(&tale, to, &mut 0).unwrap();
        life.base().unwrap();
    }
    let before = ledger(&disk);
    assert!(before.len() > 2, "{before:?}");
    // All segments hold events of the third stream.
    life.forget(StreamId(3 << 8)).unwrap();
    assert_eq!(ledger(&disk), before);
    assert_eq!(Gone::read(&disk, Path::new("data")).unwrap(), Gone::default());
}

/// Only streams that nobody asks for may have lost their begin: a note that says otherwise hides nothing.
#[test]
fn a_stream_that_is_asked_for_and_has_no_begin_is_told() {
    let (tale, disk) = (Tale::of(60), SimDisk::default());
    let mut life = open(&disk).unwrap();
    for to in [9, 16, 24, 32] {
        life.tell(&tale, to, &mut 0).unwrap();
        life.base().unwrap();
    }
    let gone = Gone { to: ledger(&disk)[0].to, below: StreamId(2 << 8) };
    gone.note(&disk, Path::new("data")).unwrap();
    gone.remove_covered(&disk, Path::new("data"), losses::files(&disk, Path::new("data")).unwrap()).unwrap();
    let verified = Ledger::new(life.local.clone(), Registry::new()).verify().unwrap();
    let is_named =
        |stream: u64| verified.problems.iter().any(|problem| problem.contains(&StreamId(stream << 8).to_string()));
    assert!(!is_named(1) && is_named(2) && is_named(3), "{:?}", verified.problems);
}
