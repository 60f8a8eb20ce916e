//! Anything in the tree can be killed by its id, at any turn, and the run comes to the same end.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use headframe::{
    Engine,
    durable::{Effect, Item, Killed, Node, Outcome, Tree, What, store::Durability},
    json::Json,
    plan::{Checked, Plan},
    tool::{CallContext, Tool},
};
use serde_json::{Value, json};

/// Everything there is to be killed, as the tree names it. Threads are no actors and are not in the tree: what a panic of
/// the committer, the checkpointer or the archiver does is the store's business.
const CASES: [&str; 14] = [
    "actor phase",
    "actor run",
    "actor task",
    "service artifacts",
    "service clocks",
    "service janitor",
    "service passivation",
    "service runs",
    "service scrubber",
    "service store",
    "service timers",
    "service tools",
    "service unsticker",
    "tool",
];

/// Fails the first attempt of one of its tasks, and is never ready at once.
struct Books(Arc<AtomicU32>);

impl Tool for Books {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        self.0.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        if cx.path().contains("flaky") && cx.attempt() == 1 {
            return Outcome::failed("busy", "the books are busy");
        }
        Outcome::Done(input)
    }
}

fn plan(engine: &Engine) -> Arc<Checked> {
    let plan = Plan::builder("story")
        .phase("first", |phase| {
            phase.sequential().task("plain", "books", |task| task.with(json!({"n": 1}))).task(
                "flaky",
                "books",
                |task| task.with(json!({"n": 2})).retry(3).backoff(WAIT).jitter(0.0),
            )
        })
        .phase("second", |phase| phase.needs(["first"]).task("last", "books", |task| task.with(json!({"n": 3}))));
    engine.check(plan.build()).unwrap()
}

const WAIT: Duration = Duration::from_millis(5);

async fn engine(folder: &Path, calls: &Arc<AtomicU32>) -> Engine {
    let engine = Engine::builder().data(folder).durability(Durability::Process).tool("books", Books(calls.clone()));
    engine.start().await.unwrap()
}

/// What is told of a run: its events without what differs from run to run, who was killed, and what there was to kill.
#[derive(Default)]
struct Told {
    events: Vec<Value>,
    killed: Option<Killed>,
    kinds: BTreeSet<String>,
}

/// Submit a run and follow it to its end. After so many of its events kill what the case says.
async fn tell(engine: &Engine, kill: Option<(&str, usize)>) -> Told {
    let run = engine.submit(&plan(engine), json!({})).await.unwrap();
    let (mut tail, mut told, mut names) = (run.events().await.unwrap(), Told::default(), Names::default());
    let follow = async {
        while let Some(items) = tail.next().await.unwrap() {
            let events = items.iter().filter_map(|item| names.event(item));
            told.events.extend(events);
            let tree = engine.system().tree().await.unwrap();
            told.kinds.extend(kinds(&tree));
            if let Some((case, turn)) = kill
                && told.killed.is_none()
                && told.events.len() >= turn
                && let Some(id) = victim(&tree, case)
            {
                // It may have finished since.
                told.killed = engine.system().kill(&id).await.ok();
            }
            if items.iter().any(is_end) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), follow).await.expect("the run ends in time");
    told
}

fn is_end(item: &Item) -> bool {
    item.kind == "run" && matches!(&item.what, What::Event(event) if event.get("Ended").is_some())
}

/// The kinds of what a tree shows.
fn kinds(tree: &Tree) -> BTreeSet<String> {
    let services = tree.services.iter().map(|service| format!("service {}", service.service));
    let tools = tree.tools.iter().map(|_| "tool".to_owned());
    let actors = nodes(&tree.roots).into_iter().map(|node| format!("actor {}", node.kind));
    services.chain(tools).chain(actors).collect()
}

fn nodes(roots: &[Node]) -> Vec<&Node> {
    roots.iter().flat_map(|node| [node].into_iter().chain(nodes(&node.children))).collect()
}

/// The id of one of a kind.
fn victim(tree: &Tree, case: &str) -> Option<String> {
    match case.split_once(' ') {
        Some(("actor", kind)) => {
            nodes(&tree.roots).iter().find(|node| node.kind == kind).map(|node| node.actor.clone())
        }
        Some((_, service)) => Some(service.to_owned()),
        None => Some("books".to_owned()),
    }
}

/// Ids in the order in which they are named: those of two runs differ, and what they name must not.
#[derive(Default)]
struct Names(HashMap<String, usize>);

impl Names {
    /// An event without times; nothing for the notes of the runtime.
    fn event(&mut self, item: &Item) -> Option<Value> {
        match &item.what {
            What::Event(event) => {
                let who = self.name(&json!(item.actor.0));
                Some(json!([item.kind, who, self.plain(event)]))
            }
            What::Runtime(_) => None,
            What::Unreadable { bytes } => panic!("{bytes} bytes cannot be read"),
        }
    }

    fn name(&mut self, id: &Value) -> Value {
        let next = self.0.len();
        json!(*self.0.entry(id.to_string()).or_insert(next))
    }

    fn plain(&mut self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().filter(|(key, _)| !key.ends_with("_ms") || *key == "wait_ms");
                fields.map(|(key, value)| (key.clone(), self.field(key, value))).collect()
            }
            Value::Array(values) => values.iter().map(|value| self.plain(value)).collect(),
            other => other.clone(),
        }
    }

    fn field(&mut self, key: &str, value: &Value) -> Value {
        match (key, value) {
            ("actor" | "call" | "key" | "run", id) => self.name(id),
            // Units, each with its actor.
            ("Started", Value::Array(started)) => {
                started.iter().map(|pair| json!([self.plain(&pair[0]), self.name(&pair[1])])).collect()
            }
            (_, value) => self.plain(value),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_kind_of_actor_can_be_killed_at_any_turn_and_the_ledger_is_the_same() {
    let (folder, calls) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU32::new(0)));
    let undisturbed = engine(folder.path(), &calls).await;
    let mut expected = tell(&undisturbed, None).await;
    let cases: BTreeSet<_> = CASES.map(str::to_owned).into();
    let mut runs = 1;
    // Whoever is slow to look may see only the end of a run.
    while runs < 2 || runs < 50 && expected.kinds.len() < cases.len() {
        let again = tell(&undisturbed, None).await;
        assert_eq!(again.events, expected.events, "two runs without a kill tell the same");
        expected.kinds.extend(again.kinds);
        runs += 1;
    }
    assert_eq!(expected.kinds, cases, "what is new in the tree needs a case here");
    undisturbed.stop().await;
    assert_eq!(calls.swap(0, Ordering::SeqCst), 4 * runs);

    for case in CASES {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(folder.path(), &calls).await;
        let (mut killed, mut runs) = (0, 0);
        // Every third turn: more kills in 10 s than the root of the tree bears would be another story.
        for turn in (1..expected.events.len()).step_by(3).take(9) {
            let told = tell(&engine, Some((case, turn))).await;
            assert_eq!(told.events, expected.events, "{case} was killed at turn {turn}");
            killed += usize::from(matches!(told.killed, Some(Killed::Host | Killed::Service)));
            runs += 1;
        }
        assert!(killed > 0, "no {case} was ever killed");
        assert_eq!(calls.swap(0, Ordering::SeqCst), 4 * runs, "{case}: no call was made twice");
        assert_eq!(engine.system().ledger().verify().unwrap().problems, Vec::<String>::new());
        let unstuck = engine.system().unstick_now().await;
        assert!(unstuck.is_empty(), "{case}: a restart left something to the unsticker: {unstuck:?}");
        engine.stop().await;
    }
}
