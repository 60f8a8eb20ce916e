//! Reads the journal in order, and tells a torn tail from damage.
//!
//! ```text
//! a record does not read
//!   ├─ a later segment goes on           damage up to there
//!   ├─ HEAD says that it was durable     damage up to HEAD
//!   ├─ a later record of its segment     damage up to that: one is written only when the one before is synced
//!   └─ otherwise                         a torn tail: nobody was told of it
//! ```
//!
//! **Invariant:** records are visited in order, each once, with no gap, and none that was not written whole.

use std::{ops::ControlFlow, path::Path};

use super::{
    disk::Disk,
    frame::{Frame, Place},
    reader::Reader,
    segment::{HEADER, Header, Segment},
};
use crate::durable::{id::Sequence, store::Error};

/// A record as it is visited.
#[derive(Clone, Copy)]
pub(crate) struct Visited<'a> {
    /// Its number.
    pub(crate) sequence: Sequence,
    /// The record.
    pub(crate) frame: Frame<'a>,
    /// The file that it is in.
    pub(crate) path: &'a Path,
    /// Where it ends there.
    pub(crate) end: u64,
}

/// Takes a record, or says that it is not wanted, which ends the walk in front of it.
pub(crate) type Visit<'a> = dyn FnMut(Visited<'_>) -> Result<ControlFlow<()>, Error> + 'a;
/// Takes note of damage and lets the walk go on behind it, or gives it back to end there.
pub(crate) type Blame<'a> = dyn FnMut(Error) -> Result<(), Error> + 'a;

/// How far a walk came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// The last record.
    pub(crate) last: Sequence,
    /// Its checksum.
    pub(crate) crc: u32,
    /// Where a torn record lies.
    pub(crate) torn: Option<String>,
}

/// What to read.
pub(crate) struct Walk<'a> {
    /// From where.
    pub(crate) disk: &'a dyn Disk,
    /// The segments that count, in order.
    pub(crate) segments: &'a [Segment],
    /// The last record known to be synced.
    pub(crate) floor: Sequence,
}

/// The record that must come next.
struct Cursor {
    next: Sequence,
    /// `None` behind damage: whatever comes, goes.
    crc: Option<u32>,
}

/// Why reading a segment ended.
enum Stop {
    /// The next segment takes over here.
    Relieved,
    /// The visitor had enough.
    Enough,
    /// No whole record starts here.
    Bad(u64),
}

impl Walk<'_> {
    /// Visit every record.
    pub(crate) fn run(&self, visit: &mut Visit<'_>, blame: &mut Blame<'_>) -> Result<Reached, Error> {
        self.go(0, Cursor { next: Sequence(1), crc: Some(0) }, visit, blame)
    }

    /// Visit the records from a sequence on; whole segments before it are not read.
    pub(crate) fn run_from(&self, from: Sequence, visit: &mut Visit<'_>) -> Result<Reached, Error> {
        let starts_before = |segment: &Segment| segment.header.as_ref().is_ok_and(|header| header.first <= from);
        let index = self.segments.iter().rposition(starts_before).unwrap_or(0);
        let first = self.segments.get(index).and_then(|segment| segment.header.as_ref().ok().map(|header| header.first));
        let cursor = Cursor { next: first.unwrap_or(Sequence(1)), crc: None };
        self.go(index, cursor, &mut |record| if record.sequence < from { Ok(ControlFlow::Continue(())) } else { visit(record) }, &mut Err)
    }

    fn go(&self, index: usize, mut cursor: Cursor, visit: &mut Visit<'_>, blame: &mut Blame<'_>) -> Result<Reached, Error> {
        let mut torn = None;
        for (at, segment) in self.segments.iter().enumerate().skip(index) {
            let relief = self.segments[at + 1..].iter().find_map(|segment| segment.header.as_ref().ok()).map(|header| header.first);
            let header = match &segment.header {
                Ok(header) => header,
                Err(why) => {
                    self.unreadable(segment, why, relief, &mut cursor, blame)?;
                    continue;
                }
            };
            enter(segment, header, &mut cursor, blame)?;
            match self.segment(segment, header, relief, &mut cursor, visit)? {
                Stop::Relieved => {}
                Stop::Enough => break,
                Stop::Bad(offset) => torn = self.judge(segment, header, relief, offset, &mut cursor, blame)?,
            }
        }
        Ok(Reached { last: Sequence(cursor.next.0 - 1), crc: cursor.crc.unwrap_or_default(), torn })
    }

    fn segment(
        &self,
        segment: &Segment,
        header: &Header,
        relief: Option<Sequence>,
        cursor: &mut Cursor,
        visit: &mut Visit<'_>,
    ) -> Result<Stop, Error> {
        let mut reader = Reader::open(self.disk, &segment.path).map_err(super::io("open", &segment.path))?;
        let mut offset = HEADER;
        loop {
            if relief == Some(cursor.next) {
                return Ok(Stop::Relieved);
            }
            let frame = reader.frame(offset).map_err(super::io("read", &segment.path))?;
            let Some(frame) = frame.filter(|frame| cursor.expects(frame, header)) else {
                if self.overtaken(&mut reader, segment, header, offset, cursor)? {
                    continue;
                }
                return Ok(Stop::Bad(offset));
            };
            let end = offset + frame.size() as u64;
            if visit(Visited { sequence: cursor.next, frame, path: &segment.path, end })?.is_break() {
                return Ok(Stop::Enough);
            }
            *cursor = Cursor { next: cursor.next.next(), crc: Some(frame.crc) };
            offset = end;
        }
    }

    /// Whether the record was being written by a living process when it was read, and is whole by now.
    fn overtaken(&self, reader: &mut Reader, segment: &Segment, header: &Header, offset: u64, cursor: &Cursor) -> Result<bool, Error> {
        reader.refresh();
        let frame = reader.frame(offset).map_err(super::io("read", &segment.path))?;
        Ok(frame.is_some_and(|frame| cursor.expects(&frame, header)))
    }

    /// Tell damage from a torn tail; the second is described.
    fn judge(
        &self,
        segment: &Segment,
        header: &Header,
        relief: Option<Sequence>,
        offset: u64,
        cursor: &mut Cursor,
        blame: &mut Blame<'_>,
    ) -> Result<Option<String>, Error> {
        let damaged = |cursor: &mut Cursor, to: Sequence, cause: String, blame: &mut Blame<'_>| {
            blame(Error::Damaged { file: segment.path.clone(), from: cursor.next, to, cause })?;
            *cursor = Cursor { next: to.next(), crc: None };
            Ok(None)
        };
        if let Some(relief) = relief {
            let to = Sequence(relief.0 - 1);
            return damaged(cursor, to, format!("no whole record starts at byte {offset}, and a later segment goes on"), blame);
        }
        if self.floor >= cursor.next {
            return damaged(cursor, self.floor, format!("no whole record starts at byte {offset}"), blame);
        }
        let found = behind(self.disk, segment, header, offset, cursor.next).map_err(super::io("read", &segment.path))?;
        match found {
            Behind::Record(later) => {
                let cause = format!("no whole record starts at byte {offset}, and record {later} is behind it");
                damaged(cursor, later, cause, blame)
            }
            Behind::Torn => Ok(Some(format!("{}: record {} was torn, and nobody had been told of it", segment.path.display(), cursor.next))),
            Behind::Nothing => Ok(None),
        }
    }

    /// What a segment held that does not say what it is.
    fn unreadable(
        &self,
        segment: &Segment,
        why: &str,
        relief: Option<Sequence>,
        cursor: &mut Cursor,
        blame: &mut Blame<'_>,
    ) -> Result<(), Error> {
        let to = relief.map_or(self.floor.max(cursor.next), |relief| Sequence(relief.0 - 1));
        if to < cursor.next {
            // Its successor holds all that it could have held.
            return Ok(());
        }
        blame(Error::Damaged { file: segment.path.clone(), from: cursor.next, to, cause: why.to_owned() })?;
        *cursor = Cursor { next: to.next(), crc: None };
        Ok(())
    }
}

/// What lies behind the last whole record.
enum Behind {
    Nothing,
    Torn,
    Record(Sequence),
}

fn behind(disk: &dyn Disk, segment: &Segment, header: &Header, offset: u64, next: Sequence) -> std::io::Result<Behind> {
    let mut reader = Reader::open(disk, &segment.path)?;
    let Some(written) = reader.first_written(offset)? else { return Ok(Behind::Nothing) };
    // Without a sync each, a power cut may keep a later record and lose an earlier one.
    let later = if header.synced { reader.latest(written.saturating_sub(8).max(offset), header.id, next.0)? } else { None };
    Ok(later.map_or(Behind::Torn, |later| Behind::Record(Sequence(later))))
}

/// Step into a segment, which must go on where the one before ended.
fn enter(segment: &Segment, header: &Header, cursor: &mut Cursor, blame: &mut Blame<'_>) -> Result<(), Error> {
    let cause = if header.first > cursor.next {
        "the segment that held them is missing"
    } else if cursor.crc.is_some_and(|crc| crc != header.previous) {
        "this segment continues other records than the one before it holds"
    } else {
        cursor.crc = Some(header.previous);
        return Ok(());
    };
    let to = Sequence(header.first.0 - 1).max(cursor.next);
    blame(Error::Damaged { file: segment.path.clone(), from: cursor.next, to, cause: cause.to_owned() })?;
    *cursor = Cursor { next: header.first, crc: Some(header.previous) };
    Ok(())
}

impl Cursor {
    fn expects(&self, frame: &Frame<'_>, header: &Header) -> bool {
        let previous = self.crc.unwrap_or(frame.place.previous);
        frame.place == Place { segment: header.id, sequence: self.next.0, previous }
    }
}
