//! Acceptance, those who wait for durability, and the committer.
//!
//! The record is the real one (`durable/open.rs`), and so is every decision: what the committer does next, whether it is waked,
//! and who is let go (`durable/committer/pace.rs`). What is a model are the locks and threads around them, which follow
//! `Inner::until_durable` and `Inner::close` (`durable/system/inner.rs`) and the committer's `next` and `publish` line by line.
//! A committer that lingers for more to wait lets others go first, and then has waited long enough; the deadline of what nobody
//! waits for never comes, so that a wake-up which only the clock would make up for counts as lost.
//!
//! **Invariants:** nobody is told of a record before it is on disk; whoever waits is told, or hears that the store closed.

use std::time::Duration;

use shuttle::{
    rand::Rng as _,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use super::{holds, is_found};
use crate::{
    clock,
    durable::{
        ActorId, CallId, Sequence,
        sim::{
            Op, Open,
            pace::{self, Next, Pace, Seen, Since, Sleep},
        },
    },
};

const SYNC: Duration = Duration::from_millis(1);

/// A way in which the code could be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    /// Whoever begins to wait does not look once more, under the lock, whether it is durable by now.
    NoSecondLook,
    /// Who waits wakes nobody.
    WaitsWithoutWaking,
    /// The record is published, and then written.
    PublishesFirst,
    /// A store that closes forgets who waits.
    ClosesSilently,
    /// Who begins to wait does not look whether the store is closed.
    WaitsForClosed,
}

struct Core {
    open: Open,
    waiters: Vec<(Sequence, mpsc::Sender<()>)>,
    closed: bool,
    stopping: bool,
    committer_sleeps: Option<usize>,
}

struct Inner {
    core: Mutex<Core>,
    work: Condvar,
    durable: AtomicU64,
    disk: Mutex<Vec<Sequence>>,
    fails_at: Option<Sequence>,
    broken: Broken,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().expect("nobody panics under the lock")
    }

    fn wake(&self, core: &mut Core) {
        if pace::is_due(core.committer_sleeps, core.open.is_empty(), core.open.demand) {
            core.committer_sleeps = None;
            self.work.notify_one();
        }
    }

    /// A commit; `None` if the store is closed.
    fn accept(&self, number: u64) -> Option<Sequence> {
        let mut core = self.lock();
        if core.closed {
            return None;
        }
        core.open.begin(24, 1);
        let sequence = core.open.sequence();
        core.open.push(Op::CallEnded { call: CallId(number), caller: ActorId(number << 8) });
        self.wake(&mut core);
        Some(sequence)
    }

    fn is_durable(&self, sequence: Sequence) -> bool {
        self.durable.load(Ordering::Acquire) >= sequence.0
    }

    /// `false` if the store closed before.
    fn until_durable(&self, sequence: Sequence) -> bool {
        if self.is_durable(sequence) {
            return true;
        }
        let told = {
            let mut core = self.lock();
            if core.closed && self.broken != Broken::WaitsForClosed {
                return false;
            }
            if self.is_durable(sequence) && self.broken != Broken::NoSecondLook {
                return true;
            }
            let (tells, told) = mpsc::channel();
            core.waiters.push((sequence, tells));
            core.open.demand += 1;
            if self.broken != Broken::WaitsWithoutWaking {
                self.wake(&mut core);
            }
            told
        };
        told.recv().is_ok()
    }

    fn close(&self) {
        let mut core = self.lock();
        core.closed = true;
        if self.broken != Broken::ClosesSilently {
            core.waiters.clear();
        }
        self.work.notify_all();
    }

    fn stop(&self) {
        self.lock().stopping = true;
        self.work.notify_all();
    }

    fn commit(&self) {
        let mut pace = Pace::new();
        while let Some(sealed) = self.next(&mut pace) {
            if self.broken == Broken::PublishesFirst {
                self.publish(sealed);
            }
            if self.fails_at == Some(sealed) {
                return self.close();
            }
            self.disk.lock().expect("nobody panics here").push(sealed);
            // Long enough that the next record is lingered for.
            pace.synced(SYNC);
            self.publish(sealed);
        }
    }

    fn next(&self, pace: &mut Pace) -> Option<Sequence> {
        let (mut core, mut since, mut now) = (self.lock(), Since::default(), clock::monotonic());
        loop {
            let (is_empty, demand) = (core.open.is_empty(), core.open.demand);
            // Whether turns are being taken may change from one look to the next.
            let turns = shuttle::rand::thread_rng().gen_range(0..3);
            let seen = Seen { is_empty, demand, turns, closed: core.closed, stopping: core.stopping };
            match since.what_next(seen, pace, now) {
                Next::End => return None,
                Next::Seal => {
                    pace.seals(seen, &since, now);
                    return core.open.seal().map(|sealed| sealed.sequence);
                }
                Next::Sleep(Sleep::Linger(until) | Sleep::Settle(until)) => {
                    drop(core);
                    thread::yield_now();
                    core = self.lock();
                    now = until;
                }
                Next::Sleep(sleep) => {
                    core.committer_sleeps = Some(sleep.demand(pace));
                    core = self.work.wait(core).expect("nobody panics under the lock");
                    core.committer_sleeps = None;
                }
            }
        }
    }

    fn publish(&self, sequence: Sequence) {
        self.durable.store(sequence.0, Ordering::Release);
        let waiters = {
            let mut core = self.lock();
            pace::let_go(&mut core.waiters, sequence)
        };
        for (_, waiter) in waiters {
            // Whoever no longer waits has dropped the other end.
            let _ = waiter.send(());
        }
    }
}

/// Three who commit and wait, twice each, and a disk that may fail.
fn model(broken: Broken, fails_at: Option<u64>) {
    let core = Core {
        open: Open::starting_at(Sequence(1)),
        waiters: Vec::new(),
        closed: false,
        stopping: false,
        committer_sleeps: None,
    };
    let fails_at = fails_at.map(Sequence);
    let (core, work, durable, disk) = (Mutex::new(core), Condvar::new(), AtomicU64::new(0), Mutex::new(Vec::new()));
    let inner = Arc::new(Inner { core, work, durable, disk, fails_at, broken });
    let committer = thread::spawn({
        let inner = inner.clone();
        move || inner.commit()
    });
    let callers: Vec<_> = (1..=3_u64)
        .map(|caller| {
            let inner = inner.clone();
            thread::spawn(move || {
                for turn in 0..2 {
                    let Some(sequence) = inner.accept(caller * 2 + turn) else { return };
                    let is_there = || inner.disk.lock().expect("nobody panics here").contains(&sequence);
                    if inner.until_durable(sequence) {
                        assert!(is_there(), "{sequence} was acknowledged before it was on disk");
                    } else {
                        assert!(inner.lock().closed, "an open store owes an answer");
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().expect("it panics only when the test fails");
    }
    inner.stop();
    committer.join().expect("it panics only when the test fails");
}

#[test]
fn whoever_waits_for_a_record_is_told_once_it_is_on_disk_and_never_before() {
    holds(|| model(Broken::Nothing, None));
}

#[test]
fn whoever_waits_when_the_store_fails_is_told_that_it_did() {
    for record in 1..=3 {
        holds(move || model(Broken::Nothing, Some(record)));
    }
}

#[test]
fn every_broken_handover_is_found() {
    is_found("a lost second look", || model(Broken::NoSecondLook, None));
    is_found("a commit that is published first", || model(Broken::PublishesFirst, None));
    is_found("a waiter that wakes nobody", || model(Broken::WaitsWithoutWaking, None));
    is_found("a store that closes silently", || model(Broken::ClosesSilently, Some(2)));
    is_found("a wait for a closed store", || model(Broken::WaitsForClosed, Some(2)));
}
