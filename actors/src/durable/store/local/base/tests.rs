//! What a base image keeps.

mod damage;

use std::{collections::BTreeMap, path::PathBuf};

use proptest::prelude::*;

use super::*;
use crate::durable::{
    journal::{disk::RealDisk, sim::SimDisk},
    store::local::parts::{PART, testing},
};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn header() -> Header {
    Header { store: 0x1122_3344_5566_7788, sequence: Sequence(42), meta: b"meta".to_vec() }
}

fn write(disk: &dyn Disk, folder: &Path, header: &Header, rows: &Model) -> Result<PathBuf, Error> {
    let draft = draft(folder, header.sequence);
    let mut writer = Writer::create(disk, &draft, header)?;
    for (key, value) in rows {
        writer.put(key, value)?;
    }
    writer.finish()?;
    publish(disk, folder, &draft, header.sequence)
}

/// A base of these rows, on a disk of its own.
fn made(rows: &Model) -> (SimDisk, PathBuf) {
    let disk = SimDisk::default();
    let path = write(&disk, &testing::folder(&disk, "base"), &header(), rows).unwrap();
    (disk, path)
}

fn scanned(base: &Base, from: &[u8], to: Option<&[u8]>) -> Result<Model, Error> {
    let mut found = Model::new();
    base.scan(from, to, &mut |key, value| {
        assert!(found.last_key_value().is_none_or(|(last, _)| &**last < key), "rows come in order");
        found.insert(key.to_vec(), value.to_vec());
        Ok(true)
    })?;
    Ok(found)
}

fn drained(mut rows: super::reader::Rows) -> Result<Model, Error> {
    let mut found = Model::new();
    while let Some((key, value)) = rows.next()? {
        found.insert(key, value);
    }
    Ok(found)
}

fn few() -> Model {
    [(&b"a"[..], &b"one"[..]), (b"ab", b""), (b"b", b"two")].map(|(key, value)| (key.to_vec(), value.to_vec())).into()
}

/// Rows of 100 to 40,000 bytes: several blocks, some with one row that is too large for any.
fn many() -> Model {
    let size = |number: usize| if number.is_multiple_of(7) { 40_000 } else { 100 + 400 * (number % 9) };
    (0..80).map(|number| (format!("key {number:03}").into_bytes(), vec![b'a'; size(number)])).collect()
}

fn keys() -> impl Strategy<Value = Vec<u8>> {
    // Few letters, so that keys are beginnings and neighbours of each other.
    proptest::collection::vec(0..4_u8, 0..6)
}

fn models() -> impl Strategy<Value = Model> {
    let lengths = prop_oneof![6 => 0..50_usize, 3 => 1_000..20_000_usize, 1 => 30_000..70_000_usize];
    let values = (any::<u8>(), lengths).prop_map(|(byte, length)| vec![byte; length]);
    proptest::collection::btree_map(keys(), values, 0..60)
}

crate::properties! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_base_gives_back_what_was_put(
        model in models(), asked in proptest::collection::vec(keys(), 20), from in keys(), to in proptest::option::of(keys()),
    ) {
        let (disk, path) = made(&model);
        let base = Base::open(&disk, &path).unwrap();
        prop_assert_eq!(base.header(), &header());
        for key in model.keys().chain(&asked) {
            prop_assert_eq!(base.get(key).unwrap(), model.get(key).cloned());
        }
        let mut wanted = model.clone();
        wanted.retain(|key, _| from <= *key && to.as_ref().is_none_or(|to| key < to));
        prop_assert_eq!(scanned(&base, &from, to.as_deref()).unwrap(), wanted);
        prop_assert_eq!(base.verify().unwrap(), Summary { rows: model.len() as u64, bytes: disk.bytes(&path).len() as u64 });
        prop_assert_eq!(drained(base.rows()).unwrap(), model);
    }

    #[test]
    fn any_bytes_are_an_error_and_no_panic(bytes: Vec<u8>) {
        let (disk, path) = made(&few());
        disk.tamper(&path, |file| file.clone_from(&bytes));
        prop_assert!(Base::open(&disk, &path).is_err());
        let _ = (rows::check(&bytes, b"", None), rows::entries(&bytes, 0, 100));
    }
}

#[test]
fn a_base_keeps_its_bytes() {
    let (disk, path) = made(&few());
    assert_eq!(path, Path::new("base/00000000000000000042.base"));
    assert_eq!(testing::hex(&disk.bytes(&path)), GOLDEN.replace(['\n', ' '], ""));
}

/// Header, parts, index and footer, each from a new line; computed from the description, not by this code.
const GOLDEN: &str = "
    68662d626173650a0100000014000000d006c55e88776655443322112a000000000000006d657461
    b38fab680022000000000000000100000003000000616f6e650200000000000000616201000000030000006274776f
    af2ee646000d0000000000000001000000280000000000000061
    4fb19e97001800000000000000570000000000000003000000000000009600000000000000
";

#[test]
fn a_base_without_rows_is_one() {
    let (disk, path) = made(&Model::new());
    let base = Base::open(&disk, &path).unwrap();
    assert_eq!((base.get(b"").unwrap(), base.verify().unwrap().rows), (None, 0));
    assert_eq!(drained(base.rows()).unwrap(), Model::new());
}

#[test]
fn a_large_row_has_a_block_of_its_own_and_others_share() {
    let (disk, path) = made(&many());
    let base = Base::open(&disk, &path).unwrap();
    let mut sizes = Vec::new();
    for at in (0..).take_while(|at| base.offset(*at) < base.offset(usize::MAX)) {
        let block = base.block(at).unwrap();
        assert!(block.len() <= PART || rows::iter(&block).count() == 1, "a block of {} bytes", block.len());
        sizes.push(block.len());
    }
    assert_eq!(sizes.iter().filter(|size| **size > PART).count(), 12);
    assert!(sizes.len() < 30, "small rows share blocks: {sizes:?}");
}

#[test]
fn a_scan_stops_when_it_is_told_to() {
    let (disk, path) = made(&many());
    let base = Base::open(&disk, &path).unwrap();
    let mut visits = 0;
    base.scan(b"key 010", None, &mut |_, _| {
        visits += 1;
        Ok(visits < 20)
    })
    .unwrap();
    assert_eq!(visits, 20);
    let refused = base.scan(b"", None, &mut |_, _| Err(Error::Misuse { cause: "enough".to_owned() }));
    assert!(matches!(refused, Err(Error::Misuse { .. })));
}

#[test]
fn what_is_too_long_is_refused_and_what_is_just_so_is_not() {
    let disk = SimDisk::default();
    let path = Path::new("base/one.new");
    let long = |length| Header { meta: vec![7; length], ..header() };
    assert!(matches!(Writer::create(&disk, path, &long(META_MAX + 1)), Err(Error::Misuse { .. })));
    let mut writer = Writer::create(&disk, path, &long(META_MAX)).unwrap();
    writer.put(&[1; KEY_MAX], b"value").unwrap();
    assert!(matches!(writer.put(&[2; KEY_MAX + 1], b""), Err(Error::Misuse { .. })));
    assert!(matches!(writer.put(&[2], &vec![0; VALUE_MAX + 1]), Err(Error::Misuse { .. })));
    writer.finish().unwrap();
    let base = Base::open(&disk, path).unwrap();
    assert_eq!((base.header(), base.get(&[1; KEY_MAX]).unwrap()), (&long(META_MAX), Some(b"value".to_vec())));
}

#[test]
#[should_panic(expected = "in the order of their keys")]
fn a_key_that_does_not_ascend_is_our_mistake() {
    let disk = SimDisk::default();
    let mut writer = Writer::create(&disk, Path::new("base/one.new"), &header()).unwrap();
    writer.put(b"b", b"").unwrap();
    let _ = writer.put(b"b", b"again");
}

#[test]
fn bases_are_listed_in_order_and_leftovers_apart() {
    let disk = SimDisk::default();
    assert_eq!(list(&disk, Path::new("base")).unwrap(), []);
    let folder = testing::folder(&disk, "base");
    for sequence in [9, 100, 20].map(Sequence) {
        write(&disk, &folder, &Header { sequence, ..header() }, &few()).unwrap();
    }
    Writer::create(&disk, &draft(&folder, Sequence(101)), &header()).unwrap();
    disk.open(&folder.join("+0000000000000000001.base"), crate::durable::journal::disk::Access::Create).unwrap();
    let listed: Vec<_> = list(&disk, &folder).unwrap().into_iter().map(|(sequence, _)| sequence.0).collect();
    assert_eq!(listed, [9, 20, 100]);
    assert_eq!(leftovers(&disk, &folder).unwrap(), [folder.join("00000000000000000101.base.new")]);
}

#[test]
fn a_real_disk_does_the_same() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().join(FOLDER);
    RealDisk.create_folder(&folder).unwrap();
    let path = write(&RealDisk, &folder, &header(), &many()).unwrap();
    assert_eq!(list(&RealDisk, &folder).unwrap(), [(Sequence(42), path.clone())]);
    let base = Base::open(&RealDisk, &path).unwrap();
    assert_eq!(base.verify().unwrap().rows, 80);
    assert_eq!(base.get(b"key 041").unwrap().as_ref(), many().get(&b"key 041"[..]));
    assert_eq!(drained(base.rows()).unwrap(), many());
}
