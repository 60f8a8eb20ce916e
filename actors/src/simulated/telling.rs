//! One telling: lives that follow one another until all has come to rest.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;

use super::{
    SIMULATED, oracle,
    outside::{DAWN_MS, Outside, Virtual, Worker},
    plans::{self, Work, run_id},
};
use crate::{
    clock::Clock,
    durable::{
        ActorId, Address, Decision, Heir, System,
        faults::{Pair, Site, Sites, scrambled},
    },
    json::Json,
    phase::Phase,
    plan::{Effects, Evaluator, Plans, Sleeps},
    replay,
    run::{self, Outcome, Run},
    task::Task,
    testing::{
        oracle::{Findings, Invariant, Violation},
        world::NoTemplates,
    },
};

/// How often whoever watches looks.
const LOOK: Duration = Duration::from_millis(250);
/// Faults cease so long after the dawn.
const CALM_MS: u64 = 4 * 60_000;
/// All must have come to rest so long after that.
const REST_MS: u64 = 60 * 60_000;
/// And then nothing happens for so long.
const QUIET: Duration = Duration::from_secs(60);
/// A fault pair is brought out by every so many seeds.
const STRIDE: u64 = 25;

/// What happened.
pub(super) struct Telling {
    pub(super) seed: u64,
    pub(super) trace: Vec<String>,
    pub(super) fired: BTreeMap<Pair, u64>,
    pub(super) lives: u64,
    pub(super) unstuck: BTreeMap<&'static str, u64>,
    pub(super) lasted_ms: u64,
    /// Nothing happened for which the unsticker is needed.
    pub(super) is_gentle: bool,
    pub(super) findings: Findings,
}

impl Telling {
    pub(super) fn digest(&self) -> u64 {
        let bytes = self.trace.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0, |hash, byte| scrambled(hash ^ u64::from(byte)))
    }

    pub(super) fn verdict(&self) -> String {
        self.findings.to_string()
    }

    /// # Panics
    /// If it is not, with the line that tells it again.
    #[track_caller]
    pub(super) fn is_sound(&self) {
        assert!(
            self.findings.hold(),
            "{}\n{} cargo test -p headframe-actors --lib simulated::replay -- --nocapture",
            self.verdict(),
            replay::line(SIMULATED, &self.seed)
        );
    }
}

/// Tell what this seed tells.
pub(super) fn tell(seed: u64) -> Telling {
    let sites = Arc::new(Sites::new(seed, rates(seed)));
    let outside = Arc::new(Outside::new(sites.clone()));
    let work = plans::work(|number| scrambled(seed.wrapping_mul(0x1_0001) ^ number));
    let mut told = Story {
        seed,
        outside: outside.clone(),
        work,
        acknowledged: BTreeMap::new(),
        unstuck: BTreeMap::new(),
        told: BTreeMap::new(),
        lives: 0,
    };
    loop {
        told.lives += 1;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime without input and output needs nothing");
        let is_over = runtime.block_on(told.live());
        drop(runtime);
        if is_over {
            break;
        }
        told.look_after_a_death();
    }
    let is_gentle = !told.needs_unsticker();
    let findings = outside.findings.lock().clone();
    Telling {
        seed,
        trace: sites.trace(),
        fired: sites.fired(),
        lives: u64::from(told.lives),
        unstuck: told.unstuck,
        lasted_ms: outside.now_ms.load(Ordering::SeqCst) - DAWN_MS,
        is_gentle,
        findings,
    }
}

/// A seed chooses some faults of all, and how likely each is; a few of them come often. In every third telling nothing
/// happens that the unsticker would be needed for.
fn rates(seed: u64) -> BTreeMap<Pair, u16> {
    let pair = |(number, pair): (usize, Pair)| {
        let dice = scrambled(scrambled(seed) ^ number as u64);
        let is_focus = (number as u64 + seed).is_multiple_of(STRIDE);
        let is_gentle = seed.is_multiple_of(3);
        let rate = match dice % 4 {
            _ if is_gentle && pair.0.is_lasting(pair.1) => return None,
            _ if is_focus => {
                if pair.0.is_rare() {
                    900
                } else {
                    400
                }
            }
            0 if pair.0.is_rare() => 300,
            0 => [2, 5, 10, 30, 60][usize::try_from(dice >> 32).expect("64 bits") % 5],
            _ => return None,
        };
        Some((pair, rate))
    };
    Site::pairs().enumerate().filter_map(pair).collect()
}

/// What is known of a telling while it is told.
pub(super) struct Story {
    seed: u64,
    pub(super) outside: Arc<Outside>,
    pub(super) work: Vec<Work>,
    /// The actors of the runs of which somebody was told that they are durable.
    pub(super) acknowledged: BTreeMap<usize, ActorId>,
    pub(super) unstuck: BTreeMap<&'static str, u64>,
    /// How those ended that were seen to have.
    pub(super) told: BTreeMap<usize, Outcome>,
    lives: u32,
}

impl Story {
    /// One life; says whether it was the last.
    async fn live(&mut self) -> bool {
        let clock = Arc::new(Virtual::from(self.outside.now_ms.load(Ordering::SeqCst)));
        let sites = self.outside.sites.clone();
        sites.begin_life(clock.now_ms());
        let over = tokio::select! {
            biased;
            () = sites.died.notified() => {
                sites.tell(clock.now_ms(), "the process dies");
                false
            }
            over = self.watch(&clock) => over,
        };
        self.outside.note_time(&clock);
        over
    }

    async fn watch(&mut self, clock: &Arc<Virtual>) -> bool {
        let mut heir = None;
        loop {
            let system = match self.start(clock, heir.clone()).await {
                Ok(system) => system,
                Err(error) => {
                    self.outside.sites.tell(clock.now_ms(), &format!("it does not start: {error}"));
                    return false;
                }
            };
            if self.watch_one(clock, &system).await {
                return true;
            }
            heir = Some(system.abandon());
            self.look_after_a_death();
            // The oracle tells by the time what a former life intended.
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.lives += 1;
            self.outside.sites.begin_life(clock.now_ms());
        }
    }

    /// Until all has come to rest, or the store closed.
    async fn watch_one(&mut self, clock: &Virtual, system: &System) -> bool {
        loop {
            tokio::time::sleep(LOOK).await;
            let now_ms = clock.now_ms();
            if now_ms > DAWN_MS + CALM_MS {
                self.outside.sites.calm();
            }
            self.kill_by_hand(clock, system).await;
            let open = self.look(system, now_ms).await;
            if open.is_empty() && now_ms > DAWN_MS + CALM_MS {
                tokio::time::sleep(QUIET).await;
                let findings = oracle::at_rest(self, system).await;
                *self.outside.findings.lock() = findings;
                self.count_unstuck(system);
                system.stop(Duration::from_secs(5)).await;
                return true;
            }
            if let Some(cause) = system.failure() {
                self.outside.sites.tell(now_ms, &format!("the store closed: {cause}"));
                self.count_unstuck(system);
                return false;
            }
            if now_ms > DAWN_MS + CALM_MS + REST_MS {
                let what = format!("these did not end: {open:?}; {:#?}", system.stuck().await);
                self.outside.findings.lock().found(Violation::lost(Invariant::I1, what));
                return true;
            }
        }
    }

    /// Anyone who shows in the tree may be killed at any time.
    async fn kill_by_hand(&self, clock: &Virtual, system: &System) {
        let mut all: Vec<_> = system.services().await.iter().map(|child| child.id.to_string()).collect();
        let mut hosted = system.hosted();
        hosted.sort_unstable();
        all.extend(hosted.iter().map(ActorId::to_string));
        // While the tree is started again there may be nobody in it.
        if let Some(victim) = self.outside.sites.victim(all.len(), clock).and_then(|victim| all.get(victim)) {
            let killed = system.kill(victim).await;
            self.outside.sites.tell(clock.now_ms(), &format!("{victim} is killed: {killed:?}"));
        }
    }

    fn count_unstuck(&mut self, system: &System) {
        for (reason, count) in system.unstuck() {
            *self.unstuck.entry(reason).or_default() += count;
        }
    }

    async fn start(&self, clock: &Arc<Virtual>, heir: Option<Heir>) -> Result<System, crate::durable::store::Error> {
        let all = Plans::default();
        self.work.iter().for_each(|work| all.add(work.plan.clone()));
        let tools = plans::tools();
        let effects = Effects(tools.iter().map(|(name, fake)| ((*name).to_owned(), fake.effect)).collect());
        let sleeps = tools.iter().filter_map(|(name, fake)| Some(((*name).to_owned(), fake.sleeps.clone()?)));
        let mut builder = System::builder()
            .behavior::<Run>()
            .behavior::<Phase>()
            .behavior::<Task>()
            .extension(Arc::new(Evaluator(Arc::new(NoTemplates))))
            .extension(Arc::new(all))
            .extension(Arc::new(effects))
            .extension(Arc::new(Sleeps(sleeps.collect())))
            .clock(clock.clone())
            .passivate(Duration::from_secs(3), self.hosts_max())
            .checkpoint(Duration::from_secs(1), 1 << 20)
            .scrub_every(Duration::from_secs(45))
            .simulated(self.outside.sites.clone());
        for (name, fake) in tools {
            let worker = Worker { name, fake, outside: self.outside.clone(), clock: clock.clone() };
            builder = builder.tool(name, Arc::new(worker));
        }
        if let Some(heir) = heir {
            builder = builder.inherit(heir);
        }
        let store = self.outside.store.lock().reopen();
        builder.start(Arc::new(store)).await
    }

    /// In every other telling there is room for few, so that actors leave all the time.
    fn hosts_max(&self) -> usize {
        if self.seed.is_multiple_of(2) { 1_000 } else { 3 }
    }

    /// Do what clients do: submit, again until it is acknowledged; cancel; and, as a person, look into the books of a
    /// tool and decide what is in doubt. Returns what has not ended.
    async fn look(&mut self, system: &System, now_ms: u64) -> Vec<&'static str> {
        let mut open = Vec::new();
        for number in 0..self.work.len() {
            let (name, at_ms) = (self.work[number].name, DAWN_MS + self.work[number].at_ms);
            if now_ms < at_ms {
                open.push(name);
                continue;
            }
            if !self.acknowledged.contains_key(&number) {
                self.submit(system, number, now_ms).await;
            }
            if !self.told.contains_key(&number)
                && let Some(outcome) = row(system, number).await.and_then(|row| row.outcome)
            {
                self.told.insert(number, outcome);
            }
            if !self.told.contains_key(&number) {
                open.push(name);
                let is_over = |after_ms| now_ms >= at_ms + after_ms;
                if self.work[number].cancelled_after_ms.is_some_and(is_over) {
                    self.cancel(system, number, now_ms).await;
                }
            }
        }
        for (call, row) in system.doubts().await.unwrap_or_default() {
            let decision = match self.outside.seen(&row.request.tool, row.request.key) {
                Some(output) => Decision::Happened(output),
                None => Decision::Failed("it is not in the books".to_owned()),
            };
            self.outside.sites.tell(now_ms, &format!("{call} is decided: {decision:?}"));
            // Somebody may have cancelled it meanwhile.
            let _ = system.decide(call, decision, "the books").await;
        }
        open
    }

    async fn submit(&mut self, system: &System, number: usize, now_ms: u64) {
        let Some(actor) = self.actor_of(system, number).await else { return };
        self.outside.sites.tell(now_ms, &format!("{} is acknowledged as {actor}", self.work[number].name));
        self.acknowledged.insert(number, actor);
    }

    /// Submit a run, again if need be: its actor.
    pub(super) async fn actor_of(&self, system: &System, number: usize) -> Option<ActorId> {
        let begin = run::Begin {
            run: run_id(number),
            plan: self.work[number].plan.digest(),
            input: Json::NULL,
            labels: Vec::new(),
        };
        let key = Bytes::from(format!("key/{}", self.work[number].name));
        let submitted_at = DAWN_MS + self.work[number].at_ms;
        let names = |actor: ActorId| {
            let row = run::Row {
                run: begin.run,
                actor,
                namespace: "default".to_owned(),
                workflow: self.work[number].name.to_owned(),
                plan: begin.plan,
                labels: Vec::new(),
                submitted_at,
                ended_at: None,
                outcome: None,
                held: None,
                cancelled: None,
            };
            vec![
                (key.clone(), Bytes::copy_from_slice(&actor.0.to_be_bytes())),
                (run::index_key(begin.run), row.encode()),
            ]
        };
        let first = run::Message::Start(begin.clone());
        match system.spawn_root::<Run>(Some(key.clone()), names, &first).await {
            Ok(Ok(address)) => Some(address.id),
            Ok(Err(existing)) => Some(ActorId(u64::from_be_bytes(existing.0[..].try_into().expect("eight bytes")))),
            Err(_) => None,
        }
    }

    async fn cancel(&mut self, system: &System, number: usize, now_ms: u64) {
        let Some(actor) = self.acknowledged.get(&number) else { return };
        let message = run::Message::Cancel { reason: "the story says so".to_owned() };
        if system.tell(Address::<Run>::new(*actor), message).await.is_ok() {
            self.outside.sites.tell(now_ms, "it is cancelled");
            self.work[number].cancelled_after_ms = None;
        }
    }

    /// What is on the disk now is what the next life begins with.
    fn look_after_a_death(&self) {
        let mut findings = Findings::default();
        oracle::after_a_death(self, &mut findings);
        self.outside.findings.lock().add(findings);
        let reopened = self.outside.store.lock().reopen();
        *self.outside.store.lock() = reopened;
    }

    /// Whether a fault happened that only the unsticker can mend.
    pub(super) fn needs_unsticker(&self) -> bool {
        self.outside.sites.fired().keys().any(|(site, action)| site.is_lasting(*action))
    }
}

pub(super) async fn row(system: &System, number: usize) -> Option<run::Row> {
    let row = system.get(&run::index_key(run_id(number))).await.ok()??;
    Some(run::Row::decode(&row).expect("a row decodes"))
}
