//! Putting content in the place of references.
//!
//! A list too long for one message is spilled in chunks: `{"$list": [reference, ...], "count": N}`, where each chunk
//! holds a JSON array of `[index, value]` pairs, in any order.
//!
//! **Invariant:** the bytes read for one tree never exceed the limit, however often a reference occurs in it.

use headframe_actors::plan::text;
use serde_json::Value;

use super::{Artifacts, Error, Reference};

/// References behind references, deeper than this, are refused.
const DEPTH_MAX: u32 = 16;

impl Artifacts {
    /// Replace every reference in a tree by what it stands for: text (see [`text`]), a JSON document when the reference
    /// says `"json": true`, a list in the order of its indexes for `$list`. References inside the content count too.
    ///
    /// # Errors
    /// If an artifact is missing, damaged or malformed, or all of them together exceed `limit_bytes`.
    pub fn resolve(&self, value: Value, limit_bytes: u64) -> Result<Value, Error> {
        Resolver { store: self, limit_bytes, left_bytes: limit_bytes }.tree(value, DEPTH_MAX)
    }
}

struct Resolver<'a> {
    store: &'a Artifacts,
    limit_bytes: u64,
    left_bytes: u64,
}

impl Resolver<'_> {
    fn tree(&mut self, value: Value, depth: u32) -> Result<Value, Error> {
        if let Some(reference) = Reference::read(&value)? {
            return self.content(reference, depth);
        }
        match value {
            Value::Object(map) if map.contains_key("$list") => self.list(&map, depth),
            Value::Object(map) => {
                map.into_iter().map(|(name, value)| Ok((name, self.tree(value, depth)?))).collect::<Result<_, _>>()
            }
            Value::Array(items) => items.into_iter().map(|item| self.tree(item, depth)).collect::<Result<_, _>>(),
            plain => Ok(plain),
        }
    }

    fn content(&mut self, reference: Reference, depth: u32) -> Result<Value, Error> {
        let bytes = self.read(reference)?;
        if !reference.json {
            return Ok(Value::String(text::from_bytes(&bytes)));
        }
        let Some(depth) = depth.checked_sub(1) else {
            return Err(malformed(format!("artifacts refer to each other more than {DEPTH_MAX} deep")));
        };
        self.tree(parse(reference, &bytes)?, depth)
    }

    fn list(&mut self, map: &serde_json::Map<String, Value>, depth: u32) -> Result<Value, Error> {
        let chunks = map.get("$list").and_then(Value::as_array).ok_or_else(|| malformed("`$list` must be a list"))?;
        let mut pairs = Vec::new();
        for chunk in chunks {
            let reference =
                Reference::read(chunk)?.ok_or_else(|| malformed("`$list` must hold artifact references"))?;
            let bytes = self.read(reference)?;
            pairs.extend(parse::<Vec<(u64, Value)>>(reference, &bytes)?);
        }
        pairs.sort_by_key(|(index, _)| *index);
        let repeated = pairs.windows(2).any(|pair| pair[0].0 == pair[1].0);
        if repeated || map.get("count").and_then(Value::as_u64) != Some(pairs.len() as u64) {
            return Err(malformed(format!("a spilled list holds {} items, not as many as it says", pairs.len())));
        }
        let depth = depth.checked_sub(1).ok_or_else(|| malformed("lists refer to each other too deeply"))?;
        pairs.into_iter().map(|(_, value)| self.tree(value, depth)).collect()
    }

    /// The length is asked of the file, not of the reference, which anyone may have written.
    fn read(&mut self, reference: Reference) -> Result<Vec<u8>, Error> {
        let bytes = self.store.len(reference.digest)?;
        let left = self.left_bytes.checked_sub(bytes).ok_or(Error::TooLarge { limit_bytes: self.limit_bytes })?;
        self.left_bytes = left;
        self.store.get(reference.digest)
    }
}

fn parse<T: serde::de::DeserializeOwned>(reference: Reference, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| malformed(format!("artifact {} is not the JSON expected: {error}", reference.digest)))
}

fn malformed(what: impl Into<String>) -> Error {
    Error::Malformed { what: what.into() }
}
