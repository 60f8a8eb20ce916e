//! What the simulated world needs of the kernel, and nothing else does.

use bytes::Bytes;

#[cfg(test)]
pub(crate) use super::{
    behavior::At,
    kind::{Instance, Kind, Taken, TurnInput},
};
use super::{
    behavior::{self, Behavior},
    codec::Format,
    live::Live,
    record,
};
#[cfg(test)]
pub(crate) use super::{committer::pace, open::Open, record::Op};
pub(crate) use super::{
    hosted::Hosted,
    live::{Known, fetch, stored},
    open::Sealed,
    scrub::{Round, Step},
    system::read_window,
};

/// How a message of this behaviour is stored.
pub(crate) const fn message_format<B: Behavior>() -> Format {
    behavior::message_format::<B>()
}

/// An event, read and written again.
#[cfg(test)]
pub(crate) fn rewritten<B: Behavior>(event: &[u8]) -> Result<Bytes, super::codec::Error> {
    let format = behavior::event_format::<B>();
    let read: B::Event = super::codec::open(format, event)?;
    Ok(super::codec::seal(format, &read))
}

/// A record as the committer writes it.
pub(crate) fn seal_record(sealed: &Sealed) -> Bytes {
    Bytes::copy_from_slice(record::Encoder::default().seal(&sealed.record))
}

/// What is live, without what a coalesced message may leave behind in memory alone: numbers that were given out.
pub(crate) fn comparable(live: &Live) -> Live {
    let mut live = live.clone();
    live.latest_ms = 0;
    live.highest_id = 0;
    for actor in live.actors.values_mut() {
        actor.next_entry = 0;
    }
    live
}
