//! The tree: whatever is killed in it is started again, and the work goes on.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_service_that_is_killed_is_started_again_and_the_work_goes_on() {
    let works = Closure::new(Effect::IDEMPOTENT, |_| async { Outcome::Done(Json::from(json!("done"))) });
    let system = builder().tool("works", Arc::new(works)).start(Arc::new(Memory::new())).await.unwrap();
    let address = counter(&system).await;
    for (round, service) in
        ["timers", "clocks", "passivation", "unsticker", "scrubber", "works", "tools", "runs"].into_iter().enumerate()
    {
        let before = restarts(&system).await;
        assert!(system.kill_service(service).await, "there is a service {service}");
        let round = round as u64 + 1;
        system.tell(address, Told::AddLater { number: 1, after_ms: 1 }).await.unwrap();
        until(&system, address, |count| count.total == round).await;
        let call = Told::Call { tool: "works".to_owned(), effect: Effect::IDEMPOTENT };
        system.tell(address, call).await.unwrap();
        until(&system, address, |count| count.verdicts.len() as u64 == round).await;
        assert!(restarts(&system).await > before || service == "tools", "{service} was not started again");
    }
    assert!(!system.range(b"restart/", b"restart0").await.unwrap().is_empty(), "restarts are written down");
    assert!(!system.kill_service("nothing").await);
    system.stop(SOON).await;
}

async fn restarts(system: &System) -> u64 {
    system.services().await.iter().map(|child| child.restarts).sum()
}
