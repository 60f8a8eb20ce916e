//! Dead letters: delivered again, dropped, and what cannot be.

use super::*;

async fn letters(system: &System) -> Vec<(u64, DeadLetter)> {
    system.dead_letters().await.unwrap()
}

/// Wait for so many letters.
async fn until_letters(system: &System, number: usize) -> Vec<(u64, DeadLetter)> {
    let seen = async {
        loop {
            let letters = letters(system).await;
            if letters.len() == number {
                return letters;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("as many letters as that")
}

fn notes(system: &System) -> Vec<String> {
    let mut notes = Vec::new();
    let mut read = |item: Item| {
        if let What::Runtime(note) = &item.what {
            notes.push(note.to_string());
        }
        true
    };
    system.ledger().all(&mut read).unwrap();
    notes
}

#[tokio::test]
async fn a_retried_letter_goes_in_the_commit_that_delivers_it_to_the_end_of_the_mailbox() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Panic).await.unwrap();
    let dead = until_letters(&system, 1).await;
    // A root without an owner is suspended: what comes for it waits.
    system.tell(address, Told::Add(5)).await.unwrap();
    system.retry_dead_letter(dead[0].0, "ada", Vec::new()).await.unwrap();
    let row = system.actor(address.id).await.unwrap().unwrap();
    assert_eq!(row.mailbox.back().map(|entry| &entry.body), Some(&dead[0].1.body));
    assert_eq!((row.mailbox.len(), letters(&system).await.len()), (2, 0));
    assert!(
        notes(&system).iter().any(|note| note.contains("Redelivered") && note.contains("ada")),
        "it is in the ledger"
    );
    let again = system.retry_dead_letter(dead[0].0, "ada", Vec::new()).await;
    assert!(matches!(again, Err(Error::Missing(_))), "a letter is retried once: {again:?}");
    // Resumed, it takes what waited, and dies of the letter again.
    system.resume_actor(address.id).await.unwrap();
    let dead = until_letters(&system, 1).await;
    assert!(dead[0].0 > 0 && dead[0].1.reason.contains("asked to"));
    system.drop_dead_letter(dead[0].0, "ada").await.unwrap();
    system.resume_actor(address.id).await.unwrap();
    assert_eq!(count(&system, address).await.total, 5);
    assert!(system.ledger().verify().unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_letter_to_an_actor_that_is_gone_stays_until_it_is_dropped() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    system.tell(Address::<Counter>::new(ActorId(77 << 8)), Told::Add(1)).await.unwrap();
    let dead = letters(&system).await;
    let refused = system.retry_dead_letter(dead[0].0, "ada", Vec::new()).await;
    assert!(matches!(refused, Err(Error::LetterStays { .. })), "{refused:?}");
    assert_eq!(letters(&system).await.len(), 1);
    system.drop_dead_letter(dead[0].0, "ada").await.unwrap();
    assert_eq!(letters(&system).await.len(), 0);
    assert!(matches!(system.drop_dead_letter(dead[0].0, "ada").await, Err(Error::Missing(_))));
}

/// It once just lay there, and whoever waited for what it should have brought about waited for ever.
#[tokio::test]
async fn a_message_that_does_not_decode_reaches_the_owner() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Refuse).await.unwrap();
    let dead = until_letters(&system, 1).await;
    assert_eq!(system.actor(address.id).await.unwrap().unwrap().suspended, None, "a refusal is no trouble");
    let garbage = Body::Message(bytes::Bytes::from_static(b"from another age"));
    system.retry_dead_letter(dead[0].0, "ada", vec![(address.id, garbage)]).await.unwrap();
    let dead = until_letters(&system, 2).await;
    assert!(dead[1].1.reason.contains("does not decode"), "{}", dead[1].1.reason);
    let row = system.actor(address.id).await.unwrap().unwrap();
    assert!(row.suspended.is_some_and(|reason| reason.contains("does not decode")), "a root without an owner");
}

#[tokio::test]
async fn a_letter_that_is_retried_twice_at_once_is_delivered_once() {
    let system = builder().start(Arc::new(Memory::with_rows())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Panic).await.unwrap();
    let dead = until_letters(&system, 1).await;
    system.checkpoint(SOON).await.unwrap();
    let retry = || system.retry_dead_letter(dead[0].0, "ada", Vec::new());
    let (one, other) = tokio::join!(retry(), retry());
    assert_eq!(u32::from(one.is_ok()) + u32::from(other.is_ok()), 1, "{one:?} {other:?}");
    assert_eq!(system.actor(address.id).await.unwrap().unwrap().mailbox.len(), 1);
}
