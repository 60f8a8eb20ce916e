//! Text that nothing can make shorter: what runs really carry repeats itself less than any constant, and records are
//! compressed.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Many times as long as compression looks back, which is 64 KiB.
const LENGTH: usize = 1 << 20;

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let state = RandomState::new();
    (0..LENGTH / 16).map(|at| format!("{:016x}", state.hash_one(at))).collect()
});

/// So many bytes of it, other ones each time.
pub(super) fn noise(bytes: u32) -> String {
    static AT: AtomicUsize = AtomicUsize::new(0);
    let (bytes, mut text) = (bytes as usize, String::with_capacity(bytes as usize));
    let mut at = AT.fetch_add(bytes, Ordering::Relaxed);
    while text.len() < bytes {
        let rest = &TEXT[at % LENGTH..];
        text.push_str(&rest[..rest.len().min(bytes - text.len())]);
        at = 0;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_long_as_asked_and_other_each_time() {
        for bytes in [0, 1, 32, 700_000, 3_000_000] {
            assert_eq!(noise(bytes).len(), bytes as usize);
        }
        assert_ne!(noise(32), noise(32));
    }
}
