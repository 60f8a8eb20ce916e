//! Dying while bases and ledger segments are made, and while what they replace is removed.

use super::*;
use crate::durable::store::{
    Past, Recovered, Stats, Store,
    local::{archive, past::Counted},
};

const NO_SPACE: i32 = 28;

/// Three lives in which bases are made, history is put into ledger segments, and the journal is trimmed.
pub(super) fn story(disk: &mut SimDisk, tale: &Tale, acknowledged: &mut u64) -> Result<(), Error> {
    story_as(disk, Manner::Close, tale, acknowledged)
}

pub(super) fn story_as(disk: &mut SimDisk, manner: Manner, tale: &Tale, acknowledged: &mut u64) -> Result<(), Error> {
    for (life, stops) in [&[9, 16, 19][..], &[24, 27], &[31, 36]].iter().enumerate() {
        let mut opened = open_as(disk, manner)?;
        opened.examine(tale, *acknowledged, &|| format!("life {life}"));
        for (stop, to) in stops.iter().enumerate() {
            opened.tell(tale, *to, acknowledged)?;
            // The first base of each life is made when `HEAD` has been silent for a while.
            if stop > 0 && manner != Manner::Close {
                opened.local.idle()?;
                assert!(vouched(disk) >= *acknowledged, "HEAD was asked to say it");
            }
            // The archiver's thread tries again later, and the life goes on.
            let _ = opened.base();
        }
        // The second life ends well, the others do not.
        *disk = if life == 1 { disk.clone() } else { disk.killed() };
    }
    Ok(())
}

fn whole(tale: &Tale) -> SimDisk {
    let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
    story(&mut disk, tale, &mut acknowledged).unwrap();
    assert_eq!(acknowledged, 36);
    disk
}

#[test]
fn the_story_makes_and_removes_all_there_is() {
    let disk = whole(&Tale::of(60));
    let log = disk.log().join("\n");
    for step in [".base.new", ".aside.new", ".led.new", "remove data/base/", "remove data/journal/0000000001.seg"] {
        assert!(log.contains(step), "{step} in {log}");
    }
    let segments = disk.paths().iter().filter(|path| path.extension().is_some_and(|end| end == "led")).count();
    assert_eq!((disk.steps(), segments), (320, 7), "crash points, ledger segments");
}

/// Records were once read for a base, and once more when their history entered the ledger.
#[test]
fn history_is_written_beside_one_base_and_gets_its_name_with_the_next() {
    let (tale, disk) = (Tale::of(60), SimDisk::default());
    let mut life = open(&disk).unwrap();
    let at = |life: &Life| {
        let named = Counted::list(&disk, Path::new("data")).unwrap().end;
        let drafts = archive::leftovers(&disk, Path::new("data/ledger")).unwrap();
        (named.0, life.work.lock().drafts.lock().as_ref().map(|drafts| drafts.end().0), drafts.is_empty())
    };
    let mut told = Vec::new();
    for to in [9, 16, 19, 24, 36] {
        life.tell(&tale, to, &mut 0).unwrap();
        life.base().unwrap();
        told.push(at(&life));
    }
    let written = [(9, Some(16), false), (16, Some(19), false), (19, Some(24), false), (24, Some(36), false)];
    assert_eq!(told[0], (0, None, true), "named, written, no drafts");
    assert_eq!(told[1..], written);
    // What is not there any more is read again, and nothing else of it is left.
    let draft = archive::leftovers(&disk, Path::new("data/ledger")).unwrap().swap_remove(0);
    disk.lose(&draft);
    life.tell(&tale, 40, &mut 0).unwrap();
    let missing = life.base().unwrap_err();
    assert!(missing.to_string().contains("rename"), "{missing}");
    assert_eq!(at(&life), (24, None, false));
    life.tell(&tale, 44, &mut 0).unwrap();
    life.base().unwrap();
    assert_eq!(at(&life), (40, Some(44), false));
    life.work.lock().end();
    assert_eq!(at(&life), (40, None, true), "a store that is closed keeps none");
    lives_on(&disk.killed(), &tale, 44, &|| "a draft was lost".to_owned());
}

#[test]
fn nothing_is_lost_wherever_the_process_dies_while_bases_and_ledger_segments_are_made() {
    let tale = Tale::of(60);
    for step in 0..=whole(&tale).steps() {
        let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
        disk.die_after(step);
        let _ = story(&mut disk, &tale, &mut acknowledged);
        for fate in FATES {
            lives_on(&disk.after_crash(fate), &tale, acknowledged, &|| scene(&disk, step, fate));
        }
        // A next life that only finishes what was begun, on names and bytes that nobody has synced.
        let killed = disk.killed();
        killed.die_after(u64::MAX);
        let life = open(&killed).unwrap();
        life.look().unwrap();
        let image = killed.after_crash(Fate::Lost);
        lives_on(&image, &tale, acknowledged, &|| scene(&disk, step, Fate::Lost));
    }
}

#[test]
fn nothing_is_lost_whichever_step_is_refused_while_bases_and_ledger_segments_are_made() {
    let tale = Tale::of(60);
    for step in 1..=whole(&tale).steps() {
        let (mut disk, mut acknowledged) = (SimDisk::default(), 0);
        disk.fail_at(step, NO_SPACE);
        let _ = story(&mut disk, &tale, &mut acknowledged);
        for fate in [Fate::Kept, Fate::Lost, Fate::Pages(step)] {
            lives_on(&disk.after_crash(fate), &tale, acknowledged, &|| scene(&disk, step, fate));
        }
    }
}

/// A base once went as far as records were acknowledged. Without syncs a power cut took records that it held; the journal went
/// on under their numbers with others, and rows that were built again from that base were those of records that never were.
#[test]
fn no_base_holds_more_than_head_vouches_for() {
    let tale = Tale::of(60);
    for manner in MANNERS {
        let disk = SimDisk::default();
        let mut life = open_as(&disk, manner).unwrap();
        life.tell(&tale, 9, &mut 0).unwrap();
        life.local.idle().unwrap();
        life.tell(&tale, 16, &mut 0).unwrap();
        life.base().unwrap();
        let newest = base::list(&disk, Path::new("data/base")).unwrap().last().unwrap().0;
        assert_eq!(newest.0, vouched(&disk), "{manner:?}");
        assert_eq!(newest.0, if manner == Manner::Close { 16 } else { 9 }, "{manner:?}");
        for fate in FATES {
            let owed = manner.owed(&disk, 16, fate == Fate::Kept);
            lives_on_as(&disk.after_crash(fate), manner, &tale, owed, &|| format!("{manner:?}, {fate:?}"));
        }
    }
}

/// The ledger once took the hash of whatever the journal held for where the record said that its stream had come to.
#[test]
fn an_event_that_does_not_lead_where_its_record_says_enters_no_ledger_segment_and_stays_in_the_journal() {
    let (tale, disk) = (Tale::of(60).forged(12), SimDisk::default());
    let mut life = open(&disk).unwrap();
    for to in [9, 16] {
        life.tell(&tale, to, &mut 0).unwrap();
        life.base().unwrap();
    }
    life.tell(&tale, 24, &mut 0).unwrap();
    let refused = life.base().unwrap_err();
    assert!(refused.to_string().contains("does not arrive at its head"), "{refused}");
    let ledger = archive::list(&disk, Path::new("data/ledger")).unwrap();
    assert!(ledger.iter().all(|(range, _)| range.to < Sequence(12)), "{ledger:?}");
    assert!(life.local.scan(Sequence(12), &mut |_, _| false).is_ok());
}

/// A start that found no HEAD once numbered the records of a journal that had been trimmed from 1 on.
#[test]
fn a_trimmed_journal_keeps_its_numbers_without_head() {
    let tale = Tale::of(60);
    for torn in [false, true] {
        let (disk, head) = (whole(&tale), Path::new("data/HEAD"));
        if torn {
            disk.tamper(head, |bytes| bytes.fill(0))
        } else {
            disk.lose(head)
        }
        lives_on(&disk.killed(), &tale, 36, &|| format!("torn: {torn}"));
    }
}

/// A store whose archiver is busy just when somebody has read the past, and not yet the records.
struct Busy {
    life: Life,
    works: Mutex<u32>,
}

impl Store for Busy {
    fn recover(&self, _: &mut dyn FnMut(Sequence, &[u8]) -> Result<(), Error>) -> Result<Recovered, Error> {
        unreachable!("it is open already")
    }

    fn append(&self, fence: Fence, sequence: Sequence, payload: &[u8]) -> Result<(), Error> {
        self.life.local.append(fence, sequence, payload)
    }

    fn scan(&self, from: Sequence, visit: &mut dyn FnMut(Sequence, &[u8]) -> bool) -> Result<(), Error> {
        let mut works = self.works.lock();
        if *works > 0 {
            *works -= 1;
            self.life.base()?;
        }
        self.life.local.scan(from, visit)
    }

    fn past(&self) -> Result<Box<dyn Past>, Error> {
        self.life.local.past()
    }

    fn idle(&self) -> Result<(), Error> {
        self.life.local.idle()
    }

    fn release(&self) {
        self.life.local.release();
    }

    fn stats(&self) -> Stats {
        self.life.local.stats()
    }
}

/// Records that went into the ledger between two looks were once skipped without a word.
#[test]
fn a_reader_misses_nothing_that_is_put_aside_while_it_reads() {
    let tale = Tale::of(60);
    let disk = SimDisk::default();
    let mut life = open(&disk).unwrap();
    for to in [10, 20, 40] {
        life.tell(&tale, to, &mut 0).unwrap();
        life.base().unwrap();
    }
    life.tell(&tale, 55, &mut 0).unwrap();
    let store = Arc::new(Busy { life, works: Mutex::new(1) });
    let ledger = Ledger::new(store.clone(), Registry::new());
    let mut items = Vec::new();
    let visit = &mut |item| {
        items.push(item);
        true
    };
    ledger.all(visit).unwrap();
    assert_eq!(*store.works.lock(), 0);
    items.sort_by_key(|item: &Item| (item.stream, item.number));
    assert_eq!(items, tale.history(Sequence(55)));
    assert_eq!(ledger.verify().unwrap().problems, Vec::<String>::new());
}
