//! Damage that somebody accepts: what it would cost, and doing it.
//!
//! ```text
//! loss (a note: not settled yet) ─► aside ─► history that can be, archived ─► cut ─► told, doubted, held ─► note gone
//! ```
//! The cut is that of a start: a new segment from whose first sequence on the older ones count for nothing.
//!
//! **Invariants:** nothing is removed that is not kept aside. A store whose loss is not settled does not open. Whatever belongs
//! to lost records (bases, ledger segments, rows) is out of the way before a new record can take one of their numbers.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    Local,
    archive::{self, Range},
    archiver::Work,
    base::{self, Base},
    format, losses,
    past::Counted,
};
use crate::durable::{
    accepted::Accepted,
    dying,
    id::Sequence,
    journal::{
        self,
        disk::{self, Disk},
        head, recovery,
        replay::Walk,
        segment::Segment,
        survey::Survey,
        writer::{Setup, Shared},
    },
    live::Live,
    record::Encoder,
    store::{Error, Loss, Settled, Store as _},
};

/// It is there while a loss is being settled; it says which.
const NOTE: &str = "loss";

/// Whether a loss is accepted and not settled.
pub(super) fn is_unsettled(disk: &dyn Disk, folder: &Path) -> bool {
    disk::exists(disk, &folder.join(NOTE))
}

/// What is damaged, and what accepting that would cost; `None` if nothing is.
pub(super) fn plan(disk: &dyn Disk, folder: &Path) -> Result<Option<Loss>, Error> {
    let survey = Survey::take(disk, folder)?;
    let (damage, last) = damage(disk, &survey)?;
    let (archived, good) = past_and_bases(disk, folder)?;
    let missing = (archived.next() < survey.first() && archived > Sequence(0) || is_headless(disk, &survey)?)
        .then(|| (archived.0 + 1, survey.first().0 - 1, "the segments that held them are missing".to_owned()));
    let is_missing = missing.is_some();
    let groundless = (archived > Sequence(0) && !good.contains(&archived)).then(|| {
        let next = good.iter().find(|base| **base > archived)?;
        let why = format!("the base image of record {archived}, at which the ledger ends, is damaged or missing");
        Some((archived.0 + 1, next.0, why))
    });
    let mut damage: Vec<_> = missing.into_iter().chain(groundless.flatten()).chain(damage).collect();
    damage.sort_by_key(|(from, ..)| *from);
    if damage.is_empty() {
        return Ok(None);
    }
    let end = |base: Sequence| {
        let next = damage.iter().find(|(_, to, _)| *to > base.0);
        next.map_or(last.max(base), |(from, ..)| base.max(Sequence(from - 1)))
    };
    let mut grounds = good;
    // Behind a base that ends before the journal begins, what is missing is damage, and the state ends there.
    grounds.retain(|base| base.next() >= survey.first() || is_missing && *base >= archived);
    grounds.extend((survey.first() == Sequence(1)).then_some(Sequence(0)));
    // Of those from which one gets as far, the oldest: behind it all of the history is there.
    let Some(base) = grounds.into_iter().max_by_key(|base| (end(*base), std::cmp::Reverse(*base))) else {
        let cause =
            "neither the journal nor any base image holds a whole state; restore a backup of the folder".to_owned();
        return Err(Error::Inconsistent { folder: folder.to_path_buf(), cause });
    };
    let (until, gone) = (end(base), damage.iter().map(|(_, to, _)| *to).max().unwrap_or_default().max(last.0));
    let state = (until.0 < gone).then_some((until.0 + 1, gone));
    // Also one that goes on behind the base: what it holds of the past is lost, too.
    let hole = damage.iter().find(|(from, to, _)| *from <= base.0 && *to > archived.0);
    let history = hole.map(|(from, ..)| ((*from).max(archived.0 + 1), base.0)).filter(|(from, to)| from <= to);
    Ok(Some(Loss { damage, until: until.0, base: base.0, state, history }))
}

/// Accept what is damaged, with the folder in hand.
pub(super) fn accept(local: &Local, now_ms: u64) -> Result<Settled, Error> {
    let (disk, setup) = (&*local.setup.disk, &local.setup);
    let loss = plan(disk, &setup.folder)?;
    let former = read_note(disk, &setup.folder)?;
    let mut settled = Settled::default();
    if let Some(loss) = &loss {
        let state = loss.state.or(former);
        if let Some(state) = state {
            write_note(disk, &setup.folder, state)?;
        }
        mend(setup, loss, &mut settled)?;
    }
    dying::point();
    if let Some(lost) = loss.and_then(|loss| loss.state).or(former) {
        settle(local, lost, now_ms, &mut settled)?;
    }
    dying::point();
    if is_unsettled(disk, &setup.folder) {
        let note = setup.folder.join(NOTE);
        disk.remove(&note).map_err(journal::io("remove", &note))?;
        format::sync(disk, &setup.folder)?;
    }
    Ok(settled)
}

#[expect(clippy::type_complexity, reason = "written out it says more than a name would")]
fn damage(disk: &dyn Disk, survey: &Survey) -> Result<(Vec<(u64, u64, String)>, Sequence), Error> {
    let mut found = Vec::new();
    let mut blame = |error: Error| match error {
        Error::Damaged { file, from, to, cause } => {
            found.push((from.0, to.0, format!("{}: {cause}", file.display())));
            Ok(())
        }
        error => Err(error),
    };
    let walk = Walk { disk, segments: &survey.live, floor: survey.floor() };
    let mut pass = |_: journal::replay::Visited<'_>| Ok(std::ops::ControlFlow::Continue(()));
    let reached = walk.run(survey.first(), &mut pass, &mut blame)?;
    if found.is_empty() && survey.newest_is_there().is_err() {
        let next = reached.last.0 + 1;
        found.push((next, next, "the newest segment of the journal is missing".to_owned()));
    }
    Ok((found, reached.last))
}

/// Whether the journal begins later than anything that holds what came before.
fn is_headless(disk: &dyn Disk, survey: &Survey) -> Result<bool, Error> {
    let newest = base::list(disk, &survey.folder.join(base::FOLDER))?.last().map_or(Sequence(0), |(base, _)| *base);
    Ok(newest.next() < survey.first())
}

/// The last record whose events are in the ledger, or known to be lost.
fn archived(disk: &dyn Disk, folder: &Path) -> Result<Sequence, Error> {
    Ok(Counted::list(disk, folder)?.end)
}

/// Where the ledger ends, and the bases that read well; of one moment, although somebody may work there.
fn past_and_bases(disk: &dyn Disk, folder: &Path) -> Result<(Sequence, Vec<Sequence>), Error> {
    loop {
        let (end, good) = (archived(disk, folder)?, good_bases(disk, folder)?);
        if archived(disk, folder)? == end {
            return Ok((end, good));
        }
    }
}

fn good_bases(disk: &dyn Disk, folder: &Path) -> Result<Vec<Sequence>, Error> {
    let listed = base::list(disk, &folder.join(base::FOLDER))?;
    let is_good = |path: &Path| Base::open(disk, path).and_then(|base| base.verify()).is_ok();
    Ok(listed.into_iter().filter(|(_, path)| is_good(path)).map(|(sequence, _)| sequence).collect())
}

/// Put the damaged files aside, save the history that can be saved, and have a journal that reads well.
fn mend(setup: &Setup, loss: &Loss, settled: &mut Settled) -> Result<(), Error> {
    let survey = Survey::take(&*setup.disk, &setup.folder)?;
    let (aside, base) = (put_aside(setup, &survey, loss)?, Sequence(loss.base));
    let good = good_bases(&*setup.disk, &setup.folder)?;
    move_bases(setup, &aside, &|sequence| sequence < base && !good.contains(&sequence))?;
    if let Some((from, to)) = loss.history {
        save_history(setup, &survey, (from, to), settled)?;
    }
    // What is damaged up to here is in the ledger by now, or known to be lost. The bases first: without the segments after
    // it one is of no use.
    let end = archived(&*setup.disk, &setup.folder)?.min(base);
    let ledger = setup.folder.join(archive::FOLDER);
    if setup.disk.list(&ledger).is_ok() {
        // An attempt that was killed may have left names there that are not durable.
        format::sync(&*setup.disk, &ledger)?;
    }
    move_bases(setup, &aside, &|sequence| sequence < end)?;
    remove_segments(setup, end)?;
    if loss.state.is_some() {
        move_newer(setup, Sequence(loss.until), &aside)?;
        recovery::cut(setup, &Arc::default(), base, Sequence(loss.until))?;
        // The new segment may be the first behind one that held the damage.
        remove_segments(setup, end)?;
    }
    settled.aside = Some(aside);
    Ok(())
}

/// Another name, or a copy, of HEAD and of every segment that is cut or removed.
fn put_aside(setup: &Setup, survey: &Survey, loss: &Loss) -> Result<PathBuf, Error> {
    let disk = &*setup.disk;
    let free = |number: &u32| disk.list(&setup.folder.join(format!("journal.damaged-{number}"))).is_err();
    let number = (1..=u32::MAX).find(free).expect("nobody accepts that many losses");
    for former in 1..number {
        // An attempt that was killed may have moved something there, and not synced it.
        format::sync(disk, &setup.folder.join(format!("journal.damaged-{former}")))?;
    }
    let aside = setup.folder.join(format!("journal.damaged-{number}"));
    disk.create_folder(&aside).map_err(journal::io("create", &aside))?;
    let head = setup.folder.join(head::NAME);
    if disk::exists(disk, &head) {
        format::put(disk, &head, &aside, false)?;
    }
    for segment in &survey.all {
        // A start cuts the last segment that stays, and so cuts every name it has.
        let stays = segment.header.as_ref().is_ok_and(|header| header.first.0 <= loss.until);
        format::put(disk, &segment.path, &aside, !stays)?;
    }
    format::sync(disk, &aside)?;
    Ok(aside)
}

/// Put the events before a hole into the ledger, and name the hole.
fn save_history(setup: &Setup, survey: &Survey, (from, to): (u64, u64), settled: &mut Settled) -> Result<(), Error> {
    let archived = archived(&*setup.disk, &setup.folder)?;
    let mut hole = Range { from: Sequence(from), to: Sequence(to) };
    if archived.next() < hole.from {
        let shared = Shared { segments: survey.live.clone(), ..Shared::default() };
        let work = Work::new(setup, &Arc::new(Mutex::new(shared)), u64::MAX);
        if let Err(error) = work.archive(Sequence(from - 1), &|| true) {
            settled
                .notes
                .push(format!("the events before the damage could not be archived, and are lost too: {error}"));
            hole.from = archived.next();
        }
    }
    losses::note(&*setup.disk, &setup.folder, hole).map(drop)
}

/// Remove the segments that hold nothing after a record.
fn remove_segments(setup: &Setup, end: Sequence) -> Result<(), Error> {
    let survey = Survey::take(&*setup.disk, &setup.folder)?;
    let is_needless = |next: &Segment| next.header.as_ref().is_ok_and(|header| header.first <= end.next());
    let needed = survey.all.iter().rposition(is_needless).unwrap_or(0);
    for segment in &survey.all[..needed] {
        setup.disk.remove(&segment.path).map_err(journal::io("remove", &segment.path))?;
    }
    setup.disk.sync_folder(&setup.journal()).map_err(journal::io("sync", &setup.journal()))
}

/// Bases and ledger segments that hold records after the cut belong to a story that is not told any more.
fn move_newer(setup: &Setup, until: Sequence, aside: &Path) -> Result<(), Error> {
    move_bases(setup, aside, &|sequence| sequence > until)?;
    let ledger = archive::list(&*setup.disk, &setup.folder.join(archive::FOLDER))?;
    let newer = ledger.into_iter().filter(|(range, _)| range.to > until);
    newer.into_iter().try_for_each(|(_, path)| move_aside(setup, &path, aside))
}

fn move_bases(setup: &Setup, aside: &Path, which: &dyn Fn(Sequence) -> bool) -> Result<(), Error> {
    let bases = base::list(&*setup.disk, &setup.folder.join(base::FOLDER))?;
    let is_there = !bases.is_empty();
    let moved = bases.into_iter().filter(|(sequence, _)| which(*sequence));
    moved.into_iter().try_for_each(|(_, path)| move_aside(setup, &path, aside))?;
    // Also what an attempt that was killed has moved must not come back, once the segments after it are gone.
    if is_there { format::sync(&*setup.disk, &setup.folder.join(base::FOLDER)) } else { Ok(()) }
}

fn move_aside(setup: &Setup, path: &Path, aside: &Path) -> Result<(), Error> {
    let (disk, Some(name)) = (&*setup.disk, path.file_name()) else { return Ok(()) };
    disk.rename(path, &aside.join(name)).map_err(journal::io("rename", path))?;
    format::sync(disk, aside)?;
    format::sync(disk, path.parent().unwrap_or(&setup.folder))
}

/// Tell the runs, put open calls in doubt, and hold everything, in records of their own.
fn settle(local: &Local, (from, to): (u64, u64), now_ms: u64, settled: &mut Settled) -> Result<(), Error> {
    let opened = if local.options.rows { local.prepare()? } else { local.open_without_rows()? };
    let (live, recovered) = Live::fold_over(local, &opened)?;
    settled.notes.extend(opened.repairs.into_iter().chain(recovered.repairs));
    let now_ms = now_ms.max(live.latest_ms);
    let mut accepted = Accepted::new(live, recovered.durable.next());
    (settled.roots, settled.doubted) = accepted.restore(now_ms, from, to);
    let mut encoder = Encoder::default();
    while let Some(sealed) = accepted.seal() {
        local.append(recovered.fence, sealed.sequence, encoder.seal(&sealed.record))?;
    }
    local.idle()
}

fn read_note(disk: &dyn Disk, folder: &Path) -> Result<Option<(u64, u64)>, Error> {
    let path = folder.join(NOTE);
    if !disk::exists(disk, &path) {
        return Ok(None);
    }
    let bytes = disk::read(disk, &path).map_err(journal::io("read", &path))?;
    let text = String::from_utf8_lossy(&bytes);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // A torn note means that nothing was cut yet.
    Ok(if let [from, to] = numbers[..] { Some((from, to)) } else { None })
}

fn write_note(disk: &dyn Disk, folder: &Path, (from, to): (u64, u64)) -> Result<(), Error> {
    let path = folder.join(NOTE);
    disk::write(disk, &path, format!("{from} {to}\n").as_bytes()).map_err(journal::io("write", &path))?;
    format::sync(disk, folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that stay on disk until a loss is settled, perhaps by a later build.
    #[test]
    fn the_note_of_a_loss_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        write_note(&crate::durable::journal::disk::RealDisk, folder.path(), (5, 300)).unwrap();
        assert_eq!(std::fs::read(folder.path().join("loss")).unwrap(), b"5 300\n");
        assert_eq!(read_note(&crate::durable::journal::disk::RealDisk, folder.path()).unwrap(), Some((5, 300)));
        assert!(is_unsettled(&crate::durable::journal::disk::RealDisk, folder.path()));
    }
}
