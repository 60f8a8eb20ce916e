//! What a system measures of its own work.
//!
//! What happens often is counted as it happens, through handles that were registered when the system started. Figures that
//! exist anyway are read when somebody asks (`system/measure.rs`).
//!
//! **Invariants:** tools, reasons and kinds are known when the system starts, so every series is there from then on.

mod families;

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

pub use self::families::FAMILIES;
pub(crate) use self::families::SYNC;
use self::families::{self as family, Reads};
use super::{
    call::Outcome,
    codec,
    kind::Registry,
    system::{Figures, Survey},
    unsticker::Reason,
};
use crate::metrics::{Family, Growing, Instruments, Known, OTHER};

/// Tools that have series of their own; further ones share one.
const TOOLS_MAX: usize = 100;
/// Kinds of actors that have series of their own.
const KINDS_MAX: usize = 50;

/// Something that turns count once they are accepted: a family of one label, and what lasted, if that is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// The counter; it has one label, or none.
    pub counter: &'static Family,
    /// The values of the label; none if there is none.
    pub values: &'static [&'static str],
    /// The histogram of how long it took, without a label.
    pub lasted: Option<&'static Family>,
}

/// One thing that a turn counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) counter: &'static str,
    pub(crate) value: &'static str,
    pub(crate) count: u64,
    pub(crate) lasted_ms: Option<u64>,
}

/// Everything that a running system counts as it happens.
pub(crate) struct Meters {
    pub(crate) commit_seconds: Histogram,
    pub(crate) commit_wait_seconds: Histogram,
    pub(crate) commit_operations: Histogram,
    pub(crate) checkpoint_seconds: Histogram,
    pub(crate) checkpoint_rows: Counter,
    pub(crate) checkpoint_failures: Counter,
    pub(crate) actor_restarts: Counter,
    pub(crate) service_restarts: Counter,
    unstuck: FxHashMap<&'static str, Counter>,
    tools: FxHashMap<u32, ToolMeters>,
    marks: Vec<Marked>,
    read: Read,
}

/// What is counted of one tool.
pub(crate) struct ToolMeters {
    ended: [Counter; 3],
    probes: Counter,
    seconds: Histogram,
    label: String,
}

/// A counter that turns count with.
struct Marked {
    counter: &'static str,
    value: &'static str,
    handle: Counter,
    lasted: Option<Histogram>,
}

/// What is set from figures when somebody asks.
struct Read {
    /// One reader at a time, so that nothing is counted twice.
    counters: Mutex<Vec<(Growing, Reads<u64>)>>,
    gauges: Vec<(Gauge, Reads<f64>)>,
    surveyed: Vec<Gauge>,
    stuck: FxHashMap<&'static str, Gauge>,
    kinds: Known,
    of_kind: FxHashMap<String, Gauge>,
    of_tool: FxHashMap<String, [Gauge; 3]>,
}

impl Meters {
    /// Register everything.
    pub(crate) fn new(to: &Instruments, tools: &[String], registry: &Registry, measures: &[Measure]) -> Self {
        to.describe(FAMILIES);
        for measure in measures {
            to.describe(&[*measure.counter]);
            to.describe(measure.lasted.map(std::slice::from_ref).unwrap_or_default());
        }
        let known = Known::of(tools.iter().cloned(), TOOLS_MAX);
        let kinds = Known::of(registry.names().map(str::to_owned), KINDS_MAX);
        let of_kind = registry.names().map(|kind| kinds.label(kind)).chain([OTHER]);
        let of_kind = of_kind.map(|kind| (kind.to_owned(), to.gauge(&family::ACTORS, &[kind]))).collect();
        Self {
            commit_seconds: to.histogram(&family::COMMIT_SECONDS, &[]),
            commit_wait_seconds: to.histogram(&family::COMMIT_WAIT_SECONDS, &[]),
            commit_operations: to.histogram(&family::COMMIT_OPERATIONS, &[]),
            checkpoint_seconds: to.histogram(&family::CHECKPOINT_SECONDS, &[]),
            checkpoint_rows: to.counter(&family::CHECKPOINT_ROWS, &[]),
            checkpoint_failures: to.counter(&family::CHECKPOINT_FAILURES, &[]),
            actor_restarts: to.counter(&family::RESTARTS, &["actor"]),
            service_restarts: to.counter(&family::RESTARTS, &["service"]),
            unstuck: by_reason(|reason| to.counter(&family::UNSTUCK, &[reason])),
            tools: tools.iter().map(|name| (codec::fnv1a(name), ToolMeters::new(to, known.label(name)))).collect(),
            marks: measures.iter().flat_map(|measure| marked(to, measure)).collect(),
            read: Read {
                counters: Mutex::new(counted(to)),
                gauges: family::GAUGED.iter().map(|(family, read)| (to.gauge(family, &[]), *read)).collect(),
                surveyed: family::SURVEYED.iter().map(|family| to.gauge(family, &[])).collect(),
                stuck: by_reason(|reason| to.gauge(&family::STUCK, &[reason])),
                kinds,
                of_kind,
                of_tool: tools.iter().map(|name| of_tool(to, known.label(name))).collect(),
            },
        }
    }

    /// The meters of a tool, by the hash of its name.
    pub(crate) fn tool(&self, id: u32) -> Option<&ToolMeters> {
        self.tools.get(&id)
    }

    /// Something was done about what was stuck.
    pub(crate) fn unstuck(&self, reason: &str) {
        if let Some(counter) = self.unstuck.get(reason) {
            counter.increment(1);
        }
    }

    /// Count what an accepted turn counts.
    pub(crate) fn mark(&self, marks: &[Mark]) {
        for mark in marks {
            let known = self.marks.iter().find(|known| (known.counter, known.value) == (mark.counter, mark.value));
            let Some(known) = known else { continue };
            known.handle.increment(mark.count);
            if let (Some(lasted), Some(lasted_ms)) = (&known.lasted, mark.lasted_ms) {
                lasted.record(lasted_ms as f64 / 1_000.0);
            }
        }
    }

    /// Set what is read from figures, and the load of each tool.
    pub(crate) fn read(&self, figures: &Figures, tools: &[(u32, [usize; 3])]) {
        self.read.counters.lock().iter_mut().for_each(|(counter, read)| counter.grow_to(read(figures)));
        self.read.gauges.iter().for_each(|(gauge, read)| gauge.set(read(figures)));
        // Tools too many share their gauges.
        let mut sums: FxHashMap<&str, [usize; 3]> = FxHashMap::default();
        for (id, load) in tools {
            let Some(tool) = self.tools.get(id) else { continue };
            let sum = sums.entry(&tool.label).or_default();
            sum.iter_mut().zip(load).for_each(|(sum, load)| *sum += load);
        }
        for (label, sum) in sums {
            let gauges = self.read.of_tool.get(label).into_iter().flatten();
            gauges.zip(sum).for_each(|(gauge, sum)| gauge.set(sum as f64));
        }
    }

    /// Set what a survey found.
    pub(crate) fn survey(&self, survey: &Survey) {
        let Survey { suspended, mail, dead_letters, in_doubt, kinds, stuck, .. } = survey;
        let found = [*suspended, *mail, *dead_letters, *in_doubt];
        self.read.surveyed.iter().zip(found).for_each(|(gauge, found)| gauge.set(found as f64));
        let mut sums: FxHashMap<&str, u64> = self.read.of_kind.keys().map(|kind| (&**kind, 0)).collect();
        for (kind, count) in kinds {
            *sums.entry(self.read.kinds.label(kind)).or_default() += count;
        }
        sums.iter().filter_map(|(kind, sum)| Some((self.read.of_kind.get(*kind)?, sum))).for_each(|(gauge, sum)| {
            gauge.set(*sum as f64);
        });
        for (reason, gauge) in &self.read.stuck {
            gauge.set(stuck.get(reason).copied().unwrap_or_default() as f64);
        }
    }
}

fn of_tool(to: &Instruments, tool: &str) -> (String, [Gauge; 3]) {
    let families = [&family::CALLS_WAITING, &family::PERMITS_IN_USE, &family::PERMITS];
    (tool.to_owned(), families.map(|family| to.gauge(family, &[tool])))
}

fn counted(to: &Instruments) -> Vec<(Growing, Reads<u64>)> {
    family::COUNTED.iter().map(|(family, read)| (Growing::new(to.counter(family, &[])), *read)).collect()
}

fn by_reason<T>(register: impl Fn(&str) -> T) -> FxHashMap<&'static str, T> {
    Reason::ALL.into_iter().map(|reason| (reason.word(), register(reason.word()))).collect()
}

fn marked(to: &Instruments, measure: &Measure) -> Vec<Marked> {
    let counter = measure.counter;
    let lasted = || measure.lasted.map(|lasted| to.histogram(lasted, &[]));
    let with = |value: &'static str, values: &[&str]| {
        let handle = to.counter(counter, values);
        Marked { counter: counter.name, value, handle, lasted: lasted() }
    };
    if measure.values.is_empty() {
        return vec![with("", &[])];
    }
    measure.values.iter().map(|value| with(value, &[value])).collect()
}

impl ToolMeters {
    fn new(to: &Instruments, tool: &str) -> Self {
        Self {
            ended: ["done", "failed", "unknown"].map(|outcome| to.counter(&family::CALLS_ENDED, &[tool, outcome])),
            probes: to.counter(&family::PROBES, &[tool]),
            seconds: to.histogram(&family::CALL_SECONDS, &[tool]),
            label: tool.to_owned(),
        }
    }

    /// An attempt at a call ended.
    pub(crate) fn ended(&self, outcome: &Outcome, after: Duration) {
        let [done, failed, unknown] = &self.ended;
        match outcome {
            Outcome::Done(_) => done,
            Outcome::Failed(_) => failed,
            Outcome::Unknown(_) => unknown,
        }
        .increment(1);
        self.seconds.record(after.as_secs_f64());
    }

    /// A probe said what it knows.
    pub(crate) fn probed(&self) {
        self.probes.increment(1);
    }
}
