//! The books of the outside world: what was asked of its tools and what they did, in order.

use std::collections::BTreeMap;

use super::History;

/// A call of a tool, as the outside world saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool.
    pub tool: String,
    /// The idempotency key.
    pub key: String,
    /// The id of the call in the store.
    pub call: String,
    /// What is to happen, by a name that no retry changes.
    pub label: String,
    /// Which attempt of its task this is, from 1.
    pub attempt: u32,
    /// Which life of the process calls, from 1.
    pub life: u32,
    /// The fencing token of that life.
    pub epoch: u64,
    /// Whether the caller may have missed the answer: it broke down, or did not wait long.
    pub may_be_unheard: bool,
    /// Whether nobody may ever call again with this key: the tool promises nothing about repeats.
    pub only_once: bool,
}

/// What the outside world answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It happened, now or before.
    Done,
    /// It did not happen, for certain.
    Refused,
    /// The answer was lost on the way; so was, perhaps, the request.
    Lost,
    /// It happened, and the answer comes when nobody waits for it any more.
    Late,
}

/// One line of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What was asked for.
    pub call: Call,
    /// What was answered.
    pub answer: Answer,
    /// The number of the receipt, if this very call had the effect.
    pub effect: Option<u64>,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: u64,
}

/// The books by label and by key.
pub(super) struct Books<'a> {
    labels: BTreeMap<&'a str, Vec<&'a Entry>>,
    pub(super) keys: BTreeMap<&'a str, Vec<&'a Entry>>,
    /// Submissions by the first part of their labels.
    submissions: BTreeMap<&'a str, u64>,
}

impl<'a> Books<'a> {
    pub(super) fn read(history: &'a History) -> Self {
        let submissions = history.submissions.iter().map(|known| (&*known.expected.prefix, known.number)).collect();
        let mut books = Self { labels: BTreeMap::new(), keys: BTreeMap::new(), submissions };
        for entry in &history.entries {
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

    /// The submission that a label belongs to.
    pub(super) fn submission_of(&self, label: &str) -> Option<u64> {
        self.submissions.get(label.split('/').next()?).copied()
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
        Answer::Late => "answered late",
        Answer::Done if call.may_be_unheard => "done, and the caller may not have heard",
        Answer::Done => "done",
        Answer::Refused => "refused",
        Answer::Lost => "answer lost",
    };
    let Call { call, tool, key, attempt, life, .. } = call;
    let effect = effect.map_or_else(|| "no effect".to_owned(), |receipt| format!("effect {receipt}"));
    format!("books: {at_ms} {call} of `{tool}`, attempt {attempt} in life {life}, key {key:.12}: {answer}, {effect}")
}
