//! Two ways to the same state, compared: rows of the store and the journal since, and a base and the journal since.
//!
//! **Invariant:** bytes are compared, because equal states have equal rows. Only which record changed a row last is left out:
//! rows of different ages come to the same end on different ways.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{
    id::{ActorId, Sequence},
    live::{Live, stored},
};

/// The most that is told: one cause makes many differences.
const TOLD_MAX: usize = 20;

/// What is wrong with the first, if the second is the truth, in sentences.
pub(crate) fn differences(rows: &Live, truth: &Live) -> Vec<String> {
    let mut wrong = Vec::new();
    let actors: BTreeSet<_> = rows.actors.keys().chain(truth.actors.keys()).collect();
    for actor in actors {
        wrong.extend(difference(&format!("actor {actor}"), actor_row(rows, *actor), actor_row(truth, *actor)));
    }
    let calls: BTreeSet<_> = rows.calls.keys().chain(truth.calls.keys()).collect();
    for call in calls {
        let sealed = |live: &Live| live.calls.get(call).map(|row| stored::seal_call(row));
        wrong.extend(difference(&call.to_string(), sealed(rows), sealed(truth)));
    }
    let keys = |live: &Live| live.index.range::<Bytes, _>(..).map(|(key, _)| key.clone()).collect::<BTreeSet<_>>();
    for key in keys(rows).union(&keys(truth)) {
        let name = format!("index row `{}`", key.escape_ascii());
        wrong.extend(difference(&name, rows.index.get(key).cloned(), truth.index.get(key).cloned()));
    }
    let more = wrong.len().saturating_sub(TOLD_MAX);
    wrong.truncate(TOLD_MAX);
    wrong.extend((more > 0).then(|| format!("and {more} more rows differ")));
    wrong
}

fn actor_row(live: &Live, actor: ActorId) -> Option<Bytes> {
    let mut row = live.actors.get(&actor)?.clone();
    row.keep.changed = Sequence(0);
    let head = if row.stream.0 == actor.0 { live.streams.get(&row.stream).copied() } else { None };
    Some(stored::seal_actor(&row, head))
}

fn difference(name: &str, row: Option<Bytes>, truth: Option<Bytes>) -> Option<String> {
    let what = match (row, truth) {
        (row, truth) if row == truth => return None,
        (None, _) => "is missing among the rows",
        (_, None) => "is among the rows, and is gone",
        _ => "is not what the journal says",
    };
    Some(format!("{name} {what}; rows are built again by `headframe store repair`"))
}
