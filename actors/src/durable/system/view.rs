//! What the outside reads: what is in memory, over what is in the store.
//!
//! **Invariant:** nothing that is read here is told before it is durable. A list is read from memory first and from the
//! store after, so that nothing that was there throughout is missed.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Error, Inner, System};
use crate::durable::{
    call::Row,
    id::{ActorId, CallId, StreamId},
    live::{self, Actor, DeadLetter, Known, stored},
    store::{self, Rows},
};

/// The most rows that are read at once.
const ROWS_MAX: usize = 1_000_000;

/// How many actors there are, in memory or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Census {
    /// All of them.
    pub actors: usize,
    /// Those in memory.
    pub in_memory: usize,
    /// Those that have mail.
    pub with_mail: usize,
    /// Those that are suspended.
    pub suspended: usize,
}

/// Rows of a range: those in memory, and beneath them those of the store.
pub(super) fn merged(
    overlay: BTreeMap<Bytes, Option<Bytes>>,
    rows: Option<&dyn Rows>,
    from: &Bytes,
    to: &Bytes,
    most: usize,
) -> Result<BTreeMap<Bytes, Bytes>, store::Error> {
    let mut found = BTreeMap::new();
    beneath(&overlay, rows, (from, to), &mut |key, value| {
        found.insert(key, value);
        found.len() < most
    })?;
    found.extend(overlay.into_iter().filter_map(|(key, value)| Some((key, value?))));
    Ok(found)
}

/// Some rows of a range, in order.
pub(super) struct Page {
    pub(super) rows: Vec<(Bytes, Bytes)>,
    /// Where the next page begins, if there may be more.
    pub(super) next: Option<Bytes>,
    /// The count of evictions that this belongs to.
    pub(super) evictions: u64,
}

/// What comes right after a key.
fn after(key: &Bytes) -> Bytes {
    [&key[..], b"\0"].concat().into()
}

/// Rows of a range, and where the next ones begin, if there may be more.
type Piece = (Vec<(Bytes, Bytes)>, Option<Bytes>);

/// At most `most` rows of memory, and `most` of the store beneath them, up to where both are known.
fn page_of(
    overlay: BTreeMap<Bytes, Option<Bytes>>,
    rows: Option<&dyn Rows>,
    from: &Bytes,
    to: &Bytes,
    most: usize,
) -> Result<Piece, store::Error> {
    let mut end = (overlay.len() >= most).then(|| overlay.last_key_value().map(|(key, _)| after(key))).flatten();
    let mut found: BTreeMap<_, Option<Bytes>> = BTreeMap::new();
    if let Some(rows) = rows {
        let stop = stored::index_key(end.as_ref().unwrap_or(to));
        rows.scan(&stored::index_key(from), &stop, &mut |key, value| {
            let key = Bytes::copy_from_slice(&key[1..]);
            let is_last = found.len() + 1 >= most;
            if is_last {
                end = Some(after(&key));
            }
            found.insert(key, Some(value));
            !is_last
        })?;
    }
    found.extend(overlay);
    let is_known = |key: &Bytes| end.as_ref().is_none_or(|end| key < end);
    let rows = found.into_iter().filter(|(key, _)| is_known(key)).filter_map(|(key, value)| Some((key, value?)));
    Ok((rows.collect(), end))
}

/// The same for the last rows alone. All of the range is read, and no more than so many rows are kept.
fn newest(
    overlay: BTreeMap<Bytes, Option<Bytes>>,
    rows: Option<&dyn Rows>,
    from: &Bytes,
    to: &Bytes,
    most: usize,
) -> Result<BTreeMap<Bytes, Bytes>, store::Error> {
    let mut found = BTreeMap::new();
    let mut keep = |key: Bytes, value: Bytes| {
        found.insert(key, value);
        if found.len() > most {
            found.pop_first();
        }
        true
    };
    beneath(&overlay, rows, (from, to), &mut keep)?;
    for (key, value) in overlay {
        if let Some(value) = value {
            keep(key, value);
        }
    }
    Ok(found)
}

/// Visit the store's rows of a range of which memory knows nothing, in order, while `visit` says `true`.
fn beneath(
    overlay: &BTreeMap<Bytes, Option<Bytes>>,
    rows: Option<&dyn Rows>,
    (from, to): (&Bytes, &Bytes),
    visit: &mut dyn FnMut(Bytes, Bytes) -> bool,
) -> Result<(), store::Error> {
    let Some(rows) = rows else { return Ok(()) };
    rows.scan(&stored::index_key(from), &stored::index_key(to), &mut |key, value| {
        let key = Bytes::copy_from_slice(&key[1..]);
        overlay.contains_key(&key) || visit(key, value)
    })
}

impl System {
    /// The index rows of a range, in order, once what was read is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn range(&self, from: &[u8], to: &[u8]) -> Result<BTreeMap<Bytes, Bytes>, Error> {
        let (from, to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
        let overlay = self.inner.core.lock().accepted.live().index.overlay(&from, &to);
        let latest = self.inner.latest();
        let found = match self.inner.rows {
            None => overlay.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(),
            Some(_) => {
                let read = move |rows: &dyn Rows| merged(overlay, Some(rows), &from, &to, ROWS_MAX);
                self.inner.from_rows(read).await?.unwrap_or_default()
            }
        };
        self.inner.until_durable(latest).await?;
        Ok(found)
    }

    /// The last index rows of a range, at most so many, once what was read is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn last(&self, from: &[u8], to: &[u8], most: usize) -> Result<BTreeMap<Bytes, Bytes>, Error> {
        let (from, to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
        let overlay = self.inner.core.lock().accepted.live().index.overlay(&from, &to);
        let latest = self.inner.latest();
        let found = match self.inner.rows {
            None => newest(overlay, None, &from, &to, most).unwrap_or_default(),
            Some(_) => {
                let read = move |rows: &dyn Rows| newest(overlay, Some(rows), &from, &to, most);
                self.inner.from_rows(read).await?.unwrap_or_default()
            }
        };
        self.inner.until_durable(latest).await?;
        Ok(found)
    }

    /// Whether new work is taken in at present.
    ///
    /// # Errors
    /// [`Error::Busy`] with what is waited for.
    pub fn admits(&self) -> Result<(), Error> {
        self.inner.admits()
    }

    /// Messages that were given up, oldest first, each with its number.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before; [`Error::Codec`] if one cannot be read.
    pub async fn dead_letters(&self) -> Result<Vec<(u64, DeadLetter)>, Error> {
        let (from, to) = live::dead_letters();
        let rows = self.range(&from, &to).await?;
        let read = |(key, sealed): (Bytes, Bytes)| {
            let number = live::dead_letter_number(&key).unwrap_or_default();
            Ok((number, DeadLetter::open(&sealed)?))
        };
        rows.into_iter().map(read).collect()
    }

    /// A live actor, in memory or not.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn actor(&self, actor: ActorId) -> Result<Option<Actor>, Error> {
        let here = |live: &live::Live| live.actors.get(&actor).cloned();
        if let Some(row) = self.read(here).await? {
            return Ok(Some(row));
        }
        let fetched = self.inner.from_rows(move |rows| live::fetch(rows, actor)).await?;
        // It may have been brought back meanwhile, and changed.
        let is_gone = self.inner.core.lock().accepted.live().is_removed(actor);
        let row = fetched.and_then(|chain| chain.into_iter().next()).map(|(_, row, _)| row);
        Ok(row.filter(|_| !is_gone))
    }

    /// Visit every live actor, in memory or not, in no order; those in memory are of one moment, and durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn actors<T: Send + 'static>(
        &self,
        visit: impl FnMut(ActorId, &Actor) -> Option<T> + Send + 'static,
    ) -> Result<Vec<T>, Error> {
        self.inner.actors(visit).await
    }

    /// The calls without an outcome of a stream's actors, oldest first, and whether any of those actors has mail.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn calls_of(&self, stream: StreamId) -> Result<(Vec<(CallId, Row)>, bool), Error> {
        let look = |live: &live::Live| {
            let has_mail = live.actors.values().any(|actor| actor.stream == stream && !actor.mailbox.is_empty());
            let whose = |row: &Row| live.actors.get(&row.caller).map(|actor| actor.stream);
            let calls = live.calls.iter().map(|(call, row)| (*call, Row::clone(row), whose(row)));
            let calls: Vec<_> = calls.filter(|(.., whose)| whose.is_none_or(|whose| whose == stream)).collect();
            (calls, has_mail)
        };
        let (calls, has_mail) = self.read(look).await?;
        let mut found = Vec::new();
        for (call, row, whose) in calls {
            let is_ours = match whose {
                Some(_) => true,
                // Its caller is not in memory.
                None => self.actor(row.caller).await?.is_some_and(|actor| actor.stream == stream),
            };
            if is_ours {
                found.push((call, row));
            }
        }
        Ok((found, has_mail))
    }

    /// Count the actors.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn census(&self) -> Result<Census, Error> {
        let in_memory = self.inner.core.lock().accepted.live().actors.len();
        let brief = self.actors(|_, row| Some((!row.mailbox.is_empty(), row.suspended.is_some()))).await?;
        Ok(Census {
            actors: brief.len(),
            in_memory,
            with_mail: brief.iter().filter(|(mail, _)| *mail).count(),
            suspended: brief.iter().filter(|(_, suspended)| *suspended).count(),
        })
    }
}

fn visit_rows(rows: &dyn Rows, visit: &mut dyn FnMut(ActorId, &Actor)) -> Result<(), store::Error> {
    let (from, to) = stored::all(b'a');
    let mut wrong = None;
    rows.scan(&from, &to, &mut |key, sealed| {
        let Some(stored::Key::Actor(actor)) = stored::read_key(key) else { return true };
        match stored::open_actor(&sealed) {
            Ok((row, _)) => visit(actor, &row),
            Err(error) => wrong = Some(live::undecodable(key, &error)),
        }
        wrong.is_none()
    })?;
    wrong.map_or(Ok(()), Err)
}

impl Inner {
    /// The first rows of a range. What is read may be ahead of the disk.
    pub(super) async fn page(self: &Arc<Self>, from: Bytes, to: Bytes, most: usize) -> Result<Page, Error> {
        let (overlay, evictions) = {
            let core = self.core.lock();
            let index = &core.accepted.live().index;
            (index.overlay_page(&from, &to, most), index.evictions())
        };
        let (rows, next) = match self.rows {
            None => page_of(overlay, None, &from, &to, most).map_err(|_| self.unknown())?,
            Some(_) => {
                let read = move |rows: &dyn Rows| page_of(overlay, Some(rows), &from, &to, most);
                self.from_rows(read).await?.unwrap_or_default()
            }
        };
        Ok(Page { rows, next, evictions })
    }

    /// What there is under each of these index keys, if one is given. What is read may be ahead of the disk.
    pub(super) async fn lookup_all(self: &Arc<Self>, keys: Vec<Option<Bytes>>) -> Result<Vec<Option<Bytes>>, Error> {
        let known: Vec<_> = {
            let core = self.core.lock();
            keys.iter().map(|key| key.as_ref().map(|key| core.accepted.known(key))).collect()
        };
        if self.rows.is_none() {
            let here = |known| if let Some(Known::Here(value)) = known { Some(value) } else { None };
            return Ok(known.into_iter().map(here).collect());
        }
        let read = move |rows: &dyn Rows| {
            let asked = keys.into_iter().zip(known).map(|(key, known)| match (key, known) {
                (_, Some(Known::Here(value))) => Ok(Some(value)),
                (Some(key), Some(Known::Unknown(_))) => rows.get(&stored::index_key(&key)),
                _ => Ok(None),
            });
            asked.collect()
        };
        Ok(self.from_rows(read).await?.unwrap_or_default())
    }

    /// What there is under an index key, in memory or not; with the count of evictions that this belongs to.
    pub(crate) async fn lookup(self: &Arc<Self>, key: &Bytes) -> Result<(Option<Bytes>, u64), Error> {
        let known = self.core.lock().accepted.known(key);
        match known {
            Known::Here(value) => Ok((Some(value), 0)),
            Known::Gone => Ok((None, 0)),
            Known::Unknown(evictions) => {
                let stored = stored::index_key(key);
                let found = self.from_rows(move |rows| rows.get(&stored)).await?;
                Ok((found.flatten(), evictions))
            }
        }
    }
}

impl Inner {
    /// Visit every live actor, in memory or not, in no order.
    pub(crate) async fn actors<T: Send + 'static>(
        self: &Arc<Self>,
        mut visit: impl FnMut(ActorId, &Actor) -> Option<T> + Send + 'static,
    ) -> Result<Vec<T>, Error> {
        let mut told = Vec::new();
        let (here, latest) = {
            let mut core = self.core.lock();
            let live = core.accepted.live();
            let mut here: rustc_hash::FxHashSet<ActorId> = live.removed().collect();
            for (actor, row) in &live.actors {
                here.insert(*actor);
                told.extend(visit(*actor, row));
            }
            (here, core.accepted.open().latest())
        };
        let rest = self.from_rows(move |rows| {
            let mut told = Vec::new();
            visit_rows(rows, &mut |actor, row| {
                if !here.contains(&actor) {
                    told.extend(visit(actor, row));
                }
            })?;
            Ok(told)
        });
        told.extend(rest.await?.unwrap_or_default());
        self.until_durable(latest).await?;
        Ok(told)
    }
}
