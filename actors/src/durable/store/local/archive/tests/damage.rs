//! What a ledger segment says when it is not what was written.

use super::*;
use crate::durable::store::local::parts;

#[test]
fn a_flipped_bit_or_a_cut_is_an_error_and_never_another_event() {
    let (disk, path) = made(&small());
    testing::spoil(&disk, &path, &mut |disk, scene| {
        let right = |error: &Error| assert!(testing::names(error, &path), "{error}: {scene}");
        match Segment::open(disk, &path) {
            Err(error) => right(&error),
            Ok(segment) => {
                right(&segment.verify().expect_err(scene));
                for stream in [1, 2].map(StreamId) {
                    let found = read(&segment, stream);
                    found.map_or_else(|error| right(&error), |found| assert_eq!(found, small().of(stream), "{scene}"));
                }
            }
        }
    });
}

#[test]
fn a_damaged_stream_hurts_no_other() {
    let (disk, path) = made(&large());
    let at = Segment::open(&disk, &path).unwrap().entry(StreamId(1)).unwrap().offset + 50_000;
    disk.tamper(&path, |file| file[usize::try_from(at).unwrap()] ^= 1);
    let segment = Segment::open(&disk, &path).unwrap();
    assert!(read(&segment, StreamId(1)).is_err() && segment.verify().is_err());
    let others = segment.streams().iter().map(|entry| entry.stream).filter(|stream| *stream != StreamId(1));
    for stream in others {
        assert_eq!(read(&segment, stream).unwrap(), large().of(stream));
    }
}

#[test]
fn parts_of_a_stream_that_changed_places_are_refused() {
    let mut history = History::new(1, 9, NO_LINK);
    for record in 1..=4 {
        history.tell(1, record, vec![b'a'; PART]);
    }
    let (disk, path) = made(&history);
    let entry = *Segment::open(&disk, &path).unwrap().entry(StreamId(1)).unwrap();
    let [from, length] = [entry.offset, entry.length].map(|number| usize::try_from(number).unwrap());
    disk.tamper(&path, |file| file[from..from + length].rotate_left(length / 4));
    assert!(read(&Segment::open(&disk, &path).unwrap(), StreamId(1)).is_err());
}

/// A file whose checksums are right, and whose content is not: someone who can write files can do that.
fn forged(heads: Heads, events: &[PastEvent]) -> (SimDisk, PathBuf) {
    let (disk, history) = (SimDisk::default(), small());
    let path = testing::folder(&disk, "ledger").join(name(history.header.range));
    let mut writer = parts::Writer::create(&disk, &path, &KIND, &history.header.encode()).unwrap();
    let (offset, mut part, mut index) = (writer.offset(), Vec::new(), Vec::new());
    format::begin(&mut part, &events[0]);
    events.iter().for_each(|event| format::push(&mut part, event));
    writer.part(&part).unwrap();
    format::Entry { stream: StreamId(2), heads, offset, length: writer.offset() - offset }.push(&mut index);
    writer.finish(&index, heads.after.count - heads.before.count).unwrap();
    (disk, path)
}

#[test]
fn an_event_changed_with_all_its_checksums_does_not_lead_to_the_head() {
    let (heads, mut events) = (small().heads[&StreamId(2)], small().of(StreamId(2)));
    let (disk, path) = forged(heads, &events);
    Segment::open(&disk, &path).unwrap().verify().unwrap();
    events[0].payload = Bytes::from_static(b"hullo");
    let (disk, path) = forged(heads, &events);
    let error = Segment::open(&disk, &path).unwrap().verify().unwrap_err();
    assert!(testing::names(&error, &path) && error.to_string().contains("does not arrive"), "{error}");
}

#[test]
fn events_more_or_fewer_than_the_index_says_are_an_error() {
    let (heads, events) = (small().heads[&StreamId(2)], small().of(StreamId(2)));
    let more = [&events[..], &events[1..]].concat();
    for events in [&events[..1], &more] {
        let (disk, path) = forged(heads, events);
        let segment = Segment::open(&disk, &path).unwrap();
        assert!(testing::names(&read(&segment, StreamId(2)).unwrap_err(), &path));
    }
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (disk, path) = made(&small());
    let (header, _) = parts::seal::header(&Kind { format: 9, ..KIND }, &small().header.encode());
    disk.tamper(&path, |file| file[..header.len()].copy_from_slice(&header));
    assert!(matches!(Segment::open(&disk, &path), Err(Error::Newer { found: 9, known: 2, .. })));
}

#[test]
fn a_segment_under_another_name_is_refused() {
    let (disk, path) = made(&small());
    let other = Path::new("ledger/00000000000000000005-00000000000000000010.led");
    disk.relocate(&path, other);
    assert!(testing::names(&Segment::open(&disk, other).err().unwrap(), other));
}

#[test]
fn a_base_is_no_segment() {
    let (disk, path) = made(&small());
    disk.tamper(&path, |file| file[..8].copy_from_slice(b"hf-base\n"));
    let error = Segment::open(&disk, &path).err().unwrap();
    assert!(error.to_string().contains("does not begin as a ledger segment does"), "{error}");
}

#[test]
fn a_segment_is_whole_or_not_there_wherever_the_power_goes() {
    let write = |disk: &SimDisk| large().write(disk, Path::new("ledger")).map(drop);
    testing::every_death(&write, &|disk, told, scene| {
        let found = list(disk, Path::new("ledger")).unwrap();
        assert!(!told || !found.is_empty(), "it was promised: {}", scene());
        for (range, path) in found {
            let segment = Segment::open(disk, &path).unwrap_or_else(|error| panic!("{error}: {}", scene()));
            assert_eq!((range, segment.verify().unwrap().events), (large().header.range, 602), "{}", scene());
        }
    });
}
