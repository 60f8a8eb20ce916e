//! How JSON points to an artifact: `{"$artifact": "sha256:...", "bytes": 123}`.
//!
//! **Invariant:** a reference written as JSON reads back as the same reference.

use serde_json::{Map, Value};

use super::{Digest, Error};

/// Names an artifact inside JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// What names it.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// Whether it stands for the JSON document it holds; otherwise for its bytes as text.
    pub json: bool,
}

impl Reference {
    /// A reference to bytes.
    #[must_use]
    pub fn new(digest: Digest, bytes: u64) -> Self {
        Self { digest, bytes, json: false }
    }

    /// The same artifact, standing for the JSON document it holds.
    #[must_use]
    pub fn as_json(self) -> Self {
        Self { json: true, ..self }
    }

    /// As JSON.
    #[must_use]
    pub fn to_value(self) -> Value {
        let mut map = Map::new();
        map.insert("$artifact".into(), self.digest.to_string().into());
        map.insert("bytes".into(), self.bytes.into());
        if self.json {
            map.insert("json".into(), true.into());
        }
        Value::Object(map)
    }

    /// Read a reference; `None` if the value is something else.
    ///
    /// # Errors
    /// If the value says `$artifact` and is no reference nevertheless.
    pub fn read(value: &Value) -> Result<Option<Self>, Error> {
        let Some((map, name)) = value.as_object().and_then(|map| Some((map, map.get("$artifact")?))) else {
            return Ok(None);
        };
        let malformed = |what: String| Error::Malformed { what };
        let name = name.as_str().ok_or_else(|| malformed("`$artifact` must be text like `sha256:...`".into()))?;
        let digest = name.parse().map_err(|error| malformed(format!("`$artifact`: {error}")))?;
        let bytes = map.get("bytes").and_then(Value::as_u64).unwrap_or_default();
        let json = map.get("json").and_then(Value::as_bool).unwrap_or_default();
        Ok(Some(Self { digest, bytes, json }))
    }
}

impl From<Reference> for Value {
    fn from(reference: Reference) -> Self {
        reference.to_value()
    }
}
