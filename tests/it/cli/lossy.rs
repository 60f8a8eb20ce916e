//! A store that lost records, which was accepted: nothing goes on before somebody says so.

use headframe::{
    Engine, Submission,
    durable::Restored,
    plan::{Plan, PlanBuilder},
};
use serde_json::json;

use super::place::{Place, code, json as told, stderr};

/// As the last record of an accepted loss leaves it.
async fn lossy(place: &Place) {
    let engine = Engine::builder().data(place.path(".headframe")).start().await.unwrap();
    let restored = Restored { from: 5, to: 300, at_ms: 1, confirmed_by: None };
    engine.system().put(vec![(Restored::KEY.into(), restored.encode())]).await.unwrap();
    engine.stop().await;
}

fn plan() -> PlanBuilder {
    Plan::builder("w").phase("a", |phase| phase.task("t", "echo", |task| task.with(json!({"text": "hello"}))))
}

/// A key that was lost with the records is one that nobody knows: its run would be a second one.
#[tokio::test]
async fn a_submission_after_an_accepted_loss_is_refused_until_somebody_confirms() {
    let place = Place::new();
    lossy(&place).await;
    let submit = async |engine: &Engine| {
        let submission = Submission { key: Some("order-7".to_owned()), ..Submission::default() };
        engine.submit(&engine.check(plan().build()).unwrap(), submission).await
    };
    let engine = Engine::builder().data(place.path(".headframe")).start().await.unwrap();
    let refused = submit(&engine).await.err().unwrap().to_string();
    assert!(refused.contains("HF0021: records 5 to 300") && refused.contains("runs resume"), "{refused}");
    assert_eq!(engine.runs().await.unwrap(), []);
    engine.stop().await;

    let engine = Engine::builder().data(place.path(".headframe")).confirm_restored("the test").start().await.unwrap();
    submit(&engine).await.unwrap().outcome().await.unwrap();
    engine.stop().await;
    let engine = Engine::builder().data(place.path(".headframe")).start().await.unwrap();
    submit(&engine).await.unwrap();
    assert_eq!(engine.runs().await.unwrap().len(), 1);
    engine.stop().await;
}

#[tokio::test]
async fn run_with_a_key_after_an_accepted_loss_says_how_to_go_on() {
    let place = Place::new();
    lossy(&place).await;
    place.spec("w.yaml", "echo", "{ text: hello }", "");
    for args in [&["run", "w.yaml", "--key", "k"][..], &["run", "w.yaml"], &["run", "w.yaml", "--resume"]] {
        let refused = place.run(args);
        assert_eq!(code(&refused), 6, "{args:?}: {}", stderr(&refused));
        assert!(
            stderr(&refused).contains("HF0021") && stderr(&refused).contains("runs resume"),
            "{}",
            stderr(&refused)
        );
    }
    assert_eq!(code(&place.run(&["runs", "resume"])), 0);
    assert_eq!(told(&place.run(&["run", "w.yaml", "--key", "k", "-o", "json"]))["status"], "succeeded");
}
