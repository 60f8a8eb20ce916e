//! What the tasks of a phase gave, as far as somebody reads it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Json;

/// The largest output that is passed on inside messages.
pub(super) const INLINE_MAX: usize = 256 * 1024;

/// What one task gave, or all its items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// A single task's.
    One(Json),
    /// One per item, in the order they ended.
    Many(Vec<(u32, Json)>),
}

impl Output {
    /// As one document: a list in the order of the items, with `null` for those that gave nothing.
    pub(super) fn document(&self, items: u32) -> Json {
        match self {
            Self::One(json) => json.clone(),
            Self::Many(given) => {
                let mut list = vec![Value::Null; items as usize];
                for (at, json) in given {
                    if let Some(slot) = list.get_mut(*at as usize) {
                        *slot = json.value();
                    }
                }
                Json::from(Value::Array(list))
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::One(json) => json.len(),
            Self::Many(given) => given.iter().map(|(_, json)| json.len() + 1).sum(),
        }
    }
}
