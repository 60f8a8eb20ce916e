//! What a base image says when it is not what was written.

use super::*;
use crate::durable::store::local::parts::{self, seal::OVERHEAD};

#[test]
fn a_flipped_bit_or_a_cut_is_an_error_and_never_another_row() {
    let (disk, path) = made(&few());
    testing::spoil(&disk, &path, &mut |disk, scene| {
        let right = |error: &Error| assert!(testing::names(error, &path), "{error}: {scene}");
        match Base::open(disk, &path) {
            Err(error) => right(&error),
            Ok(base) => {
                right(&base.verify().expect_err(scene));
                for (key, value) in few() {
                    base.get(&key)
                        .map_or_else(|error| right(&error), |found| assert_eq!(found, Some(value), "{scene}"));
                }
                scanned(&base, b"", None)
                    .map_or_else(|error| right(&error), |found| assert_eq!(found, few(), "{scene}"));
                drained(base.rows()).map_or_else(|error| right(&error), |found| assert_eq!(found, few(), "{scene}"));
            }
        }
    });
}

#[test]
fn a_damaged_block_hurts_no_other() {
    let (disk, path) = made(&many());
    let at = Base::open(&disk, &path).unwrap().offset(3) + OVERHEAD as u64;
    disk.tamper(&path, |file| file[usize::try_from(at).unwrap()] ^= 1);
    let base = Base::open(&disk, &path).unwrap();
    let lost = many().keys().filter(|key| base.get(key).is_err()).count();
    assert!((1..15).contains(&lost), "{lost} rows of one block");
    assert!(many().iter().all(|(key, value)| base.get(key).map_or(true, |found| found.as_ref() == Some(value))));
}

#[test]
fn blocks_that_changed_places_are_refused() {
    let rows = |letter| (0..40).map(|number: u8| (vec![number], vec![letter; 10_000])).collect::<Model>();
    let (disk, path) = made(&rows(b'a'));
    let base = Base::open(&disk, &path).unwrap();
    let [one, two, three] = [0, 1, 2].map(|at| usize::try_from(base.offset(at)).unwrap());
    assert_eq!(two - one, three - two, "blocks of one size, or this shows nothing");
    disk.tamper(&path, |file| file[one..three].rotate_left(two - one));
    let base = Base::open(&disk, &path).unwrap();
    assert!(base.get(&[0]).is_err() && base.get(&[4]).is_err() && base.verify().is_err());
}

#[test]
fn a_block_of_another_base_is_refused() {
    let rows = |letter| Model::from([(b"key".to_vec(), vec![letter; 100])]);
    let disk = SimDisk::default();
    let folder = testing::folder(&disk, "base");
    let [old, new] = [(1, b'a'), (2, b'b')].map(|(sequence, letter)| {
        write(&disk, &folder, &Header { sequence: Sequence(sequence), ..header() }, &rows(letter)).unwrap()
    });
    let (from, to) = {
        let base = Base::open(&disk, &new).unwrap();
        (usize::try_from(base.offset(0)).unwrap(), usize::try_from(base.offset(1)).unwrap())
    };
    let block = disk.bytes(&old)[from..to].to_vec();
    disk.tamper(&new, |file| file[from..to].copy_from_slice(&block));
    assert!(Base::open(&disk, &new).unwrap().get(b"key").is_err());
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (disk, path) = made(&few());
    let (header, _) = parts::seal::header(&Kind { format: 2, ..KIND }, &header().encode());
    disk.tamper(&path, |file| file[..header.len()].copy_from_slice(&header));
    assert!(matches!(Base::open(&disk, &path), Err(Error::Newer { found: 2, known: 1, .. })));
}

#[test]
fn a_base_under_another_name_is_refused() {
    let (disk, path) = made(&few());
    let other = Path::new("base/00000000000000000043.base");
    disk.relocate(&path, other);
    let error = Base::open(&disk, other).err().unwrap();
    assert!(testing::names(&error, other) && error.to_string().contains("another name"), "{error}");
}

#[test]
fn a_base_is_whole_or_not_there_wherever_the_power_goes() {
    let write = |disk: &SimDisk| write(disk, &testing::folder(disk, "base"), &header(), &many()).map(drop);
    testing::every_death(&write, &|disk, told, scene| {
        let found = list(disk, Path::new("base")).unwrap();
        assert!(!told || !found.is_empty(), "it was promised: {}", scene());
        for (sequence, path) in found {
            let base = Base::open(disk, &path).unwrap_or_else(|error| panic!("{error}: {}", scene()));
            assert_eq!((sequence, base.header()), (Sequence(42), &header()), "{}", scene());
            assert_eq!(drained(base.rows()).unwrap(), many(), "{}", scene());
        }
    });
}
