//! A disk that refuses.

use super::*;
use crate::durable::journal::sim::Fate;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[test]
fn an_append_is_one_write_and_one_sync() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode { segment_bytes: 1024 * 1024, ..Mode::default() }).unwrap();
    let before = disk.log().len();
    opened.append_all(&["a"]);
    let log = disk.log().split_off(before);
    assert!(
        matches!(&log[..], [write, sync] if write.starts_with("write 29 bytes") && sync.starts_with("sync file")),
        "{log:?}"
    );
}

#[test]
fn a_failed_step_of_an_append_closes_the_store_for_good() {
    for step in 1..=2 {
        let disk = SimDisk::default();
        let mut opened = recover(&disk, Mode::default()).unwrap();
        opened.append_all(&["a"]);
        disk.fail_at(disk.steps() + step, EIO);
        let failed = opened.append(b"b").unwrap_err();
        assert!(matches!(failed, Error::Io { .. }), "{failed}");
        let steps = disk.steps();
        for _ in 0..2 {
            let closed = opened.append(b"b").unwrap_err().to_string();
            assert!(closed.contains("Input/output error"), "{closed}");
        }
        assert!(matches!(opened.store.idle(), Err(Error::Closed { .. })));
        assert_eq!(disk.steps(), steps, "nothing is tried again");
    }
}

/// A failed sync leaves pages that read well and are never written. Trusting them lost a record at the next power cut.
#[test]
fn what_a_failed_sync_left_in_memory_is_not_trusted() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&["a"]);
    disk.fail_at(disk.steps() + 2, EIO);
    opened.append(b"b").unwrap_err();
    let disk = opened.killed(&disk);
    let mut opened = recover(&disk, Mode::default()).unwrap();
    assert_eq!(texts(&opened), ["a", "b"]);
    opened.append_all(&["c"]);
    assert_eq!(texts(&recover(&disk.after_crash(Fate::Lost), Mode::default()).unwrap()), ["a", "b", "c"]);
}

#[test]
fn a_start_in_the_same_process_can_cut_at_what_was_acknowledged() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&["a", "b"]);
    disk.fail_at(disk.steps() + 2, EIO);
    opened.append(b"c").unwrap_err();
    let cut = Mode { cut_after: Some(opened.store.durable().0), ..Mode::default() };
    let disk = opened.killed(&disk);
    let mut opened = recover(&disk, cut).unwrap();
    assert_eq!(texts(&opened), ["a", "b"]);
    opened.append_all(&["d"]);
    assert_eq!(texts(&recover(&disk.killed(), Mode::default()).unwrap()), ["a", "b", "d"]);
}

#[test]
fn a_refusal_at_any_step_loses_nothing_acknowledged() {
    let whole = SimDisk::default();
    run(&whole).unwrap();
    for step in 1..=whole.steps() {
        for errno in [EIO, ENOSPC] {
            let disk = SimDisk::default();
            disk.fail_at(step, errno);
            let acknowledged = run(&disk).unwrap_or_else(|acknowledged| acknowledged);
            for fate in [Fate::Kept, Fate::Lost, Fate::Pages(step)] {
                let image = disk.after_crash(fate);
                let found =
                    recover(&image, Mode::default()).unwrap_or_else(|error| panic!("{error}: {fate:?} at step {step}"));
                assert!(found.records.len() >= acknowledged, "{fate:?} at step {step}: {:?}", disk.log().last());
                assert!(found.records.iter().zip(0..).all(|(record, index)| *record == payload(index)));
            }
        }
    }
}

/// How many records were acknowledged, before a failure or at the end.
fn run(disk: &SimDisk) -> Result<usize, usize> {
    let Ok(mut opened) = recover(disk, Mode { head_each: true, ..Mode::default() }) else { return Err(0) };
    for index in 0..12 {
        opened.append(&payload(index)).map_err(|_| usize::from(index))?;
    }
    Ok(12)
}

fn payload(index: u8) -> Vec<u8> {
    vec![index; 2500]
}

#[test]
fn a_full_disk_is_met_before_a_record_needs_the_room() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    // The header page is a third of such a segment: the first record already asks for the next one.
    disk.fail_at(disk.steps() + 4, ENOSPC);
    opened.append(&[1; 100]).unwrap();
    let trouble = opened.store.trouble().expect("the next segment could not be made");
    assert!(
        trouble.contains("cannot make room for the journal in data/journal/spare.new: No space left on device"),
        "{trouble}"
    );
    for _ in 0..8 {
        opened.append(&[2; 2000]).unwrap();
    }
    assert_eq!(opened.store.trouble(), None);
}

#[test]
fn a_full_disk_at_the_end_of_a_segment_is_told_clearly() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    disk.fail_at(disk.steps() + 1, ENOSPC);
    let failed = opened.append(&[1; 50_000]).unwrap_err().to_string();
    assert_eq!(
        failed,
        "HF0006: cannot make room for the journal in data/journal/large.new: No space left on device (os error 28)"
    );
    assert!(!disk.paths().contains(&PathBuf::from("data/journal/large.new")), "half a file takes room from others");
    let opened = recover(&opened.killed(&disk), Mode::default()).unwrap();
    assert_eq!(texts(&opened), Vec::<String>::new());
}
