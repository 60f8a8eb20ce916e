//! What a death of a host means: try again, give up the message, or give up the actor.
//!
//! **Invariant:** deaths by one message count against the message; only deaths of different messages count against the
//! actor, and each actor counts for itself.

use std::time::{Duration, Instant};

use crate::{
    durable::{
        id::ActorId,
        supervision::{Policy, Window},
    },
    mutant::Mutant,
};

/// Deaths by one message before it is given up.
const DEATHS_MAX: u32 = 5;

/// The deaths of one actor that still count.
pub(super) struct Deaths {
    entry: u64,
    count: u32,
    /// Messages that it died of, lately.
    window: Window,
    began: Instant,
    last: Instant,
    period: Duration,
}

/// What to do after a death.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cure {
    Reload {
        after: Duration,
    },
    /// The message is given up.
    Bury,
    /// It dies of one message after another.
    Escalate,
}

impl Deaths {
    pub(super) fn since(now: Instant) -> Self {
        Self { entry: 0, count: 0, window: Window::default(), began: now, last: now, period: Duration::ZERO }
    }

    /// Count one more.
    pub(super) fn count(&mut self, now: Instant, actor: ActorId, entry: u64, policy: &Policy) -> Cure {
        (self.last, self.period) = (now, policy.intensity.period);
        if self.entry != entry {
            (self.entry, self.count) = (entry, 0);
            if !self.window.admit(now.duration_since(self.began), policy.intensity) {
                return Cure::Escalate;
            }
        }
        self.count += 1;
        if self.count >= DEATHS_MAX && !Mutant::PoisonNeverGivenUp.is_chosen() {
            return Cure::Bury;
        }
        Cure::Reload { after: policy.backoff.delay(self.count, &actor.to_string()) }
    }

    /// Whether none of them counts any more.
    pub(super) fn are_over(&self, now: Instant) -> bool {
        now.duration_since(self.last) > self.period
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::durable::supervision::{Backoff, Intensity, Strategy};

    const ACTOR: ActorId = ActorId(1 << 8);

    /// What follows deaths by these messages, each so many milliseconds after the first.
    fn cures(policy: &Policy, deaths: &[(u64, u64)]) -> Vec<Cure> {
        let now = crate::clock::monotonic();
        let mut counted = Deaths::since(now);
        let at = |ms| now + Duration::from_millis(ms);
        deaths.iter().map(|(ms, entry)| counted.count(at(*ms), ACTOR, *entry, policy)).collect()
    }

    fn is_reload(cure: &Cure) -> bool {
        matches!(cure, Cure::Reload { .. })
    }

    #[test]
    fn an_actor_that_dies_of_one_message_is_reloaded_until_the_message_is_given_up() {
        let cures = cures(&Policy::DEFAULT, &[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
        assert!(cures[..4].iter().all(is_reload), "{cures:?}");
        assert_eq!(cures[4], Cure::Bury);
    }

    #[test]
    fn an_actor_that_dies_of_one_message_after_another_is_given_up_itself() {
        let cures = cures(&Policy::DEFAULT, &[(0, 1), (1, 2), (2, 3), (3, 4)]);
        assert!(cures[..3].iter().all(is_reload), "{cures:?}");
        assert_eq!(cures[3], Cure::Escalate);
    }

    /// Once a message that was given up took the count of the others with it, so that an actor which died of every
    /// message five times over was never given up.
    #[test]
    fn a_message_that_was_given_up_still_counts_against_its_actor() {
        let deaths: Vec<_> = (1..=4).flat_map(|entry| (0..5).map(move |_| (0, entry))).take(16).collect();
        let cures = cures(&Policy::DEFAULT, &deaths);
        assert_eq!(cures.iter().filter(|cure| **cure == Cure::Bury).count(), 3);
        assert_eq!(cures[15], Cure::Escalate);
    }

    #[test]
    fn intensity_and_its_period_are_those_that_were_declared() {
        let policy =
            Policy { intensity: Intensity { max_restarts: 1, period: Duration::from_secs(1) }, ..Policy::DEFAULT };
        assert!(cures(&policy, &[(0, 1), (1_001, 2)]).iter().all(is_reload));
        assert_eq!(cures(&policy, &[(0, 1), (1_000, 2)])[1], Cure::Escalate);
    }

    #[test]
    fn back_off_is_that_which_was_declared_and_starts_over_with_another_message() {
        let at_once = Cure::Reload { after: Duration::ZERO };
        let policy = Policy::new(Strategy::OneForOne).backoff(Backoff::NONE);
        assert_eq!(cures(&policy, &[(0, 1), (1, 1)])[1], at_once);
        let cures = cures(&Policy::DEFAULT, &[(0, 1), (1, 1), (2, 2)]);
        assert!(cures[1] != at_once && cures[2] == at_once, "{cures:?}");
    }

    crate::properties! {
        /// Whatever it dies of, and however fast: the fifth death by one message in a row gives that up, and the actor is
        /// given up for deaths by different messages alone.
        #[test]
        fn a_message_is_given_up_for_its_own_deaths_and_an_actor_for_those_of_many(
            deaths in prop::collection::vec((0..4_u64, 0..4_000_u64), 0..80), max_restarts in 0..5_u32,
        ) {
            let period = Duration::from_secs(10);
            let policy = Policy { intensity: Intensity { max_restarts, period }, ..Policy::DEFAULT };
            let began = crate::clock::monotonic();
            let mut counted = Deaths::since(began);
            let (mut now_ms, mut row, mut changes) = (0, (0, 0), Vec::new());
            for (entry, wait_ms) in deaths {
                now_ms += wait_ms;
                // Numbers of messages begin at 1.
                let entry = entry + 1;
                let is_other = row.0 != entry;
                if is_other {
                    changes.push(now_ms);
                }
                row = if is_other { (entry, 1) } else { (entry, row.1 + 1) };
                let counting = changes.iter().filter(|at_ms| now_ms - **at_ms <= 10_000).count();
                let cure = counted.count(began + Duration::from_millis(now_ms), ACTOR, entry, &policy);
                if is_other && counting > max_restarts as usize {
                    prop_assert_eq!(cure, Cure::Escalate);
                    // It is suspended; whoever lets it run again counts anew.
                    return Ok(());
                }
                match cure {
                    Cure::Escalate => prop_assert!(false, "given up after {} messages of {}", counting, max_restarts),
                    Cure::Bury => prop_assert!(row.1 >= DEATHS_MAX, "buried after {} deaths", row.1),
                    Cure::Reload { after } => {
                        prop_assert!(row.1 < DEATHS_MAX, "loaded again after {} deaths", row.1);
                        prop_assert!(after <= policy.backoff.max && (row.1 > 1 || after.is_zero()));
                    }
                }
            }
        }
    }
}
