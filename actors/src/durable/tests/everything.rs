//! The bytes of everything durable hold every name in one piece, however they lie on disk.

use super::*;
use crate::durable::{call::Key, store::Store as _};

/// Records are compressed, and whoever looked for names in them as they lie there did not find those that repeat a part of
/// another: the artifacts that they name would have been collected.
#[tokio::test]
async fn what_a_compressed_record_names_is_found() {
    let store = Arc::new(Memory::new());
    let system = builder().start(store.clone()).await.unwrap();
    let half = &Key::of(&[b"half"]).to_string()[..32];
    let names: Vec<String> =
        (0..50_u8).map(|number| format!("{half}{}", &Key::of(&[&[number]]).to_string()[..32])).collect();
    let rows = vec![(Bytes::from_static(b"names"), Bytes::from(names.join(" ")))];
    system.spawn_root::<Counter>(None, |_| rows, &Told::Add(0)).await.unwrap().unwrap();
    let without = |bytes: &[u8], names: &mut Vec<String>| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        names.retain(|name| !text.contains(name));
    };
    let (mut raw, mut read) = (names.clone(), names);
    store
        .scan(store.past().unwrap().end().next(), &mut |_, sealed| {
            without(sealed, &mut raw);
            true
        })
        .unwrap();
    assert!(raw.len() > 40, "the record is compressed");
    assert!(system.ledger().everything(&mut |bytes| without(bytes, &mut read)).unwrap());
    assert_eq!(read, Vec::<String>::new());
}
