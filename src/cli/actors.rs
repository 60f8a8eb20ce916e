//! `headframe actors`: the tree of what is there, and one of it.
//!
//! **Invariant:** it only looks, beside a running process too; nothing is hosted by looking, so it knows no hosts.

use headframe::durable::{ActorId, Node, Note, Presence, Tree, What};
use serde_json::json;

use super::{
    Common,
    exit::{Error, Exit},
    look::{self, Look},
    out::{Format, Out},
    shown,
};

/// Look at actors
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Everything that is there: tools, timers, runs, phases, tasks
    Tree {
        /// As one JSON document
        #[arg(long)]
        json: bool,
    },
    /// One actor, with those it made
    Show {
        /// Its id, as `actors tree` shows it
        actor: ActorId,
    },
}

pub(crate) fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let tree = look.live().tree(&look::registry());
    match command {
        Command::Tree { json } if json || out.format != Format::Table => out.json(&tree)?,
        Command::Tree { .. } => print(&tree, out)?,
        Command::Show { actor } => {
            let missing =
                || Error::NotFound(format!("there is no live actor {actor}; `headframe actors tree` shows them"));
            let node = find(&tree.roots, &actor.to_string()).ok_or_else(missing)?;
            let restarts = restarts(&look, actor)?;
            match out.format {
                Format::Table => {
                    branch(node, 0, out)?;
                    if let Some(last) = &restarts.last {
                        let times = shown::count(restarts.count, "time");
                        out.line(format_args!("was loaded again {times}, the last time: {}", shown::cut(last, 120)))?;
                    }
                }
                Format::Json | Format::Jsonl => {
                    let mut shown = json!(node);
                    shown["restarts"] = json!(restarts.count);
                    out.json(&shown)?;
                }
            }
        }
    }
    Ok(Exit::Ok)
}

fn print(tree: &Tree, out: Out) -> Result<(), Error> {
    out.line("engine")?;
    out.line(format_args!("  store     {} set", shown::count(tree.timers as u64, "timer")))?;
    for tool in &tree.tools {
        let (waiting, in_doubt) = (shown::count(tool.waiting as u64, "call"), tool.in_doubt);
        out.line(format_args!("  tool      {}: {waiting} without an outcome, {in_doubt} in doubt", tool.tool))?;
    }
    tree.roots.iter().try_for_each(|root| branch(root, 1, out))
}

fn branch(node: &Node, depth: usize, out: Out) -> Result<(), Error> {
    let state = match (&node.state, &node.reason) {
        (Presence::Suspended, Some(reason)) => format!("suspended: {}", shown::cut(reason, 120)),
        (Presence::Suspended, None) => "suspended".to_owned(),
        (Presence::Hosted, _) => "hosted".to_owned(),
        (Presence::Asleep, _) => "asleep".to_owned(),
    };
    let (mail, calls) = (shown::count(node.mail as u64, "message"), shown::count(node.calls.into(), "call"));
    let timers = shown::count(node.timers as u64, "timer");
    let indent = "  ".repeat(depth);
    out.line(format_args!("{indent}{} {}  {state}, {mail}, {calls}, {timers}", node.kind, node.actor))?;
    node.children.iter().try_for_each(|child| branch(child, depth + 1, out))
}

/// How often an actor was loaded again after its host died, as far as that is written down.
#[derive(Default)]
struct Restarts {
    count: u64,
    /// Why, the last time.
    last: Option<String>,
}

fn restarts(look: &Look, actor: ActorId) -> Result<Restarts, Error> {
    let mut found = Restarts::default();
    let Some(stream) = look.live().actors.get(&actor).map(|row| row.stream) else { return Ok(found) };
    look.ledger().stream(stream, &mut |item| {
        if let What::Runtime(note) = item.what
            && item.actor == actor
            && let Ok(Note::Restarts { count, reason }) = serde_json::from_value(note)
        {
            found.count += count;
            found.last = Some(reason);
        }
        true
    })?;
    Ok(found)
}

fn find<'a>(nodes: &'a [Node], actor: &str) -> Option<&'a Node> {
    nodes.iter().find_map(|node| if node.actor == actor { Some(node) } else { find(&node.children, actor) })
}
