//! The tree: whatever is killed in it is started again, and the work goes on.

use super::*;
use crate::durable::supervision as rules;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_that_is_killed_is_started_again_and_the_work_goes_on() {
    let works = Closure::new(Effect::IDEMPOTENT, |_| async { Outcome::Done(Json::from(json!("done"))) });
    let system = builder().tool("works", Arc::new(works)).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    for (round, service) in
        ["store", "timers", "clocks", "passivation", "unsticker", "scrubber", "janitor", "works", "tools", "runs"]
            .into_iter()
            .enumerate()
    {
        // Whoever is started again with the one killed before is not there to be killed yet.
        tokio::time::timeout(SOON, all_run(&system)).await.expect("everything is started again in time");
        let before = restarts(&system).await;
        assert!(system.kill_service(service).await, "there is a service {service}");
        let round = round as u64 + 1;
        system.tell(address, Told::AddLater { number: 1, after_ms: 1 }).await.unwrap();
        until(&system, address, |count| count.total == round).await;
        let call = Told::Call { tool: "works".to_owned(), effect: Effect::IDEMPOTENT };
        system.tell(address, call).await.unwrap();
        until(&system, address, |count| count.verdicts.len() as u64 == round).await;
        if service != "tools" {
            let again = async {
                while restarts(&system).await <= before {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(SOON, again).await.unwrap_or_else(|_| panic!("{service} was not started again"));
        }
    }
    assert!(!system.range(b"restart/", b"restart0").await.unwrap().is_empty(), "restarts are written down");
    assert!(!system.kill_service("nothing").await);
    system.stop(SOON).await;
}

async fn all_run(system: &System) {
    while !system.services().await.iter().all(|child| child.status == rules::Status::Up) {
        tokio::task::yield_now().await;
    }
}

async fn restarts(system: &System) -> u64 {
    system.services().await.iter().map(|child| child.restarts).sum()
}

/// Ends when it is told to, or never.
struct Extra {
    hangs: bool,
}

impl ractor::Actor for Extra {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, myself: ractor::ActorRef<()>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
        Ok(myself.send_message(())?)
    }

    async fn handle(&self, _: ractor::ActorRef<()>, (): (), (): &mut ()) -> Result<(), ractor::ActorProcessingErr> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

fn extra(name: &str, hangs: bool) -> rules::ChildSpec {
    let start = move |supervisor: ractor::ActorCell| async move {
        Ok(ractor::Actor::spawn_linked(None, Extra { hangs }, (), supervisor).await?.0.get_cell())
    };
    rules::ChildSpec::new(name, start).within(if hangs { Duration::from_millis(20) } else { SOON })
}

/// Who ended, in order, and whether it had to be killed.
fn ends(system: &System) -> Vec<(String, bool)> {
    let reports = system.inner.faults.reports.lock();
    let ends = reports.iter().filter_map(|report| match &report.happened {
        rules::Happened::Exited { exit } => Some((report.child.to_string(), *exit == rules::Exit::Killed)),
        _ => None,
    });
    ends.collect()
}

#[tokio::test]
async fn a_stop_ends_services_in_reverse_and_kills_the_one_that_hangs_at_its_deadline() {
    let builder = builder().child(extra("polite", false)).child(extra("hangs", true));
    let system = builder.start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    assert_eq!(count(&system, address).await.total, 0);
    let names: Vec<_> = system.services().await.iter().map(|child| child.id.to_string()).collect();
    system.stop(SOON).await;
    let ends = ends(&system);
    let mut order: Vec<_> = ends.iter().map(|(child, _)| child.clone()).collect();
    order.reverse();
    assert_eq!(order, names, "the last one that was started ends first");
    let killed = |name: &str| ends.iter().any(|(child, killed)| child == name && *killed);
    assert!(killed("hangs") && !killed("polite") && !killed("runs"), "{ends:?}");
}

#[tokio::test]
async fn the_whole_tree_ends_with_the_store() {
    let store = Memory::new();
    let system = builder().start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    let _second = builder().start(Arc::new(store.reopen())).await.unwrap();
    // The epoch of the first system is over: its next write is refused, and its store closes.
    assert!(system.tell(address, Told::Add(1)).await.is_err());
    let ended = async {
        while !system.services().await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("the store is the significant child of the root");
    assert!(ends(&system).iter().any(|(child, _)| child == "runs"));
}

#[tokio::test]
async fn what_the_tree_shows_can_be_killed_by_its_id_and_an_unknown_id_is_told() {
    let system = builder().start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    assert_eq!(count(&system, address).await.total, 0);
    let tree = system.tree().await.unwrap();
    assert_eq!(system.kill(&tree.roots[0].actor).await.unwrap(), Killed::Host);
    let idle = async {
        while system.kill(&tree.roots[0].actor).await.unwrap() == Killed::Host {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, idle).await.expect("without mail it gets no new host");
    for service in &tree.services {
        assert_eq!(system.kill(&service.service).await.unwrap(), Killed::Service);
    }
    assert_eq!(count(&system, address).await.total, 0);
    let error = system.kill("actor_1").await.unwrap_err().to_string();
    assert_eq!(error, "there is no live actor actor_1 to kill; `System::tree` shows those there are");
    let error = system.kill("nobody").await.unwrap_err().to_string();
    assert!(error.starts_with("there is no service or tool `nobody` to kill; there are store, timers, "), "{error}");
}

/// The store once stayed open: what was sent was acknowledged, nobody did anything about it, and nobody was told.
#[tokio::test(start_paused = true)]
async fn a_tree_that_gives_up_closes_the_store_so_that_somebody_starts_again() {
    let store = Memory::new();
    let builder = builder().simulated(Arc::default()).service("broken", |_| async { panic!("again and again") });
    let system = builder.start(Arc::new(store.reopen())).await.unwrap();
    let address = counter(&system).await;
    let cause = tokio::time::timeout(Duration::from_secs(60), system.failed()).await.expect("it gives up in time");
    assert!(cause.contains("given up"), "{cause}");
    let told = system.tell(address, Told::Add(1)).await;
    assert!(matches!(told, Err(SendError::Unknown { .. })), "nothing is let in that nobody does: {told:?}");
    let _heir = system.abandon();
    let system = super::builder().simulated(Arc::default()).start(Arc::new(store.reopen())).await.unwrap();
    assert_eq!(count(&system, address).await.total, 0);
}
