//! What the tasks of a phase gave, as far as somebody reads it.
//!
//! A long list does not stay in memory or travel in messages: as it grows past [`CHUNK`] it is put aside, chunk by
//! chunk, as artifacts of `[position, value]` pairs, and what is handed on names them: `{"$list": [..], "count": N}`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::json::Json;

/// The largest output that is passed on inside messages.
pub(super) const INLINE_MAX: usize = 256 * 1024;
/// A list that has grown by this much is put aside.
pub(super) const CHUNK: usize = 64 * 1024;

/// What one task gave, or all its items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Output {
    /// A single task's.
    One(Json),
    /// One per item.
    Many(Many),
}

/// What the items of a fan-out gave, in the order they ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Many {
    /// Still here.
    pub given: Vec<(u32, Json)>,
    /// The bytes of those.
    pub bytes: u64,
    /// Put aside: references to artifacts.
    pub chunks: Vec<Json>,
}

impl Many {
    pub(super) fn keep(&mut self, item: u32, output: &Json) {
        self.bytes += output.len() as u64 + 8;
        self.given.push((item, output.clone()));
    }

    /// Whether it is time to put aside what is here: it is much, or it is the rest of a list that was much.
    pub(super) fn is_due(&self, is_last: bool) -> bool {
        !self.given.is_empty() && (self.bytes >= CHUNK as u64 || (is_last && !self.chunks.is_empty()))
    }

    /// What is put aside: `[[position, value], ...]`.
    pub(super) fn pairs(&self) -> Json {
        let pairs = self.given.iter().map(|(item, json)| json!([item, json.value()]));
        Json::from(Value::Array(pairs.collect()))
    }
}

impl Output {
    /// As one document: a list in the order of the items, with `null` for those that gave nothing; or its reference.
    pub(super) fn document(&self, items: u32) -> Json {
        match self {
            Self::One(json) => json.clone(),
            Self::Many(many) if many.chunks.is_empty() => {
                let mut list = vec![Value::Null; items as usize];
                for (at, json) in &many.given {
                    if let Some(slot) = list.get_mut(*at as usize) {
                        *slot = json.value();
                    }
                }
                Json::from(Value::Array(list))
            }
            Self::Many(many) => {
                let chunks: Vec<_> = many.chunks.iter().map(Json::value).collect();
                Json::from(json!({ "$list": chunks, "count": items }))
            }
        }
    }
}
