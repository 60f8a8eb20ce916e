//! What the books cannot know by themselves: whose answer nobody heard, and where one life of a process was several of its
//! engine.

use std::collections::{BTreeMap, BTreeSet};

use crate::{parent::Attempt, recorder::Entry};

/// Say it in the entries; returns the number of the last life that did not end by itself.
///
/// A program that was killed from outside may have been answered, and told nobody. An engine that opened its store again
/// within a life makes calls again whose outcome was not durable, and has another fencing token: that is another life.
pub(super) fn settle(entries: &mut [Entry], kills: u32, killed: &BTreeSet<Attempt>) -> u32 {
    let mut epochs: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    for Entry { call, .. } in &*entries {
        epochs.entry(call.life).or_default().insert(call.epoch);
    }
    // Lives without a call keep their number.
    let (mut numbers, mut more, mut before_the_last) = (BTreeMap::new(), 0, kills);
    for (life, epochs) in &epochs {
        for (at, epoch) in (0..).zip(epochs) {
            more += u32::from(at > 0);
            numbers.insert((*life, *epoch), life + more);
        }
        if *life <= kills {
            before_the_last = kills + more;
        }
    }
    for Entry { call, .. } in entries {
        let attempt = Attempt { key: call.key.clone(), attempt: call.attempt, life: call.life };
        call.deaf |= killed.contains(&attempt);
        call.life = numbers[&(call.life, call.epoch)];
    }
    before_the_last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::{Answer, Call};

    fn called(key: &str, life: u32, epoch: u64) -> Entry {
        let [tool, call, label] = ["idem", "call_1", "k1/a/b"].map(str::to_owned);
        let call = Call { tool, key: key.to_owned(), call, label, attempt: 1, life, epoch, deaf: false };
        Entry { call, answer: Answer::Refused, effect: None, at_ms: 1 }
    }

    #[test]
    fn a_store_that_was_opened_again_begins_another_life() {
        let mut entries = [called("a", 1, 1), called("b", 2, 2), called("c", 2, 3), called("d", 4, 5)];
        assert_eq!(settle(&mut entries, 3, &BTreeSet::new()), 4);
        assert_eq!(entries.each_ref().map(|entry| entry.call.life), [1, 2, 3, 5]);
        let mut entries = [called("a", 1, 1), called("b", 2, 2)];
        assert_eq!(settle(&mut entries, 1, &BTreeSet::new()), 1);
        assert_eq!(entries.each_ref().map(|entry| entry.call.life), [1, 2]);
    }

    #[test]
    fn a_program_that_was_killed_heard_nothing() {
        let mut entries = [called("a", 1, 1), called("b", 1, 1)];
        let killed = BTreeSet::from([Attempt { key: "b".to_owned(), attempt: 1, life: 1 }]);
        settle(&mut entries, 1, &killed);
        assert_eq!(entries.each_ref().map(|entry| entry.call.deaf), [false, true]);
    }
}
