//! Bells between the directory, hosts that let go or are killed, and the keeper.
//!
//! A model: ractor's actors are threads here. It follows `Door` (`durable/door.rs`), `Directory::ring`, `forget`, `kill` and
//! `ended` (`durable/directory.rs`), `HostState::let_go` and `Guest::take_turns` (`durable/host.rs`), and what the keeper does
//! after an end (`durable/keeper.rs`).
//!
//! **Invariants:** every message is taken once, by whichever host; never do two hosts of one actor run at a time.

use shuttle::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
};

use super::{holds, is_found};

/// A way in which the code could be wrong.
#[derive(Clone, Copy, PartialEq)]
enum Broken {
    Nothing,
    /// A host that let go does not look at the mailbox again.
    LetsGoBlindly,
    /// After a host was killed nobody looks at the mailbox.
    DiesUnnoticed,
    /// A host that is killed leaves the directory before it has ended.
    SuccessorBesideIt,
    /// A host takes the bell for the message: one turn for each.
    TurnForBell,
    /// A host takes its turns, and forgets then what it was asked for meanwhile.
    DeafAtWork,
}

/// What a host was asked for, and is not yet at work on.
#[derive(Clone, Copy, Default)]
struct Bells {
    rung: bool,
    passivate: bool,
}

#[derive(Default)]
struct Door {
    bells: Mutex<Bells>,
    asked: Condvar,
}

impl Door {
    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.bells.lock().expect("nobody panics under the lock")
    }

    fn ask(&self, what: impl FnOnce(&mut Bells)) {
        what(&mut self.bells());
        self.asked.notify_one();
    }

    fn heard(&self) -> Bells {
        let is_silent = |bells: &mut Bells| !bells.rung && !bells.passivate;
        let mut bells = self.asked.wait_while(self.bells(), is_silent).expect("nobody panics under the lock");
        std::mem::take(&mut *bells)
    }
}

/// How a host is reached.
#[derive(Clone)]
struct Host {
    number: u32,
    door: Arc<Door>,
    killed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Slots {
    host: Option<Host>,
    /// All that were ever made.
    threads: Vec<thread::JoinHandle<()>>,
    made: u32,
}

struct World {
    /// Messages in the accepted mailbox, and messages taken.
    mailbox: Mutex<(u32, u32)>,
    slots: Mutex<Slots>,
    inside: AtomicU32,
    broken: Broken,
}

impl World {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().expect("nobody panics under the lock")
    }

    fn mailbox(&self) -> MutexGuard<'_, (u32, u32)> {
        self.mailbox.lock().expect("nobody panics under the lock")
    }

    /// Accept a message, and then ring, if the mailbox was empty.
    fn tell(self: &Arc<Self>) {
        let was_empty = {
            let mut mailbox = self.mailbox();
            mailbox.0 += 1;
            mailbox.0 == 1
        };
        if was_empty {
            self.ring();
        }
    }

    fn ring(self: &Arc<Self>) {
        let mut slots = self.slots();
        if let Some(host) = &slots.host {
            // In vain only while that host is ending: whoever sees its end looks at the mailbox again.
            host.door.ask(|bells| bells.rung = true);
            return;
        }
        slots.made += 1;
        let host = Host { number: slots.made, door: Arc::default(), killed: Arc::new(AtomicBool::new(false)) };
        host.door.ask(|bells| bells.rung = true);
        slots.host = Some(host.clone());
        let world = self.clone();
        slots.threads.push(thread::spawn(move || world.host(&host)));
    }

    /// A host's life.
    fn host(self: Arc<Self>, host: &Host) {
        loop {
            let bells = host.door.heard();
            if host.killed.load(Ordering::SeqCst) {
                return self.ended(host.number);
            }
            if bells.rung && !self.take_turns(&host.killed) {
                return self.ended(host.number);
            }
            if bells.passivate && self.mailbox().0 == 0 {
                return self.let_go(host.number);
            }
            if self.broken == Broken::DeafAtWork {
                *host.door.bells() = Bells::default();
            }
        }
    }

    /// `false` if it was killed on the way.
    fn take_turns(&self, killed: &AtomicBool) -> bool {
        loop {
            assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two hosts of one actor run at a time");
            let is_killed = killed.load(Ordering::SeqCst);
            let mut is_empty = true;
            if !is_killed {
                let mut mailbox = self.mailbox();
                if mailbox.0 > 0 {
                    *mailbox = (mailbox.0 - 1, mailbox.1 + 1);
                }
                is_empty = mailbox.0 == 0;
                drop(mailbox);
                // What follows from a message takes a while.
                pause(8);
            }
            self.inside.fetch_sub(1, Ordering::SeqCst);
            if is_killed || is_empty || self.broken == Broken::TurnForBell {
                return !is_killed;
            }
        }
    }

    fn forget(&self, number: u32) {
        let mut slots = self.slots();
        if slots.host.as_ref().is_some_and(|host| host.number == number) {
            slots.host = None;
        }
    }

    fn let_go(self: &Arc<Self>, number: u32) {
        pause(4);
        self.forget(number);
        if self.broken != Broken::LetsGoBlindly {
            self.look_again();
        }
    }

    /// The keeper sees that a host was killed.
    fn ended(self: &Arc<Self>, number: u32) {
        self.forget(number);
        if self.broken != Broken::DiesUnnoticed {
            self.look_again();
        }
    }

    fn look_again(self: &Arc<Self>) {
        let has_mail = self.mailbox().0 > 0;
        if has_mail {
            self.ring();
        }
    }

    fn passivate(&self) {
        if let Some(host) = &self.slots().host {
            host.door.ask(|bells| bells.passivate = true);
        }
    }

    fn kill(&self) {
        let mut slots = self.slots();
        let Some(host) = slots.host.clone() else { return };
        host.killed.store(true, Ordering::SeqCst);
        // ractor ends it even while it waits for a bell.
        host.door.ask(|bells| bells.rung = true);
        if self.broken == Broken::SuccessorBesideIt {
            slots.host = None;
        }
    }
}

/// Others get on by about so many steps: without it everybody is done before a host has taken its first turn.
fn pause(steps: usize) {
    (0..steps).for_each(|_| thread::yield_now());
}

/// Two who tell it two messages each, while its host is told to let go three times and is killed once.
fn model(broken: Broken) {
    let world = Arc::new(World {
        mailbox: Mutex::new((0, 0)),
        slots: Mutex::new(Slots::default()),
        inside: AtomicU32::new(0),
        broken,
    });
    let beside = |work: fn(&Arc<World>)| {
        let world = world.clone();
        thread::spawn(move || work(&world))
    };
    let tells: fn(&Arc<World>) = |world| {
        (0..2).for_each(|_| {
            pause(12);
            world.tell();
        })
    };
    let threads = [
        beside(tells),
        beside(tells),
        beside(|world| {
            (0..3).for_each(|_| {
                pause(8);
                world.passivate();
            });
        }),
        beside(|world| {
            pause(24);
            world.kill();
        }),
    ];
    for thread in threads {
        thread.join().expect("it panics only when the test fails");
    }
    // Hosts that have nothing to do wait for a bell for ever: let the last one go, and see what it leaves.
    loop {
        let thread = {
            let mut slots = world.slots();
            if let Some(host) = &slots.host {
                host.door.ask(|bells| bells.passivate = true);
            }
            slots.threads.pop()
        };
        match thread {
            Some(thread) => thread.join().expect("it panics only when the test fails"),
            None => break,
        }
    }
    assert_eq!(*world.mailbox(), (0, 4), "messages that are left, and messages that were taken");
}

#[test]
fn every_message_is_taken_though_its_host_lets_go_or_dies_as_its_bell_rings() {
    holds(|| model(Broken::Nothing));
}

#[test]
fn every_broken_directory_is_found() {
    is_found("a host that lets go blindly", || model(Broken::LetsGoBlindly));
    is_found("a death that nobody notices", || model(Broken::DiesUnnoticed));
    is_found("a successor beside its predecessor", || model(Broken::SuccessorBesideIt));
    is_found("a turn for each bell", || model(Broken::TurnForBell));
    is_found("a host that is deaf at work", || model(Broken::DeafAtWork));
}
