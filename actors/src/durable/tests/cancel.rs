//! Calls that are no longer wanted, across the death of their process.

use super::*;

/// Never answers, and hears no cancel.
struct Deaf(AtomicU32);

impl Tool for Deaf {
    async fn call(&self, _: &CallContext, _: Json) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

async fn start(tool: &Arc<Deaf>, store: &Memory) -> System {
    builder().tool("bank", tool.clone()).start(Arc::new(store.reopen())).await.unwrap()
}

/// A call that was cancelled while it ran was once made again by the next life, from its beginning to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_cancelled_while_it_ran_is_not_made_again_after_a_crash() {
    let (store, tool) = (Memory::new(), Arc::new(Deaf(AtomicU32::new(0))));
    let dead = start(&tool, &store).await;
    let address = counter(&dead).await;
    dead.tell(address, Told::Call { tool: "bank".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&dead, address, |_| tool.0.load(Ordering::SeqCst) == 1).await;
    dead.tell(address, Told::Cancel).await.unwrap();
    // What this answers was durable with the cancel, or after it.
    count(&dead, address).await;
    let system = start(&tool, &store).await;
    let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
    assert_eq!(seen.verdicts, ["unknown: crash"], "nobody knows what became of it");
    assert_eq!(tool.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_cancelled_is_made_again_after_a_crash() {
    let (store, tool) = (Memory::new(), Arc::new(Deaf(AtomicU32::new(0))));
    let dead = start(&tool, &store).await;
    let address = counter(&dead).await;
    dead.tell(address, Told::Call { tool: "bank".to_owned(), effect: Effect::IDEMPOTENT }).await.unwrap();
    until(&dead, address, |_| tool.0.load(Ordering::SeqCst) == 1).await;
    let system = start(&tool, &store).await;
    until(&system, address, |_| tool.0.load(Ordering::SeqCst) == 2).await;
}

/// Answers when it is asked to stop, that it certainly had no effect.
struct Obedient(AtomicU32);

impl Tool for Obedient {
    fn effect(&self) -> Effect {
        Effect::AtMostOnce
    }

    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        cx.cancelled().await;
        Outcome::failed("stopped", "it had not begun to pay")
    }
}

/// A stop took the start of such a call back, for it surely had no effect; the next life made it again, although its caller
/// did not want it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_not_wanted_and_ends_as_the_system_stops_is_not_made_again() {
    for is_wanted in [true, false] {
        let (store, tool) = (Memory::new(), Arc::new(Obedient(AtomicU32::new(0))));
        let start = || builder().tool("bank", tool.clone()).start(Arc::new(store.reopen()));
        let former = start().await.unwrap();
        let address = counter(&former).await;
        let call = Told::Call { tool: "bank".to_owned(), effect: Effect::AtMostOnce };
        former.tell(address, call).await.unwrap();
        until(&former, address, |_| tool.0.load(Ordering::SeqCst) == 1).await;
        // Whatever the tool says from now on, it says to a system that stops.
        former.inner.core.lock().draining = true;
        if !is_wanted {
            former.tell(address, Told::Cancel).await.unwrap();
        }
        former.stop(SOON).await;
        let system = start().await.unwrap();
        if is_wanted {
            until(&system, address, |_| tool.0.load(Ordering::SeqCst) == 2).await;
        } else {
            let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
            assert_eq!(seen.verdicts, ["failed: stopped"]);
            assert_eq!(tool.0.load(Ordering::SeqCst), 1, "it is not made again");
        }
    }
}
