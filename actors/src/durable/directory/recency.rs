//! Who was rung least lately, nearly: a queue in which whoever was rung since it stood there last goes to the end again.
//!
//! Ringing costs nothing here, and finding somebody a few steps. Entries of those who left meanwhile are dropped when they
//! are met, or when they are too many.

use std::{collections::VecDeque, time::Instant};

use crate::durable::id::ActorId;

/// Entries that are looked at, to find somebody.
const LOOKS: usize = 8;
/// And those that are found at once: one more than came, so that a crowd shrinks.
const FOUND_MAX: usize = 2;
/// Fewer entries than this are never tidied.
const TIDY_MIN: usize = 1_024;

/// One stay with a host: an actor that let go and came back has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Recency {
    queue: VecDeque<Waiting>,
    last: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    actor: ActorId,
    ticket: Ticket,
    /// When it had been rung last as it was put here.
    rung: Instant,
}

impl Recency {
    /// An actor has a host, and was rung.
    pub(super) fn enter(&mut self, actor: ActorId, rung: Instant) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        self.queue.push_back(Waiting { actor, ticket, rung });
        ticket
    }

    /// Some who were rung least lately. `rung` says when somebody was rung last, if that stay goes on.
    pub(super) fn least_lately(&mut self, rung: impl Fn(ActorId, Ticket) -> Option<Instant>) -> Vec<ActorId> {
        let (mut found, mut looks) = (Vec::new(), 0);
        for _ in 0..self.queue.len() {
            if found.len() == FOUND_MAX || looks == LOOKS {
                break;
            }
            let Some(waiting) = self.queue.pop_front() else { break };
            // Whoever left is met once, and is no look: of many who left in a row, nobody would be found.
            let Some(rung) = rung(waiting.actor, waiting.ticket) else { continue };
            looks += 1;
            self.queue.push_back(Waiting { rung, ..waiting });
            if rung == waiting.rung {
                found.push(waiting.actor);
            }
        }
        found
    }

    /// Whether entries of those who left are to be dropped, with so many who are there.
    pub(super) fn is_untidy(&self, there: usize) -> bool {
        self.queue.len() > TIDY_MIN.max(there.saturating_mul(2))
    }

    /// Drop the entries of those who left.
    pub(super) fn tidy(&mut self, is_there: impl Fn(ActorId, Ticket) -> bool) {
        self.queue.retain(|waiting| is_there(waiting.actor, waiting.ticket));
        self.queue.shrink_to(2 * TIDY_MIN);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use super::*;

    /// Who has a host, with which ticket, and when it was rung.
    type Hosts = BTreeMap<ActorId, (Ticket, Instant)>;

    fn enter(recency: &mut Recency, hosts: &mut Hosts, actor: u64, rung: Instant) {
        let actor = ActorId(actor);
        hosts.insert(actor, (recency.enter(actor, rung), rung));
    }

    fn least(recency: &mut Recency, hosts: &Hosts) -> Vec<u64> {
        let rung = |actor: ActorId, ticket| hosts.get(&actor).filter(|of| of.0 == ticket).map(|of| of.1);
        recency.least_lately(rung).into_iter().map(|actor| actor.0).collect()
    }

    fn five() -> (Recency, Hosts, Instant) {
        let (mut recency, mut hosts, now) = (Recency::default(), Hosts::new(), crate::clock::monotonic());
        (1..=5).for_each(|actor| enter(&mut recency, &mut hosts, actor, now));
        (recency, hosts, now)
    }

    #[test]
    fn those_that_came_first_are_found_first_and_those_that_were_rung_since_are_spared() {
        let (mut recency, mut hosts, now) = five();
        hosts.get_mut(&ActorId(1)).unwrap().1 = now + Duration::from_secs(1);
        assert_eq!(least(&mut recency, &hosts), [2, 3]);
        assert_eq!(least(&mut recency, &hosts), [4, 5]);
        // Not rung since: now it is its turn.
        assert_eq!(least(&mut recency, &hosts), [1, 2]);
    }

    #[test]
    fn who_left_is_not_found_and_who_came_back_counts_from_then() {
        let (mut recency, mut hosts, now) = five();
        hosts.remove(&ActorId(2));
        enter(&mut recency, &mut hosts, 1, now);
        assert_eq!(least(&mut recency, &hosts), [3, 4]);
        assert_eq!(least(&mut recency, &hosts), [5, 1]);
        assert_eq!(recency.queue.len(), hosts.len());
    }

    #[test]
    fn behind_many_who_left_somebody_is_found() {
        let (mut recency, mut hosts, now) = five();
        (6..=50).for_each(|actor| enter(&mut recency, &mut hosts, actor, now));
        hosts.retain(|actor, _| actor.0 > 40);
        assert_eq!(least(&mut recency, &hosts), [41, 42]);
    }

    #[test]
    fn entries_of_those_who_left_are_dropped_before_they_are_many() {
        let (mut recency, mut hosts, now) = (Recency::default(), Hosts::new(), crate::clock::monotonic());
        for actor in 0..10_000 {
            enter(&mut recency, &mut hosts, actor % 10, now);
            if recency.is_untidy(hosts.len()) {
                recency.tidy(|actor, ticket| hosts.get(&actor).is_some_and(|of| of.0 == ticket));
            }
            assert!(recency.queue.len() <= TIDY_MIN + 1);
        }
        assert_eq!(least(&mut recency, &Hosts::new()), [0_u64; 0]);
    }
}
