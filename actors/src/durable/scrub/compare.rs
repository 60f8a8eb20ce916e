//! One slice of rows against what they have to be.
//!
//! **Invariant:** equal states have equal rows, but for two things: which record changed an actor last, because rows of
//! different ages come to the same end on different ways; and the order of its timers.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::truth::Truth;
use crate::durable::{
    id::Sequence,
    live::{
        Actor,
        stored::{self, Key},
    },
    store::{Error, Slice},
};

/// What is wrong with the rows from a key on, in sentences.
pub(super) fn differences(truth: &Truth, from: &[u8], slice: &Slice) -> Result<Vec<String>, Error> {
    let rows: BTreeMap<_, _> = slice.rows.iter().map(|(key, value)| (key, value)).collect();
    let mut keys = truth.keys(from, slice.next.as_deref().unwrap_or(&stored::END))?;
    keys.extend(rows.keys().map(|key| (*key).clone()));
    let mut wrong = Vec::new();
    for key in keys {
        wrong.extend(difference(truth, &key, rows.get(&key).copied())?);
    }
    Ok(wrong)
}

fn difference(truth: &Truth, key: &Bytes, row: Option<&Bytes>) -> Result<Option<String>, Error> {
    let name = match stored::read_key(key) {
        Some(Key::Mail(actor)) => {
            let is_missing = row.is_none() && always(truth, &stored::actor_key(actor), has_mail)?;
            return Ok(is_missing.then(|| format!("the note that actor {actor} has mail is missing among the rows")));
        }
        Some(Key::Timer(due_ms, actor, name)) => {
            let is_set = |row: &Actor| row.timers.iter().any(|timer| (timer.due_ms, timer.name) == (due_ms, name));
            let is_missing = row.is_none() && always(truth, &stored::actor_key(actor), is_set)?;
            return Ok(is_missing.then(|| format!("a timer of actor {actor} is missing among the rows")));
        }
        Some(Key::Actor(actor)) => format!("actor {actor}"),
        Some(Key::Call(call)) => call.to_string(),
        Some(Key::Index(key)) => format!("index row `{}`", key.escape_ascii()),
        None => format!("the row {}", crate::hex::text(key)),
    };
    let versions = truth.versions(key)?;
    if versions.iter().any(|version| is_same(version.as_ref(), row)) {
        return Ok(None);
    }
    let what = match row {
        None => "is missing among the rows",
        Some(_) if versions.iter().all(Option::is_none) => "is among the rows, and is gone",
        Some(_) => "is not what the journal says",
    };
    Ok(Some(format!("{name} {what}")))
}

fn is_same(version: Option<&Bytes>, row: Option<&Bytes>) -> bool {
    version == row
        || matches!((version, row), (Some(one), Some(other)) if plain(one).is_some_and(|one| Some(one) == plain(other)))
}

/// An actor's row without what two equal ones may differ in; `None` if it is none.
fn plain(sealed: &Bytes) -> Option<Bytes> {
    let (mut row, head) = stored::open_actor(sealed).ok()?;
    row.keep.changed = Sequence(0);
    row.timers.sort_unstable_by_key(|timer| timer.name);
    Some(stored::seal_actor(&row, head))
}

/// Whether something holds of every version of an actor.
fn always(truth: &Truth, key: &Bytes, holds: impl Fn(&Actor) -> bool) -> Result<bool, Error> {
    let is_so = |version: &Option<Bytes>| {
        let actor = version.as_ref().and_then(|sealed| stored::open_actor(sealed).ok());
        actor.is_some_and(|(row, _)| holds(&row))
    };
    Ok(truth.versions(key)?.iter().all(is_so))
}

fn has_mail(row: &Actor) -> bool {
    !row.mailbox.is_empty() || row.suspended.is_some()
}
