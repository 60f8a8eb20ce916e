//! The items of a `for_each`: derived from the state, never stored beside it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::Value;

/// Items by task. A cache of what the phase's begin already holds: it is not saved, takes no part in comparisons, and
/// is computed again after a restart.
#[derive(Debug, Default)]
pub struct Cache(Mutex<BTreeMap<u32, Arc<Vec<Value>>>>);

impl Cache {
    pub(super) fn get(&self, task: u32) -> Option<Arc<Vec<Value>>> {
        self.0.lock().ok()?.get(&task).cloned()
    }

    pub(super) fn set(&self, task: u32, items: Arc<Vec<Value>>) {
        if let Ok(mut cache) = self.0.lock() {
            cache.insert(task, items);
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
