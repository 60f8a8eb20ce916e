//! A start: rows from the store, and the records that came after.
//!
//! A checkpoint that a crash interrupted leaves rows of different ages. Each actor's row says up to which record it
//! holds everything, and takes no record twice; every other row is set, not counted, so that the records bring all of
//! them to the same end.
//!
//! **Invariant:** rows written at any time between `from` and `to`, and the records after `from`, give what all records
//! give.

use super::{
    Live,
    residency::{fetch, undecodable},
    stored::{self, Key},
};
use crate::durable::{
    codec,
    id::{ActorId, Sequence},
    record::{FORMAT, Op, Record},
    store::{self, Opened, Recovered, Rows, Store},
};

/// What a start knows of the rows it begins from.
struct Ground<'a> {
    rows: &'a dyn Rows,
    /// Rows may hold records up to here.
    to: Sequence,
    /// The highest id that any row may have.
    highest_id: u64,
    /// Whether all rows are of the same moment.
    exact: bool,
}

impl Live {
    /// Fold everything that is durable in a store into memory.
    ///
    /// # Errors
    /// If the store does not recover, a record or row cannot be read, or a chain does not arrive at its head.
    pub fn fold(store: &dyn Store) -> Result<(Self, Recovered), store::Error> {
        Self::fold_over(store, &store.open()?)
    }

    /// The same over other rows than those the store opens; it is told where to begin.
    pub(crate) fn fold_over(store: &dyn Store, opened: &Opened) -> Result<(Self, Recovered), store::Error> {
        let mut live = Self::default();
        if let Some(rows) = &opened.rows {
            live.admit_all(&**rows)?;
        }
        live.take_meta(&opened.meta)?;
        let ground = opened.rows.as_deref().map(|rows| Ground::new(rows, opened, &live));
        let recovered = live.take_records(store, ground.as_ref())?;
        Ok((live, recovered))
    }

    /// Fold what a start needs: every call, the actors that have mail, and whatever changed after the last checkpoint.
    /// Timers that come due before `window_ms` are in memory.
    ///
    /// # Errors
    /// As [`Live::fold`].
    pub(crate) fn start(store: &dyn Store, opened: &Opened) -> Result<(Self, Recovered), store::Error> {
        let Some(rows) = opened.rows.as_deref() else { return Self::fold_opened(store, opened) };
        let mut live = Self::default();
        live.note_changes();
        live.take_meta(&opened.meta)?;
        live.admit_tag(rows, b'c')?;
        let ground = Ground::new(rows, opened, &live);
        let recovered = live.take_records(store, Some(&ground))?;
        live.admit_with_mail(rows)?;
        Ok((live, recovered))
    }

    fn fold_opened(store: &dyn Store, opened: &Opened) -> Result<(Self, Recovered), store::Error> {
        let mut live = Self::default();
        live.take_meta(&opened.meta)?;
        let recovered = live.take_records(store, None)?;
        Ok((live, recovered))
    }

    fn take_records(&mut self, store: &dyn Store, ground: Option<&Ground<'_>>) -> Result<Recovered, store::Error> {
        store.recover(&mut |sequence, payload| {
            let undecodable = |cause: String| store::Error::Undecodable { sequence, cause };
            let record: Record = codec::open(FORMAT, payload).map_err(|error| undecodable(error.to_string()))?;
            match ground {
                Some(ground) => self.replay(ground, sequence, &record),
                None => self.apply_record(sequence, &record).map_err(undecodable),
            }
        })
    }

    /// Nothing in memory but every call, over rows as of some record.
    pub(crate) fn over(rows: Option<&dyn Rows>, meta: &[u8]) -> Result<Self, store::Error> {
        let mut live = Self::default();
        live.note_changes();
        live.take_meta(meta)?;
        if let Some(rows) = rows {
            live.admit_tag(rows, b'c')?;
        }
        Ok(live)
    }

    /// Go on from rows by one record: load what it touches, and apply it. Chains are taken to arrive where the record
    /// says; whoever puts the record's events aside for good checks that they do.
    pub(crate) fn advance(
        &mut self,
        rows: Option<&dyn Rows>,
        sequence: Sequence,
        record: &Record,
    ) -> Result<(), store::Error> {
        let ground =
            Ground { rows: rows.unwrap_or(&NoRows), to: Sequence(u64::MAX), highest_id: u64::MAX, exact: true };
        self.replay(&ground, sequence, record)
    }

    /// Apply all of a record.
    ///
    /// # Errors
    /// If a chain does not arrive at the head that the record names.
    pub(crate) fn apply_record(&mut self, sequence: Sequence, record: &Record) -> Result<(), String> {
        for op in &record.ops {
            self.apply(sequence, record.base_ms, op);
        }
        for (stream, head) in &record.heads {
            // A stream whose root finished in this record is gone from memory; the ledger still verifies it.
            if self.streams.get(stream).is_some_and(|folded| folded != head) {
                return Err(format!("the chain of {stream} does not arrive at the head that the record names"));
            }
        }
        Ok(())
    }

    fn replay(&mut self, ground: &Ground<'_>, sequence: Sequence, record: &Record) -> Result<(), store::Error> {
        let touched = record.ops.iter().flat_map(|op| self.touches(op)).flatten().collect::<Vec<_>>();
        for actor in touched {
            self.ensure(ground, actor)?;
        }
        for (stream, _) in &record.heads {
            self.ensure(ground, ActorId(stream.0))?;
        }
        if sequence > ground.to {
            return self.apply_record(sequence, record).map_err(|cause| store::Error::Undecodable { sequence, cause });
        }
        for op in &record.ops {
            match op {
                Op::Turn { actor, at, consumed, events } => {
                    self.turn(sequence, *actor, record.base_ms + u64::from(*at), *consumed, events, &[]);
                }
                Op::Note { .. } => {}
                op => self.apply(sequence, record.base_ms, op),
            }
        }
        for (stream, head) in &record.heads {
            // An actor that is gone from the rows already has not extended it.
            if self.change(sequence, ActorId(stream.0), |_| ()).is_some() {
                self.streams.insert(*stream, *head);
            }
        }
        Ok(())
    }

    /// The actors whose rows an operation reads or changes.
    fn touches(&self, op: &Op) -> [Option<ActorId>; 2] {
        match op {
            Op::Spawn { actor, parent, .. } => [Some(*parent), Some(*actor)],
            Op::Turn { actor, .. }
            | Op::Discard { actor, .. }
            | Op::Snapshot { actor, .. }
            | Op::Timer { actor, .. }
            | Op::TimerGone { actor, .. }
            | Op::Suspend { actor, .. }
            | Op::Resume { actor }
            | Op::Stop { actor }
            | Op::Supervised { actor, .. }
            | Op::Note { actor, .. } => [Some(*actor), None],
            Op::Ended { actor, parent } => [Some(*actor), Some(*parent)],
            Op::Deliver { to, .. } => [Some(*to), None],
            Op::Call { row, .. } => [Some(row.caller), None],
            Op::CallEnded { caller, .. } => [Some(*caller), None],
            Op::CallGone { call } => [self.calls.get(call).map(|row| row.caller), None],
            Op::Nothing
            | Op::CallStarted { .. }
            | Op::CallDoubted { .. }
            | Op::CallNotStarted { .. }
            | Op::CallProbing { .. }
            | Op::CallBeats { .. }
            | Op::CallCheckpoint { .. }
            | Op::Put { .. }
            | Op::Remove { .. }
            | Op::Dead { .. } => [None, None],
        }
    }

    /// Have an actor in memory, if the rows have it. Where its hints may be of another age than its row, both are written anew.
    fn ensure(&mut self, ground: &Ground<'_>, actor: ActorId) -> Result<(), store::Error> {
        if actor.0 >> 8 > ground.highest_id {
            return Ok(());
        }
        if actor == ActorId::ENGINE || self.actors.contains_key(&actor) || self.is_removed(actor) {
            return Ok(());
        }
        for (actor, row, head) in fetch(ground.rows, actor)?.into_iter().rev() {
            if !self.actors.contains_key(&actor) {
                self.admit_actor(actor, row, head);
                if !ground.exact {
                    self.write_again(actor);
                }
            }
        }
        Ok(())
    }

    fn write_again(&mut self, actor: ActorId) {
        if let Some(row) = self.actors.get_mut(&actor) {
            row.forget_hints();
            self.dirty.again(actor, row);
        }
    }

    fn admit_all(&mut self, rows: &dyn Rows) -> Result<(), store::Error> {
        for tag in [b'a', b'c', b'i'] {
            self.admit_tag(rows, tag)?;
        }
        self.count_children();
        Ok(())
    }

    fn admit_tag(&mut self, rows: &dyn Rows, tag: u8) -> Result<(), store::Error> {
        let (from, to) = stored::all(tag);
        let mut wrong = None;
        rows.scan(&from, &to, &mut |key, value| match self.admit(key, value) {
            Ok(()) => true,
            Err(error) => {
                wrong = Some(error);
                false
            }
        })?;
        wrong.map_or(Ok(()), Err)
    }

    /// Whoever had mail at the last checkpoint, and was not touched since.
    fn admit_with_mail(&mut self, rows: &dyn Rows) -> Result<(), store::Error> {
        let (from, to) = stored::all(b'q');
        let mut marked = Vec::new();
        rows.scan(&from, &to, &mut |key, _| {
            if let Some(Key::Mail(actor)) = stored::read_key(key) {
                marked.push(actor);
            }
            true
        })?;
        for actor in marked {
            if !self.actors.contains_key(&actor) {
                for (actor, row, head) in fetch(rows, actor)?.into_iter().rev() {
                    self.admit_actor(actor, row, head);
                }
            }
        }
        Ok(())
    }

    /// What a checkpoint notes beside the rows.
    pub(crate) fn meta(&self) -> bytes::Bytes {
        codec::seal(META, &(self.highest_id, self.latest_ms, self.next_dead))
    }

    fn take_meta(&mut self, meta: &[u8]) -> Result<(), store::Error> {
        if !meta.is_empty() {
            (self.highest_id, self.latest_ms, self.next_dead) = open_meta(meta)?;
        }
        Ok(())
    }
}

/// The highest number that any id holds in rows with this note; the highest of all if there is none.
pub(crate) fn highest_id(meta: &[u8]) -> Result<u64, store::Error> {
    if meta.is_empty() { Ok(u64::MAX) } else { open_meta(meta).map(|(highest_id, _, _)| highest_id) }
}

fn open_meta(meta: &[u8]) -> Result<(u64, u64, u64), store::Error> {
    codec::open(META, meta).map_err(|error| undecodable(b"meta", &error))
}

/// Before the first record.
struct NoRows;

impl Rows for NoRows {
    fn get(&self, _: &[u8]) -> Result<Option<bytes::Bytes>, store::Error> {
        Ok(None)
    }

    fn scan(&self, _: &[u8], _: &[u8], _: &mut dyn FnMut(&[u8], bytes::Bytes) -> bool) -> Result<(), store::Error> {
        Ok(())
    }
}

const META: codec::Format = codec::Format::new("row/meta", 1);

impl<'a> Ground<'a> {
    fn new(rows: &'a dyn Rows, opened: &Opened, live: &Live) -> Self {
        Self { rows, to: opened.to, highest_id: live.highest_id, exact: false }
    }
}
