//! The tree of what is there: tools, timers, and every actor below the one that made it.
//!
//! **Invariant:** every live actor is in the tree once; one whose parent is gone stands at the top. It is a picture for
//! people and tools: nothing is decided by it.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::{
    call::RowState,
    id::ActorId,
    kind::Registry,
    live::{Actor, Live},
    supervision::ChildInfo,
    system::{Error, System},
};

/// Whether an actor is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It has a host in memory.
    Hosted,
    /// The next message makes it a host.
    Asleep,
    /// It is not run.
    Suspended,
}

/// An actor, with those it made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Which.
    pub actor: String,
    /// Its behaviour.
    pub kind: &'static str,
    /// Whether it is at work.
    pub state: Presence,
    /// Why it is not run, if it is not.
    pub reason: Option<String>,
    /// Messages in its mailbox.
    pub mail: usize,
    /// Its calls without an outcome.
    pub calls: u32,
    /// Timers that it has set.
    pub timers: usize,
    /// Those it made.
    pub children: Vec<Node>,
}

/// A tool, and what is before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ToolNode {
    /// Its name.
    pub tool: String,
    /// Permits in use, where a process knows.
    pub permits: Option<usize>,
    /// Permits that there are, where a process knows.
    pub permits_max: Option<usize>,
    /// Calls that wait or, without a process to ask, are not known to have an outcome.
    pub waiting: usize,
    /// Calls in doubt.
    pub in_doubt: usize,
}

/// A service of a running system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceNode {
    /// Its name.
    pub service: String,
    /// How often it failed and was started again.
    pub restarts: u64,
}

/// Everything that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tree {
    /// What runs beside tools and actors, in the order of its start; nothing without a process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceNode>,
    /// Tools that are registered, or called.
    pub tools: Vec<ToolNode>,
    /// Timers that are set.
    pub timers: usize,
    /// Actors without an owner, and whatever is below them.
    pub roots: Vec<Node>,
}

impl Live {
    /// The tree of what a store holds; nothing is hosted.
    #[must_use]
    pub fn tree(&self, registry: &Registry) -> Tree {
        let briefs = self.actors.iter().map(|(actor, row)| Brief::of(registry, *actor, row)).collect();
        Tree::of(briefs, tools(self), &HashSet::new())
    }
}

impl System {
    /// The tree of everything that is there now, in memory or not.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn tree(&self) -> Result<Tree, Error> {
        let registry = self.inner.registry.clone();
        let briefs = self.actors(move |actor, row| Some(Brief::of(&registry, actor, row))).await?;
        let mut found = self.read(tools).await?;
        for slot in self.inner.tools.values() {
            let (name, used, most) = slot.load();
            let tool = found.entry(name.to_owned()).or_default();
            tool.waiting = tool.waiting.saturating_sub(used);
            (tool.permits, tool.permits_max) = (Some(used), Some(most));
        }
        let mut services = self.services().await;
        services.retain(|child| !found.contains_key(&*child.id));
        let named = |child: ChildInfo| ServiceNode { service: child.id.to_string(), restarts: child.restarts };
        let services = services.into_iter().map(named).collect();
        Ok(Tree { services, ..Tree::of(briefs, found, &self.hosted().into_iter().collect()) })
    }
}

fn tools(live: &Live) -> BTreeMap<String, ToolNode> {
    let mut tools: BTreeMap<String, ToolNode> = BTreeMap::new();
    for row in live.calls.values() {
        let tool = tools.entry(row.request.tool.clone()).or_default();
        match row.state {
            RowState::InDoubt(_) => tool.in_doubt += 1,
            RowState::Intended | RowState::Started | RowState::Probing(_) => tool.waiting += 1,
        }
    }
    tools
}

/// An actor without those it made.
struct Brief {
    actor: ActorId,
    parent: ActorId,
    node: Node,
}

impl Brief {
    fn of(registry: &Registry, actor: ActorId, row: &Actor) -> Self {
        let state = if row.suspended.is_some() { Presence::Suspended } else { Presence::Asleep };
        let node = Node {
            actor: actor.to_string(),
            kind: registry.name(row.kind),
            state,
            reason: row.suspended.clone(),
            mail: row.mailbox.len(),
            calls: row.calls,
            timers: row.timers.len(),
            children: Vec::new(),
        };
        Self { actor, parent: row.parent, node }
    }
}

impl Tree {
    fn of(mut briefs: Vec<Brief>, tools: BTreeMap<String, ToolNode>, hosted: &HashSet<ActorId>) -> Self {
        // A child's number is higher than that of whoever made it: from the youngest on, all children are complete.
        briefs.sort_by_key(|brief| std::cmp::Reverse(brief.actor.0 >> 8));
        let known: HashSet<_> = briefs.iter().map(|brief| brief.actor).collect();
        let timers = briefs.iter().map(|brief| brief.node.timers).sum();
        let mut children: BTreeMap<ActorId, Vec<Node>> = BTreeMap::new();
        let mut roots = Vec::new();
        for Brief { actor, parent, mut node } in briefs {
            if node.state == Presence::Asleep && hosted.contains(&actor) {
                node.state = Presence::Hosted;
            }
            node.children = children.remove(&actor).unwrap_or_default();
            node.children.reverse();
            if known.contains(&parent) { children.entry(parent).or_default().push(node) } else { roots.push(node) }
        }
        roots.reverse();
        let tools = tools.into_iter().map(|(name, tool)| ToolNode { tool: name, ..tool }).collect();
        Self { services: Vec::new(), tools, timers, roots }
    }
}
