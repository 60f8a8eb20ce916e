//! What a failed store leaves to the next system of the same process.

use super::*;

/// It once waited for a system after that one: its call could not begin again, and nothing helped but another restart.
#[tokio::test]
async fn an_outcome_that_reaches_a_former_system_late_is_taken_by_the_one_that_followed() {
    let (store, calls) = (Memory::new(), Arc::new(AtomicU32::new(0)));
    let with_tool = || builder().tool("slow", Arc::new(Slow(calls.clone())));
    let former = with_tool().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&former).await;
    former.tell(address, Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&former, address, |_| calls.load(Ordering::SeqCst) == 1).await;
    let call = former.read(|live| *live.calls.keys().next().unwrap()).await.unwrap();
    let next = with_tool().inherit(former.abandon()).start(Arc::new(store.reopen())).await.unwrap();
    // As a call does that ended while the former system was open, and tells it a moment too late.
    former.inner.answer(vec![(call, Outcome::Done(Json::from(json!("late"))), None)], || {});
    let seen = until(&next, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["done"]);
}
