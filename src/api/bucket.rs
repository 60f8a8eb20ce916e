//! A token bucket: so many a second, and twice as many at once after a quiet time.
//!
//! **Invariant:** pure; the caller brings the time. Time that goes backwards gives nothing and takes nothing.

use std::time::Duration;

/// How many may come now.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    tokens: f64,
    /// Until when tokens were counted.
    at: Duration,
}

impl Bucket {
    pub(super) fn full(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, tokens: per_second * 2.0, at: Duration::ZERO }
    }

    /// Take one, or hear how long until there is one.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second * 2.0);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_quiet_time_twice_the_rate_may_come_and_then_the_rate() {
        let mut bucket = Bucket::full(10);
        let taken = |bucket: &mut Bucket, at: Duration| (0..100).take_while(|_| bucket.take(at).is_ok()).count();
        assert_eq!(taken(&mut bucket, Duration::from_secs(100)), 20);
        assert_eq!(taken(&mut bucket, Duration::from_secs(101)), 10);
        let wait = bucket.take(Duration::from_secs(101)).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
        assert!(bucket.take(Duration::from_secs(50)).is_err(), "time that goes backwards");
        assert!(bucket.take(Duration::from_secs(101) + wait + Duration::from_millis(1)).is_ok());
    }
}
