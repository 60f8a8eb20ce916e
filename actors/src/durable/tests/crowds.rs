//! What a look of the unsticker costs those who want the lock, in a crowd. Figures, not a promise:
//! `cargo test -p headframe-actors --release --lib crowds -- --ignored --nocapture`.

use std::time::Instant;

use super::*;

const CROWD: usize = 100_000;
const AT_ONCE: usize = 512;
const WATCHED: Duration = Duration::from_secs(5);

/// The longest time that somebody waited for the lock.
fn longest_wait(system: &System) -> Duration {
    let began = crate::clock::monotonic();
    let mut longest = Duration::ZERO;
    while began.elapsed() < WATCHED {
        let asked: Instant = crate::clock::monotonic();
        drop(system.inner.core.lock());
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_micros(50));
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures, and takes a while"]
#[expect(clippy::print_stderr, reason = "figures for whoever measures")]
async fn figures_of_a_look_at_a_hundred_thousand_open_calls() {
    let calls = Arc::new(AtomicU32::new(0));
    let every = Duration::from_millis(20);
    let system = builder().unstick_every(every).tool("slow", Arc::new(Slow(calls)));
    let system = system.start(Arc::new(Memory::new())).await.unwrap();
    system.inner.faults.holds_looks.store(true, Ordering::SeqCst);
    let mut left = CROWD;
    while left > 0 {
        let mut batch = tokio::task::JoinSet::new();
        for _ in 0..AT_ONCE.min(left) {
            let system = system.clone();
            let first = Told::Call { tool: "slow".to_owned(), effect: Effect::IDEMPOTENT };
            batch.spawn(
                async move { system.spawn_root::<Counter>(None, |_| Vec::new(), &first).await.unwrap().unwrap() },
            );
        }
        left -= batch.join_all().await.len();
    }
    while system.figures().calls < CROWD {
        tokio::time::sleep(every).await;
    }
    let waited = |system: System| tokio::task::spawn_blocking(move || longest_wait(&system));
    let before = waited(system.clone()).await.unwrap();
    system.inner.faults.holds_looks.store(false, Ordering::SeqCst);
    let with = waited(system.clone()).await.unwrap();
    eprintln!(
        "{CROWD} open calls: the lock was waited for {before:?} at most without looks, {with:?} with one every {every:?}"
    );
    assert!(system.unstuck().is_empty(), "{:?}", system.unstuck());
}
