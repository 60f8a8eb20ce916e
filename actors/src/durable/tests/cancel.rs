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
