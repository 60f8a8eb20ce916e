//! The idempotency key of a task's call.

use std::borrow::Cow;

use super::state::Job;
use crate::durable::Key;

/// SHA-256 over run, task path with item, purpose, ordinal, tool, iteration and generation; never over the attempt. The
/// purpose is `do`, or `fallback 2` for the second fallback. Another encoding would be a duplicate effect: golden bytes
/// guard it.
pub(super) fn key(job: &Job, path: &str, tool: &str, fallback: u32, generation: u32) -> Key {
    let purpose: Cow<'_, [u8]> = match fallback {
        0 => Cow::Borrowed(b"do"),
        fallback => Cow::Owned(format!("fallback {fallback}").into_bytes()),
    };
    const ORDINAL: u32 = 0;
    const ITERATION: u32 = 0;
    Key::of(&[
        &job.run.0,
        path.as_bytes(),
        &purpose,
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
        let key = |path, fallback, generation| key(&job, path, "bank", fallback, generation);
        assert_eq!(
            key("pay/charge", 0, 0).to_string(),
            "62e6369cebe138a18e3c0b54166b41114508813a19b8c6a69564da8ca235cfd0"
        );
        assert_eq!(
            key("pay/charge", 2, 0).to_string(),
            "fcbb80b426d9c40847063c7891124b048f84c2198cb0082bad7f175d8391f277"
        );
        assert_ne!(key("pay/charge", 0, 0), key("pay/charge", 0, 1));
        assert_ne!(key("pay/charge", 0, 0), key("pay/charge[0]", 0, 0));
        assert_ne!(key("pay/charge", 1, 0), key("pay/charge", 2, 0));
    }
}
