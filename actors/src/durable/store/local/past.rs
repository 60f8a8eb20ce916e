//! History that is no longer in the journal: ledger segments, and the base at which they end.

use std::path::{Path, PathBuf};

use super::{
    archive::{self, Range, Segment},
    base::{self, Base},
    gone::Gone,
    losses,
};
use crate::durable::{
    chain::Head,
    id::{ActorId, Sequence, StreamId},
    journal::{disk::Disk, survey::Survey},
    ledger::{Ground, extended},
    live::stored,
    store::{Error, Past, PastEvent},
};

/// Ledger segments, oldest first, and what was live where they end.
struct Archived {
    segments: Vec<Segment>,
    lost: Vec<Range>,
    gone: Gone,
    end: Sequence,
    ground: BaseGround,
    connected: Result<(), String>,
}

/// Open what there is, as it is at one moment.
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Past>, Error> {
    loop {
        let counted = Counted::list(disk, folder)?;
        let was = (counted.end, counted.gone);
        match open(disk, folder, counted) {
            // Whoever puts more into the ledger removes the base at which it ended, and what is old goes.
            Err(_) if Counted::list(disk, folder).map(|now| (now.end, now.gone))? != was => {}
            opened => return opened.map(|archived| Box::new(archived) as _),
        }
    }
}

fn open(disk: &dyn Disk, folder: &Path, Counted { files, lost, gone, end }: Counted) -> Result<Archived, Error> {
    let segments = files.iter().map(|(_, path)| Segment::open(disk, path)).collect::<Result<Vec<_>, _>>()?;
    let store = segments.first().map_or(0, |segment| segment.header().store);
    let connected = losses::connected(folder, store, &segments, &lost, gone).map_err(|error| error.to_string());
    let ground = BaseGround::at(disk, folder, end)?;
    Ok(Archived { segments, lost, gone, end, ground, connected })
}

/// The ledger segments that count.
pub(super) struct Counted {
    /// They, oldest first.
    pub(super) files: Vec<(Range, PathBuf)>,
    /// What was lost, and that somebody accepted to be without.
    pub(super) lost: Vec<Range>,
    /// What was kept long enough.
    pub(super) gone: Gone,
    /// The last record whose events are in the ledger, or known to be lost.
    pub(super) end: Sequence,
}

impl Counted {
    /// Look. History is put aside up to a base, in as many segments as it takes: a crash between two of them leaves some
    /// behind which there is no base. They count for nothing as long as the journal has their records; they are made again.
    pub(super) fn list(disk: &dyn Disk, folder: &Path) -> Result<Self, Error> {
        loop {
            let mut files = archive::list(disk, &folder.join(archive::FOLDER))?;
            let (listed, gone) = (files.len(), Gone::read(disk, folder)?);
            files.retain(|(range, _)| !gone.covers(*range));
            let (counted, fits) = Self::of(disk, folder, files, gone)?;
            // Whoever makes segments meanwhile also removes bases.
            if fits || archive::list(disk, &folder.join(archive::FOLDER))?.len() == listed {
                return Ok(counted);
            }
        }
    }

    /// And whether they end at a base.
    fn of(disk: &dyn Disk, folder: &Path, files: Vec<(Range, PathBuf)>, gone: Gone) -> Result<(Self, bool), Error> {
        let lost = losses::list(disk, folder, gone)?;
        let bases = base::list(disk, &folder.join(base::FOLDER))?;
        let end = |files: &[(Range, PathBuf)]| {
            let ends = files.iter().map(|(range, _)| range.to).chain(lost.iter().map(|range| range.to));
            ends.max().unwrap_or_default()
        };
        let fits = |end: Sequence| end == Sequence(0) || bases.iter().any(|(sequence, _)| *sequence == end);
        let all = end(&files);
        if fits(all) {
            return Ok((Self { files, lost, gone, end: all }, true));
        }
        let first = Survey::take(disk, folder)?.first();
        let again = files.iter().rev().take_while(|(range, _)| range.from >= first).count();
        for kept in (files.len() - again..files.len()).rev() {
            let end = end(&files[..kept]);
            if fits(end) {
                let files = files[..kept].to_vec();
                return Ok((Self { files, lost, gone, end }, true));
            }
        }
        Ok((Self { files, lost, gone, end: all }, false))
    }
}

impl Past for Archived {
    fn end(&self) -> Sequence {
        self.end
    }

    fn visit(&self, stream: Option<StreamId>, visit: &mut dyn FnMut(Head, PastEvent) -> bool) -> Result<(), Error> {
        let mut go_on = true;
        for segment in &self.segments {
            let wanted = segment.streams().iter().filter(|entry| stream.is_none_or(|stream| stream == entry.stream));
            for entry in wanted {
                // Not where the segment before ended: there may be a loss between the two.
                let mut head = entry.heads.before;
                segment.stream(entry.stream, &mut |event| {
                    head = extended(&head, &event);
                    go_on = visit(head, event);
                    go_on
                })?;
                if !go_on {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, Error> {
        self.ground.whose(actor)
    }

    fn head(&self, stream: StreamId) -> Result<Head, Error> {
        self.ground.head(stream)
    }

    fn live(&self, visit: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let Some(base) = &self.ground.0 else { return Ok(()) };
        base.scan(&[], None, &mut |_, value| {
            visit(value);
            Ok(true)
        })
    }

    fn verify(&self) -> Result<Vec<String>, Error> {
        let mut wrong: Vec<_> = self.connected.clone().err().into_iter().collect();
        let mut heads: std::collections::BTreeMap<StreamId, Head> = std::collections::BTreeMap::new();
        for segment in &self.segments {
            wrong.extend(segment.verify().err().map(|error| error.to_string()));
            for entry in segment.streams() {
                let before = heads.insert(entry.stream, entry.heads.after);
                // Its begin was kept long enough.
                let is_rest = before.is_none() && entry.stream < self.gone.below;
                let before = before.unwrap_or_default();
                let follows_loss = self.lost.iter().any(|lost| lost.to < segment.range().from);
                if before != entry.heads.before && !follows_loss && !is_rest {
                    wrong.push(format!("{}: {} does not go on where it ended", segment.path().display(), entry.stream));
                }
            }
        }
        for (stream, after) in heads.iter().filter(|_| self.lost.is_empty()) {
            if self.ground.lives(*stream)? && self.ground.head(*stream)? != *after {
                wrong.push(format!("the base of record {} says otherwise of {stream} than the ledger", self.end));
            }
        }
        Ok(wrong)
    }

    fn lost(&self) -> Vec<(Sequence, Sequence)> {
        self.lost.iter().map(|range| (range.from, range.to)).collect()
    }
}

/// What was live at the end of some record, as far as history needs it.
pub(super) struct BaseGround(Option<Base>);

impl BaseGround {
    /// At a record at which there is a base; at 0 nothing was live.
    pub(super) fn at(disk: &dyn Disk, folder: &Path, end: Sequence) -> Result<Self, Error> {
        if end == Sequence(0) {
            return Ok(Self(None));
        }
        let bases = base::list(disk, &folder.join(base::FOLDER))?;
        let Some((_, path)) = bases.into_iter().find(|(sequence, _)| *sequence == end) else {
            let cause = format!(
                "the base image of record {end}, at which the ledger segments end, is missing; restore a backup of the folder"
            );
            return Err(Error::Inconsistent { folder: folder.to_path_buf(), cause });
        };
        Ok(Self(Some(Base::open(disk, &path)?)))
    }

    fn row(&self, actor: ActorId) -> Result<Option<(crate::durable::Actor, Option<Head>)>, Error> {
        let Some(base) = &self.0 else { return Ok(None) };
        let key = stored::actor_key(actor);
        let sealed = base.get(&key)?;
        sealed
            .map(|sealed| stored::open_actor(&sealed).map_err(|error| crate::durable::live::undecodable(&key, &error)))
            .transpose()
    }

    /// The kind and the stream of an actor that was live.
    pub(super) fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, Error> {
        Ok(self.row(actor)?.map(|(row, _)| (row.kind, row.stream)))
    }

    /// Whether a stream's root was live.
    fn lives(&self, stream: StreamId) -> Result<bool, Error> {
        Ok(self.row(ActorId(stream.0))?.is_some())
    }

    /// Where a stream had come to.
    pub(super) fn head(&self, stream: StreamId) -> Result<Head, Error> {
        Ok(self.row(ActorId(stream.0))?.and_then(|(_, head)| head).unwrap_or_default())
    }
}

impl Ground for BaseGround {
    fn whose(&self, actor: ActorId) -> Result<Option<(u32, StreamId)>, Error> {
        self.whose(actor)
    }

    fn head(&self, stream: StreamId) -> Result<Head, Error> {
        self.head(stream)
    }
}
