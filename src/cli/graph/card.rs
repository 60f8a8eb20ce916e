//! What is drawn of a phase.

use headframe::plan::{Mode, Phase, Plan, Task};
use serde::Serialize;

/// More tasks of one phase are counted, not drawn.
const TASKS_MAX: usize = 12;
/// More characters of a condition are cut.
const CONDITION_MAX: usize = 60;

/// One phase, as a box with lines.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Card {
    /// The phase's name.
    pub(super) phase: String,
    /// Positions of the phases it needs.
    pub(super) needs: Vec<u32>,
    /// Whether a condition may skip it.
    pub(super) conditional: bool,
    /// What is in it, a line each.
    pub(super) lines: Vec<String>,
}

/// The cards of a plan, in the order of its phases.
pub(super) fn cards(plan: &Plan) -> Vec<Card> {
    plan.phases.iter().map(card).collect()
}

fn card(phase: &Phase) -> Card {
    let mut lines: Vec<_> = phase.when.iter().map(|when| format!("when {}", cut(when))).collect();
    if phase.mode == Mode::Sequential && phase.tasks.len() > 1 {
        lines.push("one after the other:".to_owned());
    }
    lines.extend(phase.tasks.iter().take(TASKS_MAX).map(line));
    if let Some(more) = phase.tasks.len().checked_sub(TASKS_MAX).filter(|more| *more > 0) {
        lines.push(format!("and {more} more"));
    }
    Card { phase: phase.name.clone(), needs: phase.needs.clone(), conditional: phase.when.is_some(), lines }
}

fn line(task: &Task) -> String {
    let mut line = format!("{}: {}", task.name, task.tool);
    for fallback in &task.fallbacks {
        line.push_str(&format!(", else {}", fallback.tool));
    }
    if task.for_each.is_some() {
        line.push_str(" for each item");
    }
    if task.optional {
        line.push_str(" (optional)");
    }
    line
}

/// One line of bounded length.
fn cut(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(CONDITION_MAX) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
