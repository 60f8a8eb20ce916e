//! The books of the outside world, by label and by key.

use std::collections::BTreeMap;

use crate::recorder::{Answer, Call, Entry};

pub(super) struct Books<'a> {
    pub(super) labels: BTreeMap<&'a str, Vec<&'a Entry>>,
    pub(super) keys: BTreeMap<&'a str, Vec<&'a Entry>>,
}

impl<'a> Books<'a> {
    pub(super) fn read(entries: &'a [Entry]) -> Self {
        let mut books = Self { labels: BTreeMap::new(), keys: BTreeMap::new() };
        for entry in entries {
            books.labels.entry(&entry.call.label).or_default().push(entry);
            books.keys.entry(&entry.call.key).or_default().push(entry);
        }
        books
    }

    pub(super) fn under(&self, label: &str) -> &[&'a Entry] {
        self.labels.get(label).map_or(&[], Vec::as_slice)
    }

    pub(super) fn effects(&self, label: &str) -> usize {
        self.under(label).iter().filter(|entry| entry.effect.is_some()).count()
    }

    /// What the books say of a label, line by line.
    pub(super) fn lines(&self, label: &str) -> Vec<String> {
        lines(self.under(label))
    }
}

/// Calls in the order of the books.
pub(super) fn lines(entries: &[&Entry]) -> Vec<String> {
    entries.iter().map(|entry| line(entry)).collect()
}

fn line(Entry { call, answer, effect, at_ms }: &Entry) -> String {
    let answer = match answer {
        Answer::Late(_) => "answered late",
        Answer::Done(_) if call.deaf => "done, and the caller broke down",
        Answer::Done(_) => "done",
        Answer::Refused => "refused",
        Answer::Lost => "answer lost",
    };
    let Call { call, tool, key, attempt, life, .. } = call;
    let effect = effect.map_or_else(|| "no effect".to_owned(), |receipt| format!("effect {receipt}"));
    format!("books: {at_ms} {call} of `{tool}`, attempt {attempt} in life {life}, key {key:.12}: {answer}, {effect}")
}
