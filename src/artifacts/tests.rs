//! Artifacts: stored once, found again, read in parts, never half there.

mod at_scale;

use std::sync::mpsc;

use serde_json::json;

use super::*;

/// Enough for whoever need not wait; nothing is said of those who must.
const MOMENT: Duration = Duration::from_millis(300);

#[test]
fn what_was_put_comes_back_and_is_stored_once() {
    let (_folder, store) = store();
    let first = store.put(b"caf\xe9").unwrap();
    assert_eq!(store.put(b"caf\xe9").unwrap(), first);
    assert_eq!(store.get(first.digest).unwrap(), b"caf\xe9");
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(temporaries(&store), 0);
}

#[test]
fn a_writer_and_a_put_of_the_same_bytes_give_the_same_reference() {
    let (_folder, store) = store();
    let mut writer = store.writer().unwrap();
    writer.append(b"one ").unwrap();
    writer.append(b"two").unwrap();
    let reference = writer.finish().unwrap();
    assert_eq!(reference, store.put(b"one two").unwrap());
    assert_eq!(reference.bytes, 7);
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let (_folder, store) = store();
    store.writer().unwrap().append(b"half").unwrap();
    assert_eq!((temporaries(&store), store.list().unwrap().len()), (0, 0));
}

#[test]
fn a_flipped_bit_is_noticed_and_repaired_by_the_next_put() {
    let (_folder, store) = store();
    let reference = store.put(b"truth").unwrap();
    fs::write(store.path(reference.digest), b"trust").unwrap();
    assert!(matches!(store.get(reference.digest), Err(Error::Damaged { .. })));
    assert!(matches!(store.open_file(reference.digest), Err(Error::Damaged { .. })));
    store.put(b"truth").unwrap();
    assert_eq!(store.get(reference.digest).unwrap(), b"truth");
}

#[test]
fn storing_again_touches_the_file_so_that_it_is_not_collected() {
    let (_folder, store) = store();
    let reference = store.put(b"old").unwrap();
    let long_ago = UNIX_EPOCH + Duration::from_secs(1);
    File::open(store.path(reference.digest)).unwrap().set_modified(long_ago).unwrap();
    store.put(b"old").unwrap();
    assert!(store.list().unwrap()[0].stored_at_ms > 1_000);
}

/// A collector that has looked at an old file and is about to remove it, and somebody who stores the same content: without
/// the lock the touch would come too late, and what was promised would be gone.
#[test]
fn what_is_stored_again_while_it_is_removed_is_there_afterwards() {
    let (_folder, store) = store();
    let reference = store.put(b"wanted again").unwrap();
    let collector = store.lock_file().unwrap();
    collector.lock().unwrap();
    let (told, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| {
            store.put(b"wanted again").unwrap();
            told.send(()).unwrap();
        });
        // Whoever takes no lock has the time to come to its end here.
        let _ = heard.recv_timeout(MOMENT);
        fs::remove_file(store.path(reference.digest)).unwrap();
        collector.unlock().unwrap();
        put.join().unwrap();
    });
    assert_eq!(store.get(reference.digest).unwrap(), b"wanted again");
}

/// The other way round: somebody is about to touch an old file, and a collector comes.
#[test]
fn what_is_being_touched_is_not_removed() {
    let (_folder, store) = store();
    let reference = store.put(b"wanted again").unwrap();
    let path = store.path(reference.digest);
    File::open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
    let shared = store.share().unwrap();
    let (told, heard) = mpsc::channel();
    std::thread::scope(|scope| {
        let remove = scope.spawn(|| {
            let removed = store.remove(reference.digest, 1_000).unwrap();
            told.send(()).unwrap();
            removed
        });
        let _ = heard.recv_timeout(MOMENT);
        File::open(&path).unwrap().set_modified(now()).unwrap();
        shared.unlock().unwrap();
        assert_eq!(remove.join().unwrap(), None);
    });
    assert!(store.contains(reference.digest));
}

#[test]
fn only_what_is_old_is_removed() {
    let (_folder, store) = store();
    let reference = store.put(b"young").unwrap();
    assert_eq!(store.remove(reference.digest, 1_000).unwrap(), None);
    File::open(store.path(reference.digest)).unwrap().set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(store.remove(reference.digest, 1_000).unwrap(), Some(5));
    assert_eq!(store.remove(reference.digest, 1_000).unwrap(), None, "it is gone");
    assert!(matches!(store.get(reference.digest), Err(Error::Missing { .. })));
}

#[test]
fn what_is_missing_is_named() {
    let (_folder, store) = store();
    let digest = Digest::of(b"never");
    assert!(!store.contains(digest));
    assert_eq!(store.get(digest).unwrap_err().to_string(), format!("there is no artifact {digest}"));
}

#[test]
fn what_is_named_and_not_there_is_missed_also_behind_documents_and_whatever_the_spaces() {
    let (_folder, store) = store();
    let [one, two, three] = ["one", "two", "three"].map(|text| Reference::new(Digest::of(text.as_bytes()), 5));
    let document = store.put(json!({"a": [{"b": two.to_value()}]}).to_string().as_bytes()).unwrap().as_json();
    let text = store.put(json!({"no": three.to_value()}).to_string().as_bytes()).unwrap();
    let mut named = super::Named::default();
    named.read(format!("\x01{{ \"$artifact\" : \"{}\", \"bytes\": 3 }}\x02", one.digest).as_bytes());
    named.read(json!({"in": [document.to_value(), text.to_value(), {"$artifact": 7}]}).to_string().as_bytes());
    // Inside a text it is only text.
    named.read(json!(json!({"no": three.to_value()}).to_string()).to_string().as_bytes());
    let checked = store.check(named).unwrap();
    let mut wanted = [one.digest.to_string(), two.digest.to_string()];
    wanted.sort();
    assert_eq!((checked.missing, checked.named, checked.stored), (wanted.to_vec(), 4, 2));
}

#[test]
fn old_temporary_files_are_removed_at_the_next_start_and_young_ones_stay() {
    let (folder, _store) = store();
    let (old, young) = (folder.path().join("tmp/old"), folder.path().join("tmp/young"));
    File::create(&old).unwrap().set_modified(UNIX_EPOCH).unwrap();
    File::create(&young).unwrap();
    Artifacts::open(folder.path()).unwrap();
    assert!(!old.exists() && young.exists());
}

#[test]
fn references_are_replaced_wherever_they_stand() {
    let (_folder, store) = store();
    let text = store.put(b"caf\xe9").unwrap();
    let document = store.put(json!({"inner": text.to_value()}).to_string().as_bytes()).unwrap().as_json();
    let tree = json!({"a": [1, text.to_value()], "b": {"c": document.to_value()}});
    let shown = text::from_bytes(b"caf\xe9");
    assert_eq!(store.resolve(tree, 1_000).unwrap(), json!({"a": [1, shown], "b": {"c": {"inner": shown}}}));
}

#[test]
fn a_spilled_list_comes_back_in_order() {
    let (_folder, store) = store();
    let long = store.put(b"long").unwrap();
    let second = store.put(json!([[2, "c"], [1, long.to_value()]]).to_string().as_bytes()).unwrap();
    let first = store.put(json!([[0, {"a": 1}]]).to_string().as_bytes()).unwrap();
    let list = json!({"$list": [second.to_value(), first.to_value()], "count": 3});
    assert_eq!(store.resolve(list.clone(), 1_000).unwrap(), json!([{"a": 1}, "long", "c"]));
    let short = json!({"$list": list["$list"], "count": 4});
    assert!(matches!(store.resolve(short, 1_000), Err(Error::Malformed { .. })));
}

#[test]
fn the_limit_counts_every_occurrence() {
    let (_folder, store) = store();
    let reference = store.put(&[b'x'; 100]).unwrap().to_value();
    assert!(store.resolve(json!([reference, reference]), 200).is_ok());
    assert!(matches!(store.resolve(json!([reference, reference]), 199), Err(Error::TooLarge { limit_bytes: 199 })));
}

#[test]
fn malformed_references_are_refused_by_name() {
    let (_folder, store) = store();
    for bad in [json!({"$artifact": 1}), json!({"$artifact": "sha256:12"}), json!({"$list": [1], "count": 1})] {
        assert!(matches!(store.resolve(bad.clone(), 100), Err(Error::Malformed { .. })), "{bad}");
    }
    assert!("sha256:é".parse::<Digest>().is_err());
}

use headframe_actors::plan::text;

fn store() -> (tempfile::TempDir, Artifacts) {
    let folder = tempfile::tempdir().unwrap();
    let store = Artifacts::open(folder.path()).unwrap();
    (folder, store)
}

fn temporaries(store: &Artifacts) -> usize {
    fs::read_dir(store.dir.join("tmp")).unwrap().count()
}
