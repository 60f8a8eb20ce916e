//! `artifact`: puts, gets and lists artifacts from inside a plan.
//!
//! ```yaml
//! with: { put: "{{ outputs.list.files.stdout }}", name: files }   # -> {artifact: {$artifact: ...}, bytes, name}
//! with: { get: "sha256:..." }                                     # -> {text, bytes}, or {value, bytes} for JSON
//! with: { list: true }                                            # -> {artifacts: [...], count}
//! ```

use headframe_actors::{
    durable::{Effect, Failure, Outcome},
    json::Json,
    plan::text,
    tool::{CallContext, Tool},
};
use serde_json::{Value, json};

use super::{
    TEXT_MAX,
    arguments::{self, Arguments},
    blocking,
};
use crate::artifacts::{Artifacts, Error, Reference};

const KEYS: &[&str] = &["put", "name", "get", "list"];
/// A listing names at most so many; `count` tells how many there are.
const LISTED_MAX: usize = 1_000;

/// The tool `artifact`.
#[derive(Clone, Debug)]
pub struct Artifact {
    store: Artifacts,
}

enum Told {
    Put { content: Value, name: Option<String> },
    Get(Reference),
    List,
}

impl Artifact {
    /// The tool over a store.
    #[must_use]
    pub fn new(store: Artifacts) -> Self {
        Self { store }
    }
}

impl Tool for Artifact {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        arguments::check(with, KEYS, told)
    }

    async fn call(&self, _cx: &CallContext, input: Json) -> Outcome {
        let store = self.store.clone();
        blocking(move || {
            let answer = match told(&input.value()).map_err(|error| Failure::new("input", error))? {
                Told::Put { content, name } => put(&store, &content, name)?,
                Told::Get(reference) => get(&store, reference)?,
                Told::List => list(&store)?,
            };
            Ok(answer)
        })
        .await
    }
}

fn put(store: &Artifacts, content: &Value, name: Option<String>) -> Result<Value, Failure> {
    let stored = match content {
        Value::String(written) => store.put(&text::to_bytes(written)),
        document => store.put(document.to_string().as_bytes()).map(Reference::as_json),
    };
    let reference = stored.map_err(failure)?;
    let mut answer = json!({"artifact": reference.to_value(), "bytes": reference.bytes});
    if let Some(name) = name {
        answer["name"] = name.into();
    }
    Ok(answer)
}

fn get(store: &Artifacts, reference: Reference) -> Result<Value, Failure> {
    let bytes = store.len(reference.digest).map_err(failure)?;
    let kind = if reference.json { "value" } else { "text" };
    let content = store.resolve(reference.to_value(), TEXT_MAX as u64).map_err(failure)?;
    Ok(json!({kind: content, "bytes": bytes}))
}

fn list(store: &Artifacts) -> Result<Value, Failure> {
    let entries = store.list().map_err(failure)?;
    let shown: Vec<_> = entries
        .iter()
        .take(LISTED_MAX)
        .map(|entry| json!({"digest": entry.digest.to_string(), "bytes": entry.bytes, "stored_at_ms": entry.stored_at_ms}))
        .collect();
    Ok(json!({"artifacts": shown, "count": entries.len()}))
}

fn told(with: &Value) -> Result<Told, String> {
    let arguments = Arguments::of(with, KEYS)?;
    let name = arguments.text("name")?.map(ToOwned::to_owned);
    match (with.get("put"), arguments.get("get"), arguments.get("list")) {
        (Some(content), None, None) => Ok(Told::Put { content: content.clone(), name }),
        _ if name.is_some() => Err("`name` belongs to `put`".to_owned()),
        (None, Some(wanted), None) => Ok(Told::Get(reference(wanted)?)),
        (None, None, Some(Value::Bool(true))) => Ok(Told::List),
        _ => Err("give exactly one of `put`, `get` and `list: true`".to_owned()),
    }
}

fn reference(wanted: &Value) -> Result<Reference, String> {
    if let Some(written) = wanted.as_str() {
        let digest = written.parse().map_err(|error| format!("`get`: {error}"))?;
        return Ok(Reference::new(digest, 0));
    }
    let read = Reference::read(wanted).map_err(|error| format!("`get`: {error}"))?;
    read.ok_or_else(|| arguments::expected("get", "a digest or an artifact reference", wanted))
}

/// Nothing here has an effect that a repeat would double, so every failure is definite.
pub(super) fn failure(error: Error) -> Failure {
    let class = match error {
        Error::Missing { .. } => "missing",
        Error::Damaged { .. } => "damaged",
        Error::TooLarge { .. } => "too_large",
        Error::Malformed { .. } => "input",
        Error::Io { .. } => "io",
    };
    Failure::new(class, error.to_string())
}
