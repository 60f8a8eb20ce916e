//! Calls that promise heartbeats: one that is silent is given up, and goes on as its guarantee says.

use super::*;

const TICK: Duration = Duration::from_millis(20);

/// Says that it lives a few times, and then nothing; hears a cancel.
pub(super) fn falls_silent(
    effect: Effect,
    calls: &Arc<AtomicU32>,
) -> ContextClosure<impl Fn(CallContext, Json) -> Running + use<>> {
    let calls = calls.clone();
    ContextClosure::new(effect, move |cx: CallContext, _| -> Running {
        calls.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            cx.beat();
            tokio::task::yield_now().await;
            cx.beat();
            cx.cancelled().await;
            Outcome::unknown("cancelled", "was asked to stop")
        })
    })
}

pub(super) type Running = std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>;

async fn until_given_up(system: &System) {
    let seen = async {
        while !system.unstuck().contains_key(Reason::LostHeartbeat.word()) {
            tokio::time::sleep(TICK).await;
        }
    };
    tokio::time::timeout(SOON, seen).await.expect("it is given up in time");
}

#[tokio::test]
async fn a_call_that_promised_heartbeats_and_is_silent_is_asked_to_stop_and_its_guarantee_decides() {
    for (effect, ending) in [(Effect::IDEMPOTENT, "unknown: heartbeat"), (Effect::AtMostOnce, "doubt: heartbeat")] {
        let calls = Arc::new(AtomicU32::new(0));
        let tool = falls_silent(effect, &calls).with_heartbeat(TICK * 3);
        let system = builder().unstick_every(TICK).tool("worker", Arc::new(tool));
        let system = system.start(Arc::new(Memory::new())).await.unwrap();
        let address = counter(&system).await;
        system.tell(address, Told::Call { tool: "worker".to_owned(), effect }).await.unwrap();
        until_given_up(&system).await;
        let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
        assert_eq!((seen.verdicts, calls.load(Ordering::SeqCst)), (vec![ending.to_owned()], 1), "{effect:?}");
        assert!(system.progress().is_empty(), "it runs no more");
    }
}

#[tokio::test]
async fn a_promise_of_a_caller_is_kept_across_a_restart_with_and_without_rows() {
    for store in [Memory::new(), Memory::with_rows()] {
        let calls = Arc::new(AtomicU32::new(0));
        let start = |every| {
            let tool = falls_silent(Effect::IDEMPOTENT, &calls);
            builder().unstick_every(every).tool("worker", Arc::new(tool)).start(Arc::new(store.reopen()))
        };
        let former = start(SOON * 100).await.unwrap();
        let address = counter(&former).await;
        former.tell(address, Told::Promise { tool: "worker".to_owned(), within_ms: 60 }).await.unwrap();
        until(&former, address, |_| calls.load(Ordering::SeqCst) == 1).await;
        former.checkpoint(SOON).await.ok();
        let system = start(TICK).await.unwrap();
        until_given_up(&system).await;
        let seen = until(&system, address, |count| !count.verdicts.is_empty()).await;
        assert_eq!(seen.verdicts, ["unknown: heartbeat"]);
    }
}
