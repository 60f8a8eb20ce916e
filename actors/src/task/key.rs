//! The idempotency key of a task's call.

use super::state::Job;
use crate::durable::Key;

/// SHA-256 over run, task path with item, purpose, ordinal, tool, iteration and generation; never over the attempt.
/// Another encoding would be a duplicate effect: golden bytes guard it.
pub(super) fn key(job: &Job, path: &str, tool: &str, generation: u32) -> Key {
    const PURPOSE: &[u8] = b"do";
    const ORDINAL: u32 = 0;
    const ITERATION: u32 = 0;
    Key::of(&[
        &job.run.0,
        path.as_bytes(),
        PURPOSE,
        &ORDINAL.to_be_bytes(),
        tool.as_bytes(),
        &ITERATION.to_be_bytes(),
        &generation.to_be_bytes(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::Json, plan::Digest, run::RunId};

    #[test]
    fn keys_keep_their_bytes() {
        let job = Job { run: RunId([7; 16]), plan: Digest([0; 32]), phase: 0, task: 0, item: None, input: Json::NULL };
        assert_eq!(
            key(&job, "pay/charge", "bank", 0).to_string(),
            "62e6369cebe138a18e3c0b54166b41114508813a19b8c6a69564da8ca235cfd0"
        );
        assert_ne!(key(&job, "pay/charge", "bank", 0), key(&job, "pay/charge", "bank", 1));
        assert_ne!(key(&job, "pay/charge", "bank", 0), key(&job, "pay/charge[0]", "bank", 0));
    }
}
