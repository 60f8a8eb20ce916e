//! `items`: a window of the items that an artifact holds.
//!
//! Phases call it for a `for_each` over data that is too large for a message; a spec has no need to.
//!
//! **Invariant:** the windows of one artifact, put together, are what cutting it at once gives.

use headframe_actors::{
    durable::{Effect, Failure, Outcome},
    json::Json,
    plan::{self, Items as How},
    tool::{CallContext, Tool},
};
use serde_json::{Value, json};

use super::{
    arguments::{self, Arguments},
    artifact::failure,
    blocking,
};
use crate::artifacts::Artifacts;

const KEYS: &[&str] = &["over", "items", "from", "max_items"];
/// Most items of one window.
const WINDOW_ITEMS: usize = 1_000;
/// Most bytes of one window, but for a single item.
const WINDOW_BYTES: usize = 48 * 1024;
/// Most bytes of the data.
const DATA_MAX: u64 = 64 * 1024 * 1024;

/// The tool `items`.
#[derive(Clone, Debug)]
pub struct Items {
    store: Artifacts,
}

struct Told {
    over: Value,
    how: How,
    from: usize,
    max_items: u32,
}

impl Items {
    /// The tool over a store.
    #[must_use]
    pub fn new(store: Artifacts) -> Self {
        Self { store }
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
        let store = self.store.clone();
        blocking(move || {
            let told = told(&input.value()).map_err(|error| Failure::new("input", error))?;
            let data = store.resolve(told.over, DATA_MAX).map_err(failure)?;
            let all = plan::split(told.how, &data, told.max_items).map_err(|error| Failure::new("for_each", error))?;
            Ok(window(&all, told.from))
        })
        .await
    }
}

fn window(all: &[Value], from: usize) -> Value {
    let mut bytes = 0;
    let rest = all.get(from..).unwrap_or_default();
    let fits = rest.iter().take(WINDOW_ITEMS).take_while(|item| {
        let is_first = bytes == 0;
        bytes += item.to_string().len() + 1;
        is_first || bytes <= WINDOW_BYTES
    });
    json!({ "items": fits.collect::<Vec<_>>(), "total": all.len() })
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

    #[test]
    fn windows_put_together_are_the_whole() {
        let all: Vec<Value> = (0..2_500).map(|n| json!(format!("{n}-{}", "x".repeat(n % 90)))).collect();
        let mut seen = Vec::new();
        while seen.len() < all.len() {
            let window = window(&all, seen.len());
            assert_eq!(window["total"], 2_500);
            seen.extend(window["items"].as_array().unwrap().iter().cloned());
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn one_large_item_is_a_window_of_its_own() {
        let all = vec![json!("x".repeat(WINDOW_BYTES * 2)), json!("y")];
        assert_eq!(window(&all, 0)["items"].as_array().unwrap().len(), 1);
        assert_eq!(window(&all, 1)["items"], json!(["y"]));
        assert_eq!(window(&all, 2)["items"], json!([]));
    }
}
