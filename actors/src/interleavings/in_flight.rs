//! The table of calls in flight, between a tool's actor, its successor, a cancel, and a store that fails.
//!
//! The table is the real one (`tool/in_flight.rs`); each of its operations is one step, as its own lock makes it, and others may
//! come before it (`yield_now`, because the scheduler does not know that lock). What is around it follows `Queue::prepare` and `Queue::spawn` (`tool/host.rs`), `Inner::cancel` and `Inner::answer`
//! (`durable/system/inner.rs`), and `Inner::take_over` (`tool/host/dispatch.rs`).
//!
//! **Invariants:** a call runs once at a time, and once in all when it may; it has one outcome, which is true.

use std::time::Duration;

use shuttle::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use super::{holds, is_found};
use crate::{
    durable::{CallId, Key, Outcome},
    json::Json,
    tool::{CallContext, InFlight},
};

const CALL: CallId = CallId(7);

/// A way in which the code could be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    /// A call leaves the table before its answer is accepted.
    EndsFirst,
    /// The row is looked at under the lock, and the call begins after it.
    BeginsOutsideLock,
    /// Whether the call runs is looked at before the lock under which its row goes.
    CancelsOutsideLock,
    /// An outcome that the store did not take is dropped.
    DropsOutcome,
    /// Whoever puts an outcome aside does not look whether the next system has begun.
    ParksOnly,
}

/// One life of the store.
struct Life {
    core: Mutex<Core>,
}

struct Core {
    /// The call's row is there.
    row: bool,
    closed: bool,
    answers: Vec<Outcome>,
}

struct World {
    table: InFlight,
    lives: [Life; 2],
    /// Which life running calls belong to.
    home: Mutex<usize>,
    running: AtomicU32,
    effects: AtomicU32,
    broken: Broken,
}

impl World {
    fn new(broken: Broken) -> Arc<Self> {
        let life = || Life { core: Mutex::new(Core { row: true, closed: false, answers: Vec::new() }) };
        Arc::new(Self {
            table: InFlight::default(),
            lives: [life(), life()],
            home: Mutex::new(0),
            running: AtomicU32::new(0),
            effects: AtomicU32::new(0),
            broken,
        })
    }

    fn core(&self, life: usize) -> MutexGuard<'_, Core> {
        self.lives[life].core.lock().expect("nobody panics under the lock")
    }

    fn home(&self) -> usize {
        *self.home.lock().expect("nobody panics under the lock")
    }

    /// A tool's actor reads its mailbox, and makes the call if nobody does.
    fn dispatch(&self, life: usize) {
        let cx = CallContext::detached("test", Key([7; 32]), Duration::from_secs(60));
        let begins = {
            let core = self.core(life);
            if core.closed || !core.row {
                return;
            }
            if self.broken == Broken::BeginsOutsideLock {
                drop(core);
                thread::yield_now();
            }
            self.table.begin(CALL, &cx.path, &cx.shared)
        };
        if !begins {
            return;
        }
        assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "it runs twice at a time");
        let outcome = if cx.is_cancelled() {
            Outcome::failed("cancelled", "cancelled before it began")
        } else {
            self.effects.fetch_add(1, Ordering::SeqCst);
            Outcome::Done(Json::NULL)
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.answer(self.home(), outcome);
    }

    fn answer(&self, life: usize, outcome: Outcome) {
        if self.broken == Broken::EndsFirst {
            self.table.end([CALL]);
        }
        let is_accepted = self.accept(life, &outcome);
        thread::yield_now();
        if is_accepted || self.broken == Broken::DropsOutcome {
            return self.table.end([CALL]);
        }
        self.table.park([(CALL, outcome, None)]);
        let home = self.home();
        if home != life && self.broken != Broken::ParksOnly {
            self.take_over(home);
        }
    }

    /// `false` if the store is closed.
    fn accept(&self, life: usize, outcome: &Outcome) -> bool {
        let mut core = self.core(life);
        if core.closed {
            return false;
        }
        if std::mem::take(&mut core.row) {
            core.answers.push(outcome.clone());
        }
        true
    }

    fn cancel(&self, life: usize) {
        let early = (self.broken == Broken::CancelsOutsideLock).then(|| self.table.cancel(CALL));
        if early.is_some() {
            thread::yield_now();
        }
        let mut core = self.core(life);
        let runs = early.unwrap_or_else(|| self.table.cancel(CALL));
        if !core.closed && !runs && std::mem::take(&mut core.row) {
            core.answers.push(Outcome::failed("cancelled", "cancelled before it began"));
        }
    }

    fn take_over(&self, life: usize) {
        for (_, outcome, _) in self.table.parked() {
            if self.accept(life, &outcome) {
                thread::yield_now();
                self.table.unpark(&[CALL]);
                thread::yield_now();
                self.table.end([CALL]);
            }
        }
    }

    /// The store fails and is opened again; what was not durable is as before.
    fn reopen(&self) {
        self.core(0).closed = true;
        *self.home.lock().expect("nobody panics under the lock") = 1;
        self.take_over(1);
        self.dispatch(1);
    }

    fn check(&self, life: usize) {
        let effects = self.effects.load(Ordering::SeqCst);
        let core = self.core(life);
        assert_eq!(core.answers.len(), 1, "one outcome: {:?}", core.answers);
        match &core.answers[0] {
            Outcome::Done(_) => assert_eq!(effects, 1),
            Outcome::Failed(failure) => assert_eq!(effects, 0, "it had an effect, and {}", failure.message),
            Outcome::Unknown(failure) => panic!("nothing is unknown here: {}", failure.message),
        }
        assert!(self.table.is_empty(), "nothing is left in the table");
    }
}

fn together(steps: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = steps.into_iter().map(thread::spawn).collect();
    for thread in threads {
        thread.join().expect("it panics only when the test fails");
    }
}

/// A tool's actor that is killed, its successor, and somebody who cancels.
fn restarted(broken: Broken) {
    let world = World::new(broken);
    let (first, second, canceller) = (world.clone(), world.clone(), world.clone());
    together(vec![
        Box::new(move || first.dispatch(0)),
        Box::new(move || second.dispatch(0)),
        Box::new(move || canceller.cancel(0)),
    ]);
    world.check(0);
}

/// A store that fails while the call runs, ends, or is about to begin.
fn reopened(broken: Broken) {
    let world = World::new(broken);
    let (tool, store) = (world.clone(), world.clone());
    together(vec![Box::new(move || tool.dispatch(0)), Box::new(move || store.reopen())]);
    if world.core(0).answers.is_empty() {
        world.check(1);
    }
}

#[test]
fn a_call_is_made_once_whoever_restarts_or_cancels_meanwhile() {
    holds(|| restarted(Broken::Nothing));
}

#[test]
fn a_call_is_made_once_and_its_outcome_taken_whenever_the_store_fails() {
    holds(|| reopened(Broken::Nothing));
}

#[test]
fn every_broken_use_of_the_table_is_found() {
    is_found("a call that ends before its answer is accepted", || restarted(Broken::EndsFirst));
    is_found("a call that begins outside the lock", || restarted(Broken::BeginsOutsideLock));
    is_found("a cancel outside the lock", || restarted(Broken::CancelsOutsideLock));
    is_found("an outcome that is dropped", || reopened(Broken::DropsOutcome));
    is_found("an outcome that is put aside too late", || reopened(Broken::ParksOnly));
}
