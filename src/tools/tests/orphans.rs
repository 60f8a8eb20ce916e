//! What a killed engine leaves behind, and how it is found.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::*;
use crate::tools::end_leftovers;

const HELPER: &str = "HEADFRAME_TEST_HELPER";

#[tokio::test]
async fn a_killed_engine_takes_its_program_along_and_the_repeat_ends_the_rest() {
    for launcher in [Some(launcher()), None] {
        let shop = Shop::with_launcher(launcher.clone());
        let (mut engine, leader, grandchild) = engine_with_a_program(&shop, launcher.as_deref());
        engine.kill().unwrap();
        engine.wait().unwrap();
        if launcher.is_some() {
            until(|| !alive(leader)).await;
        }
        assert!(alive(grandchild), "the death signal reaches the program only");
        // Zombies count as gone: the init process of a container may never reap them.
        let second = format!("grep -hs '^State:.[^ZX]' /proc/{leader}/status /proc/{grandchild}/status || echo alone");
        let outcome = shop.call("process", &context("orphan", &shop), sh(&second)).await;
        let Outcome::Done(answer) = outcome else { panic!("{outcome:?}") };
        assert_eq!(answer.value()["stdout"], "alone\n");
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_start_can_end_everything_a_killed_engine_left() {
    let shop = Shop::with_launcher(Some(launcher()));
    let (mut engine, leader, grandchild) = engine_with_a_program(&shop, Some(&launcher()));
    engine.kill().unwrap();
    engine.wait().unwrap();
    end_leftovers(&shop.path("run")).unwrap();
    assert!(!alive(leader) && !alive(grandchild));
    shop.nothing_is_left();
}

#[tokio::test]
async fn a_stranger_who_was_given_the_same_number_is_left_alone() {
    let shop = Shop::open();
    let mut stranger = in_own_group("exec sleep 1000");
    shop.record("orphan", &format!("1 {} 1 {}", stranger.id(), boot()));
    let outcome = shop.call("process", &context("orphan", &shop), sh("echo ok")).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn a_group_that_cannot_be_told_from_a_strangers_holds_the_call_and_is_not_touched() {
    let shop = Shop::open();
    let mut leader = in_own_group("sleep 1000 >/dev/null 2>&1 & echo $!");
    let output = leader.stdout.take().unwrap();
    let member: i32 = std::io::read_to_string(output).unwrap().trim().parse().unwrap();
    leader.wait().unwrap();
    shop.record("orphan", &format!("1 {} 1 {}", leader.id(), boot()));
    let outcome = shop.call("process", &context("orphan", &shop), sh("echo ok")).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert!(failure.class == "orphan" && failure.message.contains(&member.to_string()), "{failure:?}");
    assert!(alive(member));
    kill_process(Pid::from_raw(member).unwrap(), Signal::KILL).unwrap();
    until(|| !alive(member)).await;
    let outcome = shop.call("process", &context("orphan", &shop), sh("echo ok")).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[tokio::test]
async fn a_record_of_another_boot_or_a_torn_one_is_no_obstacle() {
    let shop = Shop::open();
    for said in ["1 1 1 00000000-0000-0000-0000-000000000000", "", "1", "refused no room"] {
        shop.record("orphan", said);
        let outcome = shop.call("process", &context("orphan", &shop), sh("echo ok")).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{said}: {outcome:?}");
        assert_eq!(shop.records(), 0);
    }
}

/// The life of an engine, in a process of its own: started by [`engine_with_a_program`], which kills it.
#[tokio::test]
#[ignore = "a helper process of other tests"]
async fn helper_engine() {
    let Ok(told) = std::env::var(HELPER) else { return };
    let told: Value = serde_json::from_str(&told).unwrap();
    let folder = PathBuf::from(told["folder"].as_str().unwrap());
    let artifacts = Artifacts::open(folder.join("artifacts")).unwrap();
    let tools = builtin(&artifacts, folder.join("run"), told["launcher"].as_str().map(PathBuf::from));
    let cx = CallContext::detached("test", told["key"].as_str().unwrap().parse().unwrap(), Duration::from_secs(60));
    let script = format!("sleep 1000 & echo $$ $! > {0}.tmp; mv {0}.tmp {0}; wait", folder.join("pids").display());
    let _ = Arc::clone(&tools[0].1).start(cx, Json::from(sh(&script))).await;
}

/// An engine whose program has a child: the engine, the program, the child.
fn engine_with_a_program(shop: &Shop, launcher: Option<&Path>) -> (Child, i32, i32) {
    let told = json!({
        "folder": shop.folder.path(), "launcher": launcher, "key": context("orphan", shop).key().to_string(),
    });
    let engine = Command::new(std::env::current_exe().unwrap())
        .args(["tools::tests::orphans::helper_engine", "--exact", "--ignored"])
        .env(HELPER, told.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pids = shop.path("pids");
    wait_until(|| pids.exists());
    let pids = fs::read_to_string(pids).unwrap();
    let pids: Vec<i32> = pids.split_ascii_whitespace().map(|pid| pid.parse().unwrap()).collect();
    (engine, pids[0], pids[1])
}

fn in_own_group(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).process_group(0).stdout(Stdio::piped()).spawn().unwrap()
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned()
}

fn alive(pid: i32) -> bool {
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && !stat(pid).is_some_and(|stat| stat.contains(") Z "))
}

fn stat(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// Shops with and without a launcher: every promise holds for both.
pub(super) fn both() -> [Shop; 2] {
    [Shop::with_launcher(Some(launcher())), Shop::open()]
}

/// Our own binary. `cargo test` builds it; `cargo test --lib` alone does not.
pub(super) fn launcher() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let binary = tests.parent().unwrap().parent().unwrap().join("headframe");
    assert!(binary.exists(), "{} is missing: build it with `cargo build`", binary.display());
    binary
}

pub(super) fn sh(script: &str) -> Value {
    json!({"argv": ["sh", "-c", script]})
}

pub(super) fn context(name: &str, shop: &Shop) -> CallContext {
    let key = Key::of(&[name.as_bytes(), shop.folder.path().as_os_str().as_encoded_bytes()]);
    CallContext::detached("test", key, Duration::from_secs(30))
}

/// Wait for something that the system does in its own time.
pub(super) async fn until(done: impl Fn() -> bool) {
    let start = headframe_actors::clock::monotonic();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it did not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn wait_until(done: impl Fn() -> bool) {
    let start = headframe_actors::clock::monotonic();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Shop {
    fn record(&self, name: &str, said: &str) {
        fs::create_dir_all(self.path("run")).unwrap();
        fs::write(self.path("run").join(format!("{}.pgid", context(name, self).key())), said).unwrap();
    }

    /// No record, and no living process that carries the key of one of this shop's calls.
    pub(super) fn nothing_is_left(&self) {
        assert_eq!(self.records(), 0);
        let ours: Vec<_> = self.keys.lock().unwrap().iter().map(|key| format!("HEADFRAME_KEY={key}")).collect();
        let left = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            (variables.any(|variable| ours.iter().any(|key| key.as_bytes() == variable)) && alive(pid)).then_some(pid)
        });
        assert_eq!(left.collect::<Vec<_>>(), Vec::<i32>::new());
    }
}
