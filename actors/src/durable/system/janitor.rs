//! The janitor: index rows that are kept for a while, and then go.
//!
//! ```text
//! page of rows ─► wait until what was read is durable ─► which are over? ─► one commit: rows go, tally grows ─► next page
//! ```
//! A commit like any other, so a crash leaves a row or takes it, and the next pass looks again.
//!
//! **Invariants:** nothing is decided from what is not durable. While the wall clock is not to be trusted
//! (`holds_expiries`) nothing goes. A page, and so a commit, is bounded.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Error, System, inner::Inner};
use crate::durable::{
    accepted::Sweeping,
    codec::{self, Format},
    id::StreamId,
    live::{Live, stored, undecodable},
    store::{self, Rows},
};

/// Rows that are looked at, at once.
const PAGE: usize = 256;
/// Between two pages of a pass that nobody waits for.
const REST: Duration = Duration::from_millis(20);
const TALLY: Format = Format::new("swept", 1);

/// Rows that are kept for a while: which they are, and when that is over.
pub trait Expiring: Send + Sync + 'static {
    /// Their keys begin with this, up to and with a slash.
    fn prefix(&self) -> &'static str;

    /// The key of another row that says more about this one.
    fn depends_on(&self, row: &[u8]) -> Option<Bytes> {
        let _ = row;
        None
    }

    /// What is to become of a row now; `other` is the row that it depends on.
    fn fate(&self, row: &[u8], other: Option<&[u8]>, now_ms: u64) -> RowFate;

    /// How many of the [spare](Self::is_spare) ones stay at most. Of those too many the first in the order of keys go.
    fn spare_max(&self) -> Option<u64> {
        None
    }

    /// Whether a row that stays by its fate may go all the same, because there are too many.
    fn is_spare(&self, row: &[u8], now_ms: u64) -> bool {
        let _ = (row, now_ms);
        false
    }

    /// Whether rows say which history is asked for ([`history`](Self::history)): if they do, after each pass the oldest
    /// history goes in which neither a row nor a live actor has a part.
    fn guards_history(&self) -> bool {
        false
    }

    /// The stream whose history is asked for as long as this row is there. Of one that cannot be read, the first of all.
    fn history(&self, row: &[u8]) -> StreamId {
        let _ = row;
        StreamId(0)
    }
}

/// One pass over rows of a kind.
struct Pass<'a> {
    kind: &'a dyn Expiring,
    /// So many more of them than may stay.
    too_many: u64,
    /// The oldest stream of which a row is left; none that begins after the pass did is older.
    oldest: StreamId,
}

impl Pass<'_> {
    /// What is to become of a row: nothing, or nothing is left of it, or this is.
    fn judge(&mut self, row: &Bytes, other: Option<&[u8]>, now_ms: u64) -> Option<Option<Bytes>> {
        let fate = self.kind.fate(row, other, now_ms);
        let is_surplus = self.too_many > 0 && self.kind.is_spare(row, now_ms);
        self.too_many -= u64::from(is_surplus);
        match fate {
            RowFate::Becomes(new) => {
                self.stays(row);
                Some(Some(new))
            }
            RowFate::Goes => Some(None),
            RowFate::Stays if is_surplus => Some(None),
            RowFate::Stays => {
                self.stays(row);
                None
            }
        }
    }

    /// A row is left, and with it the history that it guards.
    fn stays(&mut self, row: &Bytes) {
        if self.kind.guards_history() {
            self.oldest = self.oldest.min(self.kind.history(row));
        }
    }
}

/// What is to become of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowFate {
    /// Its time is not over.
    Stays,
    /// It is over.
    Goes,
    /// It does not say since when it is there, and from now on does.
    Becomes(Bytes),
}

/// Figures of rows that are kept for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyFigures {
    /// Those that are there.
    pub kept: u64,
    /// Those that went, in all lives.
    pub removed: u64,
    /// How often one was found by whoever came again, in this life.
    pub hits: u64,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Rows it looked at.
    pub looked: u64,
    /// Rows that went.
    pub removed: u64,
    /// Whether it did nothing, or stopped, because the wall clock jumped, or the system has no room or ends.
    pub held: bool,
}

/// How many went, in all lives.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Tally {
    removed: u64,
}

impl Tally {
    fn key(prefix: &str) -> Bytes {
        Bytes::from(format!("swept/{prefix}"))
    }

    /// One that is not there counts from nothing; one that cannot be read, because a later build wrote it, is `None`.
    fn read(row: Option<&Bytes>) -> Option<Self> {
        row.map_or(Some(Self::default()), |row| codec::open(TALLY, row).ok())
    }

    /// The row after more went; none if that would write over one of a later build.
    fn after(former: Option<Self>, gone: u64) -> Option<Bytes> {
        former.map(|Self { removed }| codec::seal(TALLY, &Self { removed: removed.saturating_add(gone) }))
    }
}

/// What the janitor looks after.
pub(crate) struct Janitor {
    pub(super) every: Duration,
    /// One pass at a time: the tally is read, and written with what is added.
    passing: tokio::sync::Mutex<()>,
    kinds: Vec<(Arc<dyn Expiring>, AtomicU64)>,
}

impl Janitor {
    pub(super) fn new(every: Duration, kinds: Vec<Arc<dyn Expiring>>) -> Self {
        Self {
            every,
            passing: tokio::sync::Mutex::default(),
            kinds: kinds.into_iter().map(|kind| (kind, AtomicU64::new(0))).collect(),
        }
    }

    /// Somebody came again.
    pub(super) fn hit(&self, key: &[u8]) {
        if let Some((_, hits)) = self.kinds.iter().find(|(kind, _)| key.starts_with(kind.prefix().as_bytes())) {
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The stream of the actor with the lowest number that rows know; its root has no higher one.
fn first_stream(rows: &dyn Rows) -> Result<Option<StreamId>, store::Error> {
    let ((from, to), mut first) = (stored::all(b'a'), None);
    rows.scan(&from, &to, &mut |key, row| {
        first = Some((Bytes::copy_from_slice(key), row));
        false
    })?;
    let stream = first.map(|(key, row)| match stored::open_actor(&row) {
        Ok((actor, _)) => Ok(actor.stream),
        Err(error) => Err(undecodable(&key, &error)),
    });
    stream.transpose()
}

/// The keys that begin with a prefix, which ends with a slash.
fn range(prefix: &str) -> (Bytes, Bytes) {
    let to = [prefix.as_bytes().strip_suffix(b"/").unwrap_or(prefix.as_bytes()), b"0"].concat();
    (Bytes::copy_from_slice(prefix.as_bytes()), to.into())
}

impl Inner {
    /// Look again and again while the system lives.
    pub(super) async fn run_janitor(self: Arc<Self>) {
        let mut closed = self.failure.subscribe();
        while tokio::time::timeout(self.janitor.every, closed.wait_for(Option::is_some)).await.is_err() {
            match self.sweep(REST).await {
                Ok(Swept { removed: 0, .. }) => {}
                Ok(swept) => tracing::debug!(swept.removed, swept.looked, "keys whose time is over were removed"),
                // The store has closed.
                Err(_) => return,
            }
        }
    }

    /// One pass over everything, with a rest between pages.
    async fn sweep(self: &Arc<Self>, rest: Duration) -> Result<Swept, Error> {
        let _alone = self.janitor.passing.lock().await;
        let mut swept = Swept::default();
        let unborn = StreamId((self.core.lock().accepted.live().highest_id + 1) << 8);
        for (kind, _) in &self.janitor.kinds {
            let too_many = self.count_surplus(&**kind, rest).await?;
            let mut pass = Pass { kind: &**kind, too_many, oldest: unborn };
            let (mut from, to) = range(kind.prefix());
            loop {
                if self.must_keep() {
                    swept.held = true;
                    return Ok(swept);
                }
                let Some(next) = self.sweep_page(&mut pass, from, &to, &mut swept).await? else { break };
                from = next;
                if !rest.is_zero() {
                    tokio::time::sleep(rest).await;
                }
            }
            if kind.guards_history() {
                self.forget_before(pass.oldest).await?;
            }
        }
        Ok(swept)
    }

    /// How many more rows there are than may stay.
    async fn count_surplus(self: &Arc<Self>, kind: &dyn Expiring, rest: Duration) -> Result<u64, Error> {
        let Some(most) = kind.spare_max() else { return Ok(0) };
        let ((mut from, to), mut spare) = (range(kind.prefix()), 0_u64);
        loop {
            let page = self.page(from, to.clone(), PAGE).await?;
            let now_ms = self.clock.now_ms();
            spare += page.rows.iter().filter(|(_, row)| kind.is_spare(row, now_ms)).count() as u64;
            let Some(next) = page.next else { return Ok(spare.saturating_sub(most)) };
            from = next;
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
        }
    }

    /// Nobody asks for the history of streams below this, unless an actor of it lives.
    async fn forget_before(self: &Arc<Self>, oldest: StreamId) -> Result<(), Error> {
        // What the rows no longer say must not come back.
        self.until_durable(self.latest()).await?;
        let in_memory = self.core.lock().accepted.live().streams.keys().min().copied();
        let in_store = match self.rows {
            Some(_) => self.from_rows(first_stream).await?.flatten(),
            None => None,
        };
        let below = in_memory.into_iter().chain(in_store).fold(oldest, StreamId::min);
        self.store.forget(below);
        Ok(())
    }

    /// Sweep one page; returns where the next one begins.
    async fn sweep_page(
        self: &Arc<Self>,
        pass: &mut Pass<'_>,
        from: Bytes,
        to: &Bytes,
        swept: &mut Swept,
    ) -> Result<Option<Bytes>, Error> {
        let kind = pass.kind;
        let page = self.page(from, to.clone(), PAGE).await?;
        let tally_key = Tally::key(kind.prefix());
        let mut wanted: Vec<_> = page.rows.iter().map(|(_, row)| kind.depends_on(row)).collect();
        wanted.push(Some(tally_key.clone()));
        let mut others = self.lookup_all(wanted).await?;
        let tally = Tally::read(others.pop().flatten().as_ref());
        self.until_durable(self.latest()).await?;
        let now_ms = self.clock.now_ms();
        let fates = page.rows.iter().zip(&others).filter_map(|((key, row), other)| {
            let becomes = pass.judge(row, other.as_deref(), now_ms)?;
            Some(Sweeping { key: key.clone(), seen: row.clone(), becomes })
        });
        let rows: Vec<_> = fates.collect();
        swept.looked += page.rows.len() as u64;
        if self.must_keep() {
            rows.iter().for_each(|row| pass.stays(&row.seen));
        } else if !rows.is_empty() {
            let mut removed = 0;
            let counted = |gone: u64| {
                removed = gone;
                Some((tally_key, Tally::after(tally, gone)?))
            };
            let (receipt, left) =
                self.with_accepted(|accepted, now_ms| accepted.sweep(now_ms, rows, page.evictions, counted))?;
            left.iter().for_each(|row| pass.stays(&row.seen));
            if let Some(receipt) = receipt {
                self.until_durable(receipt.sequence).await?;
            }
            swept.removed += removed;
        }
        Ok(page.next)
    }

    /// Whether nothing may expire now.
    fn must_keep(&self) -> bool {
        let ends = {
            let core = self.core.lock();
            core.closed.is_some() || core.stopping || core.draining
        };
        ends || self.holds_expiries() || self.admits().is_err()
    }
}

impl System {
    /// Remove every key whose time is over, now: what the janitor does every now and then by itself.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile; what went has gone, and the next pass goes on.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        self.inner.sweep(Duration::ZERO).await
    }

    /// How many keys that begin with this prefix went, in all lives: what [`keys`](Self::keys) says, without counting those
    /// that are there.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn removed(&self, prefix: &str) -> Result<u64, Error> {
        Ok(Tally::read(self.get(&Tally::key(prefix)).await?.as_ref()).unwrap_or_default().removed)
    }

    /// Figures of the keys that begin with this prefix, such as `once/`.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn keys(&self, prefix: &str) -> Result<KeyFigures, Error> {
        let (from, to) = range(prefix);
        let (mut next, mut kept) = (Some(from), 0);
        while let Some(from) = next {
            let page = self.inner.page(from, to.clone(), PAGE).await?;
            kept += page.rows.len() as u64;
            next = page.next;
        }
        let tally = Tally::read(self.get(&Tally::key(prefix)).await?.as_ref()).unwrap_or_default();
        let hits = self.inner.janitor.kinds.iter().find(|(kind, _)| kind.prefix() == prefix);
        let hits = hits.map_or(0, |(_, hits)| hits.load(Ordering::Relaxed));
        Ok(KeyFigures { kept, removed: tally.removed, hits })
    }
}

impl Live {
    /// The same figures, of what is in memory, where nobody comes again.
    #[must_use]
    pub fn keys(&self, prefix: &str) -> KeyFigures {
        let (from, to) = range(prefix);
        let tally = Tally::read(self.index.get(&Tally::key(prefix))).unwrap_or_default();
        KeyFigures { kept: self.index.range(from..to).count() as u64, removed: tally.removed, hits: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{accepted::Accepted, id::Sequence};

    /// Rows that say what becomes of them, and whose history they guard.
    struct Told;

    impl Expiring for Told {
        fn prefix(&self) -> &'static str {
            "told/"
        }

        fn fate(&self, row: &[u8], _: Option<&[u8]>, _: u64) -> RowFate {
            match row[0] {
                b'g' => RowFate::Goes,
                b'b' => RowFate::Becomes(Bytes::from_static(b"s")),
                _ => RowFate::Stays,
            }
        }

        fn guards_history(&self) -> bool {
            true
        }

        fn history(&self, row: &[u8]) -> StreamId {
            StreamId(row[1].into())
        }
    }

    /// The history of a run once went though its row stayed, because the row was not what had been looked at any more.
    #[test]
    fn history_goes_only_with_rows_that_went() {
        let rows = [b"g\x05", b"s\x09", b"b\x08", b"g\x03"].map(|row| Bytes::from_static(row));
        let mut pass = Pass { kind: &Told, too_many: 0, oldest: StreamId(100) };
        let judged: Vec<_> = rows.iter().map(|row| pass.judge(row, None, 0).map(|becomes| becomes.is_none())).collect();
        assert_eq!((judged, pass.oldest), (vec![Some(true), None, Some(false), Some(true)], StreamId(8)));
        let mut accepted = Accepted::new(Live::default(), Sequence(1));
        let put = |accepted: &mut Accepted, row: &Bytes| {
            let sweeping = Sweeping { key: row.clone(), seen: row.clone(), becomes: None };
            accepted.index(row.clone(), Some(row.clone()));
            sweeping
        };
        let mut going = vec![put(&mut accepted, &rows[0]), put(&mut accepted, &rows[3])];
        // One of them changed since it was looked at.
        accepted.index(rows[3].clone(), Some(rows[1].clone()));
        let (receipt, left) = accepted.sweep(0, going.clone(), 0, |_| None);
        assert!(receipt.is_some());
        assert_eq!(left, [going.remove(1)]);
        left.iter().for_each(|row| pass.stays(&row.seen));
        assert_eq!(pass.oldest, StreamId(3));
    }

    /// A build that could not read it once counted from nothing, and wrote that over what a later one had counted.
    #[test]
    fn a_tally_of_a_later_build_is_not_written_over() {
        let tally = Tally::after(Tally::read(None), 3).expect("nothing was counted before");
        assert_eq!(Tally::read(Some(&tally)).map(|tally| tally.removed), Some(3));
        let later = codec::of_a_later_build(&tally);
        assert!(Tally::read(Some(&later)).is_none());
        assert_eq!(Tally::after(Tally::read(Some(&later)), 1), None);
    }
}
