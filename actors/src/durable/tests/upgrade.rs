//! Folders of older and of newer builds: what is kept before the first start of a newer one, and what an older one refuses.

use std::{fs, path::Path};

use super::{
    killed::{Files, Killed, copy_all, read_all},
    kinds,
};
use crate::durable::store::Local;

/// What a start may read: all but who looked last, and the rows.
fn files(killed: &Killed) -> Files {
    let mut files = read_all(&killed.path(""));
    files.retain(|(path, _)| path != Path::new("LOCK"));
    files.sort();
    files
}

/// Raise the version in a file, and set the checksum that goes over these bytes.
fn raise(file: &Path, at: usize, covered: usize, checksum_at: usize) {
    let mut bytes = fs::read(file).unwrap();
    let version = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) + 1;
    bytes[at + 8..at + 12].copy_from_slice(&version.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[at..at + covered]);
    bytes[at + checksum_at..at + checksum_at + 4].copy_from_slice(&checksum.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

/// The header of a file of parts: magic, format, length of the body, checksum of all that and of the body, body.
fn raise_parts(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let version = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) + 1;
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let body = 20 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let checksum = crc32c::crc32c(&[&bytes[..16], &bytes[20..body]].concat());
    bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

type Newer = (&'static str, fn(&Killed));

const NEWER: [Newer; 8] = [
    ("format", |killed| fs::write(killed.path("format"), "6\n").unwrap()),
    ("versions", |killed| {
        let text = fs::read_to_string(killed.path("versions")).unwrap();
        fs::write(killed.path("versions"), text.replace(" state 1", " state 2")).unwrap();
    }),
    ("versions", |killed| {
        let text = fs::read_to_string(killed.path("versions")).unwrap();
        fs::write(killed.path("versions"), text.replace(" event 1", " event 2")).unwrap();
    }),
    ("HEAD", |killed| [0, 4096].into_iter().for_each(|slot| raise(&killed.path("HEAD"), slot, 44, 44))),
    (".seg", |killed| raise(&killed.files("journal", "seg")[0], 0, 64, 64)),
    (".base", |killed| raise_parts(&killed.files("base", "base")[0])),
    (".base", |killed| raise_parts(&killed.files("base", "base")[1])),
    (".led", |killed| raise_parts(&killed.files("ledger", "led").pop().unwrap())),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newer_build_wrote_is_refused_by_name_and_nothing_is_written() {
    for (name, newer) in NEWER {
        let killed = Killed::new();
        newer(&killed);
        let before = files(&killed);
        let refused = killed.start().await.err().unwrap_or_else(|| panic!("{name} is opened")).to_string();
        assert!(refused.starts_with("HF0005") && refused.contains(name), "{name}: {refused}");
        assert!(files(&killed) == before, "{name}: something was written");
    }
}

/// A folder as format 2 left it. Its files have not changed since; what is in them has.
fn of_format_2() -> Killed {
    let killed = Killed::new();
    fs::write(killed.path("format"), "2\n").unwrap();
    fs::remove_file(killed.path("versions")).unwrap();
    killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_that_is_kept_before_an_upgrade_restores_and_its_work_finishes() {
    let killed = of_format_2();
    let before = files(&killed);
    let told = killed.finishes("upgraded").await;
    assert!(told[0].contains("before-format-2"), "{told:?}");
    let image = killed.path("before-format-2");
    // All that a start reads, byte by byte; a day of work has not changed it.
    let kept = read_all(&image);
    for (path, bytes) in &kept {
        let was = before.iter().find(|(was, _)| was == path).unwrap_or_else(|| panic!("{} is new", path.display()));
        assert!(was.1 == *bytes, "{} is not what it was", path.display());
    }
    // What was being made when the process died is of no use to anyone.
    let is_new = |path: &Path| path.extension().is_some_and(|extension| extension == "new");
    let is_needed = |path: &Path| !path.starts_with("live") && !path.ends_with("ballast") && !is_new(path);
    let needed = before.iter().filter(|(path, _)| is_needed(path));
    assert_eq!(kept.len(), needed.count(), "{:?}", kept.iter().map(|(path, _)| path).collect::<Vec<_>>());
    go_back(&killed, &image);
    let told = killed.finishes("restored").await;
    assert!(told.iter().any(|told| told.contains("were built again")), "{told:?}");
    assert_eq!(read_all(&image).len(), kept.len(), "it is kept again before it is raised again");
}

/// As docs/ERRORS.md says under HF0005.
fn go_back(killed: &Killed, image: &Path) {
    for name in ["HEAD", "format", "versions", "open", "flight", "loss"] {
        let _ = fs::remove_file(killed.path(name));
    }
    for name in ["journal", "base", "ledger", "live"] {
        fs::remove_dir_all(killed.path(name)).unwrap();
    }
    copy_all(image, &killed.path(""));
}

/// What a start that died had kept was once taken for the image of a later one, although another build had worked since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_made_again_as_long_as_nothing_was_raised() {
    let killed = of_format_2();
    fs::create_dir_all(killed.path("before-format-2/journal")).unwrap();
    fs::write(killed.path("before-format-2/HEAD"), "older").unwrap();
    fs::create_dir_all(killed.path("before-format-2.new/base")).unwrap();
    let head = fs::read(killed.path("HEAD")).unwrap();
    killed.finishes("upgraded").await;
    assert_eq!(fs::read(killed.path("before-format-2/HEAD")).unwrap(), head);
    assert!(!killed.path("before-format-2.new").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_is_kept_before_a_behaviour_writes_a_newer_version() {
    let killed = Killed::new();
    let today = fs::read_to_string(killed.path("versions")).unwrap();
    fs::write(killed.path("versions"), today.replace(" state 1", " state 0")).unwrap();
    let told = killed.finishes("raised").await;
    assert!(told[0].contains("before-versions-1"), "{told:?}");
    assert_eq!(fs::read_to_string(killed.path("versions")).unwrap(), today);
    assert!(killed.path("before-versions-1/format").exists());
    assert_eq!(killed.finishes("again").await, Vec::<String>::new());
}

/// `doctor --accept-loss` once cut a journal and put files aside before it saw that a newer build wrote them, and never saw
/// that a newer behaviour did.
#[test]
fn a_loss_is_not_accepted_where_a_newer_build_or_behaviour_wrote() {
    for (name, newer) in NEWER {
        let killed = Killed::new();
        newer(&killed);
        let before = files(&killed);
        let refused = Local::accept_loss(&killed.path(""), &kinds(), 0).unwrap_err().to_string();
        assert!(refused.starts_with("HF0005") && refused.contains(name), "{name}: {refused}");
        assert!(files(&killed) == before, "{name}: something was written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_goes_only_when_asked_and_once_a_life_of_today_has_begun() {
    let killed = of_format_2();
    let why = |killed: &Killed| Local::images(&killed.path(""), &kinds()).unwrap()[0].needed.clone();
    fs::create_dir_all(killed.path("before-format-2")).unwrap();
    copy_all(&killed.path("journal"), &killed.path("before-format-2/journal"));
    fs::write(killed.path("before-format-2/format"), "2\n").unwrap();
    assert!(why(&killed).unwrap().contains("has not worked here yet"));
    killed.finishes("upgraded").await;
    assert_eq!(why(&killed), None);
    // As it is when the start that raised the number died on the way.
    let head = fs::read(killed.path("HEAD")).unwrap();
    fs::copy(killed.path("before-format-2/HEAD"), killed.path("HEAD")).unwrap();
    assert!(why(&killed).unwrap().contains("no life began here since"));
    fs::write(killed.path("HEAD"), head).unwrap();
    {
        let _works = killed.store().unwrap();
        let refused = Local::prune_images(&killed.path(""), &kinds()).unwrap_err().to_string();
        assert!(refused.starts_with("HF0001"), "{refused}");
    }
    let pruned = Local::prune_images(&killed.path(""), &kinds()).unwrap();
    assert!(pruned.len() == 1 && pruned[0].is_whole && pruned[0].bytes > 0, "{pruned:?}");
    assert!(!killed.path("before-format-2").exists());
    assert_eq!(Local::images(&killed.path(""), &kinds()).unwrap(), []);
    assert_eq!(killed.finishes("pruned").await, Vec::<String>::new());
}
