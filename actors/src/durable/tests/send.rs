//! What is told from outside: given back when it is not taken in, and roots by key.

use super::*;

#[tokio::test]
async fn a_root_is_made_once_per_key_and_found_by_the_next_life() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(system.find::<Counter>("till").await.unwrap(), None);
    let till = system.spawn::<Counter>("till", &Told::Add(5)).await.unwrap();
    assert_eq!(system.spawn::<Counter>("till", &Told::Add(5)).await.unwrap(), till);
    assert_ne!(system.spawn::<Counter>("other", &Told::Add(5)).await.unwrap(), till);
    system.stop(SOON).await;
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(system.find::<Counter>("till").await.unwrap(), Some(till));
    assert_eq!(system.spawn::<Counter>("till", &Told::Add(5)).await.unwrap(), till);
    assert_eq!(count(&system, till).await.total, 5);
}

#[tokio::test]
async fn a_message_that_is_not_taken_in_is_given_back() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    let large = "x".repeat(11 * 1024 * 1024);
    let message = Told::Call { tool: large, effect: Effect::IDEMPOTENT };
    let refused = system.tell(address, message).await.unwrap_err();
    assert!(matches!(&refused, SendError::TooLarge { bytes, max, .. } if bytes > max), "{refused:?}");
    assert!(!format!("{refused:?}").contains("xxx"), "what was to be said stays out of logs");
    let Some(Told::Call { tool, .. }) = refused.into_message() else { panic!("it is given back") };
    assert_eq!(tool.len(), 11 * 1024 * 1024);

    system.stop(SOON).await;
    let refused = system.tell_once("order-7", address, Told::Add(7)).await.unwrap_err();
    assert!(refused.to_string().contains("repeat with the same key"), "{refused}");
    assert!(matches!(refused.into_message(), Some(Told::Add(7))));
    let refused = system.ask(address, Told::Add(8), SOON).await.unwrap_err();
    assert!(matches!(refused.into_message(), Some(Told::Add(8))));
}

#[tokio::test]
async fn a_question_that_is_not_answered_in_time_is_taken_all_the_same() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    count(&system, address).await;
    system.stop(SOON).await;
    // In this life the actor takes nothing.
    let held = builder().recovered(|found| Ok(found.streams())).start(Arc::new(store.reopen())).await.unwrap();
    let late = held.ask(address, Told::Add(3), Duration::from_millis(10)).await.unwrap_err();
    assert!(matches!(late, SendError::NoReplyYet { .. }), "{late:?}");
    assert!(late.into_message().is_none(), "it is in the mailbox: to repeat it would be a second message");
    held.stop(SOON).await;
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    until(&system, address, |count| count.total == 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_short_of_room_lets_nothing_in_until_there_is_room_again() {
    let store = Arc::new(Memory::with_rows());
    let system = builder().start(store.clone()).await.unwrap();
    let address = counter(&system).await;
    store.run_short(Some("the disk is full"));
    let refused = async {
        loop {
            if let Err(error) = system.tell(address, Told::Add(0)).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(SOON, refused).await.expect("the door closes");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    store.run_short(None);
    let told = async { while system.tell(address, Told::Add(1)).await.is_err() {} };
    tokio::time::timeout(SOON, told).await.expect("the door opens by itself");
    until(&system, address, |count| count.total == 1).await;
    system.stop(SOON).await;
}
