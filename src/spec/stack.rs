//! Room for what follows a tree by recursion: the parsers of YAML, templates and conditions.
//!
//! A build without any optimization, as an embedder's tests are, takes many times the stack of ours: a dozen brackets in a
//! condition were more than a thread of the runtime has. So texts are read on a thread of their own, whose stack holds the
//! deepest that the limits allow. It is made once for each text and costs some tens of microseconds.
//!
//! **Invariant:** memory is taken as far as it is used, and given back at once.

use std::{cell::Cell, panic, thread};

/// The deepest condition takes between 16 and 64 MiB of it.
const ROOM: usize = 128 << 20;

thread_local! {
    static HAS_ROOM: Cell<bool> = const { Cell::new(false) };
}

/// Do it where there is room; here, if no thread can be had.
pub(crate) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if HAS_ROOM.get() {
        return work();
    }
    let mut work = Some(work);
    let done = thread::scope(|scope| {
        let there = || {
            HAS_ROOM.set(true);
            work.take().map(|work| work())
        };
        let thread = thread::Builder::new().name("headframe-spec".to_owned()).stack_size(ROOM);
        let thread = thread.spawn_scoped(scope, there).ok()?;
        thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    });
    done.unwrap_or_else(|| work.take().map(|work| work()).expect("a thread that was not made has taken nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deep(levels: u32) -> u32 {
        let frame = std::hint::black_box([0_u8; 16 << 10]);
        if levels == 0 { u32::from(frame[0]) } else { deep(levels - 1) + 1 }
    }

    #[test]
    fn there_is_room_for_a_thousand_large_frames() {
        assert_eq!(with_room(|| deep(1_000)), 1_000);
    }

    #[test]
    fn who_has_room_makes_no_other_thread() {
        let (outer, inner) = with_room(|| (thread::current().id(), with_room(|| thread::current().id())));
        assert_eq!(outer, inner);
        assert_ne!(outer, thread::current().id());
    }

    #[test]
    fn a_panic_comes_through() {
        let caught = panic::catch_unwind(|| with_room(|| panic!("as it was")));
        assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"as it was"));
    }
}
