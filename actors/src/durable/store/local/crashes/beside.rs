//! Reading while bases are made and the journal is trimmed: in the same process, and in another.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::*;

const RECORDS: u64 = 140;

/// Work until the tale is told, and let others read meanwhile.
fn beside(read: impl Fn(&SimDisk, &Arc<Local>) + Sync) {
    let (tale, disk) = (Tale::of(RECORDS), SimDisk::default());
    let mut life = open(&disk).unwrap();
    let (local, done) = (life.local.clone(), AtomicBool::new(false));
    life.tell(&tale, 20, &mut 0).unwrap();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        read(&disk, &local);
                    }
                })
            })
            .collect();
        for to in 21..=RECORDS {
            if readers.iter().any(thread::ScopedJoinHandle::is_finished) {
                break;
            }
            life.tell(&tale, to, &mut 0).unwrap();
            life.base().unwrap();
        }
        done.store(true, Ordering::SeqCst);
    });
    drop((life, local));
    open(&disk).unwrap().examine(&tale, RECORDS, &|| "after all".to_owned());
}

/// It once looked which segments there were, and only then kept others from removing them: whoever followed the ledger, or
/// checked it, was told now and then that a file of the journal was not there.
#[test]
fn whoever_reads_in_the_same_process_misses_no_file() {
    beside(|_, local| {
        let ledger = Ledger::new(local.clone(), Registry::new());
        assert_eq!(ledger.verify().unwrap().problems, Vec::<String>::new());
        let mut records = 0;
        ledger
            .all(&mut |item| {
                records = item.record.max(records);
                true
            })
            .unwrap();
        assert!(records >= 20, "{records}");
    });
}

/// `store verify` beside a busy process once failed now and then, because of a file that was removed after it was listed.
#[test]
fn whoever_checks_from_another_process_misses_no_file() {
    beside(|disk, _| {
        let mut checked = inspect::check(disk, Path::new("data")).unwrap();
        // On a real disk the folder's lock says that a process is at work, and this is no problem.
        checked.problems.retain(|problem| !problem.contains("holds more than the journal"));
        assert_eq!(checked.problems, Vec::<String>::new());
        assert!(checked.last >= Sequence(20));
    });
}

#[test]
fn whoever_looks_from_another_process_misses_no_file() {
    beside(|disk, _| {
        let options = LocalOptions { read_only: true, ..LocalOptions::default() };
        let local = Local::open_on(Arc::new(disk.clone()), Path::new("data"), options, Tuning::default()).unwrap();
        let (_, recovered) = Live::fold(&local).unwrap();
        assert!(recovered.durable >= Sequence(20));
        let ledger = Ledger::new(Arc::new(local), Registry::new());
        assert_eq!(ledger.verify().unwrap().problems, Vec::<String>::new());
    });
}
