//! Makes a ledger segment.
//!
//! **Invariant:** nothing is written before every chain was computed and arrived where it should: what is in a segment
//! cannot be mended later.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    super::parts::{self, PART, names},
    Event, Header, Heads, KIND, Range,
    check::Follower,
    format::{self, Entry},
    name,
};
use crate::durable::{
    id::{Sequence, StreamId},
    journal::{self, disk::Disk},
    store::Error,
};

/// Write the events of a range of records, in the order of the journal, with the heads of their streams. The folder is
/// made if it is not there; the segment is there whole, or not at all. All events are held in memory.
///
/// # Errors
/// [`Error::Undecodable`] if a chain does not arrive at its head, [`Error::Misuse`] if streams and heads do not match or
/// there is no such range, [`Error::Io`] if the system refuses.
pub(crate) fn write(
    disk: &dyn Disk,
    folder: &Path,
    header: &Header,
    heads: &BTreeMap<StreamId, Heads>,
    events: impl IntoIterator<Item = Event>,
) -> Result<PathBuf, Error> {
    if !header.range.is_sound() {
        return Err(misuse(format!("there is no range from {} to {}", header.range.from, header.range.to)));
    }
    let streams = grouped(events);
    check(header.range, heads, &streams)?;
    disk.create_folder(folder).map_err(journal::io("create", folder))?;
    let draft = names::draft(folder, &name(header.range));
    let written =
        parts::Writer::create(disk, &draft, &KIND, &header.encode()).and_then(|parts| put(parts, heads, &streams));
    written.inspect_err(|_| {
        // Half a segment on a full disk is room that others need.
        let _ = disk.remove(&draft);
    })?;
    names::publish(disk, folder, &draft, &name(header.range))
}

fn grouped(events: impl IntoIterator<Item = Event>) -> BTreeMap<StreamId, Vec<Event>> {
    let mut streams = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        streams.entry(event.stream).or_default().push(event);
    }
    streams
}

fn check(
    range: Range,
    heads: &BTreeMap<StreamId, Heads>,
    streams: &BTreeMap<StreamId, Vec<Event>>,
) -> Result<(), Error> {
    if !heads.keys().eq(streams.keys()) {
        return Err(misuse("a ledger segment was to hold other streams than there are heads".to_owned()));
    }
    heads.values().zip(streams).try_for_each(|(heads, (stream, events))| check_stream(range, heads, *stream, events))
}

fn check_stream(range: Range, heads: &Heads, stream: StreamId, events: &[Event]) -> Result<(), Error> {
    let mut follower = Follower::new(heads.before, range);
    for event in events {
        follower.take(event).map_err(|cause| undecodable(event.record, cause))?;
    }
    if follower.has_arrived(heads) {
        return Ok(());
    }
    let last = events.last().map_or(range.to, |event| event.record);
    Err(undecodable(last, format!("the chain of {stream} does not arrive at its head")))
}

fn put(
    mut parts: parts::Writer,
    heads: &BTreeMap<StreamId, Heads>,
    streams: &BTreeMap<StreamId, Vec<Event>>,
) -> Result<(), Error> {
    let (mut index, mut count) = (Vec::new(), 0);
    for (heads, (stream, events)) in heads.values().zip(streams) {
        let offset = parts.offset();
        put_stream(&mut parts, events)?;
        let length = parts.offset() - offset;
        Entry { stream: *stream, heads: *heads, offset, length }.push(&mut index);
        count += events.len() as u64;
    }
    parts.finish(&index, count)?;
    Ok(())
}

fn put_stream(parts: &mut parts::Writer, events: &[Event]) -> Result<(), Error> {
    let mut part = Vec::new();
    for event in events {
        if !part.is_empty() && part.len() + format::size(event) > PART {
            parts.part(&part)?;
            part.clear();
        }
        if part.is_empty() {
            format::begin(&mut part, event);
        }
        format::push(&mut part, event);
    }
    parts.part(&part)
}

fn undecodable(sequence: Sequence, cause: String) -> Error {
    Error::Undecodable { sequence, cause }
}

fn misuse(cause: String) -> Error {
    Error::Misuse { cause }
}
