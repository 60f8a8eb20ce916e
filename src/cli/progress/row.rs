//! How far one phase is.
//!
//! **Invariant:** counts only; what they mean together is decided by the fold.

/// How far one phase is.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    pub(crate) name: String,
    pub(crate) tasks: Vec<String>,
    /// How many units each task has; nothing while its fan-out is not cut yet.
    pub(crate) items: Vec<Option<u32>>,
    pub(crate) standing: Standing,
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) stopped: u64,
    pub(crate) retries: u64,
    pub(crate) started_at: u64,
    pub(crate) ended_at: Option<u64>,
}

/// Where a phase stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not started.
    #[default]
    Waiting,
    Running,
    Done,
    /// Its condition was false.
    Skipped,
    Failed,
    Stopped,
}

impl Phase {
    /// Units that are known of so far.
    pub(crate) fn total(&self) -> u64 {
        self.items.iter().flatten().map(|items| u64::from(*items)).sum()
    }

    /// Whether there may be more units than are known of.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Waiting | Standing::Running) && self.items.iter().any(Option::is_none)
    }

    /// Units that ended, however.
    pub(crate) fn ended(&self) -> u64 {
        self.done + self.failed + self.skipped + self.stopped
    }

    /// How long it has run by then.
    pub(crate) fn ran_ms(&self, now_ms: u64) -> u64 {
        self.ended_at.unwrap_or(now_ms).saturating_sub(self.started_at)
    }

    /// Units ended in a second, on average.
    pub(crate) fn rate(&self, now_ms: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal")]
        let (ended, ran_ms) = (self.ended() as f64, self.ran_ms(now_ms).max(1) as f64);
        ended * 1_000.0 / ran_ms
    }

    /// How many units a task has. One that no plan announced is made as it appears.
    pub(super) fn items(&mut self, task: u32) -> &mut Option<u32> {
        let task = task as usize;
        if task >= self.items.len() {
            self.items.resize(task + 1, None);
        }
        &mut self.items[task]
    }
}
