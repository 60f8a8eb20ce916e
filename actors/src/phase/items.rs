//! The items of a `for_each`, and the names in scope of its tasks: derived from the state, never stored beside it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use crate::plan::Scope;

/// Items by task, and the scope of the task that is being fanned out. A cache of what the phase's state already holds: it
/// is not saved, takes no part in comparisons, and is computed again after a restart.
#[derive(Debug, Default)]
pub struct Cache(Mutex<Derived>);

#[derive(Debug, Default)]
struct Derived {
    items: BTreeMap<u32, Arc<Vec<Value>>>,
    scope: Option<(u32, Scope)>,
}

impl Cache {
    pub(super) fn get(&self, task: u32) -> Option<Arc<Vec<Value>>> {
        self.0.lock().ok()?.items.get(&task).cloned()
    }

    pub(super) fn set(&self, task: u32, items: Arc<Vec<Value>>) {
        if let Ok(mut cache) = self.0.lock() {
            cache.items.insert(task, items);
        }
    }

    /// The scope that the turn before left for this one, and of which task it is. What a task may read does not change
    /// once the first of its items is begun.
    pub(super) fn take_scope(&self) -> Option<(u32, Scope)> {
        self.0.lock().ok()?.scope.take()
    }

    pub(super) fn leave_scope(&self, scope: Option<(u32, Scope)>) {
        if let Ok(mut cache) = self.0.lock() {
            cache.scope = scope;
        }
    }
}

impl Clone for Cache {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Cache {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
