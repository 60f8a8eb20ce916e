//! The scenarios of `tests/otp`, beside the trace that Erlang/OTP 25 gave of them.
//!
//! The trace comes from the observer; `tests/otp/compare.sh` runs both sides and compares them anew.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use ractor::ActorCell;

use super::worker::{Order, Worker};
use crate::durable::supervision::{
    AutoShutdown, Backoff, ChildSpec, Count, Error, Exit, Happened, Policy, Report, Restart, Setup, Shutdown, Status,
    Strategy, Supervisor,
};

const SCENARIOS: &str = include_str!("../../../../../tests/otp/scenarios.txt");
const OTP: &str = include_str!("../../../../../tests/otp/otp25.txt");
/// Where to write our traces, for `compare.sh`.
const OUTPUT: &str = "HEADFRAME_OTP_TRACE";
/// After a step, until nothing happens any more: longer than the deadlines in the scenarios.
const SETTLE: Duration = Duration::from_millis(250);

#[tokio::test(start_paused = true)]
async fn every_scenario_goes_as_in_otp_unless_it_says_why_not() {
    let scenarios = scenarios();
    assert!(scenarios.len() > 50, "only {} scenarios were read", scenarios.len());
    let mut ours = Vec::new();
    for scenario in &scenarios {
        ours.push(run(scenario).await);
    }
    if let Some(file) = std::env::var_os(OUTPUT) {
        let named = scenarios.iter().zip(&ours).map(|(scenario, trace)| format!("== {}\n{trace}", scenario.name));
        std::fs::write(file, named.collect::<String>()).unwrap();
    }
    let otp = traces(OTP);
    for (scenario, ours) in scenarios.iter().zip(&ours) {
        let theirs = &otp[scenario.name];
        let name = scenario.name;
        assert_eq!(ours == theirs, !scenario.differs, "{name}\n--- ours\n{ours}--- OTP's\n{theirs}");
    }
}

struct Scenario<'a> {
    name: &'a str,
    differs: bool,
    lines: Vec<Vec<&'a str>>,
}

fn scenarios() -> Vec<Scenario<'static>> {
    let lines = SCENARIOS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut scenarios = Vec::new();
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        match (&*words, scenarios.last_mut()) {
            (["scenario", name], _) => scenarios.push(Scenario { name, differs: false, lines: Vec::new() }),
            (["differs", ..], Some(scenario)) => scenario.differs = true,
            (_, Some(scenario)) => scenario.lines.push(words),
            _ => panic!("{line} stands in no scenario"),
        }
    }
    scenarios
}

/// The trace of each scenario, by its name.
fn traces(text: &'static str) -> HashMap<&'static str, String> {
    let blocks = text.split("== ").filter(|block| !block.is_empty());
    blocks.map(|block| block.split_once('\n').unwrap()).map(|(name, trace)| (name, trace.to_owned())).collect()
}

async fn run(scenario: &Scenario<'_>) -> String {
    let world = World::default();
    let mut policy = Policy::default();
    let mut template = None;
    let mut children = Vec::new();
    let mut steps = Vec::new();
    for line in &scenario.lines {
        match &**line {
            ["strategy", rules @ ..] => policy = self::policy(rules),
            ["template", restart] => template = Some(*restart),
            ["child", path, restart, options @ ..] => children.push((*path, *restart, options)),
            [">", step @ ..] => steps.push(step),
            other => panic!("{other:?} is not understood"),
        }
    }
    let setup = world.tree("top", policy, "", &children);
    let top = Supervisor::start(setup).await.ok();
    world.show(top.as_ref()).await;
    for step in steps {
        world.line(format!("> {}", step.join(" ")));
        let answer = world.step(top.as_ref(), template, step).await;
        tokio::time::sleep(SETTLE).await;
        if let Some(answer) = answer {
            world.line(answer.map_or_else(|error| format!("refused: {}", named(&error)), |()| "ok".to_owned()));
        }
        world.show(top.as_ref()).await;
    }
    let trace = world.trace.lock().clone();
    if let Some(top) = top {
        top.shutdown(Duration::from_secs(60)).await.unwrap();
    }
    trace
}

type Lines<'a> = [(&'a str, &'a str, &'a [&'a str])];

#[derive(Clone, Default)]
struct World {
    trace: Arc<Mutex<String>>,
    attempts: Arc<Mutex<HashMap<String, u32>>>,
    cells: Arc<Mutex<BTreeMap<String, ActorCell>>>,
}

impl World {
    fn line(&self, line: String) {
        *self.trace.lock() += &(line + "\n");
    }

    /// A supervisor with the children of this prefix.
    fn tree(&self, name: &str, policy: Policy, prefix: &str, children: &Lines<'_>) -> Setup {
        let world = self.clone();
        let setup = Setup::new(name, policy).observer(Arc::new(move |report| world.hear(&report)));
        let mine = children.iter().filter(|(path, ..)| path.rsplit_once('/').map_or("", |(dir, _)| dir) == prefix);
        mine.fold(setup, |setup, (path, restart, options)| setup.child(self.spec(path, restart, options, children)))
    }

    fn spec(&self, path: &str, restart: &str, options: &[&str], children: &Lines<'_>) -> ChildSpec {
        let mut fails = 0..=0;
        let mut is_stubborn = false;
        let mut is_significant = false;
        let mut shutdown = None;
        let mut tree = None;
        for option in options {
            match option.split_once('=').unwrap_or((option, "")) {
                ("supervisor", rules) => tree = Some(policy(&rules.split(',').collect::<Vec<_>>())),
                ("fails", range) => {
                    let (first, last) = range.split_once('-').unwrap();
                    fails = first.parse().unwrap()..=last.parse().unwrap();
                }
                ("shutdown", "brutal") => shutdown = Some(Shutdown::BrutalKill),
                ("shutdown", "infinity") => shutdown = Some(Shutdown::Infinity),
                ("shutdown", ms) => shutdown = Some(Shutdown::Within(Duration::from_millis(ms.parse().unwrap()))),
                ("stubborn", _) => is_stubborn = true,
                ("significant", _) => is_significant = true,
                other => panic!("{other:?} is not understood"),
            }
        }
        let mut spec = match tree {
            Some(policy) => self.tree(path, policy, path, children).into_child(),
            None => self.worker(path, fails, is_stubborn),
        };
        spec.significant = is_significant;
        spec.shutdown = shutdown.unwrap_or(spec.shutdown);
        spec.restart(self::restart(restart))
    }

    fn worker(&self, path: &str, fails: std::ops::RangeInclusive<u32>, is_stubborn: bool) -> ChildSpec {
        let (world, id) = (self.clone(), path.to_owned());
        ChildSpec::new(path, move |supervisor| {
            let (world, id, fails) = (world.clone(), id.clone(), fails.clone());
            async move {
                let attempt = {
                    let mut attempts = world.attempts.lock();
                    let attempt = attempts.entry(id.clone()).or_default();
                    *attempt += 1;
                    *attempt
                };
                if fails.contains(&attempt) {
                    return Err("told to".into());
                }
                let cell = Worker::start(&id, supervisor, is_stubborn, &Arc::default()).await?;
                world.cells.lock().insert(id, cell.clone());
                Ok(cell)
            }
        })
    }

    fn hear(&self, report: &Report) {
        let child = &report.child;
        match &report.happened {
            Happened::Started { .. } => self.line(format!("start {child}")),
            Happened::StartFailed { .. } => self.line(format!("fail {child}")),
            Happened::Exited { exit } => self.line(format!("exit {child} {}", reason(exit))),
            _ => {}
        }
    }

    async fn step(&self, top: Option<&Supervisor>, template: Option<&str>, step: &[&str]) -> Option<Result<(), Error>> {
        let top = top.expect("a supervisor that did not start takes no step");
        match step {
            ["wait", ms] => {
                // What it takes to settle counts.
                tokio::time::sleep(Duration::from_millis(ms.parse().unwrap()).saturating_sub(SETTLE)).await;
                None
            }
            ["shutdown"] => {
                let _ = top.shutdown(Duration::from_secs(60)).await;
                None
            }
            ["terminate", id] => Some(top.terminate_child(id).await),
            ["restart", id] => Some(top.restart_child(id).await.map(|_| ())),
            ["delete", id] => Some(top.delete_child(id).await),
            ["start", id, rest @ ..] => {
                let (restart, options) = match template {
                    Some(restart) => (restart, rest),
                    None => (rest[0], &rest[1..]),
                };
                Some(top.start_child(self.spec(id, restart, options, &[])).await.map(|_| ()))
            }
            [verb, paths @ ..] => {
                for path in paths {
                    self.order(verb, path);
                }
                None
            }
            [] => panic!("an empty step"),
        }
    }

    fn order(&self, verb: &str, path: &str) {
        let cell = self.cells.lock()[path].clone();
        let order = match verb {
            "kill" => return cell.kill(),
            "crash" => Order::Crash,
            "stop" => Order::Stop(None),
            "shut" => Order::Stop(Some("shutdown")),
            other => panic!("{other} is not understood"),
        };
        cell.send_message(order).unwrap();
    }

    async fn show(&self, top: Option<&Supervisor>) {
        let Some(top) = top else { return self.line("= did not start".to_owned()) };
        let Ok(children) = top.which_children().await else { return self.line("= gone".to_owned()) };
        let status = |status| match status {
            Status::Down => "down",
            Status::Restarting => "restarting",
            Status::Up | Status::Ending => "up",
        };
        let mut shown: Vec<_> = children.iter().map(|child| format!("{}:{}", child.id, status(child.status))).collect();
        let Count { specs, active, supervisors, workers } = top.count().await.unwrap();
        shown.push(format!("({specs} {active} {supervisors} {workers})"));
        self.line(format!("= {}", shown.join(" ")));
    }
}

fn policy(rules: &[&str]) -> Policy {
    let [strategy, max_restarts, period, auto @ ..] = rules else { panic!("{rules:?} are no rules") };
    let strategy = match *strategy {
        "one_for_one" => Strategy::OneForOne,
        "one_for_all" => Strategy::OneForAll,
        "rest_for_one" => Strategy::RestForOne,
        "dynamic" => Strategy::Dynamic,
        other => panic!("{other} is no strategy"),
    };
    let auto_shutdown = match auto {
        [] => AutoShutdown::Never,
        ["auto=any"] => AutoShutdown::AnySignificant,
        ["auto=all"] => AutoShutdown::AllSignificant,
        other => panic!("{other:?} is not understood"),
    };
    let period = Duration::from_secs(period.parse().unwrap());
    let policy = Policy::new(strategy).intensity(max_restarts.parse().unwrap(), period);
    policy.backoff(Backoff::NONE).auto_shutdown(auto_shutdown)
}

fn restart(word: &str) -> Restart {
    match word {
        "permanent" => Restart::Permanent,
        "transient" => Restart::Transient,
        "temporary" => Restart::Temporary,
        other => panic!("{other} is not understood"),
    }
}

fn reason(exit: &Exit) -> &'static str {
    match exit {
        Exit::Normal => "normal",
        // In OTP a supervisor asks with the same reason that a child may give by itself.
        Exit::Asked | Exit::Shutdown => "shutdown",
        Exit::Killed => "killed",
        Exit::Failed(_) => "crash",
    }
}

fn named(error: &Error) -> &'static str {
    match error {
        Error::NotFound(_) => "not found",
        Error::AlreadyPresent(_) => "already present",
        Error::AlreadyStarted(_) => "already started",
        Error::Running(_) => "running",
        Error::Restarting(_) => "restarting",
        Error::Dynamic => "dynamic",
        Error::Invalid { .. } => "invalid",
        Error::StartFailed { .. } => "start failed",
        Error::Ended => "ended",
        Error::Killed => "killed",
    }
}
