//! What the log says: which run, phase, task and attempt it is about.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use headframe::{
    Engine,
    durable::{Effect, Outcome},
    json::Json,
    plan::Plan,
    tool::{CallContext, Tool},
};
use serde_json::{Value, json};
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::LookupSpan};

use crate::cli::place::{Place, code, stderr};

/// Fails once, and never again.
const FLAKY: &str = "{argv: [sh, -c, \"[ -e tried ] || { touch tried; echo no luck >&2; exit 7; }\"]}";
const RETRY: &str = "effect: idempotent\n        retry: {max_attempts: 2, backoff: 10ms}";

#[test]
fn the_lines_of_an_attempt_say_which_it_was() {
    let place = Place::new();
    place.spec("flaky.yaml", "process", FLAKY, RETRY);
    let told = place.run_with(&["run", "flaky.yaml", "--log-format", "json"], &[("HEADFRAME_LOG", "debug")]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    let lines = lines(&stderr(&told));
    let run = place.run(&["runs", "list", "-o", "json"]);
    let run: Value = serde_json::from_slice(&run.stdout).unwrap();
    let run = &run[0]["run"];
    let of_attempt = |attempt: u64| {
        let mut of_call = lines.iter().filter(|line| line["tool"] == "process" && line["attempt"] == attempt);
        of_call.find(|line| line["message"].as_str().unwrap().starts_with("the attempt ")).unwrap().clone()
    };
    for (attempt, said) in [(1, "the attempt failed, and surely had no effect"), (2, "the attempt succeeded")] {
        let line = of_attempt(attempt);
        assert_eq!((&line["message"], &line["run"]), (&said.into(), run), "{line}");
        assert_eq!((&line["phase"], &line["task"]), (&"a".into(), &"t".into()), "{line}");
        assert!(line["call"].as_str().unwrap().starts_with("call_") && line["took_ms"].is_u64(), "{line}");
    }
    let failed = of_attempt(1);
    assert_eq!((&failed["level"], &failed["class"]), (&"INFO".into(), &"exit".into()), "{failed}");
}

#[test]
fn a_server_without_a_terminal_writes_nothing_but_json() {
    let place = Place::new();
    place.folder("flows");
    let args = ["serve", "--workflows", "flows", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let mut child = place.start(&args);
    let is_up = place.wait_while(&mut child, || !place.read("stderr").contains("listening on http://"));
    assert!(is_up, "{}", place.read("stderr"));
    place.signal(&child, "-TERM");
    assert!(child.wait().unwrap().success());
    let said: Vec<_> = lines(&place.read("stderr")).iter().map(|line| line["message"].clone()).collect();
    assert!(said.contains(&"stopped".into()), "{said:?}");
    // People who redirect what they read themselves ask for lines.
    let mut child = place.start(&[&args[..], &["--log-format", "human"]].concat());
    assert!(place.wait_while(&mut child, || !place.read("stderr").contains("\nlistening on http://")));
    place.signal(&child, "-TERM");
    assert!(child.wait().unwrap().success());
    assert!(!place.read("stderr").contains(['{', '\u{1b}']), "{}", place.read("stderr"));
}

#[test]
fn what_goes_wrong_is_said_in_json_when_that_is_asked_for() {
    let place = Place::new();
    let told = place.run_with(&["run", "none.yaml"], &[("HEADFRAME_LOG_FORMAT", "json")]);
    assert_eq!(code(&told), 2);
    let lines = lines(&stderr(&told));
    assert!(lines.iter().any(|line| line["level"] == "ERROR"), "{lines:?}");
}

#[test]
fn what_a_tool_logs_inside_a_call_says_whose_call_it_is() {
    let seen = Seen::default();
    let subscriber = tracing_subscriber::registry().with(seen.clone());
    let _installed = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.block_on(async {
        let say = |_| async {
            tracing::info!("before it waits");
            tokio::task::yield_now().await;
            tracing::info!("after it waited");
            Outcome::Done(json!(null).into())
        };
        let engine =
            Engine::builder().data(folder.path()).closure("say", Effect::IDEMPOTENT, say).start().await.unwrap();
        hear_everything();
        let plan = Plan::builder("w").phase("a", |phase| phase.task("t", "say", |task| task));
        let run = engine.submit(&engine.check(plan.build()).unwrap(), json!({})).await.unwrap();
        run.output().await.unwrap();
        engine.stop().await;
        run.id().to_string()
    });
    for said in ["before it waits", "after it waited"] {
        let fields = seen.fields_of(said);
        let of = |name: &str| fields.get(name).map(String::as_str);
        assert_eq!([of("run"), of("phase"), of("task")], [Some(&*run), Some("a"), Some("t")], "{fields:?}");
        assert_eq!([of("attempt"), of("tool")], [Some("1"), Some("say")], "{fields:?}");
        assert!(of("call").unwrap().starts_with("call_"), "{fields:?}");
    }
}

/// Its tool says how long to sleep, which a task asks in its turn, and dies of that.
struct Deadly;

impl Tool for Deadly {
    fn sleeps_until(&self, _input: &Json, _now_ms: u64) -> Option<u64> {
        panic!("too hot")
    }

    async fn call(&self, _cx: &CallContext, _input: Json) -> Outcome {
        Outcome::Done(Json::NULL)
    }
}

#[test]
fn an_actor_that_dies_is_named_with_its_run_and_phase() {
    let seen = Seen::default();
    let _installed = tracing::subscriber::set_default(tracing_subscriber::registry().with(seen.clone()));
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = runtime.block_on(async {
        let engine = Engine::builder().data(folder.path()).tool("deadly", Deadly).start().await.unwrap();
        hear_everything();
        let plan = Plan::builder("w").phase("a", |phase| phase.task("t", "deadly", |task| task));
        let run = engine.submit(&engine.check(plan.build()).unwrap(), json!({})).await.unwrap();
        while engine.dead_letters().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        engine.stop().await;
        run.id().to_string()
    });
    for said in ["an actor died of a message", "a message is given up and goes to the dead letters"] {
        let fields = seen.fields_of(said);
        let of = |name: &str| fields.get(name).map(String::as_str);
        // It had not begun, so its phase knows what is known.
        assert_eq!([of("run"), of("phase"), of("task")], [Some(&*run), Some("a"), None], "{fields:?}");
        assert!(of("reason").unwrap().contains("too hot"), "{fields:?}");
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Another test's thread, which has no subscriber, may have met a place for the first time just as ours was installed: it asked
/// before ours was known, and noted for good that nobody listens. By now that note is made, and can be made anew.
fn hear_everything() {
    tracing::callsite::rebuild_interest_cache();
}

type Fields = BTreeMap<String, String>;

/// Every event, with the fields of the spans that it happened in.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Fields>>>);

impl Seen {
    fn fields_of(&self, message: &str) -> Fields {
        let seen = self.0.lock().unwrap();
        seen.iter().find(|fields| fields.get("message").is_some_and(|said| said == message)).unwrap().clone()
    }
}

struct Write<'a>(&'a mut Fields);

impl Visit for Write<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Seen {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Write(&mut fields));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        for span in context.event_scope(event).into_iter().flatten() {
            fields.extend(span.extensions().get::<Fields>().cloned().unwrap_or_default());
        }
        event.record(&mut Write(&mut fields));
        self.0.lock().unwrap().push(fields);
    }
}
