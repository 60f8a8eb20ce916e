//! Segments that follow each other, and what is seen when they do not.

use super::*;

/// Three segments of one history.
fn three(disk: &SimDisk) -> Vec<PathBuf> {
    let (mut history, mut paths) = (History::new(1, 10, NO_LINK), Vec::new());
    for life in 1..=3 {
        history.tell(1, life * 10, format!("event {life}"));
        paths.push(history.write(disk, Path::new("ledger")).unwrap());
        let link = Segment::open(disk, &paths[paths.len() - 1]).unwrap().link();
        history = History::after(&history, (life + 1) * 10, link);
    }
    paths
}

fn connect(disk: &SimDisk, store: u64) -> Result<(), String> {
    let folder = Path::new("ledger");
    let listed = list(disk, folder).unwrap();
    let segments: Vec<_> = listed.iter().map(|(_, path)| Segment::open(disk, path).unwrap()).collect();
    connected(folder, store, &segments).map_err(|error| {
        assert!(matches!(error, Error::Inconsistent { .. }));
        error.to_string()
    })
}

#[test]
fn segments_of_one_history_are_connected_also_without_the_oldest() {
    let disk = SimDisk::default();
    let paths = three(&disk);
    assert_eq!(connect(&disk, 7), Ok(()));
    disk.lose(&paths[0]);
    assert_eq!(connect(&disk, 7), Ok(()));
}

#[test]
fn a_segment_that_was_removed_is_missed() {
    let disk = SimDisk::default();
    let paths = three(&disk);
    disk.lose(&paths[1]);
    let told = connect(&disk, 7).unwrap_err();
    assert!(told.contains("end at record 10 and go on at 21"), "{told}");
}

#[test]
fn a_segment_that_was_exchanged_is_seen() {
    let disk = SimDisk::default();
    let paths = three(&disk);
    let mut other = History::new(1, 10, NO_LINK);
    other.tell(1, 10, "event l");
    assert_eq!(other.write(&disk, Path::new("ledger")).unwrap(), paths[0]);
    let told = connect(&disk, 7).unwrap_err();
    assert!(told.contains("was made after another file"), "{told}");
}

#[test]
fn a_segment_of_another_store_is_seen() {
    let disk = SimDisk::default();
    three(&disk);
    let told = connect(&disk, 8).unwrap_err();
    assert!(told.contains("belongs to another store"), "{told}");
}
