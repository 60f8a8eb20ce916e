//! Calls that are verified: who is asked, when, and how often.

use std::sync::atomic::AtomicBool;

use super::*;

/// Never answers, and takes its time to stop; its probe says what the test wants, or nothing until it is cancelled.
struct Verified {
    calls: AtomicU32,
    probes: AtomicU32,
    is_running: AtomicBool,
    on_cancel: Outcome,
    probe: fn(u32) -> Option<Probe>,
}

impl Verified {
    fn new(probe: fn(u32) -> Option<Probe>) -> Arc<Self> {
        Self::ending_with(Outcome::unknown("cancelled", "was asked to stop"), probe)
    }

    fn ending_with(on_cancel: Outcome, probe: fn(u32) -> Option<Probe>) -> Arc<Self> {
        let (calls, probes, is_running) = (AtomicU32::new(0), AtomicU32::new(0), AtomicBool::new(false));
        Arc::new(Self { calls, probes, is_running, on_cancel, probe })
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    fn probes(&self) -> u32 {
        self.probes.load(Ordering::SeqCst)
    }
}

impl Tool for Verified {
    async fn call(&self, cx: &CallContext, _: Json) -> Outcome {
        cx.checkpoint(&b"receipt"[..]).unwrap();
        self.is_running.store(true, Ordering::SeqCst);
        self.calls.fetch_add(1, Ordering::SeqCst);
        cx.cancelled().await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.is_running.store(false, Ordering::SeqCst);
        self.on_cancel.clone()
    }

    async fn probe(&self, cx: &CallContext, _: Json) -> Probe {
        let asked = self.probes.fetch_add(1, Ordering::SeqCst) + 1;
        if self.is_running.load(Ordering::SeqCst) || cx.last_checkpoint().is_none_or(|saved| &saved[..] != b"receipt") {
            return Probe::CannotTell(Failure::new("early", "the attempt still runs, or what it saved is lost"));
        }
        match (self.probe)(asked) {
            Some(probe) => probe,
            None => {
                cx.cancelled().await;
                Probe::CannotTell(Failure::new("cancelled", "was asked to stop"))
            }
        }
    }
}

fn happened(_: u32) -> Option<Probe> {
    Some(Probe::Happened(Json::from(json!("receipt"))))
}

fn cannot_tell(_: u32) -> Option<Probe> {
    Some(Probe::CannotTell(Failure::new("down", "the books are closed")))
}

const VERIFY: Effect = Effect::Verify { probes: 2, wait_ms: 1 };

async fn start(tool: &Arc<Verified>, store: &Memory) -> System {
    builder().tool("bank", tool.clone()).start(Arc::new(store.reopen())).await.unwrap()
}

/// A system whose call is under way.
async fn calling(tool: &Arc<Verified>, store: &Memory) -> (System, Address<Counter>) {
    let system = start(tool, store).await;
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "bank".to_owned(), effect: VERIFY }).await.unwrap();
    until(&system, address, |_| tool.calls() == 1).await;
    // What the call saved before is durable when this is.
    system.tell(address, Told::Add(1)).await.unwrap();
    (system, address)
}

async fn verdicts(system: &System, address: Address<Counter>) -> Vec<String> {
    until(system, address, |count| !count.verdicts.is_empty()).await.verdicts
}

#[tokio::test]
async fn a_first_call_asks_no_probe() {
    let (calls, probes) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (called, probed) = (calls.clone(), probes.clone());
    let call = move |_| {
        called.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Outcome::Done(Json::NULL))
    };
    let probe = move |_| {
        probed.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Probe::DidNot("it was not asked for".to_owned()))
    };
    let tool = Arc::new(Closure::new(VERIFY, call).with_probe(probe));
    let system = builder().tool("bank", tool).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    system.tell(address, Told::Call { tool: "bank".to_owned(), effect: VERIFY }).await.unwrap();
    assert_eq!(verdicts(&system, address).await, ["done"]);
    assert_eq!((calls.load(Ordering::SeqCst), probes.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_call_that_was_under_way_is_probed_after_a_crash_and_not_made_again() {
    for _ in 0..20 {
        let (store, tool) = (Memory::new(), Verified::new(happened));
        let (_dead, address) = calling(&tool, &store).await;
        // What ran in the dead process is gone with it.
        tool.is_running.store(false, Ordering::SeqCst);
        let system = start(&tool, &store).await;
        assert_eq!(verdicts(&system, address).await, ["done"]);
        assert_eq!((tool.calls(), tool.probes()), (1, 1));
    }
}

#[tokio::test]
async fn a_call_that_a_crash_cut_off_and_that_did_not_happen_may_be_made_again() {
    let (store, tool) = (Memory::new(), Verified::new(|_| Some(Probe::DidNot("no such order".to_owned()))));
    let (_dead, address) = calling(&tool, &store).await;
    tool.is_running.store(false, Ordering::SeqCst);
    let system = start(&tool, &store).await;
    assert_eq!(verdicts(&system, address).await, ["not made: crash"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_is_probed_once_it_has_ended_and_what_happened_is_done() {
    for _ in 0..20 {
        let tool = Verified::new(happened);
        let (system, address) = calling(&tool, &Memory::new()).await;
        system.tell(address, Told::Cancel).await.unwrap();
        assert_eq!(verdicts(&system, address).await, ["done"]);
        assert_eq!((tool.calls(), tool.probes()), (1, 1));
    }
}

#[tokio::test]
async fn what_turns_out_done_after_a_cancel_is_done_without_a_probe() {
    let tool = Verified::ending_with(Outcome::Done(Json::NULL), cannot_tell);
    let (system, address) = calling(&tool, &Memory::new()).await;
    system.tell(address, Told::Cancel).await.unwrap();
    assert_eq!(verdicts(&system, address).await, ["done"]);
    assert_eq!(tool.probes(), 0);
}

#[tokio::test]
async fn a_crash_while_a_probe_is_asked_asks_again_and_a_cancel_does_not_end_it() {
    let (store, tool) = (Memory::new(), Verified::new(|asked| happened(asked).filter(|_| asked == 2)));
    let (dead, address) = calling(&tool, &store).await;
    dead.tell(address, Told::Cancel).await.unwrap();
    until(&dead, address, |_| tool.probes() == 1).await;
    dead.tell(address, Told::Cancel).await.unwrap();
    for _ in 0..50 {
        count(&dead, address).await;
    }
    assert_eq!(tool.probes(), 1, "the probe goes on");
    let system = start(&tool, &store).await;
    assert_eq!(verdicts(&system, address).await, ["done"]);
    assert_eq!((tool.calls(), tool.probes()), (1, 2));
}

#[tokio::test]
async fn a_killed_tool_actor_does_not_ask_a_running_probe_again() {
    let tool = Verified::new(|_| None);
    let (system, address) = calling(&tool, &Memory::new()).await;
    system.tell(address, Told::Cancel).await.unwrap();
    until(&system, address, |_| tool.probes() == 1).await;
    assert!(system.kill_tool("bank"));
    for _ in 0..20 {
        count(&system, address).await;
    }
    assert_eq!(tool.probes(), 1);
}

#[tokio::test]
async fn a_system_that_stops_while_a_probe_runs_counts_no_probe_and_its_next_life_asks_again() {
    let (store, tool) = (Memory::new(), Verified::new(|asked| happened(asked).filter(|_| asked == 2)));
    let (stopping, address) = calling(&tool, &store).await;
    stopping.tell(address, Told::Cancel).await.unwrap();
    until(&stopping, address, |_| tool.probes() == 1).await;
    stopping.stop(Duration::from_millis(50)).await;
    let system = start(&tool, &store).await;
    assert_eq!(verdicts(&system, address).await, ["done"]);
}

#[tokio::test]
async fn a_probe_that_cannot_tell_or_panics_leaves_the_call_in_doubt_with_its_reason() {
    for (probe, reason) in [(cannot_tell as fn(u32) -> Option<Probe>, "the books are closed"), (|_| panic!("oh"), "oh")]
    {
        let tool = Verified::new(probe);
        let (system, address) = calling(&tool, &Memory::new()).await;
        system.tell(address, Told::Cancel).await.unwrap();
        assert_eq!(verdicts(&system, address).await, ["doubt: cancelled"]);
        assert_eq!((tool.calls(), tool.probes()), (1, 2));
        let doubts = system.doubts().await.unwrap();
        let RowState::InDoubt(failure) = &doubts[0].1.state else { panic!("{doubts:?}") };
        assert!(failure.message.contains("was asked to stop") && failure.message.contains(reason), "{failure:?}");
        system.decide(doubts[0].0, Decision::Happened(Json::NULL), "tester").await.unwrap();
        until(&system, address, |count| count.verdicts.len() == 2).await;
    }
}
