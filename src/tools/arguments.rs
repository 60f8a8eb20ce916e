//! Reading a tool's arguments: known keys only, and errors that name the key.
//!
//! **Invariant:** every error names the key it is about.

use headframe_actors::plan::text;
use serde_json::{Map, Value};

/// The arguments of one call.
pub(super) struct Arguments<'a>(Option<&'a Map<String, Value>>);

impl<'a> Arguments<'a> {
    /// Take arguments that have no other keys than these; `null` has none.
    pub(super) fn of(with: &'a Value, keys: &[&str]) -> Result<Self, String> {
        let map = with.as_object();
        if map.is_none() && !with.is_null() {
            return Err(format!("`with` must be a map of {}", listed(keys)));
        }
        match map.into_iter().flat_map(Map::keys).find(|key| !keys.contains(&key.as_str())) {
            Some(key) => Err(unknown(key, keys)),
            None => Ok(Self(map)),
        }
    }

    /// The value of a key; `null` is absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, String> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| expected(key, "text", value))).transpose()
    }

    /// Bytes written as text; a NUL has no place in a path or an argument.
    pub(super) fn bytes(&self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.get(key).map(|value| word(key, value)).transpose()
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        let read = |value: &Value| value.as_u64().ok_or_else(|| expected(key, "a whole number from 0", value));
        self.get(key).map(read).transpose()
    }

    pub(super) fn list(&self, key: &str) -> Result<Option<&'a [Value]>, String> {
        let read = |value: &'a Value| value.as_array().map(Vec::as_slice).ok_or_else(|| expected(key, "a list", value));
        self.get(key).map(read).transpose()
    }

    pub(super) fn map(&self, key: &str) -> Result<Option<&'a Map<String, Value>>, String> {
        self.get(key).map(|value| value.as_object().ok_or_else(|| expected(key, "a map", value))).transpose()
    }

    /// One of a few words, by position; the first when absent.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let Some(given) = self.text(key)? else { return Ok(choices[0].1) };
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let found = choices.iter().find(|(name, _)| *name == given);
        found.map(|(_, choice)| *choice).ok_or_else(|| format!("`{key}` must be {}, not `{given}`", listed(&names)))
    }
}

/// Check arguments before their templates are rendered: keys always, values where no template can change them.
pub(super) fn check<T>(
    with: &Value,
    keys: &[&str],
    parse: impl FnOnce(&Value) -> Result<T, String>,
) -> Result<(), String> {
    if with.as_str().is_some_and(is_template) {
        return Ok(());
    }
    Arguments::of(with, keys)?;
    if holds_template(with) { Ok(()) } else { parse(with).map(drop) }
}

/// Text or a number as the bytes it stands for.
pub(super) fn word(key: &str, value: &Value) -> Result<Vec<u8>, String> {
    let bytes = match value {
        Value::String(written) => text::to_bytes(written),
        Value::Number(number) => number.to_string().into_bytes(),
        Value::Bool(_) => return Err(format!("`{key}` must be text, not {value}: put it into quotes")),
        _ => return Err(expected(key, "text", value)),
    };
    if bytes.contains(&0) { Err(format!("`{key}` must not hold a NUL byte")) } else { Ok(bytes) }
}

/// A sentence about a value of the wrong type.
pub(super) fn expected(key: &str, wanted: &str, value: &Value) -> String {
    let given = match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    format!("`{key}` must be {wanted}, not {given}")
}

fn unknown(key: &str, keys: &[&str]) -> String {
    let distance = |candidate: &&&str| strsim::osa_distance(key, candidate);
    match keys.iter().min_by_key(distance).filter(|nearest| strsim::osa_distance(key, nearest) <= 1 + key.len() / 4) {
        Some(nearest) => format!("unknown key `{key}`: did you mean `{nearest}`?"),
        None => format!("unknown key `{key}`: expected {}", listed(keys)),
    }
}

fn listed(keys: &[&str]) -> String {
    let quoted: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// Whether any text in it is rendered first.
pub(super) fn holds_template(value: &Value) -> bool {
    match value {
        Value::String(written) => is_template(written),
        Value::Array(items) => items.iter().any(holds_template),
        Value::Object(map) => map.values().any(holds_template),
        _ => false,
    }
}

fn is_template(written: &str) -> bool {
    written.contains("{{") || written.contains("{%")
}
