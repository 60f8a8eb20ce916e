//! Reads everything in a folder, and tells all that is wrong rather than the first of it.
//!
//! **Invariant:** takes no lock and writes nothing; a process may be writing meanwhile. A file that it removes while we look
//! was replaced by another, and is not missed.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    archive::{self, Segment},
    ballast,
    base::{self, Base},
    format,
    gone::Gone,
    ground, losses, shelf,
};
use crate::durable::{
    id::Sequence,
    journal::{
        disk::{Access, Disk},
        lock,
        replay::{Visited, Walk},
        survey::Survey,
    },
    store::{Checked, Error},
};

/// Check a folder.
pub(crate) fn check(disk: &dyn Disk, folder: &Path) -> Result<Checked, Error> {
    format::read(folder)?;
    let survey = Survey::hold(disk, folder)?;
    if survey.is_new() {
        let cause = "there is no store here".to_owned();
        return Err(Error::Inconsistent { folder: folder.to_path_buf(), cause });
    }
    let mut checked = Checked { first: survey.first(), vouched: survey.floor(), ..Checked::default() };
    journal(disk, &survey, &mut checked)?;
    bases(disk, &survey, &mut checked)?;
    ledger(disk, &survey, &mut checked)?;
    checked.ballast_bytes = len(disk, &folder.join(ballast::NAME)).unwrap_or_default();
    checked.row_bytes = shelf::bytes(&folder.join(ground::FOLDER));
    checked.problems.extend(ground::condemned(folder).map(|why| {
        format!("HF0022: the rows are of no use: {why}; the next start builds them again from base and journal")
    }));
    Ok(checked)
}

fn journal(disk: &dyn Disk, survey: &Survey, checked: &mut Checked) -> Result<(), Error> {
    checked.files = survey.live.len() as u64;
    checked.file_bytes = survey.live.iter().filter_map(|segment| len(disk, &segment.path)).sum();
    let (mut records, mut bytes, mut problems) = (0, 0, Vec::new());
    let mut count = |record: Visited<'_>| {
        records += 1;
        bytes += record.frame.payload.len() as u64;
        Ok(ControlFlow::Continue(()))
    };
    let mut blame = |error: Error| {
        problems.push(error.to_string());
        Ok(())
    };
    let walk = Walk { disk, segments: &survey.live, floor: survey.floor() };
    let needed =
        base::list(disk, &survey.folder.join(base::FOLDER))?.first().map_or(Sequence(1), |(base, _)| base.next());
    let reached = walk.run(survey.first().min(needed), &mut count, &mut blame)?;
    problems.extend(survey.newest_is_there().err().map(|error| error.to_string()));
    // A slot that cannot be read may be in the middle of being written.
    problems.extend(survey.remark(reached.last).filter(|_| survey.head.head().is_none()));
    (checked.records, checked.bytes, checked.last) = (records, bytes, reached.last);
    checked.problems.append(&mut problems);
    Ok(())
}

fn bases(disk: &dyn Disk, survey: &Survey, checked: &mut Checked) -> Result<(), Error> {
    for (sequence, path) in base::list(disk, &survey.folder.join(base::FOLDER))? {
        match Base::open(disk, &path).and_then(|base| Ok((base.verify()?, base.header().store))) {
            Ok((summary, store)) => {
                checked.bases.files += 1;
                checked.bases.bytes += summary.bytes;
                checked.bases.entries = summary.rows;
                checked.bases.last = sequence.0;
                let is_strange = Some(store) != survey.store();
                checked.problems.extend(is_strange.then(|| format!("{} belongs to another store", path.display())));
                // One that is made meanwhile may hold what came after we looked.
                let is_ahead = sequence > checked.last && !is_held(&survey.folder);
                let told = || format!("{} holds more than the journal, which ends at {}", path.display(), checked.last);
                checked.problems.extend(is_ahead.then(told));
            }
            Err(error) if error.is_gone() => {}
            Err(error) => checked.problems.push(error.to_string()),
        }
    }
    Ok(())
}

fn ledger(disk: &dyn Disk, survey: &Survey, checked: &mut Checked) -> Result<(), Error> {
    let mut segments = Vec::new();
    for (_, path) in archive::list(disk, &survey.folder.join(archive::FOLDER))? {
        match Segment::open(disk, &path).and_then(|segment| Ok((segment.verify()?, segment))) {
            Ok((summary, segment)) => {
                checked.ledger.files += 1;
                checked.ledger.bytes += summary.bytes;
                checked.ledger.entries += summary.events;
                checked.ledger.last = segment.range().to.0;
                segments.push(segment);
            }
            Err(error) if error.is_gone() => {}
            Err(error) => checked.problems.push(error.to_string()),
        }
    }
    let gone = Gone::read(disk, &survey.folder)?;
    segments.retain(|segment| !gone.covers(segment.range()));
    let lost = losses::list(disk, &survey.folder, gone)?;
    let store = survey.store().unwrap_or_default();
    let connected = losses::connected(&survey.folder, store, &segments, &lost, gone);
    checked.problems.extend(connected.err().map(|error| error.to_string()));
    checked.notes.extend(
        lost.iter().map(|range| {
            format!("the history of records {} to {} was lost, and that was accepted", range.from, range.to)
        }),
    );
    if gone.to > Sequence(0) {
        let note = "the history of records 1 to {} was kept for as long as was asked for, and is gone with its runs";
        checked.notes.push(note.replace("{}", &gone.to.to_string()));
    }
    let end = lost.iter().map(|range| range.to).chain(segments.iter().map(|segment| segment.range().to)).max();
    let end = end.unwrap_or_default();
    if end.next() < survey.first() {
        let (from, to) = (end.next(), survey.first().0 - 1);
        let cause = format!("the events of records {from} to {to} are neither in the ledger nor in the journal");
        let missing = Error::Inconsistent { folder: survey.folder.clone(), cause };
        checked.problems.push(missing.to_string());
    }
    Ok(())
}

fn len(disk: &dyn Disk, path: &Path) -> Option<u64> {
    disk.open(path, Access::Read).and_then(|file| file.len()).ok()
}

/// Whether a process works in a folder.
fn is_held(folder: &Path) -> bool {
    matches!(quiet(folder), Ok(Quiet::Held(_)))
}

/// Whether somebody works in a folder.
pub(super) enum Quiet {
    /// Nobody; nobody begins to while this lives.
    Free(Option<std::fs::File>),
    /// Somebody, as they describe themselves.
    Held(String),
}

/// Keep everybody from beginning to work in a folder, without a byte written.
pub(super) fn quiet(folder: &Path) -> Result<Quiet, Error> {
    let path: PathBuf = folder.join(lock::NAME);
    let file = match std::fs::File::open(&path) {
        // Nobody ever worked here, or everything but this was copied.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Quiet::Free(None)),
        file => file.map_err(crate::durable::journal::io("open", &path))?,
    };
    let locked = lock::patiently(|| match file.try_lock_shared() {
        Ok(()) => Ok(Ok(())),
        Err(std::fs::TryLockError::WouldBlock) => Ok(Err(std::fs::read_to_string(&path).unwrap_or_default())),
        Err(std::fs::TryLockError::Error(source)) => Err(Error::Io { action: "lock", file: path.clone(), source }),
    });
    Ok(match locked? {
        Ok(()) => Quiet::Free(Some(file)),
        Err(holder) => Quiet::Held(lock::legible(&holder)),
    })
}
