//! More actors than may be in memory: those that were told something least lately let go, and nobody loses anything by it.

use super::*;

const LONG: Duration = Duration::from_secs(3_600);

/// Actors leave for want of room alone.
fn narrow(hosts_max: usize) -> SystemBuilder {
    builder().passivate(LONG, hosts_max).checkpoint(LONG, 1 << 40)
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let waited = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, waited).await.unwrap_or_else(|_| panic!("never so: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_too_many_hosts_those_that_were_rung_least_lately_let_go() {
    let system = narrow(16).start(Arc::new(Memory::new())).await.unwrap();
    let busy = counter(&system).await;
    for told in 1..=100 {
        let idle = counter(&system).await;
        assert_eq!(count(&system, idle).await.total, 0);
        // Rung again, and done with it, before anybody else comes: a host that is behind is not rung again.
        system.tell(busy, Told::Add(1)).await.unwrap();
        assert_eq!(count(&system, busy).await.total, told);
        assert!(system.inner.directory.has_host(busy.id), "it was told something just now");
    }
    // Room is made whenever somebody comes, by those who have no mail just then.
    let fewer = async {
        while system.figures().hosted > 16 {
            counter(&system).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, fewer).await.expect("no more hosts than there may be");
    assert_eq!(count(&system, busy).await.total, 100);
}

/// Every second message finds its actor leaving, or gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_while_actors_leave_for_want_of_room_is_taken_once() {
    let store = Memory::with_rows();
    let start = |store: Memory| narrow(1).checkpoint(Duration::from_millis(5), 1 << 20).start(Arc::new(store));
    let system = start(store.reopen()).await.unwrap();
    let mut counters = Vec::new();
    for _ in 0..20 {
        counters.push(counter(&system).await);
    }
    let mut tellers = tokio::task::JoinSet::new();
    for teller in 0..4_usize {
        let (system, counters) = (system.clone(), counters.clone());
        tellers.spawn(async move {
            for at in 0..400 {
                system.tell(counters[(at * 7 + teller * 5) % counters.len()], Told::Add(1)).await.unwrap();
            }
        });
    }
    tellers.join_all().await;
    for counter in &counters {
        assert_eq!(until(&system, *counter, |count| count.total >= 80).await.total, 80);
    }
    assert_eq!(system.dead_letters().await.unwrap(), []);
    system.stop(SOON).await;
    let system = start(store.reopen()).await.unwrap();
    for counter in &counters {
        assert_eq!(count(&system, *counter).await.total, 80);
    }
    assert_eq!(system.ledger().verify().unwrap().problems, Vec::<String>::new());
}

/// Once rows were written by time and bytes alone, and until then everyone who ever came stayed in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_written_before_their_time_when_too_many_are_in_memory() {
    let system = narrow(4).start(Arc::new(Memory::with_rows())).await.unwrap();
    let mut counters = Vec::new();
    for number in 0..200 {
        let counter = counter(&system).await;
        system.tell(counter, Told::Add(number)).await.unwrap();
        counters.push((counter, number));
    }
    eventually("most have left memory", || system.figures().actors <= 32).await;
    for (counter, number) in counters {
        assert_eq!(count(&system, counter).await.total, number);
    }
}

/// A record's bytes are counted once it is durable, which may be after its rows were taken to be written: then they waited for
/// a checkpoint that had nothing to write, and never began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_opens_again_however_little_may_wait_for_its_rows() {
    let store = Arc::new(Memory::with_rows());
    let system = builder().checkpoint(Duration::from_millis(1), 1).start(store).await.unwrap();
    let counter = counter(&system).await;
    let told = async {
        for _ in 0..200 {
            while let Err(error) = system.tell(counter, Told::Add(1)).await {
                assert!(matches!(error, SendError::Busy { .. }), "{error}");
                tokio::task::yield_now().await;
            }
        }
        loop {
            match system.ask(counter, Told::Get, SOON).await {
                Ok(count) if count.total == 200 => return,
                Ok(_) | Err(SendError::Busy { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(SOON * 3, told).await.expect("the door opens again");
    system.stop(SOON).await;
}
