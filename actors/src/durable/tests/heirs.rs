//! A store fails and is opened again in the same process: what runs belongs to the next system.

use super::*;

/// Once it was put aside for the next system when that had looked already: the call was neither answered nor made again, and
/// held its permit until the process ended.
#[tokio::test]
async fn an_outcome_that_its_former_system_is_late_to_put_aside_is_taken_by_the_next_one() {
    let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let with_tool = || builder().tool("slow", Arc::new(Slow(calls.clone())));
    let former = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&former).await;
    former.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::AtMostOnce }).await.unwrap();
    let seen = until(&former, address, |count| count.call.is_some() && calls.load(Ordering::SeqCst) == 1).await;
    let system = with_tool().inherit(former.abandon()).start(Arc::new(store.reopen())).await.unwrap();
    // A call that ended while its own system was the home is handed in only now.
    former.inner.answer(vec![(seen.call.unwrap(), Outcome::Done(Json::NULL), None)], || {});
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["done"]);
    assert!(system.inner.in_flight.is_empty(), "and its permit is free");
}
