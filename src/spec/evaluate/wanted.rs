//! The part of a scope that an expression reads.
//!
//! **Invariant:** what [`Wanted`] leaves out, the expression cannot reach: references are a superset of the reads.

use std::collections::BTreeMap;

use headframe_actors::plan::Reference;
use serde_json::Value;

/// A tree of names; a leaf wants all that is below it.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    parts: BTreeMap<String, Wanted>,
    whole: bool,
}

/// The values of an expression language.
pub(super) trait Target: Sized {
    fn of(value: &Value) -> Self;
    fn of_parts(parts: Vec<(&str, Self)>) -> Self;
}

impl Wanted {
    pub(super) fn of(references: &[Reference]) -> Self {
        let mut root = Self::default();
        for reference in references {
            let leaf = reference.iter().fold(&mut root, |wanted, name| wanted.parts.entry(name.clone()).or_default());
            leaf.whole = true;
        }
        root
    }

    /// Convert what is wanted of a scope.
    pub(super) fn take<T: Target>(&self, scope: &Value) -> T {
        match scope {
            Value::Object(map) if !self.whole => {
                let parts =
                    self.parts.iter().filter_map(|(name, part)| Some((name.as_str(), part.take(map.get(name)?))));
                T::of_parts(parts.collect())
            }
            other => T::of(other),
        }
    }

    /// The roots, each converted.
    pub(super) fn roots<'a, T: Target>(&'a self, scope: &'a Value) -> impl Iterator<Item = (&'a str, T)> {
        self.parts.iter().filter_map(|(name, part)| Some((name.as_str(), part.take(scope.get(name)?))))
    }
}
