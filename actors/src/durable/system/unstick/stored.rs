//! Rows that are not in memory, a page at a time: whoever looks wrong there is brought into memory.
//!
//! **Invariant:** rows are read without the lock, and may be older than what memory knows. Nothing is found here; what
//! looks wrong is looked at again, under the lock, once it is in memory.

use std::sync::Arc;

use super::claims::Place;
use crate::durable::{
    id::ActorId,
    live::{self, Actor, stored},
    store::{self, Rows},
    system::inner::Inner,
    unsticker::OVERDUE_MS,
};

/// Rows of one page.
const PAGE: usize = 4_096;
/// Actors that one look brings into memory.
const BRING_MAX: usize = 64;

/// What a row says that matters here.
struct Brief {
    actor: ActorId,
    kind: u32,
    parent: ActorId,
    has_parent: bool,
    place: Place,
    mail: usize,
    next_due_ms: Option<u64>,
    calls: u32,
    children: u32,
    is_suspended: bool,
}

impl Brief {
    fn of(actor: ActorId, row: &Actor, has_parent: bool) -> Self {
        Self {
            actor,
            kind: row.kind,
            parent: row.parent,
            has_parent,
            place: super::look::place(row),
            mail: row.mailbox.len(),
            next_due_ms: row.timers.iter().map(|timer| timer.due_ms).min(),
            calls: row.calls,
            children: row.children,
            is_suspended: row.suspended.is_some(),
        }
    }

    /// Whether it waits for nothing that is known here.
    fn is_idle(&self) -> bool {
        (self.mail, self.next_due_ms, self.calls, self.children, self.is_suspended) == (0, None, 0, 0, false)
    }
}

impl Inner {
    /// The next page. Rows that cannot be read are told, and closed is nothing for them: nobody needs them now.
    pub(super) async fn look_into_store(self: &Arc<Self>) {
        let Some(rows) = self.rows.clone() else { return };
        let from = self.unstick.state.lock().next_row;
        let read = self.blocking(move || read_page(&*rows, from)).await;
        let (page, next) = match read {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::warn!(%error, "rows that are not in memory cannot be looked at");
                self.unstick.state.lock().next_row = ActorId(0);
                return;
            }
            Err(_) => return,
        };
        let suspects = self.suspect(&page, next);
        self.look_closer(suspects).await;
    }

    /// Bring these into memory for the next look, after which whoever is sound leaves it again.
    pub(crate) async fn look_closer(self: &Arc<Self>, suspects: Vec<ActorId>) {
        if !suspects.is_empty() && self.bring(suspects.clone()).await.is_ok() {
            self.unstick.state.lock().brought.extend(suspects);
        }
    }

    /// Who of a page looks wrong and is not in memory; what the others say is noted.
    fn suspect(&self, page: &[Brief], next: Option<ActorId>) -> Vec<ActorId> {
        let now_ms = self.clock.now_ms();
        let mut state = self.unstick.state.lock();
        let core = self.core.lock();
        let (accepted, live) = (&core.accepted, core.accepted.live());
        let mut suspects = Vec::new();
        for brief in page.iter().filter(|brief| !live.is_removed(brief.actor)) {
            state.parents.speak_for(brief.parent);
            if !accepted.is_cold(brief.actor) {
                continue;
            }
            let lacks_parent = !brief.has_parent && !live.actors.contains_key(&brief.parent);
            let is_overdue = brief.next_due_ms.is_some_and(|due_ms| due_ms.saturating_add(OVERDUE_MS) < now_ms);
            let is_idle = brief.is_idle() && !self.registry.may_rest(brief.kind);
            if lacks_parent || is_overdue || is_idle || brief.mail > 0 {
                suspects.push(brief.actor);
            }
            if brief.calls > 0 {
                state.callers.claim(brief.actor, brief.place);
            }
            if brief.children > 0 {
                state.parents.claim(brief.actor, brief.place);
            }
        }
        if next.is_none() {
            state.parents.end_round();
        }
        let lacking = state.callers.lacking(BRING_MAX).chain(state.parents.lacking(BRING_MAX));
        suspects.extend(lacking.filter(|actor| accepted.is_cold(*actor)));
        suspects.truncate(BRING_MAX);
        state.next_row = next.unwrap_or(ActorId(0));
        suspects
    }
}

/// A page of actors, and where the next one begins.
fn read_page(rows: &dyn Rows, from: ActorId) -> Result<(Vec<Brief>, Option<ActorId>), store::Error> {
    let (_, to) = stored::all(b'a');
    let (mut page, mut next) = (Vec::new(), None);
    let mut known = (ActorId::ENGINE, true);
    rows.scan(&stored::actor_key(from), &to, &mut |key, sealed| {
        let Some(stored::Key::Actor(actor)) = stored::read_key(key) else { return true };
        if page.len() == PAGE {
            next = Some(actor);
            return false;
        }
        match stored::open_actor(&sealed) {
            Ok((row, _)) => page.push(Brief::of(actor, &row, true)),
            Err(error) => tracing::warn!("{}", live::undecodable(key, &error)),
        }
        true
    })?;
    for brief in &mut page {
        if brief.parent != known.0 {
            known = (brief.parent, rows.get(&stored::actor_key(brief.parent))?.is_some());
        }
        brief.has_parent = known.1;
    }
    Ok((page, next))
}
