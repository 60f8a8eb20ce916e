//! Which durable actors are loaded again when the host of one died.
//!
//! The words are those of OTP's `supervisor`; what they mean for actors whose state outlives their hosts is decided
//! here, and nothing else is: no host, no store, no clock.
//!
//! **Invariants:** the one that died is not among the others; a temporary sibling never is, because it is never loaded
//! again: whether it has a host at all is an accident of passivation, and must not decide whether it lives.

use super::policy::Strategy;

/// A child beside the one that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sibling<Id> {
    pub(crate) id: Id,
    pub(crate) is_temporary: bool,
}

/// Whose hosts end with that of `died`, last spawned first; `children` are in the order in which they were spawned.
pub(crate) fn together<Id: Copy + PartialEq>(strategy: Strategy, children: &[Sibling<Id>], died: Id) -> Vec<Id> {
    let after_it = children.iter().skip_while(|child| child.id != died);
    let others: Vec<_> = match strategy {
        Strategy::OneForOne | Strategy::Dynamic => Vec::new(),
        Strategy::OneForAll => children.iter().collect(),
        Strategy::RestForOne => after_it.collect(),
    };
    others.into_iter().rev().filter(|child| child.id != died && !child.is_temporary).map(|child| child.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(strategy: Strategy) -> Vec<u32> {
        let children: Vec<_> = (1..=5).map(|id| Sibling { id, is_temporary: id == 4 }).collect();
        together(strategy, &children, 2)
    }

    #[test]
    fn one_for_one_reloads_nobody_else() {
        assert!(others(Strategy::OneForOne).is_empty());
        assert!(others(Strategy::Dynamic).is_empty());
    }

    #[test]
    fn one_for_all_reloads_every_sibling_but_the_temporary_ones() {
        assert_eq!(others(Strategy::OneForAll), [5, 3, 1]);
    }

    #[test]
    fn rest_for_one_reloads_those_spawned_later() {
        assert_eq!(others(Strategy::RestForOne), [5, 3]);
    }
}
