//! All samples of a soak, in bounded memory: when there are too many, every second one goes, and from then on only every
//! second one is kept.
//!
//! **Invariant:** those that are kept are evenly spaced over the whole soak, and the first and the last are among them.

use crate::sample::Sample;

/// No more are kept; hours at one a second are thinned to this.
const KEPT_MAX: usize = 4_096;

#[derive(Clone, Debug)]
pub(crate) struct Samples {
    kept: Vec<Sample>,
    last: Option<Sample>,
    /// One of so many is kept.
    step: u64,
    seen: u64,
}

impl Samples {
    pub(crate) fn new() -> Self {
        Self { kept: Vec::with_capacity(KEPT_MAX), last: None, step: 1, seen: 0 }
    }

    pub(crate) fn push(&mut self, sample: Sample) {
        if self.kept.len() == KEPT_MAX {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.step *= 2;
        }
        if self.seen.is_multiple_of(self.step) {
            self.kept.push(sample.clone());
            self.last = None;
        } else {
            self.last = Some(sample);
        }
        self.seen += 1;
    }

    pub(crate) fn all(&self) -> Vec<&Sample> {
        self.kept.iter().chain(&self.last).collect()
    }

    /// How many there were.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_soak_keeps_few_samples_evenly_and_its_ends() {
        let mut samples = Samples::new();
        (0..100_001).for_each(|at| samples.push(Sample::at_minute(at, 0)));
        let minutes: Vec<_> = samples.all().iter().map(|sample| sample.at.as_secs() / 60).collect();
        assert!(minutes.len() <= KEPT_MAX + 1);
        assert_eq!((minutes.first(), minutes.last()), (Some(&0), Some(&100_000)));
        assert!(minutes.windows(2).all(|two| two[1] - two[0] <= samples.step));
        assert_eq!(samples.seen(), 100_001);
    }
}
