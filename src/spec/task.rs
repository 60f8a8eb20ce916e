//! A task and its parts.

use std::time::Duration;

use headframe_actors::{
    durable::{Effect, PROBE_WAIT_DEFAULT_MS, PROBES_DEFAULT},
    plan::{InDoubt, Items, TaskBuilder, nearest},
};

use super::{
    error,
    node::{Node, Tree},
    read::Reader,
};

pub(super) const TASK: [&str; 14] = [
    "name",
    "tool",
    "effect",
    "in_doubt",
    "with",
    "for_each",
    "when",
    "retry",
    "timeout",
    "deadline",
    "heartbeat",
    "fallback",
    "optional",
    "description",
];
pub(super) const FALLBACK: [&str; 8] =
    ["tool", "effect", "in_doubt", "with", "retry", "timeout", "heartbeat", "description"];
pub(super) const FOR_EACH: [&str; 3] = ["over", "items", "max_items"];
pub(super) const RETRY: [&str; 7] = ["max_attempts", "backoff", "factor", "max_backoff", "jitter", "on", "never"];
const IN_DOUBT: [(&str, InDoubt); 3] = [("hold", InDoubt::Hold), ("fail", InDoubt::Fail), ("repeat", InDoubt::Repeat)];
const ITEMS: [(&str, Items); 3] = [("json", Items::Json), ("lines", Items::Lines), ("nul", Items::Nul)];
const EFFECTS: [(&str, Effect); 3] =
    [("idempotent", Effect::IDEMPOTENT), ("verify", Effect::VERIFY), ("at_most_once", Effect::AtMostOnce)];

/// Stands where no task can be read.
pub(super) fn unnamed(at: usize) -> TaskBuilder {
    TaskBuilder::new(format!("unnamed_{at}"), "unknown")
}

impl Reader<'_> {
    pub(super) fn task(&mut self, at: usize, node: &Node) -> TaskBuilder {
        if !self.found.map(node, "a task", &TASK) {
            return unnamed(at);
        }
        let name = self.found.required(node, "the task", "name", "give it a name, for example `name: files`");
        let name = name.and_then(|node| self.found.text(node, "`name`"));
        let tool = self.tool(node, "the task");
        let mut task = TaskBuilder::new(name.unwrap_or_else(|| format!("unnamed_{at}")), tool.clone());
        if let Some(with) = node.get("with") {
            self.found.faithful(with);
            task = task.with(with.value());
        }
        if let Some(node) = node.get("description") {
            self.found.text(node, "`description`");
        }
        if let Some(condition) = node.get("when").and_then(|node| self.condition(node)) {
            task = task.when(condition);
        }
        task = self.promise(node, task, &tool);
        if let Some(deadline) = node.get("deadline").and_then(|node| self.found.duration(node, "`deadline`")) {
            task = task.deadline(deadline);
        }
        if let Some(optional) = node.get("optional").and_then(|node| self.found.boolean(node, "`optional`")) {
            task = task.set_optional(optional);
        }
        task = self.for_each(node, task);
        task = self.retry(node, task);
        self.fallbacks(node, task)
    }

    /// A map is short for a list of one.
    fn fallbacks(&mut self, node: &Node, mut task: TaskBuilder) -> TaskBuilder {
        let Some(node) = node.get("fallback") else { return task };
        let fallbacks = match &node.tree {
            Tree::Map(_) => std::slice::from_ref(node),
            _ => self.found.list(node, "`fallback`"),
        };
        for node in fallbacks {
            task = task.add_fallback(self.fallback(node));
        }
        task
    }

    /// How another tool is called in the place of the task's own.
    fn fallback(&mut self, node: &Node) -> TaskBuilder {
        if !self.found.map(node, "a fallback", &FALLBACK) {
            return TaskBuilder::new(String::new(), "unknown");
        }
        let tool = self.tool(node, "the fallback");
        let mut fallback = TaskBuilder::new(String::new(), tool.clone());
        if let Some(with) = node.get("with") {
            self.found.faithful(with);
            fallback = fallback.with(with.value());
        }
        if let Some(node) = node.get("description") {
            self.found.text(node, "`description`");
        }
        fallback = self.promise(node, fallback, &tool);
        self.retry(node, fallback)
    }

    fn tool(&mut self, node: &Node, what: &str) -> String {
        let help = "name the tool it calls, for example `tool: process`";
        let placeholder = || "unknown".to_owned();
        let Some(tool) = self.found.required(node, what, "tool", help) else {
            return placeholder();
        };
        let Some(name) = self.found.text(tool, "`tool`") else {
            return placeholder();
        };
        let Some(tools) = self.tools else { return name };
        if !tools.knows(&name) {
            let names = tools.names();
            let help = match nearest(&name, names.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("registered tools are: {}", names.join(", ")),
            };
            self.found.add(error::TOOL, tool.mark, format!("there is no tool `{name}`"), Some(help));
            return placeholder();
        }
        let with = node.get("with");
        if let Err(sentence) = tools.check(&name, &with.map(Node::value).unwrap_or_default()) {
            let message = format!("tool `{name}` refuses its arguments: {sentence}");
            self.found.add(error::TOOL, with.unwrap_or(tool).mark, message, None);
        }
        name
    }

    fn promise(&mut self, node: &Node, mut task: TaskBuilder, tool: &str) -> TaskBuilder {
        if let Some(effect) = node.get("effect").and_then(|node| self.effect(node)) {
            self.can_keep(node, effect, tool);
            task = task.effect(effect);
        }
        if let Some(rule) = node.get("in_doubt").and_then(|node| self.found.word(node, "`in_doubt`", &IN_DOUBT)) {
            task = task.in_doubt(rule);
        }
        if let Some(timeout) = node.get("timeout").and_then(|node| self.found.duration(node, "`timeout`")) {
            task = task.timeout(timeout);
        }
        if let Some(node) = node.get("heartbeat")
            && let Some(within) = self.found.duration(node, "`heartbeat`")
        {
            self.can_beat(node, tool);
            task = task.heartbeat(within);
        }
        task
    }

    /// Only a tool that can be asked what became of a call can verify it.
    fn can_keep(&mut self, node: &Node, effect: Effect, tool: &str) {
        let (Some(tools), Effect::Verify { .. }) = (self.tools, effect) else { return };
        let with = node.get("with").map(Node::value).unwrap_or_default();
        if tools.knows(tool) && !tools.can_probe(tool, &with) {
            let mark = node.get("effect").unwrap_or(node).mark;
            self.found.add(error::TOOL, mark, super::blind(tool), Some(super::BLIND_HELP.to_owned()));
        }
    }

    /// Only a tool that says that its calls live can promise that they do.
    fn can_beat(&mut self, node: &Node, tool: &str) {
        let Some(tools) = self.tools else { return };
        if tools.knows(tool) && !tools.can_beat(tool) {
            self.found.add(error::TOOL, node.mark, super::mute(tool), Some(super::MUTE_HELP.to_owned()));
        }
    }

    fn effect(&mut self, node: &Node) -> Option<Effect> {
        let Tree::Map(_) = &node.tree else {
            return self.found.word(node, "`effect`", &EFFECTS);
        };
        self.found.map(node, "`effect`", &["idempotent", "verify"]);
        match node.get("verify") {
            Some(inner) if node.get("idempotent").is_none() => self.verify(inner),
            Some(_) => {
                self.found.add(
                    error::VALUE,
                    node.mark,
                    "`effect` must be either `idempotent` or `verify`".to_owned(),
                    None,
                );
                None
            }
            None => self.idempotent(node),
        }
    }

    fn verify(&mut self, node: &Node) -> Option<Effect> {
        self.found.map(node, "`verify`", &["probes", "wait"]);
        let probes = node.get("probes").map(|node| self.found.whole(node, "`probes`"));
        let wait = node.get("wait").map(|node| self.found.duration(node, "`wait`").map(milliseconds));
        Some(Effect::Verify {
            probes: probes.unwrap_or(Some(PROBES_DEFAULT))?,
            wait_ms: wait.unwrap_or(Some(PROBE_WAIT_DEFAULT_MS))?,
        })
    }

    fn idempotent(&mut self, node: &Node) -> Option<Effect> {
        let inner =
            self.found.required(node, "`effect`", "idempotent", "write `{ idempotent: { remembers: 24h } }`")?;
        self.found.map(inner, "`idempotent`", &["remembers"]);
        let Some(remembers) = inner.get("remembers") else {
            return Some(Effect::IDEMPOTENT);
        };
        let remembers = self.found.duration(remembers, "`remembers`")?;
        Some(Effect::Idempotent { remembers_ms: milliseconds(remembers) })
    }

    /// Text or a list is short for `{ over: ... }`.
    fn for_each(&mut self, node: &Node, task: TaskBuilder) -> TaskBuilder {
        let Some(each) = node.get("for_each") else { return task };
        if !matches!(each.tree, Tree::Map(_)) {
            if !matches!(each.tree, Tree::Text(_) | Tree::List(_)) {
                self.found.mismatch(each, "`for_each`", "a template, a list, or a map with `over`", None);
            }
            return task.for_each(each.value());
        }
        self.found.map(each, "`for_each`", &FOR_EACH);
        let over = self.found.required(each, "`for_each`", "over", "say what it runs over: `over: \"{{ ... }}\"`");
        let items = each.get("items").and_then(|node| self.found.word(node, "`items`", &ITEMS)).unwrap_or_default();
        let task = task.for_each_in(over.map(Node::value).unwrap_or_default(), items);
        match each.get("max_items").and_then(|node| self.found.whole(node, "`max_items`")) {
            Some(max) => task.max_items(max),
            None => task,
        }
    }

    /// A number is short for `{ max_attempts: ... }`.
    fn retry(&mut self, node: &Node, mut task: TaskBuilder) -> TaskBuilder {
        let Some(retry) = node.get("retry") else { return task };
        if !matches!(retry.tree, Tree::Map(_)) {
            return match self.found.whole(retry, "`retry`") {
                Some(attempts) => task.retry(attempts),
                None => task,
            };
        }
        self.found.map(retry, "`retry`", &RETRY);
        let help = "say how many attempts there are in all: `max_attempts: 3`";
        let attempts = self.found.required(retry, "`retry`", "max_attempts", help);
        if let Some(attempts) = attempts.and_then(|node| self.found.whole(node, "`max_attempts`")) {
            task = task.retry(attempts);
        }
        if let Some(node) = retry.get("on") {
            task = task.retry_on(self.found.texts(node, "`on`"));
        }
        if let Some(node) = retry.get("never") {
            task = task.retry_never(self.found.texts(node, "`never`"));
        }
        self.waits(retry, task)
    }

    fn waits(&mut self, retry: &Node, mut task: TaskBuilder) -> TaskBuilder {
        if let Some(wait) = retry.get("backoff").and_then(|node| self.found.duration(node, "`backoff`")) {
            task = task.backoff(wait);
        }
        if let Some(wait) = retry.get("max_backoff").and_then(|node| self.found.duration(node, "`max_backoff`")) {
            task = task.backoff_max(wait);
        }
        if let Some(factor) = retry.get("factor").and_then(|node| self.found.number(node, "`factor`")) {
            task = task.backoff_factor(factor);
        }
        if let Some(jitter) = retry.get("jitter").and_then(|node| self.found.number(node, "`jitter`")) {
            task = task.jitter(jitter);
        }
        task
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
