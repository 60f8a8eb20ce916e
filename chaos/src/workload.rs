//! What the runs do, and what must have happened in the outside world when they have ended.
//!
//! Plans and expectations come from one table, so they cannot disagree. Every task names what it does by a *label* that
//! never changes between attempts, lives and keys: two effects under one label are a duplicate, whatever their keys.
//!
//! **Invariant:** the shape of submission number `n` depends on the seed and `n` alone.

use std::{path::PathBuf, time::Duration};

use headframe::{
    Submission,
    durable::Effect,
    plan::{InDoubt, InputKind, PhaseBuilder, Plan, TaskBuilder},
};
use serde_json::{Map, Value, json};

use crate::random::Dice;

/// Which stream of the seed this is.
const PURPOSE: u64 = 2;

/// What must have happened under the labels of a task once its run has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Exactly once.
    Once,
    /// Not at all: the tool always refuses, and the task is optional.
    Never,
    /// Once or not at all: a call in doubt counts as failed, and the task is optional.
    Maybe,
    /// Not at all, and the task succeeds: it only lets time pass.
    Silent,
}

struct Task {
    name: &'static str,
    tool: &'static str,
    /// 0: no fan-out.
    items: u32,
    rule: Rule,
}

struct Phase {
    name: &'static str,
    sequential: bool,
    tasks: &'static [Task],
}

/// A workflow.
pub(crate) struct Shape {
    name: &'static str,
    phases: &'static [Phase],
}

const fn task(name: &'static str, tool: &'static str, items: u32) -> Task {
    Task { name, tool, items, rule: Rule::Once }
}

const fn phase(name: &'static str, tasks: &'static [Task]) -> Phase {
    Phase { name, sequential: false, tasks }
}

/// All workflows.
pub(crate) const SHAPES: &[Shape] = &[
    Shape {
        name: "steps",
        phases: &[Phase {
            name: "walk",
            sequential: true,
            tasks: &[task("first", "idem", 0), task("second", "swift", 0), task("third", "idem", 0)],
        }],
    },
    Shape {
        name: "fan",
        phases: &[
            phase("list", &[task("look", "swift", 0)]),
            phase("each", &[task("measure", "idem", 8)]),
            phase("merge", &[task("sum", "swift", 0)]),
        ],
    },
    Shape {
        name: "flaky",
        phases: &[
            phase("attempt", &[task("one", "flaky", 0), task("many", "flaky", 3)]),
            phase("after", &[task("note", "swift", 0)]),
        ],
    },
    Shape {
        name: "charge",
        phases: &[
            phase("before", &[task("reserve", "swift", 0)]),
            phase("pay", &[task("charge", "once", 0)]),
            phase("after", &[task("confirm", "idem", 0)]),
        ],
    },
    Shape {
        name: "optional",
        phases: &[
            phase(
                "choice",
                &[
                    Task { name: "refused", tool: "deny", items: 0, rule: Rule::Never },
                    Task { name: "timid", tool: "once", items: 0, rule: Rule::Maybe },
                    task("sure", "idem", 0),
                ],
            ),
            phase("after", &[task("note", "swift", 0)]),
        ],
    },
    Shape {
        name: "nap",
        phases: &[
            phase("before", &[task("look", "swift", 0)]),
            phase(
                "rest",
                &[Task { name: "sleep", tool: "sleep", items: 3, rule: Rule::Silent }, task("stir", "flaky", 0)],
            ),
            phase("after", &[task("note", "idem", 0)]),
        ],
    },
    Shape {
        name: "storm",
        phases: &[
            phase("lossy", &[task("repeat", "lossy", 4), task("swift", "swift", 4), task("slow", "slow", 2)]),
            phase("pay", &[task("charge", "once", 2)]),
            phase("after", &[task("last", "flaky", 0)]),
        ],
    },
    Shape {
        name: "programs",
        phases: &[
            phase("before", &[task("look", "swift", 0)]),
            phase(
                "run",
                &[task("again", "run-idem", 0), task("charge", "run-once", 0), task("asked", "run-verified", 0)],
            ),
            phase("after", &[task("note", "swift", 0)]),
        ],
    },
    Shape {
        name: "hangs",
        phases: &[
            phase("wait", &[task("long", "hang", 2), task("silent", "mute", 0), task("deaf", "stubborn", 0)]),
            phase("after", &[task("note", "swift", 0)]),
        ],
    },
];

/// What programs that tasks start are, and where they find the outside world: the same in every life.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// This very program.
    pub(crate) exe: PathBuf,
    pub(crate) socket: PathBuf,
}

impl Programs {
    /// Those of the lives that this process begins; also when its file was replaced or removed meanwhile.
    pub(crate) fn of(parent: i32, socket: PathBuf) -> Self {
        Self { exe: format!("/proc/{parent}/exe").into(), socket }
    }

    fn argv(&self, role: &str, more: &[&str]) -> Value {
        let [exe, socket] = [&self.exe, &self.socket].map(|path| path.to_string_lossy());
        [&*exe, role, "--socket", &*socket].into_iter().chain(more.iter().copied()).collect()
    }
}

/// The label of a task, or of one of its items, and what must have happened under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) label: String,
    pub(crate) rule: Rule,
}

impl Shape {
    /// The plan, unchecked.
    pub(crate) fn plan(&self, programs: &Programs) -> Plan {
        let named = Plan::builder(self.name).input("key", InputKind::String);
        let phases = self.phases.iter();
        let phased = phases.fold(named, |plan, phase| plan.phase(phase.name, |built| phase.build(built, programs)));
        phased.output(self.output()).build()
    }

    /// What each task gave, for those whose answer is sure to be there.
    fn output(&self) -> Value {
        let mut output = Map::new();
        for (phase, task) in self.tasks().filter(|(_, task)| task.rule == Rule::Once) {
            let place = format!("{}.{}", phase.name, task.name);
            output.insert(place.clone(), json!(format!("{{{{ outputs.{place} }}}}")));
        }
        Value::Object(output)
    }

    fn tasks(&self) -> impl Iterator<Item = (&Phase, &Task)> {
        self.phases.iter().flat_map(|phase| phase.tasks.iter().map(move |task| (phase, task)))
    }

    /// Everything that a run of this shape may do.
    pub(crate) fn expected(&self, key: &str) -> Vec<Expected> {
        let labels = |(phase, task): (&Phase, &Task)| {
            let label = format!("{key}/{}/{}", phase.name, task.name);
            let rule = task.rule;
            let items = (0..task.items).map(|item| format!("{label}/{item}"));
            let labels = if task.items == 0 { vec![label.clone()] } else { items.collect() };
            labels.into_iter().map(move |label| Expected { label, rule })
        };
        self.tasks().flat_map(labels).collect()
    }
}

impl Phase {
    fn build(&self, built: PhaseBuilder, programs: &Programs) -> PhaseBuilder {
        let built = if self.sequential { built.sequential() } else { built.max_parallel(3) };
        self.tasks.iter().fold(built, |built, task| {
            let place = format!("{}/{}", self.name, task.name);
            built.task(task.name, task.registered(), |builder| task.build(builder, &place, programs))
        })
    }
}

impl Task {
    /// The name of its tool in the engine.
    fn registered(&self) -> &'static str {
        if self.tool.starts_with("run-") { "process" } else { self.tool }
    }

    fn build(&self, builder: TaskBuilder, place: &str, programs: &Programs) -> TaskBuilder {
        let label = format!("{{{{ input.key }}}}/{place}");
        let builder = match self.items {
            // Short ones end within a life, long ones wake in another.
            items if self.rule == Rule::Silent => {
                let over = Value::from_iter((0..items).map(|item| 30 * u64::from(8_u32.pow(item))));
                return builder.for_each(over).with(json!({ "ms": "{{ item }}" }));
            }
            0 if self.registered() == "process" => builder.with(self.program(&label, programs)),
            0 => builder.with(json!({ "label": label })),
            items => {
                let over = Value::from_iter(0..items);
                builder.for_each(over).with(json!({ "label": format!("{label}/{{{{ item }}}}") }))
            }
        };
        let builder = builder.timeout(Duration::from_secs(20)).backoff(Duration::from_millis(4)).jitter(0.5);
        match (self.tool, self.rule) {
            // A third is refused: twelve refusals in a row are one in half a million.
            ("flaky", _) => builder.retry(12).backoff_factor(1.5),
            ("lossy", _) => builder.retry(5),
            // The operator tells what became of a call that nobody heard of four times.
            ("slow", _) => builder.retry(4).timeout(Duration::from_millis(120)),
            ("hang", _) => builder.retry(6).timeout(Duration::from_millis(150)),
            ("mute", _) => builder.retry(6).heartbeat(Duration::from_secs(1)),
            ("stubborn", _) => builder.retry(6).timeout(Duration::from_millis(400)),
            ("run-idem", _) => builder.effect(A_YEAR).retry(12).backoff_factor(1.5),
            // No program starts while the disk is full; that is definite, and tried again.
            ("run-once", _) => builder.retry(12).backoff_factor(1.5),
            ("run-verified", _) => builder.effect(VERIFIED).retry(12).backoff_factor(1.5),
            (_, Rule::Never) => builder.retry(2).optional(),
            (_, Rule::Maybe) => builder.in_doubt(InDoubt::Fail).optional(),
            _ => builder,
        }
    }

    /// The arguments of the tool `process`: a program that does what a tool of the outside world would.
    fn program(&self, label: &str, programs: &Programs) -> Value {
        // Without memory: whoever is called twice does it twice.
        let tool = if self.tool == "run-idem" { "idem" } else { "once" };
        let mut with = json!({
            "argv": programs.argv("__program", &["--tool", tool, "--label", label]),
            "output": "json",
        });
        if self.tool == "run-verified" {
            with["probe"] = programs.argv("__probe", &[]);
        }
        with
    }
}

/// A memory that is longer than any clock jumps.
pub(crate) const FOREVER: Effect = Effect::Idempotent { remembers_ms: 10 * 365 * 24 * 60 * 60 * 1_000 };
/// The longest memory that a task may declare: a clock that jumps further makes its calls doubtful.
const A_YEAR: Effect = Effect::Idempotent { remembers_ms: 365 * 24 * 60 * 60 * 1_000 };
/// Asked soon, and soon again.
const VERIFIED: Effect = Effect::Verify { probes: 3, wait_ms: 20 };

/// Whether what happened under this label was done by a program that a task started.
pub(crate) fn is_a_programs(label: &str) -> bool {
    label.contains("/run/")
}

/// The shape of a submission.
pub(crate) fn shape(seed: u64, number: u64) -> usize {
    let drawn = Dice::of(seed, PURPOSE ^ (number << 8)).below(SHAPES.len() as u64);
    usize::try_from(drawn).unwrap_or(0)
}

/// The idempotency key of a submission, with which every label of its run begins.
pub(crate) fn key(number: u64) -> String {
    format!("k{number}")
}

/// What submission number `number` is submitted with.
pub(crate) fn submission(number: u64) -> Submission {
    let key = key(number);
    Submission { input: json!({ "key": &key }), key: Some(key), labels: Vec::new() }
}

/// When the client of a submission changes its mind, after its acknowledgement: one in eight does.
pub(crate) fn cancels(seed: u64, number: u64) -> Option<Duration> {
    let mut random = Dice::of(seed, PURPOSE ^ (number << 8) ^ 1);
    random.one_in(8).then(|| random.between(Duration::ZERO, Duration::from_millis(60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_a_label_of_its_own() {
        let expected = SHAPES[1].expected("k7");
        assert_eq!(expected.len(), 10);
        assert_eq!(expected[1], Expected { label: "k7/each/measure/0".to_owned(), rule: Rule::Once });
    }

    #[test]
    fn every_shape_is_drawn() {
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|number| shape(7, number)).collect();
        assert_eq!(drawn.len(), SHAPES.len());
    }
}
