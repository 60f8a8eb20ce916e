//! What happened, in order; and how each tool behaves.
//!
//! **Invariant:** what a tool answers to a call depends on its key and on what the books say of that key, never on chance.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Receipt;
use crate::{args::Mutant, random};

/// A call of a tool, as the victim sends it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) tool: String,
    /// The idempotency key.
    pub(crate) key: String,
    /// The id of the call in the victim's store.
    pub(crate) call: String,
    /// What is to happen, by a name that no retry changes.
    pub(crate) label: String,
    pub(crate) attempt: u32,
    /// Which life of the victim calls.
    pub(crate) life: u32,
    /// Its fencing token.
    pub(crate) epoch: u64,
    /// Whether the caller will break down before it has heard the answer.
    pub(crate) deaf: bool,
}

/// What the outside world answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It happened, now or before.
    Done(Receipt),
    /// It did not happen, for certain.
    Refused,
    /// It happened, and the answer was lost on the way.
    Lost,
    /// It happened, and the answer comes when nobody waits for it any more.
    Late(Receipt),
}

/// One line of the books.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    /// The number of the receipt, if this very call had the effect.
    pub(crate) effect: Option<u64>,
    /// When it was called, by the clock of the engine that called, in milliseconds since 1970.
    pub(crate) at_ms: u64,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Books {
    entries: Vec<Entry>,
    effects: BTreeMap<String, Receipt>,
    last: u64,
    mutant: Option<Mutant>,
}

impl Books {
    pub(super) fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant, ..Self::default() }
    }

    /// A call came: it takes effect, or not, and is written down.
    pub(super) fn record(&mut self, call: Call, at_ms: u64) -> Answer {
        let (answer, effect) = self.act(&call);
        self.entries.push(Entry { call, answer: answer.clone(), effect, at_ms });
        answer
    }

    fn act(&mut self, call: &Call) -> (Answer, Option<u64>) {
        let drawn = random::number_of(&call.key);
        match call.tool.as_str() {
            "deny" => (Answer::Refused, None),
            "flaky" if drawn.is_multiple_of(3) => (Answer::Refused, None),
            // No memory: whoever calls twice has it twice.
            "once" => {
                let (receipt, number) = self.happen(call);
                (if drawn.is_multiple_of(20) { Answer::Lost } else { Answer::Done(receipt) }, number)
            }
            tool => match self.remembered(&call.key) {
                Some(receipt) => (Answer::Done(receipt), None),
                None => {
                    let (receipt, number) = self.happen(call);
                    let answer = match tool {
                        "lossy" if drawn.is_multiple_of(3) => Answer::Lost,
                        "slow" if drawn.is_multiple_of(3) => Answer::Late(receipt),
                        _ => Answer::Done(receipt),
                    };
                    (answer, number)
                }
            },
        }
    }

    fn remembered(&self, key: &str) -> Option<Receipt> {
        let forgets = self.mutant == Some(Mutant::ForgetfulTools);
        self.effects.get(key).filter(|_| !forgets).cloned()
    }

    fn happen(&mut self, call: &Call) -> (Receipt, Option<u64>) {
        self.last += 1;
        let receipt = Receipt { receipt: self.last, label: call.label.clone(), tool: call.tool.clone() };
        self.effects.insert(call.key.clone(), receipt.clone());
        (receipt, Some(self.last))
    }

    /// The receipt of what happened under a key.
    pub(super) fn receipt(&self, key: &str) -> Option<Receipt> {
        self.effects.get(key).cloned()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool: &str, key: &str) -> Call {
        let (key, label) = (key.to_owned(), "k1/a/b".to_owned());
        Call {
            tool: tool.to_owned(),
            key,
            call: "call_1".to_owned(),
            label,
            attempt: 1,
            life: 1,
            epoch: 1,
            deaf: false,
        }
    }

    #[test]
    fn an_idempotent_tool_has_one_effect_and_one_answer() {
        let mut books = Books::default();
        let first = books.record(call("idem", "a"), 0);
        assert_eq!(books.record(call("idem", "a"), 0), first);
        assert_eq!(books.entries().iter().filter(|entry| entry.effect.is_some()).count(), 1);
    }

    #[test]
    fn a_tool_without_memory_has_an_effect_each_time() {
        let mut books = Books::default();
        books.record(call("once", "a"), 0);
        books.record(call("once", "a"), 0);
        assert_eq!(books.entries().iter().filter(|entry| entry.effect.is_some()).count(), 2);
    }

    #[test]
    fn a_lost_answer_is_given_to_the_repeat() {
        let mut books = Books::default();
        let key = (0..).map(|n: u32| n.to_string()).find(|key| random::number_of(key).is_multiple_of(3)).unwrap();
        assert_eq!(books.record(call("lossy", &key), 0), Answer::Lost);
        assert!(matches!(books.record(call("lossy", &key), 0), Answer::Done(_)));
        assert!(books.receipt(&key).is_some());
    }
}
