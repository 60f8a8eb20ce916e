//! Typed access to the keys of a map, which reports what does not fit and goes on.

use std::time::Duration;

use headframe_actors::plan::nearest;

use super::{
    error::{self, SpecProblem},
    node::{Mark, Node, Source, Tree},
};

/// Collects problems.
pub(super) struct Findings<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) problems: Vec<SpecProblem>,
}

impl Findings<'_> {
    pub(super) fn add(&mut self, code: &'static str, mark: Mark, message: impl Into<String>, help: Option<String>) {
        let mut problem = SpecProblem::new(code, self.source, mark, message);
        problem.help = help;
        self.problems.push(problem);
    }

    /// The node must be a map, and have no other keys than these.
    pub(super) fn map(&mut self, node: &Node, what: &str, keys: &[&str]) -> bool {
        let Tree::Map(entries) = &node.tree else {
            self.mismatch(node, what, "a map of keys to values", None);
            return false;
        };
        for (key, _) in entries.iter().filter(|(key, _)| !keys.contains(&key.name.as_str())) {
            let help = match nearest(&key.name, keys.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("keys of {what} are: {}", keys.join(", ")),
            };
            self.add(error::KEY, key.mark, format!("`{}` is not a key of {what}", key.name), Some(help));
        }
        true
    }

    /// The value of a key that must be there.
    pub(super) fn required<'n>(&mut self, node: &'n Node, what: &str, key: &str, help: &str) -> Option<&'n Node> {
        let value = node.get(key);
        if value.is_none() {
            let mark = match &node.tree {
                Tree::Map(entries) => entries.first().map_or(node.mark, |(key, _)| key.mark),
                _ => node.mark,
            };
            self.add(error::MISSING, mark, format!("{what} has no `{key}`"), Some(help.to_owned()));
        }
        value
    }

    pub(super) fn mismatch(&mut self, node: &Node, what: &str, wanted: &str, help: Option<String>) {
        let help = match (&node.tree, help) {
            (Tree::Null, _) => Some("give it a value, or take the key out".to_owned()),
            (_, help) => help,
        };
        let message = format!("{what} must be {wanted}, and is {}", node.kind());
        self.add(error::VALUE, node.mark, message, help);
    }

    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        if let Tree::List(list) = &node.tree {
            return list;
        }
        self.mismatch(node, what, "a list", None);
        &[]
    }

    pub(super) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.tree {
            Tree::Text(text) => Some(text.clone()),
            Tree::Number(_) | Tree::Bool(_) => {
                let quoted = format!("quote it: \"{}\"", self.source.piece(node.mark));
                self.mismatch(node, what, "text", Some(quoted));
                None
            }
            _ => {
                self.mismatch(node, what, "text", None);
                None
            }
        }
    }

    pub(super) fn texts(&mut self, node: &Node, what: &str) -> Vec<String> {
        if let Tree::Text(text) = &node.tree {
            self.mismatch(node, what, "a list", Some(format!("write `[{text}]`")));
            return Vec::new();
        }
        self.list(node, what).iter().filter_map(|node| self.text(node, &format!("an entry of {what}"))).collect()
    }

    /// A whole number; one that is negative or too large is out of any range we have.
    pub(super) fn whole(&mut self, node: &Node, what: &str) -> Option<u32> {
        let number = match &node.tree {
            Tree::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        if number.is_none() {
            let wanted = if matches!(node.tree, Tree::Number(_)) {
                "a whole number from 0 to 4294967295"
            } else {
                "a whole number"
            };
            self.mismatch(node, what, wanted, None);
        }
        number
    }

    pub(super) fn number(&mut self, node: &Node, what: &str) -> Option<f64> {
        match &node.tree {
            Tree::Number(number) => number.as_f64(),
            _ => {
                self.mismatch(node, what, "a number", None);
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        match &node.tree {
            Tree::Bool(value) => Some(*value),
            _ => {
                self.mismatch(node, what, "`true` or `false`", None);
                None
            }
        }
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let text = match &node.tree {
            Tree::Text(text) => text,
            Tree::Number(number) => {
                let help = format!("say the unit: `{number}s` or `{number}ms`");
                self.mismatch(node, what, "a duration", Some(help));
                return None;
            }
            _ => {
                self.mismatch(node, what, "a duration", Some("for example `30s`".to_owned()));
                return None;
            }
        };
        humantime::parse_duration(text)
            .map_err(|error| {
                let error = error.to_string();
                let cause = error.split(", supported").next().unwrap_or_default();
                let message = format!("`{text}` is not a duration: {cause}");
                let help = "write a number and a unit, for example `250ms`, `30s` or `1h30m`".to_owned();
                self.add(error::VALUE, node.mark, message, Some(help));
            })
            .ok()
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node, what)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names = || words.iter().map(|(word, _)| *word);
            let list = names().collect::<Vec<_>>().join(", ");
            let help = nearest(&text, names()).map(|near| format!("did you mean `{near}`?"));
            self.add(error::VALUE, node.mark, format!("{what} must be one of {list}, and is `{text}`"), help);
        }
        found
    }

    /// YAML reads `010` as ten and a long number as the nearest that fits; neither is what was written.
    pub(super) fn faithful(&mut self, node: &Node) {
        match &node.tree {
            Tree::Number(number) if number.is_f64() => {
                let written = self.source.piece(node.mark);
                if written.trim_start_matches(['-', '+']).chars().all(|c| c.is_ascii_digit() || c == '_') {
                    let message = format!("`{written}` cannot be kept as the number that is written");
                    self.add(
                        error::VALUE,
                        node.mark,
                        message,
                        Some(format!("quote it to keep it as text: \"{written}\"")),
                    );
                }
            }
            Tree::List(list) => list.iter().for_each(|node| self.faithful(node)),
            Tree::Map(entries) => entries.iter().for_each(|(_, node)| self.faithful(node)),
            _ => {}
        }
    }
}
