//! What the last tenth of a run costs, next to the first.
//!
//! **Invariant:** whatever runs beside the tasks is counted with them: the process has nothing else to do.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

use super::process::cpu_time;

/// Counts the tasks of runs that follow each other, all of the same length.
#[derive(Debug)]
pub(super) struct Tenths {
    items: u64,
    counted: AtomicU64,
    /// Processor time at the begin and at each tenth of every run.
    marks: Mutex<Vec<(u64, Duration)>>,
}

impl Tenths {
    /// For runs of so many tasks.
    pub(super) fn new(items: u32) -> Self {
        Self { items: items.into(), counted: AtomicU64::new(0), marks: Mutex::default() }
    }

    /// One more task is done.
    pub(super) fn count(&self) {
        let tenth = (self.items / 10).max(1);
        let number = self.counted.fetch_add(1, Ordering::Relaxed) % self.items;
        let is_mark = number == 0 || number == tenth || number + tenth == self.items || number + 1 == self.items;
        if is_mark {
            self.marks.lock().push((number, cpu_time()));
        }
    }

    /// Processor time per task in the last tenth of the runs, of that in their first; nothing for runs that are too short.
    pub(super) fn ratio(&self) -> Option<f64> {
        let tenth = self.items / 10;
        let marks = self.marks.lock();
        let between = |from: u64, to: u64| -> f64 {
            let pairs = marks.windows(2).filter(|pair| (pair[0].0, pair[1].0) == (from, to));
            pairs.map(|pair| pair[1].1.saturating_sub(pair[0].1).as_secs_f64()).sum()
        };
        let (first, last) = (between(0, tenth), between(self.items - tenth, self.items - 1));
        (tenth >= 100 && first > 0.0).then(|| last / first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_too_short_says_nothing() {
        let tenths = Tenths::new(500);
        (0..1_000).for_each(|_| tenths.count());
        assert_eq!(tenths.ratio(), None);
        assert_eq!(tenths.marks.lock().len(), 8, "four of each run");
    }
}
