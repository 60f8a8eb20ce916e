//! Files that somebody else has been at.

use super::*;
use crate::durable::journal::{FORMAT, sim::Fate};

const THREE: [&str; 3] = ["first", "second", "third"];

#[test]
fn a_flipped_bit_in_what_was_acknowledged_is_damage_and_names_the_range() {
    let disk = closed(&THREE, Mode::default());
    for (record, (start, end)) in (1..).zip(extents(&disk, 1)) {
        for at in start..end {
            let disk = disk.after_crash(Fate::Kept);
            disk.tamper(&segment(1), |bytes| bytes[at] ^= 1 << (at % 8));
            assert_damaged(&disk, 1, (record, 3));
            assert_eq!(check(&disk).unwrap().problems.len(), 1);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_header_of_a_segment_is_damage() {
    let disk = closed(&THREE, Mode::default());
    for at in 0..68 {
        let disk = disk.after_crash(Fate::Kept);
        disk.tamper(&segment(1), |bytes| bytes[at] ^= 1 << (at % 8));
        assert_damaged(&disk, 1, (1, 3));
    }
}

#[test]
fn a_flipped_bit_in_an_older_segment_is_damage_up_to_the_next() {
    let disk = closed(&THREE, Mode::default());
    recover(&disk, Mode::default()).unwrap().append_all(&["fourth"]);
    let (start, _) = extents(&disk, 1)[1];
    disk.tamper(&segment(1), |bytes| bytes[start] ^= 1);
    assert_damaged(&disk, 1, (2, 3));
    assert_eq!(check(&disk).unwrap().records, 2, "what lies behind the damage is still read");
}

#[test]
fn a_segment_cut_short_is_damage() {
    let disk = closed(&THREE, Mode::default());
    let extents = extents(&disk, 1);
    for len in 68..extents[2].1 {
        let disk = disk.after_crash(Fate::Kept);
        disk.tamper(&segment(1), |bytes| bytes.truncate(len));
        let whole = extents.iter().filter(|(_, end)| *end <= len).count() as u64;
        assert_damaged(&disk, 1, (whole + 1, 3));
    }
}

#[test]
fn a_segment_without_its_zeros_is_whole() {
    let disk = closed(&THREE, Mode::default());
    let end = extents(&disk, 1)[2].1;
    disk.tamper(&segment(1), |bytes| bytes.truncate(end));
    assert_eq!(texts(&recover(&disk, Mode::default()).unwrap()), THREE);
}

#[test]
fn a_missing_segment_is_damage() {
    let disk = four_segments();
    for (missing, to) in [(1, 2), (2, 4), (3, 6)] {
        let disk = disk.after_crash(Fate::Kept);
        disk.lose(&segment(missing));
        assert_damaged(&disk, missing + 1, (to - 1, to));
    }
}

#[test]
fn a_missing_last_segment_is_damage() {
    let disk = four_segments();
    disk.lose(&segment(4));
    assert_damaged(&disk, 3, (7, 8));
}

#[test]
fn a_missing_empty_last_segment_is_noticed_too() {
    let disk = closed(&THREE, Mode::default());
    drop(recover(&disk, Mode::default()).unwrap());
    disk.lose(&segment(2));
    assert_inconsistent(&disk, "the newest segment of the journal is missing");
}

#[test]
fn swapped_segments_are_damage() {
    let disk = four_segments();
    let aside = PathBuf::from("aside");
    disk.relocate(&segment(2), &aside);
    disk.relocate(&segment(3), &segment(2));
    disk.relocate(&aside, &segment(3));
    assert_damaged(&disk, 2, (3, 6));
}

#[test]
fn a_segment_of_another_store_is_refused() {
    let (disk, other) = (closed(&THREE, Mode::default()), SimDisk::default());
    let _ = crate::durable::journal::disk::Disk::random(&other);
    recover(&other, Mode::default()).unwrap().append_all(&THREE);
    disk.tamper(&segment(1), |bytes| *bytes = other.bytes(&segment(1)));
    assert_inconsistent(&disk, "belong to different stores");
}

#[test]
fn segments_of_two_stories_do_not_make_one() {
    let disk = closed(&THREE, Mode::default());
    let other = disk.after_crash(Fate::Kept);
    for (disk, fourth) in [(&disk, "left"), (&other, "right")] {
        recover(disk, Mode::default()).unwrap().append_all(&[fourth]);
        recover(disk, Mode::default()).unwrap().append_all(&["fifth"]);
    }
    disk.tamper(&segment(3), |bytes| *bytes = other.bytes(&segment(3)));
    assert_damaged(&disk, 3, (5, 5));
}

/// A reader found zeros, and behind them a record that was written while it looked.
#[test]
fn records_that_come_while_one_looks_are_not_damage() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&["a"]);
    let now = disk.after_crash(Fate::Kept);
    opened.append_all(&["b", "c", "d"]);
    let later = disk.bytes(&segment(1));
    for reads in 0..20 {
        let disk = now.after_crash(Fate::Kept);
        disk.meanwhile(reads, &segment(1), later.clone());
        assert_eq!(check(&disk).unwrap().problems, Vec::<String>::new(), "after {reads} reads");
    }
}

#[test]
fn an_older_copy_of_the_journal_is_damage() {
    let disk = closed(&THREE, Mode::default());
    let mut opened = recover(&disk, Mode::default()).unwrap();
    let before = disk.bytes(&segment(2));
    opened.append_all(&["fourth", "fifth"]);
    drop(opened);
    disk.tamper(&segment(2), |bytes| *bytes = before);
    assert_damaged(&disk, 2, (4, 5));
}

#[test]
fn a_bad_record_with_a_later_one_behind_it_is_damage_even_above_head() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&THREE);
    let disk = opened.killed(&disk);
    for at in extents(&disk, 1)[1].0..extents(&disk, 1)[1].1 {
        let disk = disk.after_crash(Fate::Kept);
        disk.tamper(&segment(1), |bytes| bytes[at] = !bytes[at]);
        assert_damaged(&disk, 1, (2, 3));
    }
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&THREE);
    let disk = opened.killed(&disk);
    let (start, end) = extents(&disk, 1)[2];
    for at in start..end {
        let disk = disk.after_crash(Fate::Kept);
        disk.tamper(&segment(1), |bytes| bytes[at..].fill(0));
        let mut opened = recover(&disk, Mode::default()).unwrap();
        assert_eq!(texts(&opened), &THREE[..2]);
        let told = opened.recovered.repairs.iter().any(|repair| repair.contains("record 3 was torn"));
        assert_eq!(told, at > start, "{:?}", opened.recovered.repairs);
        opened.append_all(&["other"]);
        drop(opened);
        let again = recover(&disk, Mode::default()).unwrap();
        assert_eq!((texts(&again)[2].as_str(), again.recovered.repairs.len()), ("other", 0));
    }
}

/// The bytes of a cut record stay in the older segment for a while: they must count for nothing.
#[test]
fn stale_bytes_after_a_cut_count_for_nothing() {
    let disk = SimDisk::default();
    let mut opened = recover(&disk, Mode::default()).unwrap();
    opened.append_all(&["a", "b"]);
    opened.store.idle().unwrap();
    opened.append_all(&["c", "stale", "stale too"]);
    let disk = opened.killed(&disk);
    let before = disk.bytes(&segment(1));
    let mut opened = recover(&disk, Mode { cut_after: Some(3), ..Mode::default() }).unwrap();
    opened.append_all(&["d"]);
    let disk = opened.killed(&disk);
    disk.tamper(&segment(1), |bytes| *bytes = before);
    assert_eq!(texts(&recover(&disk, Mode::default()).unwrap()), ["a", "b", "c", "d"]);
}

#[test]
fn a_forged_record_inside_a_payload_is_only_payload() {
    for sequence in 2..5 {
        let disk = closed(&["honest"], Mode { head_each: true, ..Mode::default() });
        let mut opened = recover(&disk, Mode::default()).unwrap();
        let (start, end) = extents(&disk, 1)[0];
        // A record of an older segment, one with the right numbers for a guessed segment, and one after the other.
        let mut forged = disk.bytes(&segment(1))[start..end].to_vec();
        let previous = u32::from_le_bytes(forged[forged.len() - 4..].try_into().unwrap());
        frame::seal(&mut forged, frame::Place { segment: 1, sequence, previous }, b"evil");
        opened.append(&forged).unwrap();
        let disk = opened.killed(&disk);
        let (start, end) = extents(&disk, 2)[0];
        for torn in [start, start + 1, start + frame::HEADER - 1, end - 1] {
            let disk = disk.after_crash(Fate::Kept);
            disk.tamper(&segment(2), |bytes| bytes[torn] ^= 1);
            assert_eq!(texts(&recover(&disk, Mode::default()).unwrap()), ["honest"]);
        }
        assert_eq!(recover(&disk, Mode::default()).unwrap().records[1], forged);
    }
}

#[test]
fn a_journal_without_head_opens_with_a_warning() {
    let disk = closed(&THREE, Mode::default());
    disk.lose(&head());
    assert_eq!(check(&disk).unwrap().problems.len(), 1);
    let opened = recover(&disk, Mode::default()).unwrap();
    assert_eq!(texts(&opened), THREE);
    assert!(opened.recovered.repairs[0].starts_with("HEAD was missing"), "{:?}", opened.recovered.repairs);
    drop(opened);
    assert_eq!(recover(&disk, Mode::default()).unwrap().recovered.repairs, Vec::<String>::new());
}

#[test]
fn a_head_that_cannot_be_read_is_a_warning_and_half_a_head_is_enough() {
    let disk = closed(&THREE, Mode::default());
    disk.tamper(&head(), |bytes| bytes[4096] ^= 1);
    let opened = recover(&disk, Mode::default()).unwrap();
    assert_eq!(opened.recovered.repairs, ["one slot of HEAD was torn; the other was used"]);
    drop(opened);
    disk.tamper(&head(), |bytes| bytes.fill(7));
    let opened = recover(&disk, Mode::default()).unwrap();
    assert_eq!(texts(&opened), THREE);
    assert!(opened.recovered.repairs[0].starts_with("HEAD was unreadable"), "{:?}", opened.recovered.repairs);
}

#[test]
fn a_head_without_a_journal_does_not_open() {
    let disk = closed(&THREE, Mode::default());
    disk.lose(&segment(1));
    assert_inconsistent(&disk, "HEAD is there and the journal is not");
}

#[test]
fn a_newer_format_is_refused_by_name() {
    for (file, checksum) in [(segment(1), 64), (head(), 44)] {
        let disk = closed(&THREE, Mode::default());
        disk.tamper(&file, |bytes| {
            bytes[8..12].copy_from_slice(&(FORMAT + 1).to_le_bytes());
            let crc = crc32c::crc32c(&bytes[..checksum]);
            bytes[checksum..checksum + 4].copy_from_slice(&crc.to_le_bytes());
        });
        let refused = recover(&disk, Mode::default()).err().expect("it is from the future");
        assert!(
            matches!(&refused, Error::Newer { file: named, found, .. } if *named == file && *found == FORMAT + 1),
            "{refused}"
        );
    }
}

/// A life that only looked around left a segment behind each time, 16 MiB of it.
#[test]
fn starts_without_records_leave_nothing_behind() {
    let disk = closed(&THREE, Mode::default());
    for _ in 0..5 {
        drop(recover(&disk, Mode::default()).unwrap());
    }
    let segments = disk.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg"));
    assert_eq!(segments.collect::<Vec<_>>(), [segment(1), segment(6)]);
    assert_eq!(disk.bytes(&segment(1)).len(), extents(&disk, 1)[2].1, "its unused zeros are given back");
}

/// Eight records, two to a segment.
fn four_segments() -> SimDisk {
    let record = "x".repeat(3000);
    let disk = closed(&[record.as_str(); 8], Mode::default());
    assert_eq!(texts(&recover(&disk.after_crash(Fate::Kept), Mode::default()).unwrap()).len(), 8);
    disk
}

fn assert_damaged(disk: &SimDisk, number: u64, range: (u64, u64)) {
    let before = disk.bytes(&head());
    match recover(disk, Mode::default()).err() {
        Some(Error::Damaged { file, from, to, .. }) => {
            assert_eq!((file, from.0, to.0), (segment(number), range.0, range.1))
        }
        Some(other) => panic!("{other}"),
        None => panic!("damage was not noticed"),
    }
    assert_eq!(disk.bytes(&head()), before, "nothing was changed");
}

fn assert_inconsistent(disk: &SimDisk, because: &str) {
    match recover(disk, Mode::default()).err() {
        Some(Error::Inconsistent { cause, .. }) => assert!(cause.contains(because), "{cause}"),
        Some(other) => panic!("{other}"),
        None => panic!("it opened"),
    }
}
