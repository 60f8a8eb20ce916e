//! Whoever is told something by others than actors is in memory when it is told, however quickly it leaves.

use super::*;

const CALLERS: usize = 60;

/// Between the moment in which the caller of a call in doubt was brought into memory and the decision it could leave again. It
/// was then taken for finished: the decision went to the dead letters, the run hung, and its chain of hashes broke.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_reaches_a_caller_that_leaves_memory_whenever_it_may() {
    let loses = |_: Json| async { Outcome::unknown("reset", "the answer was lost") };
    let tool = Arc::new(Closure::new(Effect::AtMostOnce, loses));
    let pace = Duration::from_millis(10);
    let system =
        builder().tool("bank", tool).passivate(pace, 1_000).start(Arc::new(Memory::with_rows())).await.unwrap();
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let caller = counter(&system).await;
        let call = Told::Call { tool: "bank".to_owned(), effect: Effect::AtMostOnce };
        system.tell(caller, call).await.unwrap();
        until(&system, caller, |count| count.verdicts == ["doubt: reset"]).await;
        callers.push(caller);
    }
    system.checkpoint(SOON).await.unwrap();
    let ids: Vec<_> = callers.iter().map(|caller| caller.id).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let (evicting, over) = (system.inner.clone(), is_over.clone());
    let evictor = tokio::task::spawn_blocking(move || {
        while !over.load(Ordering::SeqCst) {
            for actor in &ids {
                evicting.with_accepted(|accepted, _| accepted.let_go(*actor)).unwrap();
            }
        }
    });
    for (call, _) in system.doubts().await.unwrap() {
        system.decide(call, Decision::Happened(Json::NULL), "tester").await.unwrap();
    }
    is_over.store(true, Ordering::SeqCst);
    evictor.await.unwrap();
    for caller in callers {
        let seen = until(&system, caller, |count| count.verdicts.len() == 2).await;
        assert_eq!(seen.verdicts, ["doubt: reset", "done"]);
    }
    assert_eq!(system.dead_letters().await.unwrap(), []);
    assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new());
}
