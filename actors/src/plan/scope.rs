//! The names that templates and conditions read: `input`, `outputs`, `run`, and in a fan-out `item` and `index`.

use serde_json::{Map, Value, json};

use super::{Checked, TaskAt};
use crate::json::Json;

#[cfg(test)]
thread_local! {
    static MADE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// A tree of names and values.
#[derive(Clone, Debug)]
pub struct Scope(Value);

impl Scope {
    /// Without any name: for what reads none.
    #[must_use]
    pub fn empty() -> Self {
        Self(Value::Null)
    }

    /// The names that `reads` calls for. An output that does not exist (its task was skipped, or failed and was
    /// optional) is `null`.
    #[must_use]
    pub fn new(
        plan: &Checked,
        run: &str,
        input: &Json,
        reads: &[TaskAt],
        output: impl Fn(&TaskAt) -> Option<Json>,
    ) -> Self {
        #[cfg(test)]
        MADE.with(|made| made.set(made.get() + 1));
        let mut outputs = Map::new();
        for at in reads {
            let Some(phase) = plan.phases.get(at.0 as usize) else { continue };
            let Some(task) = phase.tasks.get(at.1 as usize) else { continue };
            let value = output(at).map_or(Value::Null, |json| json.value());
            let tasks = outputs.entry(phase.name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(tasks) = tasks {
                tasks.insert(task.name.clone(), value);
            }
        }
        let run = json!({ "id": run, "workflow": plan.name });
        let names = [("input", input.value()), ("outputs", Value::Object(outputs)), ("run", run)];
        Self(names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// How often one was made, by this thread.
    #[cfg(test)]
    pub(crate) fn made() -> u32 {
        MADE.with(std::cell::Cell::get)
    }

    /// Name the item that is being worked on.
    pub fn set_item(&mut self, item: Option<&Value>, index: u32) {
        if let (Value::Object(names), Some(item)) = (&mut self.0, item) {
            names.insert("item".to_owned(), item.clone());
            names.insert("index".to_owned(), Value::from(index));
        }
    }

    /// The tree.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }
}
