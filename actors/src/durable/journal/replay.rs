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

use std::{io, ops::ControlFlow, path::Path};

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
    /// Visit every record that must be there, from a first one on.
    pub(crate) fn run(&self, first: Sequence, visit: &mut Visit<'_>, blame: &mut Blame<'_>) -> Result<Reached, Error> {
        let crc = (first == Sequence(1)).then_some(0);
        self.go(0, Cursor { next: first, crc }, visit, blame)
    }

    /// Visit the records from a sequence on; whole segments before it are not read.
    pub(crate) fn run_from(&self, from: Sequence, visit: &mut Visit<'_>) -> Result<Reached, Error> {
        let starts_before = |segment: &Segment| segment.header.as_ref().is_ok_and(|header| header.first <= from);
        let index = self.segments.iter().rposition(starts_before).unwrap_or(0);
        let first =
            self.segments.get(index).and_then(|segment| segment.header.as_ref().ok().map(|header| header.first));
        let cursor = Cursor { next: first.unwrap_or(Sequence(1)), crc: None };
        self.go(
            index,
            cursor,
            &mut |record| if record.sequence < from { Ok(ControlFlow::Continue(())) } else { visit(record) },
            &mut Err,
        )
    }

    fn go(
        &self,
        from: usize,
        mut cursor: Cursor,
        visit: &mut Visit<'_>,
        blame: &mut Blame<'_>,
    ) -> Result<Reached, Error> {
        let mut torn = None;
        for at in from..self.segments.len() {
            let (segment, behind) = (&self.segments[at], &self.segments[at + 1..]);
            let relief = behind.iter().find_map(|segment| segment.header.as_ref().ok()).map(|header| header.first);
            let header = match &segment.header {
                Ok(header) => header,
                Err(why) => {
                    self.unreadable(segment, why, relief, &mut cursor, blame)?;
                    continue;
                }
            };
            let here = Here { segment, header, relief, next: behind.first() };
            here.enter(&mut cursor, blame)?;
            match self.segment(&here, &mut cursor, visit)? {
                Stop::Relieved => {}
                Stop::Enough => break,
                Stop::Bad(offset) => torn = self.judge(&here, offset, &mut cursor, blame)?,
            }
        }
        Ok(Reached { last: Sequence(cursor.next.0 - 1), crc: cursor.crc.unwrap_or_default(), torn })
    }

    fn segment(&self, here: &Here<'_>, cursor: &mut Cursor, visit: &mut Visit<'_>) -> Result<Stop, Error> {
        let path = &here.segment.path;
        let mut reader = Reader::open(self.disk, here.segment).map_err(super::io("open", path))?;
        let mut offset = HEADER;
        while here.relief != Some(cursor.next) {
            let frame = reader.frame(offset).map_err(super::io("read", path))?;
            let Some(frame) = frame.filter(|frame| cursor.expects(frame, here.header)) else {
                return Ok(Stop::Bad(offset));
            };
            let end = offset + frame.size() as u64;
            if visit(Visited { sequence: cursor.next, frame, path, end })?.is_break() {
                return Ok(Stop::Enough);
            }
            *cursor = Cursor { next: cursor.next.next(), crc: Some(frame.crc) };
            offset = end;
        }
        Ok(Stop::Relieved)
    }

    /// Tell damage from a torn tail; the second is described.
    fn judge(
        &self,
        here: &Here<'_>,
        offset: u64,
        cursor: &mut Cursor,
        blame: &mut Blame<'_>,
    ) -> Result<Option<String>, Error> {
        let path = &here.segment.path;
        let behind = here.behind(self.disk, offset, cursor).map_err(super::io("read", path))?;
        let bad = format!("no whole record starts at byte {offset}");
        let (to, cause) = match (here.relief, behind) {
            // It ends well; what should follow it is missing or unreadable, and is blamed next.
            (_, Behind::Nothing) if here.is_followed_by_a_gap() => return Ok(None),
            (Some(relief), _) => (Sequence(relief.0 - 1), format!("{bad}, and a later segment goes on")),
            (None, _) if self.floor >= cursor.next => (self.floor, bad),
            (None, Behind::Record(later)) => (later, format!("{bad}, and record {later} is behind it")),
            (None, Behind::Torn) => return Ok(Some(here.torn(cursor.next))),
            (None, Behind::Nothing) => return Ok(None),
        };
        blame(Error::Damaged { file: path.clone(), from: cursor.next, to, cause })?;
        *cursor = Cursor { next: to.next(), crc: None };
        Ok(None)
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

/// A segment being read, and what is known of those behind it.
struct Here<'a> {
    segment: &'a Segment,
    header: &'a Header,
    /// From where on a later segment counts.
    relief: Option<Sequence>,
    next: Option<&'a Segment>,
}

/// What lies behind the last whole record.
enum Behind {
    Nothing,
    Torn,
    Record(Sequence),
}

impl Here<'_> {
    /// Step into the segment, which must go on where the one before ended.
    fn enter(&self, cursor: &mut Cursor, blame: &mut Blame<'_>) -> Result<(), Error> {
        let Header { first, previous, .. } = *self.header;
        let cause = if first > cursor.next {
            "the segment that held them is missing"
        } else if cursor.crc.is_some_and(|crc| crc != previous) {
            "this segment continues other records than the one before it holds"
        } else {
            cursor.crc = Some(previous);
            return Ok(());
        };
        let to = Sequence(first.0 - 1).max(cursor.next);
        blame(Error::Damaged { file: self.segment.path.clone(), from: cursor.next, to, cause: cause.to_owned() })?;
        *cursor = Cursor { next: first, crc: Some(previous) };
        Ok(())
    }

    fn behind(&self, disk: &dyn Disk, offset: u64, cursor: &Cursor) -> io::Result<Behind> {
        let mut reader = Reader::open(disk, self.segment)?;
        let Some(written) = reader.first_written(offset)? else { return Ok(Behind::Nothing) };
        if !self.header.synced {
            // Without a sync each, a power cut may keep a later record and lose an earlier one.
            return Ok(Behind::Torn);
        }
        let from = written.saturating_sub(8).max(offset);
        let Some(later) = reader.latest(from, self.header.id, cursor.next.0)? else { return Ok(Behind::Torn) };
        reader.refresh();
        let whole_by_now = reader.frame(offset)?.is_some_and(|frame| cursor.expects(&frame, self.header));
        // A living process, which we only watch, wrote both while we looked.
        Ok(if whole_by_now { Behind::Nothing } else { Behind::Record(Sequence(later)) })
    }

    fn is_followed_by_a_gap(&self) -> bool {
        self.next.is_some_and(|next| next.header.is_err() || next.number != self.segment.number + 1)
    }

    fn torn(&self, next: Sequence) -> String {
        format!("{}: record {next} was torn, and nobody had been told of it", self.segment.path.display())
    }
}

impl Cursor {
    fn expects(&self, frame: &Frame<'_>, header: &Header) -> bool {
        let previous = self.crc.unwrap_or(frame.place.previous);
        frame.place == Place { segment: header.id, sequence: self.next.0, previous }
    }
}
