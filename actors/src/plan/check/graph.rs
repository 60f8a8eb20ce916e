//! The graph of phases: an order to run them in, or the cycle that forbids one.
//!
//! **Invariant:** no recursion; a chain of ten thousand phases needs no stack.

use std::collections::HashSet;

use super::{Dangling, Plan, Problem, ProblemKind, is_full, nearest};

/// What follows from `needs` alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Graph {
    /// Topological; phases on or behind a cycle are missing.
    pub(super) order: Vec<u32>,
    pub(super) dependents: Vec<Vec<u32>>,
    /// For each phase the set of phases that end before it starts.
    before: Vec<Set>,
}

impl Graph {
    /// Edges that lead nowhere are left out.
    pub(super) fn of(plan: &Plan) -> Self {
        let count = plan.phases.len();
        let mut dependents = vec![Vec::new(); count];
        let mut waits_for = vec![0_usize; count];
        for (at, phase) in plan.phases.iter().enumerate() {
            for need in phase.needs.iter().map(|need| *need as usize).filter(|need| *need < count) {
                dependents[need].push(position(at));
                waits_for[at] += 1;
            }
        }
        let order = order(&dependents, waits_for);
        let before = before(plan, &order);
        Self { order, dependents, before }
    }

    /// Whether every phase has its place in the order.
    pub(super) fn is_sound(&self) -> bool {
        self.order.len() == self.dependents.len()
    }

    /// Whether `earlier` has surely ended when `phase` starts.
    pub(super) fn is_before(&self, earlier: usize, phase: usize) -> bool {
        self.before[phase].has(earlier)
    }
}

/// Report needs that lead nowhere, twice or round in a circle.
pub(super) fn check(plan: &Plan, graph: &Graph, dangling: &Dangling, found: &mut Vec<Problem>) {
    for (at, phase) in plan.phases.iter().enumerate() {
        let mut seen = HashSet::new();
        for (nth, need) in phase.needs.iter().enumerate() {
            if is_full(found) {
                return;
            }
            let place = format!("phases[{at}].needs[{nth}]");
            if *need as usize >= plan.phases.len() {
                found.push(dangles(plan, at, place, dangling.get(&(at, nth))));
            } else if !seen.insert(need) {
                let name = &plan.phases[*need as usize].name;
                let message = format!("phase `{}` needs `{name}` twice", phase.name);
                found.push(Problem::new(ProblemKind::Value, place, message).about(name));
            }
        }
    }
    found.extend(cycles(plan, graph));
}

fn dangles(plan: &Plan, at: usize, place: String, name: Option<&String>) -> Problem {
    let phase = &plan.phases[at].name;
    let Some(name) = name else {
        return Problem::new(
            ProblemKind::Reference,
            place,
            format!("phase `{phase}` needs a phase that does not exist"),
        );
    };
    let message = format!("phase `{phase}` needs `{name}`, and no phase has that name");
    let others = || plan.phases.iter().map(|phase| phase.name.as_str()).filter(|other| other != phase);
    let problem = Problem::new(ProblemKind::Reference, place, message).about(name);
    match nearest(name, others()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("phases are: {}", list(others()))),
    }
}

/// At most this many names in one sentence.
const LISTED_MAX: usize = 8;

/// Names for a sentence: `a, b, c and 5 more`.
pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names[..names.len().min(LISTED_MAX)].join(", ");
    match names.len().saturating_sub(LISTED_MAX) {
        0 if names.is_empty() => "none".to_owned(),
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Kahn 1962: take away what waits for nothing until nothing changes.
fn order(dependents: &[Vec<u32>], mut waits_for: Vec<usize>) -> Vec<u32> {
    let mut order: Vec<u32> = (0..dependents.len()).filter(|at| waits_for[*at] == 0).map(position).collect();
    let mut next = 0;
    while let Some(phase) = order.get(next).copied() {
        next += 1;
        for dependent in &dependents[phase as usize] {
            waits_for[*dependent as usize] -= 1;
            if waits_for[*dependent as usize] == 0 {
                order.push(*dependent);
            }
        }
    }
    order
}

fn before(plan: &Plan, order: &[u32]) -> Vec<Set> {
    let count = plan.phases.len();
    let mut before = vec![Set::default(); count];
    for at in order.iter().map(|at| *at as usize) {
        let mut all = Set::with_room_for(count);
        for need in plan.phases[at].needs.iter().map(|need| *need as usize).filter(|need| *need < count) {
            all.add_all(&before[need]);
            all.add(need);
        }
        before[at] = all;
    }
    before
}

/// Each cycle once. A phase that is left without a place in the order needs another such phase, so following first
/// needs must come round.
fn cycles(plan: &Plan, graph: &Graph) -> Vec<Problem> {
    let count = plan.phases.len();
    let mut left = vec![true; count];
    graph.order.iter().for_each(|at| left[*at as usize] = false);
    let blocked = |at: usize| {
        let needs = plan.phases[at].needs.iter().map(|need| *need as usize);
        needs.filter(|need| *need < count).find(|need| left[*need])
    };
    // The walk in which a phase was seen first.
    let mut walks = vec![usize::MAX; count];
    let mut problems = Vec::new();
    for start in (0..count).filter(|at| left[*at]) {
        let mut path = Vec::new();
        let mut here = Some(start);
        while let Some(at) = here.filter(|at| walks[*at] == usize::MAX) {
            walks[at] = start;
            path.push(at);
            here = blocked(at);
        }
        let closing = here.filter(|at| walks[*at] == start).and_then(|at| path.iter().position(|step| *step == at));
        problems.extend(closing.map(|from| cycle(plan, &path[from..])));
    }
    problems
}

fn cycle(plan: &Plan, path: &[usize]) -> Problem {
    let first = path[0];
    let names: Vec<&str> = path.iter().chain([&first]).map(|at| plan.phases[*at].name.as_str()).collect();
    let next = *path.get(1).unwrap_or(&first);
    let edge = plan.phases[first].needs.iter().position(|need| *need as usize == next).unwrap_or_default();
    let message = match path {
        [_] => format!("phase `{}` needs itself: {}", names[0], names.join(" -> ")),
        _ => format!("phases wait for each other: {}", names.join(" -> ")),
    };
    Problem::new(ProblemKind::Cycle, format!("phases[{first}].needs[{edge}]"), message)
        .about(names[1])
        .help("take one of these out of `needs`; an arrow means `needs`")
}

fn position(at: usize) -> u32 {
    u32::try_from(at).expect("sizes were checked first")
}

/// A set of positions, one bit each.
#[derive(Clone, Debug, Default, PartialEq)]
struct Set(Vec<u64>);

impl Set {
    fn with_room_for(count: usize) -> Self {
        Self(vec![0; count.div_ceil(64)])
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn add_all(&mut self, other: &Set) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, theirs)| *mine |= theirs);
    }

    fn has(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }
}
