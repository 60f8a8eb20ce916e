//! A start: reads what is there and begins a life of its own.
//!
//! What lies behind HEAD may be only in memory, even though it reads well: a sync that failed in another life leaves such
//! pages behind. So it is written again, to a new segment that replaces it.
//!
//! **Invariant:** nothing is changed before every record was read and accepted. A crash at any step leaves a folder from
//! which the same records are found again.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

use parking_lot::Mutex;

use super::{
    disk::{Access, Disk},
    head::{self, Head},
    replay::{Reached, Visited, Walk},
    segment::{HEADER, Header, Segment},
    spare::{Blank, Spare},
    survey::Survey,
    writer::{Active, Setup, Shared, Writer, fresh_id},
};
use crate::{
    durable::{
        id::{Epoch, Sequence},
        store::Error,
    },
    mutant::Mutant,
};

/// Takes a record, or refuses it.
pub(crate) type Take<'a> = dyn FnMut(Sequence, &[u8]) -> Result<(), Error> + 'a;

/// What was read, and where the sure part of it ends.
pub(crate) struct Found {
    /// What lies in the folder.
    pub(crate) survey: Survey,
    /// How far it goes.
    pub(crate) reached: Reached,
    /// Sentences for people.
    pub(crate) repairs: Vec<String>,
    /// The last record that stays where it is.
    base: Base,
    /// Bytes of the records behind it.
    tail_bytes: u64,
}

#[derive(Default)]
struct Base {
    sequence: Sequence,
    crc: u32,
    place: Option<(PathBuf, u64)>,
}

/// What is to be read.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// The last record that need not be read.
    pub(crate) after: Sequence,
    /// The last that is to be taken at all.
    pub(crate) cut: Option<Sequence>,
}

/// Where the journal ends, without taking anything.
pub(crate) fn end(disk: &dyn Disk, survey: &Survey, cut: Option<Sequence>) -> Result<Sequence, Error> {
    let floor = survey.floor();
    let walk = Walk { disk, segments: &survey.live, floor };
    let mut last = floor;
    walk.run_from(floor.next(), &mut |record| {
        if cut.is_some_and(|cut| record.sequence > cut.max(floor)) {
            return Ok(ControlFlow::Break(()));
        }
        last = record.sequence;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(last)
}

/// Read what is wanted.
pub(crate) fn read(disk: &dyn Disk, survey: Survey, wanted: Wanted, take: &mut Take<'_>) -> Result<Found, Error> {
    let cut = wanted.cut;
    let (floor, mut base, mut tail_bytes) = (survey.floor(), Base::default(), 0);
    let cut = cut.map(|cut| cut.max(floor));
    let mut visit = |record: Visited<'_>| {
        if cut.is_some_and(|cut| record.sequence > cut) {
            return Ok(ControlFlow::Break(()));
        }
        if record.sequence > wanted.after {
            take(record.sequence, record.frame.payload)?;
        }
        if record.sequence == floor {
            base =
                Base { sequence: floor, crc: record.frame.crc, place: Some((record.path.to_path_buf(), record.end)) };
        } else if record.sequence > floor {
            tail_bytes += record.frame.size() as u64;
        }
        Ok(ControlFlow::Continue(()))
    };
    let walk = Walk { disk, segments: &survey.live, floor };
    // The record that HEAD names is where the sure part ends, so it is always read.
    let from = wanted.after.next().min(floor).max(Sequence(1));
    let reached = if from <= survey.first() {
        walk.run(survey.first().min(wanted.after.next()), &mut visit, &mut Err)?
    } else {
        walk.run_from(from, &mut visit)?
    };
    if base.sequence < floor && wanted.after >= floor {
        // The sure part ends where the journal begins: what was before lies in a base.
        base.sequence = floor;
    }
    survey.newest_is_there()?;
    let repairs = survey.remark(reached.last).into_iter().chain(reached.torn.clone()).collect();
    Ok(Found { survey, reached, repairs, base, tail_bytes })
}

/// Begin a life behind what was found.
pub(crate) fn begin(
    setup: &Setup,
    shared: &Arc<Mutex<Shared>>,
    found: &Found,
    store: Option<u64>,
) -> Result<Writer, Error> {
    let disk = &*setup.disk;
    disk.create_folder(&setup.journal()).map_err(super::io("create", &setup.journal()))?;
    for path in &found.survey.unfinished {
        disk.remove(path).map_err(super::io("remove", path))?;
    }
    let mut active = copy(setup, found, store)?;
    active.publish(setup)?;
    let segment = active.segment();
    let head = note(setup, found, &segment)?;
    tidy(setup, found)?;
    let mut state = shared.lock();
    state.segments =
        found.survey.live.iter().filter(|segment| stays(segment, found)).cloned().chain([segment]).collect();
    (state.durable, state.noted) = (found.reached.last, found.reached.last);
    let spare = Spare::new(setup.disk.clone(), &setup.journal(), setup.segment_bytes, setup.background);
    Ok(Writer::new(setup.clone(), shared.clone(), active, spare, head))
}

/// Begin a life behind a record that lies before damage, which somebody accepted to be without: all that comes after it
/// counts for nothing. `base` is a record that need not be read, nor any before it.
pub(crate) fn cut(setup: &Setup, shared: &Arc<Mutex<Shared>>, base: Sequence, end: Sequence) -> Result<(), Error> {
    let disk = &*setup.disk;
    let survey = Survey::take(disk, &setup.folder)?;
    let mut last = Base { sequence: end, ..Base::default() };
    let mut visit = |record: Visited<'_>| {
        if record.sequence == end {
            last = Base { sequence: end, crc: record.frame.crc, place: Some((record.path.to_path_buf(), record.end)) };
        }
        Ok(if record.sequence < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    };
    if base < end {
        let walk = Walk { disk, segments: &survey.live, floor: end };
        walk.run_from(base.next(), &mut visit)?;
    }
    let reached = Reached { last: end, crc: last.crc, torn: None };
    let found = Found { survey, reached, repairs: Vec::new(), base: last, tail_bytes: 0 };
    begin(setup, shared, &found, None).map(drop)
}

/// Write everything behind HEAD again.
fn copy(setup: &Setup, found: &Found, store: Option<u64>) -> Result<Active, Error> {
    let (disk, survey) = (&*setup.disk, &found.survey);
    let len = setup.segment_bytes.max(HEADER + found.tail_bytes);
    let blank = Blank::make(disk, setup.journal().join("start.new"), len)?;
    let header = Header {
        number: survey.all.last().map_or(0, |segment| segment.number) + 1,
        id: fresh_id(disk),
        store: survey.store().or(store).unwrap_or_else(|| disk.random()),
        epoch: Epoch(survey.epoch().0 + 1),
        first: found.base.sequence.next(),
        previous: found.base.crc,
        synced: setup.synced,
    };
    let mut active = Active::begin(blank, header, Vec::new())?;
    if found.reached.last >= header.first {
        let walk = Walk { disk, segments: &survey.live, floor: found.reached.last };
        walk.run_from(header.first, &mut |record| {
            if record.sequence > found.reached.last {
                return Ok(ControlFlow::Break(()));
            }
            active.put(record.frame.payload).map(ControlFlow::Continue)
        })?;
    }
    Ok(active)
}

/// Everything that was read is synced by now.
fn note(setup: &Setup, found: &Found, segment: &Segment) -> Result<head::Writer, Error> {
    let header = segment.header.as_ref().expect("this life wrote it");
    let note = Head { store: header.store, incarnation: header.epoch, durable: found.reached.last };
    match found.survey.head {
        head::Found::Missing | head::Found::Unreadable => head::Writer::create(&*setup.disk, &setup.folder, note),
        head::Found::Whole(_, count) | head::Found::Half(_, count) => {
            let mut head = head::Writer::resume(&*setup.disk, &setup.folder, count)?;
            // A life that was killed while it made HEAD may have left its name in memory only.
            setup.disk.sync_folder(&setup.folder).map_err(super::io("sync", &setup.folder))?;
            head.note(note).map_err(super::io("write", &setup.folder.join(head::NAME)))?;
            Ok(head)
        }
    }
}

/// Remove what was replaced whole, and the unused end of what was replaced in part.
fn tidy(setup: &Setup, found: &Found) -> Result<(), Error> {
    let disk = &*setup.disk;
    for segment in found.survey.all.iter().filter(|segment| !stays(segment, found)) {
        disk.remove(&segment.path).map_err(super::io("remove", &segment.path))?;
        disk.sync_folder(&setup.journal()).map_err(super::io("sync", &setup.journal()))?;
    }
    if let Some((path, end)) = &found.base.place
        && !Mutant::StaleBytesCount.is_chosen()
    {
        let file = disk.open(path, Access::Write).map_err(super::io("open", path))?;
        file.set_len(*end).map_err(super::io("cut", path))?;
    }
    Ok(())
}

/// Whether any of its records come before the new segment's first, and count. One that does not count would come back to
/// life when the one that replaced it is trimmed.
fn stays(segment: &Segment, found: &Found) -> bool {
    let counts = found.survey.live.iter().any(|live| live.number == segment.number);
    counts && segment.header.as_ref().is_ok_and(|header| header.first <= found.base.sequence)
}
