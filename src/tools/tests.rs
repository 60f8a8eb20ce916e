//! The tools at work, with real files and real processes.

mod files;
mod orphans;
mod process;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use headframe_actors::{
    durable::{Effect, Failure, Key, Outcome, Probe},
    json::Json,
    tool::{AnyTool, CallContext},
};
use serde_json::{Value, json};

use super::builtin;
use crate::artifacts::Artifacts;

#[tokio::test]
async fn echo_answers_what_it_was_given() {
    let shop = Shop::open();
    assert_eq!(shop.done("echo", json!({"a": [1, null]})).await, json!({"a": [1, null]}));
}

#[tokio::test]
async fn fail_fails_as_often_as_it_is_told() {
    let shop = Shop::open();
    let first = shop.failed("fail", json!({"message": "no luck", "class": "refused", "times": 1})).await;
    assert_eq!((first.class.as_str(), first.message.as_str()), ("refused", "no luck"));
    assert_eq!(shop.done("fail", json!({"times": 0})).await, json!({"attempt": 1}));
    assert_eq!(shop.unknown("fail", json!({"outcome": "unknown"})).await.class, "fail");
    assert_eq!(shop.failed("fail", json!({"times": "two"})).await.class, "input");
}

#[tokio::test]
async fn sleep_ends_on_time_and_on_cancel() {
    let shop = Shop::open();
    assert_eq!(shop.done("sleep", json!({"for": "5ms"})).await, json!({"slept_ms": 5}));
    let cx = CallContext::detached("t", Key::of(&[b"sleep"]), Duration::from_secs(60));
    cx.cancel();
    let Outcome::Failed(failure) = shop.call("sleep", &cx, json!({"ms": 60_000})).await else { panic!() };
    assert_eq!(failure.class, "cancelled");
    let cx = CallContext::detached("t", Key::of(&[b"sleep"]), Duration::from_millis(5));
    let Outcome::Failed(failure) = shop.call("sleep", &cx, json!({"ms": 60_000})).await else { panic!() };
    assert_eq!(failure.class, "timeout");
}

#[test]
fn each_tool_declares_what_it_promises() {
    let shop = Shop::open();
    for (name, tool) in &shop.tools {
        let expected =
            if ["http", "process"].contains(&name.as_str()) { Effect::AtMostOnce } else { Effect::IDEMPOTENT };
        assert_eq!(tool.effect(), expected, "{name}");
    }
}

#[test]
fn only_what_is_given_a_probe_can_be_verified() {
    let shop = Shop::open();
    for (name, tool) in &shop.tools {
        assert!(!tool.can_probe(&json!({"argv": ["true"]})), "{name}");
        let can_probe = ["http", "process"].contains(&name.as_str());
        assert_eq!(tool.can_probe(&json!({"argv": ["true"], "probe": ["true"]})), can_probe, "{name}");
    }
    let check = |with: Value| shop.tool("process").check(&with).unwrap_err();
    assert!(check(json!({"argv": ["true"], "probe": "grep key"})).contains("`probe` must be a list"));
    assert!(check(json!({"argv": ["true"], "probe": []})).contains("`probe` must not be empty"));
}

#[test]
fn bad_arguments_are_refused_before_a_run_starts_and_name_their_key() {
    let shop = Shop::open();
    let refused = |tool: &str, with: Value| shop.tool(tool).check(&with).expect_err(&with.to_string());
    assert_eq!(refused("process", json!({"agrv": ["ls"]})), "unknown key `agrv`: did you mean `argv`?");
    assert!(refused("process", json!({"argv": "ls -l"})).contains("[ls, -l]"));
    assert_eq!(
        refused("process", json!({"argv": ["ls", true]})),
        "`argv[1]` must be text, not true: put it into quotes"
    );
    assert!(refused("process", json!({"argv": []})).contains("`argv`"));
    assert!(refused("process", json!({"argv": ["ls", "a\u{0}"]})).contains("`argv[1]`"));
    assert!(refused("process", json!({"argv": ["ls"], "ok_exit": [256]})).contains("`ok_exit`"));
    assert!(refused("process", json!({"argv": ["ls"], "limits": {"cpu": 1}})).contains("cpu_s"));
    assert_eq!(
        refused("process", json!({"argv": ["ls"], "output": "yaml"})),
        "`output` must be `text`, `json` or `lines`, not `yaml`"
    );
    assert!(refused("sleep", json!({"for": "soon"})).contains("`for`"));
    assert!(refused("render", json!({"template": "x", "to": "file"})).contains("`path`"));
    assert!(refused("artifact", json!({"put": 1, "get": 2})).contains("exactly one"));
    assert!(refused("process", Value::Null).contains("`argv` is missing"));
    shop.tool("fail").check(&Value::Null).unwrap();
    assert!(refused("fail", json!({"zzz": 1})).contains("expected `message`"));
}

#[test]
fn arguments_that_a_template_still_changes_are_checked_by_their_keys_only() {
    let shop = Shop::open();
    let check = |tool: &str, with: Value| shop.tool(tool).check(&with);
    check("process", json!({"argv": "{{ item }}"})).unwrap();
    check("sleep", json!({"ms": "{{ input.ms }}"})).unwrap();
    check("process", json!("{{ item }}")).unwrap();
    assert!(check("process", json!({"argv": "{{ item }}", "stdn": ""})).unwrap_err().contains("`stdin`"));
}

/// The built-in tools over a folder of their own.
struct Shop {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
    tools: Vec<(String, Arc<dyn AnyTool>)>,
    keys: Mutex<Vec<Key>>,
}

impl Shop {
    /// As an embedder without a launcher has them.
    fn open() -> Self {
        Self::with_launcher(None)
    }

    fn with_launcher(launcher: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(folder.path().join("artifacts")).unwrap();
        let tools = builtin(&artifacts, folder.path().join("run"), launcher);
        Self { folder, artifacts, tools, keys: Mutex::default() }
    }

    fn tool(&self, name: &str) -> Arc<dyn AnyTool> {
        Arc::clone(&self.tools.iter().find(|(known, _)| known == name).unwrap().1)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn records(&self) -> usize {
        fs::read_dir(self.path("run")).map_or(0, Iterator::count)
    }

    async fn call(&self, tool: &str, cx: &CallContext, with: Value) -> Outcome {
        self.keys.lock().unwrap().push(cx.key());
        self.tool(tool).start(cx.clone(), Json::from(with)).await
    }

    async fn run(&self, tool: &str, with: Value) -> Outcome {
        let key = Key::of(&[self.folder.path().as_os_str().as_encoded_bytes(), with.to_string().as_bytes()]);
        self.call(tool, &CallContext::detached("test", key, Duration::from_secs(30)), with).await
    }

    async fn done(&self, tool: &str, with: Value) -> Value {
        match self.run(tool, with).await {
            Outcome::Done(answer) => answer.value(),
            other => panic!("{other:?}"),
        }
    }

    async fn failed(&self, tool: &str, with: Value) -> Failure {
        match self.run(tool, with).await {
            Outcome::Failed(failure) => failure,
            other => panic!("{other:?}"),
        }
    }

    async fn unknown(&self, tool: &str, with: Value) -> Failure {
        match self.run(tool, with).await {
            Outcome::Unknown(failure) => failure,
            other => panic!("{other:?}"),
        }
    }
}
