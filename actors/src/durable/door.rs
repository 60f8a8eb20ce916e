//! A host's door: what it was rung for, and is not yet at work on.
//!
//! A host hears through ractor only that it is to begin, and from then on waits at its door: bells that ring while it is at
//! work are one bell, as the messages themselves lie in the accepted view. A ractor mailbox would cost each of them
//! a box, a place in a channel, and a look at four ports.
//!
//! **Invariants:** what is asked for before the host ends is heard, or is dropped with its host: a bell counts among the
//! hands no longer than that. A host that took a guest hears nothing that was meant for the one before.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker, ready},
};

use parking_lot::Mutex;
use tokio::task::coop;

use super::{hands::Rung, host::Why, id::ActorId, system::Inner};

/// Where a host is rung.
#[derive(Debug, Default)]
pub(crate) struct Door {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bells: Bells,
    host: Option<Waker>,
    /// The host has ended.
    is_shut: bool,
}

/// What a host is asked for, in the order in which it does it.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    /// From now on, host this actor.
    pub(crate) guest: Option<ActorId>,
    /// There is something in the actor's mailbox.
    pub(crate) rung: Option<Rung>,
    /// Let go of the actor, unless there is something in its mailbox.
    pub(crate) passivate: Option<Why>,
    /// It hosts nobody, and is not needed any more.
    pub(crate) leave: bool,
}

impl Bells {
    fn are_silent(&self) -> bool {
        let Self { guest, rung, passivate, leave } = self;
        guest.is_none() && rung.is_none() && passivate.is_none() && !leave
    }
}

impl Door {
    /// There is something in the mailbox.
    pub(crate) fn ring(&self, inner: &Arc<Inner>) {
        self.ask(|bells| _ = bells.rung.get_or_insert_with(|| Rung::new(inner)));
    }

    /// A spare is to host this actor, and there is something in its mailbox.
    pub(crate) fn host(&self, inner: &Arc<Inner>, actor: ActorId) {
        self.ask(|bells| *bells = Bells { guest: Some(actor), rung: Some(Rung::new(inner)), ..Bells::default() });
    }

    /// Let go of the actor, unless it has mail.
    pub(crate) fn passivate(&self, why: Why) {
        self.ask(|bells| bells.passivate = Some(why));
    }

    /// A spare is not needed any more.
    pub(crate) fn dismiss(&self) {
        self.ask(|bells| bells.leave = true);
    }

    /// The host has ended: its keeper looks at the mailbox again.
    pub(crate) fn shut(&self) {
        *self.state.lock() = State { is_shut: true, ..State::default() };
    }

    /// Everything that the host is asked for; waits until there is something.
    pub(crate) async fn heard(&self) -> Bells {
        poll_fn(|context| {
            // As at a channel: a host that never has to wait lets others have the thread all the same.
            let budget = ready!(coop::poll_proceed(context));
            let mut state = self.state.lock();
            if state.bells.are_silent() {
                if state.host.as_ref().is_none_or(|host| !host.will_wake(context.waker())) {
                    state.host = Some(context.waker().clone());
                }
                return Poll::Pending;
            }
            budget.made_progress();
            Poll::Ready(std::mem::take(&mut state.bells))
        })
        .await
    }

    fn ask(&self, what: impl FnOnce(&mut Bells)) {
        let mut state = self.state.lock();
        if state.is_shut {
            return;
        }
        what(&mut state.bells);
        if let Some(host) = &state.host {
            host.wake_by_ref();
        }
    }
}
