//! How many restarts are too many.
//!
//! **Invariant:** a window holds no more entries than there may be restarts, and one.

use std::{collections::VecDeque, time::Duration};

/// More than `max_restarts` within `period` are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts that are borne; with 0 the first failure is too many.
    pub max_restarts: u32,
    /// How long a restart counts. One exactly so long ago still does, as in OTP.
    pub period: Duration,
}

impl Intensity {
    /// Three within ten seconds.
    pub const DEFAULT: Self = Self { max_restarts: 3, period: Duration::from_secs(10) };
}

impl Default for Intensity {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The restarts that still count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window(VecDeque<Duration>);

impl Window {
    /// Count a restart, and say whether it is still borne.
    pub(crate) fn admit(&mut self, now: Duration, intensity: Intensity) -> bool {
        while self.0.front().is_some_and(|then| now.saturating_sub(*then) > intensity.period) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len() <= usize::try_from(intensity.max_restarts).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TWO_IN_TEN: Intensity = Intensity { max_restarts: 2, period: Duration::from_secs(10) };

    fn admits(at_ms: &[u64]) -> Vec<bool> {
        let mut window = Window::default();
        at_ms.iter().map(|at| window.admit(Duration::from_millis(*at), TWO_IN_TEN)).collect()
    }

    #[test]
    fn a_restart_exactly_a_period_ago_still_counts() {
        assert_eq!(admits(&[0, 5_000, 10_000]), [true, true, false]);
    }

    #[test]
    fn a_restart_longer_ago_does_not_count() {
        assert_eq!(admits(&[0, 5_000, 10_001, 15_001, 20_001]), [true, true, true, true, false]);
    }

    #[test]
    fn the_window_slides_instead_of_starting_over() {
        assert_eq!(admits(&[0, 9_000, 11_000, 12_000]), [true, true, true, false]);
    }

    crate::properties! {
        #[test]
        fn those_are_borne_that_are_few_enough_of_all_there_ever_were(
            waits_ms in prop::collection::vec(0..8_000_u64, 0..60), max_restarts in 0..6_u32, period_ms in 0..20_000_u64,
        ) {
            let intensity = Intensity { max_restarts, period: Duration::from_millis(period_ms) };
            let (mut window, mut now_ms, mut all) = (Window::default(), 0, Vec::new());
            for wait_ms in waits_ms {
                now_ms += wait_ms;
                all.push(now_ms);
                let counting = all.iter().filter(|at_ms| now_ms - **at_ms <= period_ms).count();
                let borne = window.admit(Duration::from_millis(now_ms), intensity);
                prop_assert_eq!(borne, counting <= max_restarts as usize);
            }
        }
    }
}
