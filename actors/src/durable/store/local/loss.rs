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
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    Local,
    archive::{self, Range},
    archiver::Work,
    base::{self, Base},
    format, losses, past,
};
use crate::durable::{
    accepted::Accepted,
    codec,
    id::Sequence,
    journal::{
        self,
        disk::Disk,
        head, recovery,
        replay::Walk,
        segment::Segment,
        survey::Survey,
        writer::{Setup, Shared},
    },
    live::Live,
    record::FORMAT,
    store::{Error, Loss, Settled, Store as _},
};

/// It is there while a loss is being settled; it says which.
const NOTE: &str = "loss";

/// Whether a loss is accepted and not settled.
pub(super) fn is_unsettled(folder: &Path) -> bool {
    folder.join(NOTE).exists()
}

/// What is damaged, and what accepting that would cost; `None` if nothing is.
pub(super) fn plan(disk: &dyn Disk, folder: &Path) -> Result<Option<Loss>, Error> {
    let survey = Survey::take(disk, folder)?;
    let (damage, last) = damage(disk, &survey)?;
    let archived = archived(disk, folder)?;
    let missing = (archived.next() < survey.first() && archived > Sequence(0) || is_headless(disk, &survey)?)
        .then(|| (archived.0 + 1, survey.first().0 - 1, "the segments that held them are missing".to_owned()));
    let damage: Vec<_> = missing.into_iter().chain(damage).collect();
    if damage.is_empty() {
        return Ok(None);
    }
    let end = |base: Sequence| {
        let next = damage.iter().find(|(_, to, _)| *to > base.0);
        next.map_or(last.max(base), |(from, ..)| base.max(Sequence(from - 1)))
    };
    let mut grounds = good_bases(disk, folder)?;
    grounds.retain(|base| base.next() >= survey.first());
    grounds.extend((survey.first() == Sequence(1)).then_some(Sequence(0)));
    // Of those from which one gets as far, the oldest: behind it all of the history is there.
    let Some(base) = grounds.into_iter().max_by_key(|base| (end(*base), std::cmp::Reverse(*base))) else {
        let cause =
            "neither the journal nor any base image holds a whole state; restore a backup of the folder".to_owned();
        return Err(Error::Inconsistent { folder: folder.to_path_buf(), cause });
    };
    let (until, gone) = (end(base), damage.iter().map(|(_, to, _)| *to).max().unwrap_or_default().max(last.0));
    let state = (until.0 < gone).then_some((until.0 + 1, gone));
    let hole = damage.iter().find(|(_, to, _)| *to <= base.0 && *to > archived.0);
    let history = hole.map(|(from, ..)| ((*from).max(archived.0 + 1), base.0));
    Ok(Some(Loss { damage, until: until.0, base: base.0, state, history }))
}

/// Accept what is damaged, with the folder in hand.
pub(super) fn accept(local: &Local, now_ms: u64) -> Result<Settled, Error> {
    let (disk, setup) = (&*local.setup.disk, &local.setup);
    let loss = plan(disk, &setup.folder)?;
    let former = read_note(&setup.folder)?;
    let mut settled = Settled::default();
    if let Some(loss) = &loss {
        let state = loss.state.or(former);
        if let Some(state) = state {
            write_note(&setup.folder, state)?;
        }
        mend(setup, loss, &mut settled)?;
    }
    if let Some(lost) = loss.and_then(|loss| loss.state).or(former) {
        settle(local, lost, now_ms, &mut settled)?;
    }
    if is_unsettled(&setup.folder) {
        let note = setup.folder.join(NOTE);
        disk.remove(&note).map_err(journal::io("remove", &note))?;
        format::sync(&setup.folder)?;
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
    let oldest = base::list(disk, &survey.folder.join(base::FOLDER))?.first().map_or(Sequence(0), |(base, _)| *base);
    Ok(oldest.next() < survey.first())
}

/// The last record whose events are in the ledger, or known to be lost.
fn archived(disk: &dyn Disk, folder: &Path) -> Result<Sequence, Error> {
    let kept: Vec<_> =
        archive::list(disk, &folder.join(archive::FOLDER))?.into_iter().map(|(range, _)| range).collect();
    Ok(past::end(&kept, &losses::list(disk, folder)?))
}

fn good_bases(disk: &dyn Disk, folder: &Path) -> Result<Vec<Sequence>, Error> {
    let listed = base::list(disk, &folder.join(base::FOLDER))?;
    let is_good = |path: &Path| Base::open(disk, path).and_then(|base| base.verify()).is_ok();
    Ok(listed.into_iter().filter(|(_, path)| is_good(path)).map(|(sequence, _)| sequence).collect())
}

/// Put the damaged files aside, save the history that can be saved, and have a journal that reads well.
fn mend(setup: &Setup, loss: &Loss, settled: &mut Settled) -> Result<(), Error> {
    let survey = Survey::take(&*setup.disk, &setup.folder)?;
    let aside = put_aside(setup, &survey, loss)?;
    if let Some((from, to)) = loss.history {
        save_history(setup, &survey, (from, to), settled)?;
        remove_before(setup, &survey, Sequence(to))?;
    }
    if loss.state.is_some() {
        move_newer(setup, Sequence(loss.until), &aside)?;
        recovery::cut(setup, &Arc::default(), Sequence(loss.base), Sequence(loss.until))?;
    }
    settled.aside = Some(aside);
    Ok(())
}

/// Another name, or a copy, of HEAD and of every segment that is cut or removed.
fn put_aside(setup: &Setup, survey: &Survey, loss: &Loss) -> Result<PathBuf, Error> {
    let free = |number: &u32| !setup.folder.join(format!("journal.damaged-{number}")).exists();
    let number = (1..=u32::MAX).find(free).expect("nobody accepts that many losses");
    let aside = setup.folder.join(format!("journal.damaged-{number}"));
    fs::create_dir(&aside).map_err(journal::io("create", &aside))?;
    let head = setup.folder.join(head::NAME);
    if head.exists() {
        format::put(&head, &aside, false)?;
    }
    for segment in &survey.all {
        // A start cuts the last segment that stays, and so cuts every name it has.
        let stays = segment.header.as_ref().is_ok_and(|header| header.first.0 <= loss.until);
        format::put(&segment.path, &aside, !stays)?;
    }
    format::sync(&aside)?;
    format::sync(&setup.folder)?;
    Ok(aside)
}

/// Put the events before a hole into the ledger, and name the hole.
fn save_history(setup: &Setup, survey: &Survey, (from, to): (u64, u64), settled: &mut Settled) -> Result<(), Error> {
    let archived = archived(&*setup.disk, &setup.folder)?;
    let mut hole = Range { from: Sequence(from), to: Sequence(to) };
    if archived.next() < hole.from {
        let shared = Shared { segments: survey.live.clone(), ..Shared::default() };
        let work = Work { setup: setup.clone(), shared: Arc::new(Mutex::new(shared)), base_bytes: u64::MAX };
        if let Err(error) = work.archive(Sequence(from - 1)) {
            settled
                .notes
                .push(format!("the events before the damage could not be archived, and are lost too: {error}"));
            hole.from = archived.next();
        }
    }
    losses::note(&setup.folder, hole).map(drop)
}

/// Remove the segments that hold nothing after a base.
fn remove_before(setup: &Setup, survey: &Survey, base: Sequence) -> Result<(), Error> {
    let is_needless = |next: &Segment| next.header.as_ref().is_ok_and(|header| header.first <= base.next());
    let needed = survey.all.iter().rposition(is_needless).unwrap_or(0);
    for segment in &survey.all[..needed] {
        setup.disk.remove(&segment.path).map_err(journal::io("remove", &segment.path))?;
    }
    setup.disk.sync_folder(&setup.journal()).map_err(journal::io("sync", &setup.journal()))
}

/// Bases and ledger segments that hold records after the cut belong to a story that is not told any more.
fn move_newer(setup: &Setup, until: Sequence, aside: &Path) -> Result<(), Error> {
    let disk = &*setup.disk;
    let bases = base::list(disk, &setup.folder.join(base::FOLDER))?;
    let ledger = archive::list(disk, &setup.folder.join(archive::FOLDER))?;
    let newer = bases.into_iter().filter(|(sequence, _)| *sequence > until).map(|(_, path)| path);
    let newer = newer.chain(ledger.into_iter().filter(|(range, _)| range.to > until).map(|(_, path)| path));
    for path in newer {
        let Some(name) = path.file_name() else { continue };
        fs::rename(&path, aside.join(name)).map_err(journal::io("rename", &path))?;
        let parent = path.parent().unwrap_or(&setup.folder);
        format::sync(parent)?;
    }
    format::sync(aside)
}

/// Tell the runs, put open calls in doubt, and hold everything, in records of their own.
fn settle(local: &Local, (from, to): (u64, u64), now_ms: u64, settled: &mut Settled) -> Result<(), Error> {
    let opened = local.prepare()?;
    let (live, recovered) = Live::fold_over(local, &opened)?;
    settled.notes.extend(opened.repairs.into_iter().chain(recovered.repairs));
    let now_ms = now_ms.max(live.latest_ms);
    let mut accepted = Accepted::new(live, recovered.durable.next());
    (settled.roots, settled.doubted) = accepted.restore(now_ms, from, to);
    while let Some(sealed) = accepted.seal() {
        local.append(recovered.fence, sealed.sequence, &codec::seal(FORMAT, &sealed.record))?;
    }
    local.idle()
}

fn read_note(folder: &Path) -> Result<Option<(u64, u64)>, Error> {
    let path = folder.join(NOTE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(journal::io("read", &path))?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // A torn note means that nothing was cut yet.
    Ok(if let [from, to] = numbers[..] { Some((from, to)) } else { None })
}

fn write_note(folder: &Path, (from, to): (u64, u64)) -> Result<(), Error> {
    let path = folder.join(NOTE);
    let written = fs::write(&path, format!("{from} {to}\n")).and_then(|()| fs::File::open(&path)?.sync_all());
    written.map_err(journal::io("write", &path))?;
    format::sync(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that stay on disk until a loss is settled, perhaps by a later build.
    #[test]
    fn the_note_of_a_loss_keeps_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        write_note(folder.path(), (5, 300)).unwrap();
        assert_eq!(fs::read(folder.path().join("loss")).unwrap(), b"5 300\n");
        assert_eq!(read_note(folder.path()).unwrap(), Some((5, 300)));
        assert!(is_unsettled(folder.path()));
    }
}
