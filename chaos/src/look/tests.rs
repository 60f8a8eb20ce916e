//! What a look into a folder is there to see, on a real one: a run that sleeps, and the same run when it has ended.

use std::sync::Arc;

use headframe::{
    Engine, RunHandle,
    durable::{
        ActorId, Live, What,
        store::{Local, LocalOptions},
    },
    plan::{InputKind, Plan},
    run::Outcome,
    testing::oracle::Invariant::{self, I1, I3, I5, I8, I12},
};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_run_that_sleeps_hangs_together_and_is_what_its_events_come_to() {
    let scene = Scene::new().await;
    let findings = after_a_kill(scene.folder.path(), &[scene.known(None)]).unwrap();
    assert_eq!(findings.violations, []);
    assert!([I3, I5, I12].into_iter().all(|invariant| findings.times(invariant) > 0));
    scene.engine.stop().await;
    let (findings, _) = at_rest(scene.folder.path(), &[scene.known(None)]).unwrap();
    // A ledger that is read to its end holds no end of this run.
    assert_eq!(broken(&findings), [I1]);
}

#[tokio::test]
async fn an_actor_without_its_parent_is_seen() {
    let scene = Scene::new().await;
    let (mut live, store) = open(scene.folder.path());
    let root = live.actors.iter().find(|(_, row)| row.parent == ActorId::ENGINE).map(|(actor, _)| *actor).unwrap();
    live.actors.remove(&root);
    let mut findings = Findings::default();
    Look::at(live, Arc::new(store)).after_a_death(&[], &mut findings).unwrap();
    assert!(!findings.violations.is_empty());
    assert!(broken(&findings).into_iter().all(|invariant| invariant == I3), "{findings:?}");
}

#[tokio::test]
async fn state_that_is_behind_its_events_is_seen() {
    let scene = Scene::new().await;
    let (live, _) = open(scene.folder.path());
    scene.run.cancel("enough").await.unwrap();
    scene.run.outcome().await.unwrap();
    let (_, store) = open(scene.folder.path());
    let mut findings = Findings::default();
    Look::at(live, Arc::new(store)).after_a_death(&[], &mut findings).unwrap();
    assert!(!findings.violations.is_empty());
    assert!(broken(&findings).into_iter().all(|invariant| invariant == I12), "{findings:?}");
}

#[tokio::test]
async fn what_was_acknowledged_and_is_not_there_or_ended_otherwise_is_seen() {
    let scene = Scene::new().await;
    let look = |known: Known| broken(&after_a_kill(scene.folder.path(), &[known]).unwrap());
    assert_eq!(look(Known { run: "run_that_never_was".to_owned(), ..scene.known(None) }), [I5]);
    assert_eq!(look(scene.known(Some(Outcome::Cancelled { reason: "so it was told".to_owned() }))), [I1]);
}

#[tokio::test]
async fn a_violation_is_shown_with_the_ledger_around_it() {
    let scene = Scene::new().await;
    scene.run.cancel("enough").await.unwrap();
    scene.run.outcome().await.unwrap();
    scene.engine.stop().await;
    let (findings, told) = at_rest(scene.folder.path(), &[scene.known(None)]).unwrap();
    assert_eq!(findings.violations, []);
    let violation = Violation::wrong(I8, "woke too early".to_owned()).of_run(Some(scene.run.id().to_string()));
    let mut violations = [violation.clone(), violation.at_event(2)];
    add_evidence(scene.folder.path(), &told, &mut violations).unwrap();
    assert!(violations[0].evidence.last().unwrap().contains("Ended"));
    assert!(violations[1].evidence[0].starts_with("ledger: 1 "));
    assert!(violations[1].evidence.iter().all(|line| !line.contains("Ended")));
}

/// An engine with a run that sleeps.
struct Scene {
    folder: tempfile::TempDir,
    engine: Engine,
    run: RunHandle,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::builder().data(folder.path()).start().await.unwrap();
        let plan = Plan::builder("nap").input_or("for", InputKind::String, "1h");
        let plan = plan
            .phase("rest", |phase| phase.task("sleep", "sleep", |task| task.with(json!({ "for": "{{ input.for }}" }))));
        let plan = engine.check(plan.build()).unwrap();
        let run = engine.submit(&plan, json!({})).await.unwrap();
        let mut events = run.events().await.unwrap();
        let mut is_asleep = false;
        while !is_asleep {
            let items = events.next().await.unwrap().unwrap();
            is_asleep =
                items.iter().any(|item| matches!(&item.what, What::Event(event) if event.get("FellAsleep").is_some()));
        }
        Self { folder, engine, run }
    }

    fn known(&self, outcome: Option<Outcome>) -> Known {
        Known { number: 1, run: self.run.id().to_string(), outcome }
    }
}

fn open(folder: &Path) -> (Live, Local) {
    let store = Local::open(folder, LocalOptions { read_only: true, ..LocalOptions::default() }).unwrap();
    (Live::fold(&store).unwrap().0, store)
}

fn broken(findings: &Findings) -> Vec<Invariant> {
    findings.violations.iter().map(|violation| violation.invariant).collect()
}
