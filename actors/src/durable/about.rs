//! What a log says of an actor or a call beside its number: where it belongs.
//!
//! **Invariant:** for people and logs only; nothing is decided by it.

/// Where an actor belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// As [`Request::path`](super::Request::path): run, phase and task, as far as there are any, with slashes between.
    pub path: String,
    /// Which attempt it is at, if it counts any.
    pub attempt: Option<u32>,
}

/// A path in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) run: Option<&'a str>,
    pub(crate) phase: Option<&'a str>,
    pub(crate) task: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let mut parts = path.splitn(3, '/').map(|part| (!part.is_empty()).then_some(part));
        let mut next = || parts.next().flatten();
        Self { run: next(), phase: next(), task: next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_run_phase_and_task_as_far_as_it_goes() {
        let parts = |path| {
            let Place { run, phase, task } = Place::of(path);
            [run, phase, task]
        };
        assert_eq!(parts("run_1/pay/charge[3]"), [Some("run_1"), Some("pay"), Some("charge[3]")]);
        assert_eq!(parts("run_1/pay"), [Some("run_1"), Some("pay"), None]);
        assert_eq!(parts(""), [None; 3]);
    }
}
