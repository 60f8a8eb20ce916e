//! What a ledger segment keeps.

mod damage;
mod line;

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::durable::{
    chain, codec,
    id::{ActorId, StreamId},
    journal::{disk::RealDisk, sim::SimDisk},
    ledger::extended,
    record::{NOTE, Note},
    store::{
        PastEvent,
        local::parts::{PART, testing},
    },
};

/// What happened in a range of records.
#[derive(Clone, Debug)]
struct History {
    header: Header,
    events: Vec<PastEvent>,
    heads: BTreeMap<StreamId, Heads>,
}

impl History {
    fn new(from: u64, to: u64, previous: Link) -> Self {
        let range = Range { from: Sequence(from), to: Sequence(to) };
        Self { header: Header { store: 7, range, previous }, events: Vec::new(), heads: BTreeMap::new() }
    }

    /// Streams go on from where they had come to.
    fn after(older: &History, to: u64, link: Link) -> Self {
        let heads =
            older.heads.iter().map(|(stream, heads)| (*stream, Heads { before: heads.after, after: heads.after }));
        Self { heads: heads.collect(), ..Self::new(older.header.range.to.0 + 1, to, link) }
    }

    fn tell(&mut self, stream: u64, record: u64, payload: impl Into<Bytes>) {
        self.add(stream, record, 3, payload.into());
    }

    fn note(&mut self, stream: u64, record: u64) {
        self.add(stream, record, 0, codec::seal(NOTE, &Note::Suspended { reason: "tired".to_owned() }));
    }

    /// Kind 0 stands for a note.
    fn add(&mut self, stream: u64, record: u64, kind: u32, payload: Bytes) {
        let (stream, at_ms, actor) = (StreamId(stream), 1_700_000_000_000 + record, ActorId(stream + 256));
        let start = Heads { before: Head::default(), after: Head::default() };
        let heads = self.heads.entry(stream).or_insert(start);
        let number = heads.after.count + 1;
        let event =
            PastEvent { stream, number, record: Sequence(record), at_ms, actor, kind, is_note: kind == 0, payload };
        heads.after = extended(&heads.after, &event);
        self.events.push(event);
    }

    /// Streams to which nothing happened are not in a segment.
    fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<PathBuf, Error> {
        let mut pile = Pile::new(self.header.range.from);
        for event in &self.events {
            let Heads { before, after } = self.heads[&event.stream];
            pile.push(before, after, event);
        }
        let draft = write(disk, folder, &self.header, pile)?;
        draft.publish(disk, folder)?;
        let path = folder.join(name(self.header.range));
        assert_eq!(Segment::open(disk, &path)?.link(), draft.link);
        Ok(path)
    }

    fn of(&self, stream: StreamId) -> Vec<PastEvent> {
        self.events.iter().filter(|event| event.stream == stream).cloned().collect()
    }
}

fn read(segment: &Segment, stream: StreamId) -> Result<Vec<PastEvent>, Error> {
    let mut found = Vec::new();
    segment.stream(stream, &mut |event| {
        found.push(event);
        true
    })?;
    Ok(found)
}

/// A segment of this history, on a disk of its own.
fn made(history: &History) -> (SimDisk, PathBuf) {
    let disk = SimDisk::default();
    let path = history.write(&disk, Path::new("ledger")).unwrap();
    (disk, path)
}

fn small() -> History {
    let mut history = History::new(5, 9, [0xAB; 32]);
    history.tell(2, 5, "hello");
    history.tell(1, 5, "");
    history.note(2, 7);
    history
}

/// A stream of several parts, one event larger than a part, and small streams around them.
/// Bytes that nothing makes shorter.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let words =
        (0..length.div_ceil(32) as u64).flat_map(|at| chain::digest(&[seed.to_le_bytes(), at.to_le_bytes()].concat()));
    words.take(length).collect()
}

fn large() -> History {
    let mut history = History::new(1, 300, NO_LINK);
    for record in 1..=300 {
        history.tell(record % 3, record, noise(record, 700));
        history.tell(50 + record, record, "small");
    }
    history.tell(1, 300, noise(0, 3 * PART));
    history.tell(1, 300, "last");
    history
}

crate::properties! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_segment_gives_back_every_stream(
        steps in proptest::collection::vec((0..5_u64, 0..3_u64, 0..4_u32, 0..20_000_usize), 0..60), older in 0..30_usize,
    ) {
        let (mut first, mut record) = (History::new(1, 20, NO_LINK), 1);
        for (stream, ..) in &steps[..older.min(steps.len())] {
            first.tell(*stream, 20, "before");
        }
        let mut history = History::after(&first, 2_000, [1; 32]);
        record += history.header.range.from.0;
        for (stream, pause, kind, length) in steps {
            record += pause;
            let payload = if kind == 0 { Bytes::from("a note, opaque here") } else { vec![b'x'; length].into() };
            history.add(stream, record, kind, payload);
        }
        let (disk, path) = made(&history);
        let segment = Segment::open(&disk, &path).unwrap();
        prop_assert_eq!(segment.header(), &history.header);
        for stream in (0..6).map(StreamId) {
            prop_assert_eq!(read(&segment, stream).unwrap(), history.of(stream));
            let heads = history.heads.get(&stream).filter(|heads| heads.before != heads.after);
            prop_assert_eq!(segment.entry(stream).map(|entry| entry.heads), heads.copied());
        }
        let (streams, events) = (segment.streams().len() as u64, history.events.len() as u64);
        prop_assert_eq!(segment.verify().unwrap(), Summary { streams, events, bytes: disk.bytes(&path).len() as u64 });
    }

    #[test]
    fn any_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
        let (disk, path) = made(&small());
        disk.tamper(&path, |file| file.clone_from(&bytes));
        prop_assert!(Segment::open(&disk, &path).is_err());
        let mut part = Bytes::from(bytes.clone());
        let _ = (Header::decode(&bytes), format::entries(&bytes, 0, 500, 3), format::begun(&mut part));
        while format::take(&mut part, StreamId(1), 1).is_some() {}
    }
}

#[test]
fn a_segment_keeps_its_bytes() {
    let (disk, path) = made(&small());
    assert_eq!(path, Path::new("ledger/00000000000000000005-00000000000000000009.led"));
    assert_eq!(testing::hex(&disk.bytes(&path)), GOLDEN.replace(['\n', ' '], ""));
}

/// Of format 1, in which no part was compressed.
#[test]
fn a_segment_of_an_older_build_is_read() {
    let (disk, path) = made(&small());
    let digits = GOLDEN_1.replace(['\n', ' '], "");
    let bytes = (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    disk.tamper(&path, |file| *file = bytes);
    let segment = Segment::open(&disk, &path).unwrap();
    segment.verify().unwrap();
    for stream in [1, 2].map(StreamId) {
        assert_eq!(read(&segment, stream).unwrap(), small().of(stream));
    }
}

#[test]
fn what_repeats_itself_takes_less_room_and_is_read_as_it_was() {
    let mut history = History::new(1, 300, NO_LINK);
    (1..=300).for_each(|record| history.tell(1, record, format!("task {record} has ended as it should")));
    let (disk, path) = made(&history);
    let segment = Segment::open(&disk, &path).unwrap();
    assert!(segment.entry(StreamId(1)).unwrap().length < 300 * 30, "a header alone has 33 bytes");
    assert_eq!(segment.verify().unwrap().events, 300);
    assert_eq!(read(&segment, StreamId(1)).unwrap(), history.of(StreamId(1)));
    let at = usize::try_from(segment.entry(StreamId(1)).unwrap().offset).unwrap() + 1_000;
    disk.tamper(&path, |file| file[at] ^= 1);
    assert!(Segment::open(&disk, &path).unwrap().verify().is_err());
}

/// Header, parts, index and footer, each from a new line; computed from the description, not by this code.
const GOLDEN: &str = "
    68662d6c6564670a0200000038000000bc900015070000000000000005000000000000000900000000000000abababababababababababab
    abababababababababababababababababababab
    3ffcc8bb0031000000000000000100000000000000010000000000000005000000000000000568e5cf8b0100000101000000000000030000
    000000000000
    2362f7b0006a000000000000000200000000000000010000000000000005000000000000000568e5cf8b0100000201000000000000030000
    00000500000068656c6c6f07000000000000000768e5cf8b0100000201000000000000000000000113000000f400d8f4ae76010702057469
    72656440b08269
    08a076d400d00000000000000001000000000000004c000000000000003e0000000000000000000000000000000000000000000000000000
    00000000000000000000000000000000000000000001000000000000000e56d3d6d166692db4be49f1c0f38d0f7e8cfe00de4df75c245452
    3abb945ec402000000000000008a000000000000007700000000000000000000000000000000000000000000000000000000000000000000
    00000000000000000000000000020000000000000094b6f3713211c3648ef9c385ed346436160be36271c45cad5bc5aca51ca42ac5
    14f7731e001800000000000000010100000000000003000000000000000302000000000000
";

/// The same, as format 1 had it.
const GOLDEN_1: &str = "
    68662d6c6564670a0100000038000000baa11389070000000000000005000000000000000900000000000000abababababababababababab
    abababababababababababababababababababab
    e46317ad0031000000000000000100000000000000010000000000000005000000000000000568e5cf8b0100000101000000000000030000
    000000000000
    7d9f2d8e006a000000000000000200000000000000010000000000000005000000000000000568e5cf8b0100000201000000000000030000
    00000500000068656c6c6f07000000000000000768e5cf8b0100000201000000000000000000000113000000f400d8f4ae76010702057469
    72656440b08269
    727a2fb700d00000000000000001000000000000004c000000000000003e0000000000000000000000000000000000000000000000000000
    00000000000000000000000000000000000000000001000000000000000e56d3d6d166692db4be49f1c0f38d0f7e8cfe00de4df75c245452
    3abb945ec402000000000000008a000000000000007700000000000000000000000000000000000000000000000000000000000000000000
    00000000000000000000000000020000000000000094b6f3713211c3648ef9c385ed346436160be36271c45cad5bc5aca51ca42ac5
    8e0b269a001800000000000000010100000000000003000000000000000302000000000000
";

#[test]
fn a_segment_without_events_is_one() {
    let (disk, path) = made(&History::new(1, 9, NO_LINK));
    let segment = Segment::open(&disk, &path).unwrap();
    assert_eq!((segment.streams().len(), segment.verify().unwrap().events), (0, 0));
    assert_eq!(read(&segment, StreamId(1)).unwrap(), []);
}

#[test]
fn a_stream_of_many_parts_is_read_in_order_and_stops_when_told_to() {
    let (disk, path) = made(&large());
    let segment = Segment::open(&disk, &path).unwrap();
    let entry = segment.entry(StreamId(1)).unwrap();
    assert!(entry.length > 4 * PART as u64, "several parts, or this shows nothing");
    assert_eq!((entry.first(), entry.last()), (1, 102));
    assert_eq!(read(&segment, StreamId(1)).unwrap(), large().of(StreamId(1)));
    let mut visits = 0;
    segment
        .stream(StreamId(1), &mut |_| {
            visits += 1;
            visits < 60
        })
        .unwrap();
    assert_eq!(visits, 60);
    assert_eq!(segment.verify().unwrap().events, 602);
}

#[test]
fn what_does_not_lead_to_its_head_is_not_written() {
    let spoilers: [fn(&mut History); 6] = [
        |history| history.events[0].payload = Bytes::from_static(b"hullo"),
        |history| history.events[2].is_note = false,
        |history| history.events[2].number = 3,
        |history| history.events[2].record = Sequence(4),
        |history| history.events[2].record = Sequence(10),
        |history| history.events.swap(0, 2),
    ];
    for (number, spoil) in spoilers.iter().enumerate() {
        let (disk, mut history) = (SimDisk::default(), small());
        spoil(&mut history);
        let refused = history.write(&disk, Path::new("ledger"));
        assert!(matches!(refused, Err(Error::Undecodable { .. })), "{number}: {refused:?}");
        assert_eq!(disk.paths(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_range_that_is_none_is_our_mistake() {
    let (disk, mut history) = (SimDisk::default(), small());
    (history.header.range.from, history.header.range.to) = (Sequence(9), Sequence(5));
    assert!(matches!(history.write(&disk, Path::new("ledger")), Err(Error::Misuse { .. })));
    assert_eq!(disk.paths(), Vec::<PathBuf>::new());
}

#[test]
fn a_real_disk_does_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join(FOLDER);
    let path = large().write(&RealDisk, &folder).unwrap();
    assert_eq!(list(&RealDisk, &folder).unwrap(), [(large().header.range, path.clone())]);
    assert_eq!(leftovers(&RealDisk, &folder).unwrap(), Vec::<PathBuf>::new());
    let segment = Segment::open(&RealDisk, &path).unwrap();
    assert_eq!(segment.verify().unwrap().events, 602);
    assert_eq!(read(&segment, StreamId(2)).unwrap(), large().of(StreamId(2)));
}
