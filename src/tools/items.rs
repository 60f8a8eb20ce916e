//! `items`: a window of the items that an artifact holds.
//!
//! Phases call it for a `for_each` over data that is too large for a message; a spec has no need to.
//!
//! A list is cut once for all its windows: it is kept until the last of them was asked for, or others need the room.
//!
//! **Invariant:** the windows of one artifact, put together, are what cutting it at once gives. What is kept was named by
//! its digests, so that it never changes.

use std::{collections::VecDeque, sync::Arc};

use headframe_actors::{
    durable::{Effect, Failure, Outcome},
    json::Json,
    plan::{self, Items as How},
    tool::{CallContext, Tool},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    arguments::{self, Arguments},
    artifact::failure,
    blocking,
};
use crate::artifacts::{Artifacts, Digest};

const KEYS: &[&str] = &["over", "items", "from", "max_items"];
/// Most items of one window.
const WINDOW_ITEMS: usize = 1_000;
/// Most bytes of one window, but for a single item.
const WINDOW_BYTES: usize = 48 * 1024;
/// Most bytes of the data.
const DATA_MAX: u64 = 64 * 1024 * 1024;

/// Most lists that are kept, and most items in all of them.
const KEPT_MAX: usize = 16;
const KEPT_ITEMS_MAX: usize = 2_000_000;

/// The tool `items`.
#[derive(Clone, Debug)]
pub struct Items {
    store: Artifacts,
    kept: Arc<Mutex<Kept>>,
}

struct Told {
    over: Value,
    how: How,
    from: usize,
    max_items: u32,
}

/// What a list was cut from, and how.
type Name = (Digest, How, u32);

/// Lists that were cut, the latest used at the end.
#[derive(Debug, Default)]
struct Kept(VecDeque<(Name, Arc<Vec<Value>>)>);

impl Kept {
    fn take(&mut self, name: &Name) -> Option<Arc<Vec<Value>>> {
        let at = self.0.iter().position(|(kept, _)| kept == name)?;
        self.0.remove(at).map(|(_, all)| all)
    }

    fn keep(&mut self, name: Name, all: Arc<Vec<Value>>) {
        if all.len() > KEPT_ITEMS_MAX {
            return;
        }
        // Windows of one list may be cut at once.
        self.0.retain(|(kept, _)| *kept != name);
        let items = |kept: &VecDeque<(Name, Arc<Vec<Value>>)>| kept.iter().map(|(_, all)| all.len()).sum::<usize>();
        while self.0.len() >= KEPT_MAX || items(&self.0) + all.len() > KEPT_ITEMS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((name, all));
    }
}

impl Items {
    /// The tool over a store.
    #[must_use]
    pub fn new(store: Artifacts) -> Self {
        Self { store, kept: Arc::default() }
    }

    fn next(&self, Told { over, how, from, max_items }: Told) -> Result<Value, Failure> {
        let name = (Digest::of(over.to_string().as_bytes()), how, max_items);
        let kept = self.kept.lock().take(&name);
        let all = match kept {
            Some(all) => all,
            None => {
                let data = self.store.resolve(over, DATA_MAX).map_err(failure)?;
                Arc::new(plan::split(how, &data, max_items).map_err(|error| Failure::new("for_each", error))?)
            }
        };
        let (window, end) = window(&all, from);
        if end < all.len() {
            self.kept.lock().keep(name, all);
        }
        Ok(window)
    }
}

impl Tool for Items {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        arguments::check(with, KEYS, told)
    }

    async fn call(&self, _cx: &CallContext, input: Json) -> Outcome {
        let items = self.clone();
        blocking(move || {
            let told = told(&input.value()).map_err(|error| Failure::new("input", error))?;
            Ok(items.next(told)?)
        })
        .await
    }
}

/// The window, and where the next one begins.
fn window(all: &[Value], from: usize) -> (Value, usize) {
    let mut bytes = 0;
    let rest = all.get(from..).unwrap_or_default();
    let fits = rest.iter().take(WINDOW_ITEMS).take_while(|item| {
        let is_first = bytes == 0;
        bytes += item.to_string().len() + 1;
        is_first || bytes <= WINDOW_BYTES
    });
    let items: Vec<_> = fits.collect();
    let end = from.saturating_add(items.len());
    (json!({ "items": items, "total": all.len() }), end)
}

fn told(with: &Value) -> Result<Told, String> {
    let arguments = Arguments::of(with, KEYS)?;
    let over = with.get("over").cloned().ok_or("`over` is missing: the data, or a reference to it")?;
    let how = arguments.choice("items", &[("json", How::Json), ("lines", How::Lines), ("nul", How::Nul)])?;
    let from = usize::try_from(arguments.number("from")?.unwrap_or(0)).map_err(|error| error.to_string())?;
    let max_items = arguments.number("max_items")?.unwrap_or(plan::ITEMS_MAX_DEFAULT.into());
    let max_items = u32::try_from(max_items).map_err(|error| error.to_string())?;
    Ok(Told { over, how, from, max_items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::Reference;

    #[test]
    fn windows_put_together_are_the_whole() {
        let all: Vec<Value> = (0..2_500).map(|n| json!(format!("{n}-{}", "x".repeat(n % 90)))).collect();
        let mut seen = Vec::new();
        while seen.len() < all.len() {
            let (window, end) = window(&all, seen.len());
            assert_eq!(window["total"], 2_500);
            seen.extend(window["items"].as_array().unwrap().iter().cloned());
            assert_eq!(seen.len(), end);
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn one_large_item_is_a_window_of_its_own() {
        let all = vec![json!("x".repeat(WINDOW_BYTES * 2)), json!("y")];
        assert_eq!(window(&all, 0).0["items"].as_array().unwrap().len(), 1);
        assert_eq!(window(&all, 1).0["items"], json!(["y"]));
        assert_eq!(window(&all, 2).0["items"], json!([]));
    }

    /// Each window once read and cut the whole list again, so that a list cost by the square of its length.
    #[test]
    fn a_list_is_read_once_for_all_its_windows_and_let_go_after_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let store = Artifacts::open(folder.path()).unwrap();
        let items = Items::new(store.clone());
        let all: Vec<u32> = (0..2_500).collect();
        let put = |all: &[u32]| store.put(serde_json::to_string(all).unwrap().as_bytes()).unwrap().as_json();
        let lose = |list: Reference| std::fs::remove_file(store.path(list.digest)).unwrap();
        let window =
            |list: Reference, from| items.next(Told { over: list.to_value(), how: How::Json, from, max_items: 10_000 });
        let list = put(&all);
        assert_eq!(window(list, 0).unwrap()["items"][999], 999);
        lose(list);
        for from in [1_000, 0, 1_000, 2_000] {
            assert_eq!(window(list, from).unwrap()["items"][0], from);
        }
        assert!(window(list, 0).is_err(), "the last window was asked for");
        // Of more lists than are kept the one that was used least lately goes.
        let many: Vec<_> = (0..=KEPT_MAX).map(|more| put(&vec![7; 2_000 + more])).collect();
        many.iter().for_each(|list| _ = window(*list, 0).unwrap());
        many.iter().for_each(|list| lose(*list));
        assert!(window(many[0], 1_000).is_err());
        assert!(window(many[1], 1_000).is_ok());
    }
}
