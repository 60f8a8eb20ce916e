//! What the runs do, and what must have happened in the outside world when they have ended.
//!
//! Plans and expectations come from one table, so they cannot disagree. Every task names what it does by a *label* that
//! never changes between attempts, lives and keys: two effects under one label are a duplicate, whatever their keys.
//!
//! **Invariant:** the shape of submission number `n` depends on the seed and `n` alone.

use std::time::Duration;

use headframe::{
    Submission,
    plan::{InDoubt, InputKind, PhaseBuilder, Plan, TaskBuilder},
};
use serde_json::{Map, Value, json};

use crate::random::Random;

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
];

/// The label of a task, or of one of its items, and what must have happened under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) label: String,
    pub(crate) rule: Rule,
}

impl Shape {
    /// The plan, unchecked.
    pub(crate) fn plan(&self) -> Plan {
        let named = Plan::builder(self.name).input("key", InputKind::String);
        let phased = self.phases.iter().fold(named, |plan, phase| plan.phase(phase.name, |built| phase.build(built)));
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
    fn build(&self, built: PhaseBuilder) -> PhaseBuilder {
        let built = if self.sequential { built.sequential() } else { built.max_parallel(3) };
        self.tasks.iter().fold(built, |built, task| {
            built.task(task.name, task.tool, |builder| task.build(builder, &format!("{}/{}", self.name, task.name)))
        })
    }
}

impl Task {
    fn build(&self, builder: TaskBuilder, place: &str) -> TaskBuilder {
        let label = format!("{{{{ input.key }}}}/{place}");
        let builder = match self.items {
            // Short ones end within a life, long ones wake in another.
            items if self.rule == Rule::Silent => {
                let over = Value::from_iter((0..items).map(|item| 30 * u64::from(8_u32.pow(item))));
                return builder.for_each(over).with(json!({ "ms": "{{ item }}" }));
            }
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
            (_, Rule::Never) => builder.retry(2).optional(),
            (_, Rule::Maybe) => builder.in_doubt(InDoubt::Fail).optional(),
            _ => builder,
        }
    }
}

/// The shape of a submission.
pub(crate) fn shape(seed: u64, number: u64) -> usize {
    let drawn = Random::of(seed, PURPOSE ^ (number << 8)).below(SHAPES.len() as u64);
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
    let mut random = Random::of(seed, PURPOSE ^ (number << 8) ^ 1);
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
