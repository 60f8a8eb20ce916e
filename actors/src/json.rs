//! JSON as text in a byte buffer: how documents travel through messages, events and calls.
//!
//! bincode cannot decode `serde_json::Value` (it is not self-describing), and most documents are only passed on.
//! So a document stays the text it arrived as, is shared without copying, and is parsed by whoever looks inside.
//!
//! **Invariant:** the bytes of a [`Json`] are one valid JSON document in UTF-8.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::Value;

/// Room for a document that may be short.
const SHORT: usize = 64;

/// One JSON document, kept as text; cloning shares the buffer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Json(Bytes);

impl Json {
    /// The document `null`.
    pub const NULL: Json = Json(Bytes::from_static(b"null"));

    /// Take text that claims to be JSON.
    ///
    /// # Errors
    /// If the text is not exactly one JSON document.
    pub fn from_text(text: impl Into<Bytes>) -> Result<Self, serde_json::Error> {
        let text = text.into();
        serde_json::from_slice::<serde::de::IgnoredAny>(&text)?;
        Ok(Self(text))
    }

    /// Write a value as JSON.
    ///
    /// # Errors
    /// If the value cannot be JSON: a map with keys that are not text, a number that is not finite.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self(Bytes::from(serde_json::to_vec(value)?)))
    }

    /// Read the document as a type.
    ///
    /// # Errors
    /// If the document has another shape.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }

    /// The document as a tree.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.0).unwrap_or(Value::Null)
    }

    /// The document's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// The document's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The length of the text in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the text is empty, which a document never is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the document is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        &self.0[..] == b"null"
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::NULL
    }
}

impl From<&Value> for Json {
    fn from(value: &Value) -> Self {
        // Most are short text, and then this is all that is allocated.
        let mut text = Vec::with_capacity(value.as_str().map_or(SHORT, |text| text.len() + 2));
        serde_json::to_writer(&mut text, value).expect("every tree can be written, and memory takes it");
        Self(Bytes::from(text))
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self::from(&value)
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Text formats embed the document; binary formats carry its bytes.
impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.value().serialize(serializer)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Ok(Self::from(Value::deserialize(deserializer)?))
        } else {
            let bytes = Bytes::deserialize(deserializer)?;
            Ok(Self(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_survives_binary_and_text_formats() {
        let json = Json::of(&serde_json::json!({"a": [1, "x", null]})).unwrap();
        let text = serde_json::to_string(&json).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), json);
        assert_eq!(json.as_str(), r#"{"a":[1,"x",null]}"#);
    }

    #[test]
    fn what_is_not_one_document_is_refused() {
        assert!(Json::from_text("{} {}").is_err());
        assert!(Json::from_text("").is_err());
        assert!(Json::from_text("{\"a\":").is_err());
    }
}
