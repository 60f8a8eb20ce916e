//! What templates and conditions read, and whether it can be there when they read it.
//!
//! **Invariant:** an output that may be read is exported; where a path ends early (`outputs.list[item]`), that is every
//! output it could mean.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::{Graph, Plan, Problem, ProblemKind, TaskAt, graph::list, is_full, nearest, place_key};
use crate::plan::{Evaluate, EvaluateError, Mode, Phase, Reference, Template};

/// Most reads in a plan, counted per task: a bound on what paths that end early can multiply to.
const READS_MAX: usize = 1_000_000;
/// The names at the root of every scope.
const ROOTS: [&str; 3] = ["input", "outputs", "run"];
/// Those that only the items of a `for_each` have.
const ITEM_ROOTS: [&str; 2] = ["item", "index"];

/// Which outputs are read, by whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reads {
    pub(super) phases: Vec<Vec<TaskAt>>,
    pub(super) tasks: Vec<Vec<Vec<TaskAt>>>,
    pub(super) output: Vec<TaskAt>,
}

impl Reads {
    /// Mark the outputs that somebody reads, and only those.
    pub(super) fn mark_exported(&self, plan: &mut Plan) {
        plan.phases.iter_mut().flat_map(|phase| &mut phase.tasks).for_each(|task| task.exported = false);
        let reads = self.phases.iter().chain(self.tasks.iter().flatten()).chain([&self.output]);
        for (phase, task) in reads.flatten() {
            plan.phases[*phase as usize].tasks[*task as usize].exported = true;
        }
    }
}

/// Read every expression of the plan.
pub(super) fn check(plan: &Plan, graph: &Graph, evaluate: &dyn Evaluate, found: &mut Vec<Problem>) -> Reads {
    let mut phases = HashMap::new();
    let mut tasks = HashMap::new();
    for (at, phase) in plan.phases.iter().enumerate() {
        phases.entry(phase.name.as_str()).or_insert(at);
        for (position, task) in phase.tasks.iter().enumerate() {
            tasks.entry((at, task.name.as_str())).or_insert(position);
        }
    }
    Reader { plan, graph, evaluate, phases, tasks, found, total: 0 }.plan()
}

/// Where an expression stands, which decides what it may read.
#[derive(Clone, Copy)]
struct Site {
    /// None for the plan's own output.
    phase: Option<usize>,
    /// None for a phase's condition.
    task: Option<usize>,
    /// Whether `item` and `index` are there.
    item: bool,
}

struct Reader<'a> {
    plan: &'a Plan,
    graph: &'a Graph,
    evaluate: &'a dyn Evaluate,
    phases: HashMap<&'a str, usize>,
    tasks: HashMap<(usize, &'a str), usize>,
    found: &'a mut Vec<Problem>,
    total: usize,
}

type ReadSet = BTreeSet<TaskAt>;

impl<'a> Reader<'a> {
    fn plan(mut self) -> Reads {
        let mut reads = Reads::default();
        for (at, phase) in self.plan.phases.iter().enumerate() {
            let (of_phase, of_tasks) = self.phase(at, phase);
            reads.phases.push(of_phase.into_iter().collect());
            reads.tasks.push(of_tasks);
        }
        let site = Site { phase: None, task: None, item: false };
        let mut output = ReadSet::new();
        self.template("output", &self.plan.output, site, &mut output);
        reads.output = output.into_iter().collect();
        reads
    }

    fn phase(&mut self, at: usize, phase: &'a Phase) -> (ReadSet, Vec<Vec<TaskAt>>) {
        let mut all = ReadSet::new();
        let site = Site { phase: Some(at), task: None, item: false };
        self.condition(&format!("phases[{at}].when"), phase.when.as_deref(), site, &mut all);
        let mut tasks = Vec::with_capacity(phase.tasks.len());
        for task in 0..phase.tasks.len() {
            let reads = self.task(at, task);
            all.extend(reads.iter().filter(|(phase, _)| *phase as usize != at));
            self.total += reads.len();
            tasks.push(reads.into_iter().collect());
        }
        (all, tasks)
    }

    fn task(&mut self, phase: usize, at: usize) -> ReadSet {
        let task = &self.plan.phases[phase].tasks[at];
        let place = format!("phases[{phase}].tasks[{at}]");
        let site = Site { phase: Some(phase), task: Some(at), item: task.for_each.is_some() };
        let mut reads = ReadSet::new();
        if let Some(each) = &task.for_each {
            let site = Site { item: false, ..site };
            self.template(&format!("{place}.for_each.over"), &each.over, site, &mut reads);
        }
        self.condition(&format!("{place}.when"), task.when.as_deref(), site, &mut reads);
        self.template(&format!("{place}.with"), &task.with, site, &mut reads);
        for (at, fallback) in task.fallbacks.iter().enumerate() {
            self.template(&format!("{place}.fallback[{at}].with"), &fallback.with, site, &mut reads);
        }
        reads
    }

    fn template(&mut self, place: &str, template: &Template, site: Site, reads: &mut ReadSet) {
        if !template.dynamic {
            return;
        }
        match template.tree.parse::<Value>() {
            Ok(tree) => self.tree(place, &tree, site, reads),
            Err(_) => self.found.push(Problem::new(ProblemKind::Limit, place, "the value is nested too deeply")),
        }
    }

    /// String by string, so that a problem has the place of its string. JSON that was parsed is at most 128 deep.
    fn tree(&mut self, place: &str, tree: &Value, site: Site, reads: &mut ReadSet) {
        match tree {
            Value::String(text) => {
                let template = Template::new(Value::from(text.as_str()));
                let references = template.dynamic.then(|| self.evaluate.template_references(&template));
                self.expression(place, references.unwrap_or(Ok(Vec::new())), site, reads);
            }
            Value::Array(list) => {
                list.iter()
                    .enumerate()
                    .for_each(|(at, value)| self.tree(&format!("{place}[{at}]"), value, site, reads));
            }
            Value::Object(map) => map.iter().for_each(|(key, value)| self.entry(place, key, value, site, reads)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn entry(&mut self, place: &str, key: &str, value: &Value, site: Site, reads: &mut ReadSet) {
        let place = place_key(place, key);
        if key.contains("{{") || key.contains("{%") {
            let message = "a key cannot hold a template: only values are rendered";
            self.found.push(Problem::new(ProblemKind::Expression, place.as_str(), message).about(key));
        }
        self.tree(&place, value, site, reads);
    }

    fn condition(&mut self, place: &str, condition: Option<&str>, site: Site, reads: &mut ReadSet) {
        if let Some(condition) = condition {
            self.expression(place, self.evaluate.condition_references(condition), site, reads);
        }
    }

    fn expression(
        &mut self,
        place: &str,
        references: Result<Vec<Reference>, EvaluateError>,
        site: Site,
        reads: &mut ReadSet,
    ) {
        match references {
            Ok(references) => {
                for reference in references {
                    if is_full(self.found) {
                        return;
                    }
                    let read = self.reference(&reference, site, reads).map_err(|problem| Problem {
                        place: place.to_owned(),
                        subject: Some(reference.join(".")),
                        ..problem
                    });
                    self.found.extend(read.err());
                }
            }
            Err(error) => self.found.push(Problem::new(ProblemKind::Expression, place, error.message)),
        }
    }

    fn reference(&self, path: &[String], site: Site, reads: &mut ReadSet) -> Result<(), Problem> {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path[..] {
            [] | ["run" | "input"] | ["run", ..] => Ok(()),
            ["input", name, ..] => self.input(name),
            ["outputs"] => self.any_output(site, reads),
            ["outputs", phase] => self.phase_outputs(phase, site).and_then(|visible| self.add(visible, reads)),
            ["outputs", phase, task, ..] => {
                let read = self.output(phase, task, site)?;
                self.add([read], reads)
            }
            [root, ..] if ITEM_ROOTS.contains(&root) && site.item => Ok(()),
            [root, ..] if ITEM_ROOTS.contains(&root) => Err(no_item(root)),
            [root, ..] => Err(unknown_root(root, site)),
        }
    }

    fn input(&self, name: &str) -> Result<(), Problem> {
        let names = || self.plan.inputs.iter().map(|input| input.name.as_str());
        if names().any(|known| known == name) {
            return Ok(());
        }
        let problem = wrong(format!("the workflow has no input `{name}`"));
        Err(problem.help(format!("declare it under `input`; declared: {}", list(names()))).nearest(name, names()))
    }

    /// The output of one task, if it can be there.
    fn output(&self, phase: &str, task: &str, site: Site) -> Result<TaskAt, Problem> {
        let at = self.known_phase(phase)?;
        let names = || self.plan.phases[at].tasks.iter().map(|task| task.name.as_str());
        let Some(position) = self.tasks.get(&(at, task)).copied() else {
            let problem = wrong(format!("phase `{phase}` has no task `{task}`"));
            return Err(problem.help(format!("its tasks are: {}", list(names()))).nearest(task, names()));
        };
        self.visible(at, site)?;
        match site.task.filter(|_| site.phase == Some(at)) {
            Some(reader) if position >= reader => Err(later(phase, task, position == reader)),
            _ => Ok(read(at, position)),
        }
    }

    /// The outputs of a phase that may be there, for a path that does not say which task.
    fn phase_outputs(&self, phase: &str, site: Site) -> Result<Vec<TaskAt>, Problem> {
        let at = self.known_phase(phase)?;
        self.visible(at, site)?;
        Ok(self.outputs_of(at, site).collect())
    }

    fn any_output(&self, site: Site, reads: &mut ReadSet) -> Result<(), Problem> {
        let visible = (0..self.plan.phases.len()).filter(|at| self.visible(*at, site).is_ok());
        self.add(visible.flat_map(|at| self.outputs_of(at, site)), reads)
    }

    fn outputs_of(&self, at: usize, site: Site) -> impl Iterator<Item = TaskAt> + use<> {
        let earlier = site.task.filter(|_| site.phase == Some(at));
        (0..earlier.unwrap_or(self.plan.phases[at].tasks.len())).map(move |task| read(at, task))
    }

    fn add(&self, more: impl IntoIterator<Item = TaskAt>, reads: &mut ReadSet) -> Result<(), Problem> {
        for read in more {
            if self.total + reads.len() >= READS_MAX {
                let message = format!("the templates of this workflow read more than {READS_MAX} outputs");
                return Err(Problem::new(ProblemKind::Limit, "", message).help("name the outputs that are meant"));
            }
            reads.insert(read);
        }
        Ok(())
    }

    fn known_phase(&self, name: &str) -> Result<usize, Problem> {
        if let Some(at) = self.phases.get(name) {
            return Ok(*at);
        }
        let problem = wrong(format!("there is no phase `{name}`"));
        // A task's name in the place of its phase's is the commonest slip.
        let owner = self.plan.phases.iter().find(|phase| phase.tasks.iter().any(|task| task.name == name));
        Err(match (owner, nearest(name, self.phases.keys().copied())) {
            (Some(owner), _) => problem.help(format!("did you mean `outputs.{}.{name}`?", owner.name)),
            (None, Some(near)) => problem.help(format!("did you mean `{near}`?")),
            (None, None) => {
                let names = self.plan.phases.iter().map(|phase| phase.name.as_str());
                problem.help(format!("outputs are read as `outputs.PHASE.TASK`; phases are: {}", list(names)))
            }
        })
    }

    /// Whether outputs of the phase can be there at all. A graph with a cycle has no answer, and was reported.
    fn visible(&self, at: usize, site: Site) -> Result<(), Problem> {
        let Some(reader) = site.phase.filter(|_| self.graph.is_sound()) else {
            return Ok(());
        };
        let phase = &self.plan.phases[at];
        match site.task {
            None if reader == at => {
                Err(wrong(format!("the condition of phase `{}` is decided before it runs", phase.name)))
            }
            Some(_) if reader == at && phase.mode == Mode::Sequential => Ok(()),
            Some(_) if reader == at => Err(sibling(&phase.name)),
            _ if self.graph.is_before(at, reader) || self.is_dangling(reader) => Ok(()),
            _ => Err(unneeded(&phase.name, &self.plan.phases[reader].name)),
        }
    }

    /// A phase with a misspelt need may well have meant this one; one error is enough.
    fn is_dangling(&self, phase: usize) -> bool {
        self.plan.phases[phase].needs.iter().any(|need| *need as usize >= self.plan.phases.len())
    }
}

fn read(phase: usize, task: usize) -> TaskAt {
    (u32::try_from(phase).expect("sizes were checked first"), u32::try_from(task).expect("sizes were checked first"))
}

fn wrong(message: String) -> Problem {
    Problem::new(ProblemKind::Reference, "", message)
}

fn unknown_root(root: &str, site: Site) -> Problem {
    let known = || ROOTS.into_iter().chain(ITEM_ROOTS.into_iter().filter(|_| site.item));
    let problem = wrong(format!("the name `{root}` is unknown here"));
    problem.help(format!("expressions read {}", list(known()))).nearest(root, known())
}

fn no_item(root: &str) -> Problem {
    wrong(format!("`{root}` exists only for the items of a `for_each`"))
        .help("it can stand in `with` and `when` of a task that has a `for_each`")
}

fn sibling(phase: &str) -> Problem {
    let message = format!("tasks of the parallel phase `{phase}` cannot read each other's outputs: they run at once");
    wrong(message).help("set `mode: sequential`, or move the reader to a later phase")
}

fn later(phase: &str, task: &str, itself: bool) -> Problem {
    let message = if itself {
        format!("task `{task}` cannot read its own output")
    } else {
        format!("task `{task}` of phase `{phase}` runs after this one")
    };
    wrong(message).help("only outputs of earlier tasks can be read")
}

fn unneeded(phase: &str, reader: &str) -> Problem {
    let message = format!("phase `{phase}` may not have ended when `{reader}` runs");
    wrong(message).help(format!("add `{phase}` to the `needs` of `{reader}`"))
}
