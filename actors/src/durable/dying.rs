//! Where a test lets the process die: between any two operations on files, sled's included.
//!
//! **Invariant:** outside tests nothing of this is left.

#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};

#[cfg(test)]
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);

/// Die after so many points from now.
#[cfg(test)]
pub(crate) fn after(points: i64) {
    LEFT.store(points, Ordering::SeqCst);
}

/// One of the points.
#[inline]
pub(crate) fn point() {
    #[cfg(test)]
    if LEFT.fetch_sub(1, Ordering::SeqCst) == 0 {
        std::process::abort();
    }
}
