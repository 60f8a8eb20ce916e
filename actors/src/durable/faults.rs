//! Seeded faults at every seam between the actors of a system.
//!
//! Code passes a fault point with `#[cfg(test)] inner.fault(site, who).await`, or `fault_at_once` where nothing can be
//! awaited. Outside this crate's own tests neither exists, so that nothing becomes slower by it; inside, a system that was
//! not started with [`Sites`] passes each with one look at an atomic.
//!
//! **Invariant:** what happens at the n-th passage of a point by somebody depends on the seed, the point, who it is and n,
//! and on nothing else: so a seed can be told again.

mod site;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use ractor::ActorCell;
use tokio::sync::Notify;

pub(crate) use self::site::{Action, Pair, Site, Who};
pub(crate) use super::supervision::scrambled;
use super::{
    id::Sequence,
    system::{Drive, Inner},
};
use crate::clock::Clock;

/// A host panics so often at most: of the fourth message that it dies of within ten seconds it would be given up.
const PANICS_OF_ONE: u32 = 3;
/// The unsticker rings once, loads again once, and then leaves it to a person: as often may its help be lost.
const LOSSES_OF_ONE: u32 = 1;
/// Of everything else that is rare in life, so much in one life of a system.
const OF_SERVICES: u32 = 6;
const OF_TOOLS: u32 = 40;
const OF_HOSTS: u32 = 60;
const HANGS_AT_ONE: u32 = 3;
const LOSSES: u32 = 6;
/// And in all lives together.
const DEATHS: u32 = 3;
const STARTS: u32 = 12;

/// The faults of one telling, and the trace of what happened in it.
#[derive(Default)]
pub(crate) struct Sites {
    strikes: AtomicBool,
    state: Mutex<State>,
    /// The process is to die.
    pub(crate) died: Notify,
}

#[derive(Default)]
struct State {
    seed: u64,
    /// How likely each is, of a thousand passages.
    rates: BTreeMap<Pair, u16>,
    passages: BTreeMap<(Site, Who), u64>,
    fired: BTreeMap<Pair, u64>,
    spent: BTreeMap<Budget, u32>,
    trace: Vec<String>,
    cells: BTreeMap<&'static str, ActorCell>,
}

/// What is counted together, because there may only be so much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Budget {
    PanicsOf(Who),
    Services,
    Tools,
    Hosts,
    HangsAt(Site),
    Losses,
    LossesOf(Who),
    Deaths,
    Starts,
}

impl Sites {
    /// With these likelihoods, in thousandths.
    pub(crate) fn new(seed: u64, rates: BTreeMap<Pair, u16>) -> Self {
        let state = State { seed, rates, ..State::default() };
        Self { strikes: AtomicBool::new(true), state: Mutex::new(state), died: Notify::new() }
    }

    /// From now on nothing goes wrong.
    pub(crate) fn calm(&self) {
        self.strikes.store(false, Ordering::SeqCst);
    }

    /// A new life begins, with new budgets for what one life can bear.
    pub(crate) fn begin_life(&self, now_ms: u64) {
        let mut state = self.state.lock();
        state.spent.retain(|budget, _| matches!(budget, Budget::Deaths | Budget::Starts));
        state.cells.clear();
        state.tell(now_ms, "a life begins");
    }

    /// What happened, line by line.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.state.lock().trace.clone()
    }

    /// How often each fault happened.
    pub(crate) fn fired(&self) -> BTreeMap<Pair, u64> {
        self.state.lock().fired.clone()
    }

    /// Something else happened that belongs into the trace.
    pub(crate) fn tell(&self, now_ms: u64, what: &str) {
        self.state.lock().tell(now_ms, what);
    }

    /// Who can be killed under this name.
    pub(super) fn enlist(&self, name: &'static str, cell: ActorCell) {
        self.state.lock().cells.insert(name, cell);
    }

    /// Whom somebody outside kills at this passage, of so many.
    pub(crate) fn victim(&self, of: usize, clock: &dyn Clock) -> Option<usize> {
        let (_, dice) = self.draw(Site::ByHand, Who::Nobody, clock)?;
        Some(usize::try_from(dice >> 1).expect("63 bits") % of.max(1))
    }

    /// What goes wrong at this passage.
    fn draw(&self, site: Site, who: Who, clock: &dyn Clock) -> Option<(Action, u64)> {
        if !self.strikes.load(Ordering::Relaxed) {
            return None;
        }
        let now_ms = clock.now_ms();
        self.state.lock().draw(site, who, now_ms)
    }

    /// Pass a fault point; what was struck and did not happen here is the caller's to do.
    pub(crate) async fn pass(&self, site: Site, who: Who, clock: &dyn Clock) -> Option<Action> {
        let (action, dice) = self.draw(site, who, clock)?;
        match action {
            Action::Yield => tokio::task::yield_now().await,
            Action::Sleep => tokio::time::sleep(nap(dice)).await,
            Action::Hang => tokio::time::sleep(hang(dice)).await,
            Action::Panic => panic(site),
            Action::Die => {
                self.died.notify_one();
                std::future::pending().await
            }
            Action::Kill | Action::Drop | Action::Late | Action::Error | Action::Race => {}
        }
        Some(action)
    }
}

impl State {
    fn tell(&mut self, now_ms: u64, what: &str) {
        self.trace.push(format!("{now_ms} {what}"));
    }

    fn draw(&mut self, site: Site, who: Who, now_ms: u64) -> Option<(Action, u64)> {
        let passage = self.passages.entry((site, who)).or_default();
        *passage += 1;
        let dice = scrambled(scrambled(scrambled(self.seed) ^ who.salt()) ^ (site as u64) << 32 ^ *passage);
        let mut left = u16::try_from(dice % 1_000).expect("below a thousand");
        let struck = site.actions().iter().find(|action| {
            let rate = self.rates.get(&(site, **action)).copied().unwrap_or(0);
            let is_it = left < rate;
            left = left.saturating_sub(rate);
            is_it
        });
        let action = *struck?;
        for (budget, most) in budgets(site, who, action) {
            let spent = self.spent.entry(budget).or_default();
            if *spent >= most {
                return None;
            }
            *spent += 1;
        }
        *self.fired.entry((site, action)).or_default() += 1;
        let nth = self.passages[&(site, who)];
        self.tell(now_ms, &format!("{site:?} {who:?} passage {nth}: {action:?}"));
        Some((action, scrambled(dice)))
    }
}

/// What a fault is taken from, and how much of that there is.
fn budgets(site: Site, who: Who, action: Action) -> Vec<(Budget, u32)> {
    let mut budgets = Vec::new();
    match (action, who) {
        (Action::Yield | Action::Sleep, _) => {}
        (Action::Hang, _) => budgets.push((Budget::HangsAt(site), HANGS_AT_ONE)),
        (Action::Drop | Action::Late, _) => {
            budgets.extend([(Budget::Losses, LOSSES), (Budget::LossesOf(who), LOSSES_OF_ONE)]);
        }
        (Action::Die, _) => budgets.push((Budget::Deaths, DEATHS)),
        (Action::Error, _) if matches!(site, Site::BeforeSync | Site::AfterSync) => {
            budgets.push((Budget::Deaths, DEATHS));
        }
        (Action::Kill, Who::Nobody) => budgets.push((Budget::Services, OF_SERVICES)),
        (Action::Error | Action::Panic, _) if matches!(site, Site::SpawnTool | Site::SpawnService) => {
            budgets.push((Budget::Starts, STARTS));
        }
        (_, Who::Service(_)) => budgets.push((Budget::Services, OF_SERVICES)),
        (_, Who::Tool(_) | Who::Call(_)) => budgets.push((Budget::Tools, OF_TOOLS)),
        (_, Who::Actor(_)) => budgets.push((Budget::Hosts, OF_HOSTS)),
        (_, Who::Nobody) => {}
    }
    if action == Action::Panic {
        budgets.push((Budget::PanicsOf(who), PANICS_OF_ONE));
    }
    if site.loses_bells(action) {
        budgets.extend([(Budget::Losses, LOSSES), (Budget::LossesOf(who), LOSSES_OF_ONE)]);
    }
    budgets
}

/// A short while, and a long one: the unsticker looks every five seconds, and acts when it saw something twice.
fn nap(dice: u64) -> Duration {
    Duration::from_millis(1 + dice % 40)
}

fn hang(dice: u64) -> Duration {
    Duration::from_secs(6 + dice % 30)
}

/// Without a word to the panic hook: nobody wants to read it.
fn panic(site: Site) -> ! {
    std::panic::resume_unwind(Box::new(format!("a fault at {site:?}")))
}

impl Inner {
    /// Pass a fault point. Whoever is killed here goes no further.
    pub(crate) async fn fault(&self, site: Site, who: Who) -> Option<Action> {
        let action = self.faults.sites.pass(site, who, &*self.clock).await?;
        if action == Action::Kill {
            self.kill_for_a_fault(who);
            std::future::pending::<()>().await;
        }
        Some(action)
    }

    /// The same where nothing can be awaited: a kill strikes at the next place where something is.
    pub(crate) fn fault_at_once(&self, site: Site, who: Who) -> Option<Action> {
        let (action, _) = self.faults.sites.draw(site, who, &*self.clock)?;
        match action {
            Action::Panic => panic(site),
            Action::Kill => self.kill_for_a_fault(who),
            _ => {}
        }
        Some(action)
    }

    /// What another host of the same actor would do with this message, had its keeper's death left it running.
    pub(super) fn take_beside(self: &std::sync::Arc<Self>, actor: super::id::ActorId, entry: &super::entry::Entry) {
        let Some(mut other) = self.load_anew(actor) else { return };
        let activation = other.activation();
        let mut commit = other.take(actor, entry, &self.ids, &self.extensions);
        // Whoever must be brought into memory first leaves the message to the other.
        let _ = self.accept(&mut commit);
        let _ = self.with_accepted(|accepted, _| accepted.deactivate(actor, activation));
    }

    pub(super) fn ring_later(self: &std::sync::Arc<Self>, actor: super::id::ActorId) {
        let inner = std::sync::Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if let Some(inner) = inner.upgrade() {
                inner.directory.ring_now(&inner, actor);
            }
        });
    }

    fn kill_for_a_fault(&self, who: Who) {
        match who {
            Who::Actor(actor) => _ = self.directory.kill(actor),
            Who::Tool(tool) => _ = self.tools.get(&tool).is_some_and(|slot| slot.kill()),
            Who::Service(name) => {
                let cell = self.faults.sites.state.lock().cells.get(name).cloned();
                if let Some(cell) = cell {
                    cell.kill();
                }
            }
            Who::Call(_) | Who::Nobody => {}
        }
    }

    /// A record became durable.
    pub(super) fn trace_record(&self, sequence: Sequence, bytes: &[u8]) {
        if self.drive == Drive::Tasks {
            let digest = bytes.iter().fold(0, |hash, byte| scrambled(hash ^ u64::from(*byte)));
            let line = format!("record {} of {} bytes: {digest:016x}", sequence.0, bytes.len());
            self.faults.sites.tell(self.clock.now_ms(), &line);
        }
    }
}
