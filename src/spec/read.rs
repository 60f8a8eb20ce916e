//! The workflow, its inputs and its phases.

use headframe_actors::{
    json::Json,
    plan::{Input, InputKind, Mode, PhaseBuilder, Plan, PlanBuilder},
};
use serde_json::Value;

use super::{
    ToolCatalog,
    error::{self, SpecProblem},
    fields::Findings,
    node::{Key, Node, Source, Tree},
};

/// The version of the format.
const FORMAT: u64 = 1;
pub(super) const WORKFLOW: [&str; 7] = ["headframe", "name", "description", "input", "phases", "deadline", "output"];
pub(super) const INPUT: [&str; 3] = ["type", "default", "description"];
pub(super) const PHASE: [&str; 8] =
    ["name", "description", "needs", "when", "mode", "max_parallel", "deadline", "tasks"];
const KINDS: [(&str, InputKind); 7] = [
    ("any", InputKind::Any),
    ("string", InputKind::String),
    ("number", InputKind::Number),
    ("integer", InputKind::Integer),
    ("boolean", InputKind::Boolean),
    ("array", InputKind::Array),
    ("object", InputKind::Object),
];

/// Reads a node tree into a plan builder. What cannot be read is reported, and something harmless put in its place.
pub(super) struct Reader<'a> {
    pub(super) found: Findings<'a>,
    pub(super) tools: Option<&'a dyn ToolCatalog>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source<'a>, tools: Option<&'a dyn ToolCatalog>) -> Self {
        Self { found: Findings { source, problems: Vec::new() }, tools }
    }

    pub(super) fn into_problems(self) -> Vec<SpecProblem> {
        self.found.problems
    }

    /// Nothing if the document is no workflow at all.
    pub(super) fn workflow(&mut self, root: &Node) -> Option<PlanBuilder> {
        if matches!(root.tree, Tree::Null) {
            let help = "start with `headframe: 1`, `name` and `phases`".to_owned();
            self.found.add(error::VALUE, root.mark, "the document is empty", Some(help));
            return None;
        }
        if !self.found.map(root, "a workflow", &WORKFLOW) {
            return None;
        }
        self.format(root);
        let name = self.found.required(root, "the workflow", "name", "give it a name, for example `name: repo-audit`");
        let name = name.and_then(|node| self.found.text(node, "`name`"));
        let mut builder = Plan::builder(name.unwrap_or_else(|| "unnamed".to_owned()));
        if let Some(text) = root.get("description").and_then(|node| self.found.text(node, "`description`")) {
            builder = builder.description(text);
        }
        if let Some(deadline) = root.get("deadline").and_then(|node| self.found.duration(node, "`deadline`")) {
            builder = builder.deadline(deadline);
        }
        builder = self.inputs(root, builder);
        builder = self.phases(root, builder);
        if let Some(output) = root.get("output") {
            self.found.faithful(output);
            builder = builder.output(output.value());
        }
        Some(builder)
    }

    fn format(&mut self, root: &Node) {
        let help = "write `headframe: 1` on the first line";
        let Some(node) = self.found.required(root, "the workflow", "headframe", help) else {
            return;
        };
        match &node.tree {
            Tree::Number(number) if number.as_u64() == Some(FORMAT) => {}
            Tree::Number(number) => {
                let message = format!("this build reads format {FORMAT}, and the spec is in format {number}");
                self.found.add(error::VALUE, node.mark, message, Some("update headframe, or the spec".to_owned()));
            }
            _ => self.found.mismatch(node, "`headframe`", "the format version", Some(help.to_owned())),
        }
    }

    fn inputs(&mut self, root: &Node, mut builder: PlanBuilder) -> PlanBuilder {
        match root.get("input") {
            None => {}
            Some(Node { tree: Tree::Map(entries), .. }) => {
                for (key, node) in entries {
                    builder = builder.add_input(self.input(key, node));
                }
            }
            Some(other) => self.found.mismatch(other, "`input`", "a map of names to inputs", None),
        }
        builder
    }

    /// `path: "."` is short for `path: { default: "." }`, unless the value is a map.
    fn input(&mut self, key: &Key, node: &Node) -> Input {
        let mut input =
            Input { name: key.name.clone(), description: String::new(), kind: InputKind::Any, default: None };
        self.found.faithful(node);
        match &node.tree {
            Tree::Null => {}
            Tree::Map(_) => {
                self.found.map(node, "an input", &INPUT);
                input.kind =
                    node.get("type").and_then(|node| self.found.word(node, "`type`", &KINDS)).unwrap_or(input.kind);
                let description = node.get("description").and_then(|node| self.found.text(node, "`description`"));
                input.description = description.unwrap_or_default();
                input.default = node.get("default").map(default);
            }
            _ => input.default = Some(default(node)),
        }
        input
    }

    fn phases(&mut self, root: &Node, mut builder: PlanBuilder) -> PlanBuilder {
        let help = "list the phases, each with a name and tasks";
        let Some(node) = self.found.required(root, "the workflow", "phases", help) else {
            // Without phases at all the plan would report the same again.
            return builder.add_phase(PhaseBuilder::new("unnamed").add_task(super::task::unnamed(0)));
        };
        for (at, node) in self.found.list(node, "`phases`").iter().enumerate() {
            builder = builder.add_phase(self.phase(at, node));
        }
        builder
    }

    fn phase(&mut self, at: usize, node: &Node) -> PhaseBuilder {
        let unnamed = PhaseBuilder::new(format!("unnamed_{at}"));
        if !self.found.map(node, "a phase", &PHASE) {
            return unnamed.add_task(super::task::unnamed(0));
        }
        let name = self.found.required(node, "the phase", "name", "give it a name, for example `name: list`");
        let name = name.and_then(|node| self.found.text(node, "`name`"));
        let mut phase = name.map_or(unnamed, PhaseBuilder::new);
        if let Some(node) = node.get("description") {
            self.found.text(node, "`description`");
        }
        if let Some(node) = node.get("needs") {
            phase = phase.needs(self.found.texts(node, "`needs`"));
        }
        if let Some(condition) = node.get("when").and_then(|node| self.condition(node)) {
            phase = phase.when(condition);
        }
        let modes = [("parallel", Mode::Parallel), ("sequential", Mode::Sequential)];
        if let Some(mode) = node.get("mode").and_then(|node| self.found.word(node, "`mode`", &modes)) {
            phase = phase.mode(mode);
        }
        if let Some(max) = node.get("max_parallel").and_then(|node| self.found.whole(node, "`max_parallel`")) {
            phase = phase.max_parallel(max);
        }
        if let Some(deadline) = node.get("deadline").and_then(|node| self.found.duration(node, "`deadline`")) {
            phase = phase.deadline(deadline);
        }
        self.tasks(node, phase)
    }

    fn tasks(&mut self, node: &Node, mut phase: PhaseBuilder) -> PhaseBuilder {
        let help = "list its tasks, each with a name and a tool";
        let Some(node) = self.found.required(node, "the phase", "tasks", help) else {
            return phase.add_task(super::task::unnamed(0));
        };
        for (at, node) in self.found.list(node, "`tasks`").iter().enumerate() {
            phase = phase.add_task(self.task(at, node));
        }
        phase
    }

    /// `true` and `false` are conditions too, and YAML reads them as booleans.
    pub(super) fn condition(&mut self, node: &Node) -> Option<String> {
        match &node.tree {
            Tree::Bool(value) => Some(value.to_string()),
            Tree::Text(text) if text.contains("{{") => {
                let help = "a condition is CEL: write the names without `{{` and `}}`".to_owned();
                self.found.add(error::EXPRESSION, node.mark, "`when` is not a template", Some(help));
                None
            }
            _ => self.found.text(node, "`when`"),
        }
    }
}

fn default(node: &Node) -> Json {
    let mut value: Value = node.value();
    value.sort_all_objects();
    Json::from(value)
}
