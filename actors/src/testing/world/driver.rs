//! The simulated world: the accepted view, driven step by step.
//!
//! Steps, in this order: a turn, a record to the disk, a call to a tool or its probe, a timer. A crash strikes after a commit: memory
//! is gone, the unacknowledged record is lost, kept or torn, and the next life recovers from what is left.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    super::{fake::Acted, story::Ending},
    rest,
};
use crate::{
    durable::{
        Accepted, ActorId, CallId, Commit, Effect, Entrance, Extensions, Ids, Live, Note, Outcome, Refused, Registry,
        Row, RowState, Sequence, Verdict, Waiting, codec, seal_record,
        sim::{self, Hosted, Known, fetch, read_window, stored},
        store::{Checkpoint, Fence, Memory, Store, Tail},
    },
    json::Json,
    phase::Phase,
    plan::{Checked, Effects, Evaluate, Evaluator, Plans, Sleeps, SleepsUntil},
    run::{self, Run, RunId},
    task::Task,
};

/// When a life ends, and what becomes of its unacknowledged record.
#[derive(Clone, Copy, Debug)]
pub(in crate::testing) struct Crash {
    pub(in crate::testing) after: u64,
    pub(in crate::testing) tail: Tail,
}

/// The time at which every story begins.
const DAWN_MS: u64 = 1_700_000_000_000;
/// No story takes more steps.
const STEPS_MAX: u64 = 200_000;

/// How a story is told.
#[derive(Clone, Copy, Debug)]
pub(in crate::testing) struct Manner {
    pub(in crate::testing) cancel_after: Option<u64>,
    /// Turns until the message of one is given up.
    pub(in crate::testing) poison: Option<u64>,
    /// Whether every commit is synced by itself.
    pub(in crate::testing) eager: bool,
    /// Records between two checkpoints, if there are any.
    pub(in crate::testing) checkpoints: Option<u64>,
    /// How many decisions say that what is in doubt is called again.
    pub(in crate::testing) repeats: u32,
}

pub(in crate::testing) struct World {
    plan: Arc<Checked>,
    registry: Registry,
    extensions: Extensions,
    tools: BTreeMap<String, Acted>,
    store: Memory,
    clock_ms: u64,
    crashes: u32,
    decisions: u32,
    commits_before: u64,
    manner: Manner,
    /// Rows that left memory, in all lives.
    evicted: u64,
    life: Life,
}

/// What a crash takes.
struct Life {
    accepted: Accepted,
    ids: Ids,
    fence: Fence,
    hosts: BTreeMap<ActorId, Hosted>,
    /// The rows hold every record up to this one.
    rows_at: Sequence,
    runnable: VecDeque<ActorId>,
    calls: VecDeque<CallId>,
    commits: u64,
}

fn effects_of(tools: &BTreeMap<String, Acted>) -> Effects {
    Effects(tools.iter().map(|(name, acted)| (name.clone(), acted.fake.effect)).collect())
}

fn sleeps_of(tools: &BTreeMap<String, Acted>) -> Sleeps {
    let sleeps = |ms: u64| -> SleepsUntil { Arc::new(move |_, now_ms| Some(now_ms + ms)) };
    let named = |(name, acted): (&String, &Acted)| Some((name.clone(), sleeps(acted.fake.sleeps_ms?)));
    Sleeps(tools.iter().filter_map(named).collect())
}

impl World {
    pub(in crate::testing) fn new(
        plan: Arc<Checked>,
        evaluate: Arc<dyn Evaluate>,
        tools: BTreeMap<String, Acted>,
        manner: Manner,
    ) -> Self {
        let plans = Plans::default();
        plans.add(plan.clone());
        let extensions = Extensions::default()
            .with(Arc::new(Evaluator(evaluate)))
            .with(Arc::new(plans))
            .with(Arc::new(effects_of(&tools)))
            .with(Arc::new(sleeps_of(&tools)));
        let store = if manner.checkpoints.is_some() { Memory::with_rows() } else { Memory::new() };
        let life = Life::begin(&store);
        Self {
            plan,
            registry: Registry::new().with::<Run>().with::<Phase>().with::<Task>(),
            extensions,
            tools,
            store,
            clock_ms: DAWN_MS,
            crashes: 0,
            decisions: 0,
            commits_before: 0,
            manner,
            evicted: 0,
            life,
        }
    }

    /// Live, die as told, live again, and come to rest.
    pub(in crate::testing) fn live_through(&mut self, crashes: &[Crash], death: &str) {
        for crash in crashes {
            if !self.live(Some(*crash)) {
                break;
            }
            self.die(crash.tail);
        }
        self.live(None);
        rest::at_rest(self, death);
    }

    pub(in crate::testing) fn ending(self, death: String) -> Ending {
        let row = self.row().expect("the oracle saw that the run ended");
        let outcome = row.outcome.expect("it ended");
        let took_ms = row.ended_at.expect("it ended") - row.submitted_at;
        let commits = self.commits_before + self.life.commits;
        let (decisions, evicted) = (self.decisions, self.evicted);
        let lasted_ms = self.clock_ms - DAWN_MS;
        Ending { death, outcome, commits, lasted_ms, took_ms, decisions, evicted, tools: self.tools }
    }

    /// Step until rest, or until it is time to die; says whether it is.
    fn live(&mut self, crash: Option<Crash>) -> bool {
        self.submit();
        let is_whole = self.manner.checkpoints.is_none() && self.manner.poison.is_none();
        let is_watched = crash.is_none() && self.crashes == 0 && is_whole;
        for _ in 0..STEPS_MAX {
            if is_watched {
                rest::nobody_is_stuck(self);
            }
            if crash.is_some_and(|crash| self.life.commits >= crash.after) {
                return true;
            }
            if self.manner.cancel_after.is_some_and(|after| self.commits_before + self.life.commits >= after) {
                self.manner.cancel_after = None;
                self.cancel();
            } else if !((self.manner.eager && self.sync())
                || self.turn()
                || self.sync()
                || self.call()
                || self.fire()
                || self.resolve())
            {
                return false;
            }
        }
        panic!("the story does not come to rest");
    }

    fn die(&mut self, tail: Tail) {
        if self.manner.checkpoints.is_some() {
            // Somewhere on the way, and somewhere else each time.
            self.checkpoint(Some(usize::try_from(self.life.commits % 7).expect("small")));
            self.store = self.store.revived();
        }
        if let Some(sealed) = self.life.accepted.seal() {
            self.store.fail_at(1, tail);
            let payload = seal_record(&sealed);
            let refused = self.store.append(self.life.fence, sealed.sequence, &payload);
            assert!(refused.is_err(), "the record was to be the last of its life");
        }
        self.crashes += 1;
        self.commits_before += self.life.commits;
        self.store = self.store.reopen();
        self.life = Life::begin(&self.store);
        self.resume();
    }

    /// What a start does: doubt what was under way, take up every other call, ring who has mail. A probe whose need is
    /// only known now is taken up once that is durable.
    fn resume(&mut self) {
        let callers = self.life.accepted.callers_to_look_at(self.clock_ms, false);
        self.bring(callers);
        let is_probing = |row: &Row| matches!(row.state, RowState::Probing(_));
        let calls = &self.life.accepted.live().calls;
        let probing: Vec<_> = calls.iter().filter(|(_, row)| is_probing(row)).map(|(call, _)| *call).collect();
        self.life.calls.extend(probing);
        let receipt = self.life.accepted.doubt_calls_of_the_last_life(self.clock_ms);
        self.life.runnable.extend(receipt.ring);
        let live = self.life.accepted.live();
        let intended = live.calls.iter().filter(|(_, row)| row.state == RowState::Intended).map(|(call, _)| *call);
        self.life.calls.extend(intended);
        let mut mail: Vec<_> =
            live.actors.iter().filter(|(_, row)| !row.mailbox.is_empty()).map(|(actor, _)| *actor).collect();
        mail.sort_unstable();
        self.life.runnable.extend(mail);
    }

    /// As clients do: submit under a key, and again after a crash.
    fn submit(&mut self) {
        let begin = run::Begin { run: RUN, plan: self.plan.digest(), input: Json::NULL, labels: Vec::new() };
        let first = codec::seal(sim::message_format::<Run>(), &run::Message::Start(begin));
        let actor = self.life.ids.actor(crate::durable::Partition(7));
        let key = Bytes::from_static(b"key/story");
        let entrance = Entrance {
            unless: Some(key.clone()),
            puts: vec![(key, Bytes::from(actor.0.to_be_bytes().to_vec()))],
            root: Some((codec::fnv1a("run"), actor, first)),
            ..Entrance::default()
        };
        if self.index(b"key/story").is_some() {
            return;
        }
        if let Ok(receipt) = self.life.accepted.enter(self.clock_ms, entrance) {
            self.life.runnable.extend(receipt.ring);
            self.life.commits += 1;
        }
    }

    fn cancel(&mut self) {
        // Nobody cancels what they see has ended.
        let Some(root) = self.root() else { return };
        self.bring(vec![root]);
        if !self.life.accepted.live().actors.contains_key(&root) {
            return;
        }
        let message = run::Message::Cancel { reason: "the story says so".to_owned() };
        let body = crate::durable::Body::Message(codec::seal(sim::message_format::<Run>(), &message));
        let entrance = Entrance { deliver: Some((root, body)), ..Entrance::default() };
        if let Ok(receipt) = self.life.accepted.enter(self.clock_ms, entrance) {
            self.life.runnable.extend(receipt.ring);
            self.life.commits += 1;
        }
    }

    fn root(&self) -> Option<ActorId> {
        let row = self.index(b"key/story")?;
        Some(ActorId(u64::from_be_bytes(row[..].try_into().ok()?)))
    }

    /// An index row, in memory or not.
    fn index(&self, key: &[u8]) -> Option<Bytes> {
        match self.life.accepted.known(key) {
            Known::Here(value) => Some(value),
            Known::Gone => None,
            Known::Unknown(_) => {
                let rows = self.store.open().expect("memory opens").rows?;
                rows.get(&stored::index_key(key)).expect("what was written can be read")
            }
        }
    }

    fn turn(&mut self) -> bool {
        let Some(actor) = self.life.runnable.pop_front() else { return false };
        let Some(entry) = self.life.accepted.head(actor) else { return true };
        self.manner.poison = self.manner.poison.map(|turns| turns - 1);
        if self.manner.poison == Some(0) {
            self.manner.poison = None;
            self.bury(actor, entry.number);
            return true;
        }
        if !self.life.hosts.contains_key(&actor) {
            let activation = self.life.accepted.activate(actor).expect("an actor with mail is there");
            self.life.hosts.insert(actor, Hosted::load(&self.registry, activation).expect("what was stored loads"));
        }
        let host = self.life.hosts.get_mut(&actor).expect("just loaded");
        let mut commit: Commit = host.take(actor, &entry, &self.life.ids, &self.extensions);
        let receipt = loop {
            match self.life.accepted.accept(self.clock_ms, &mut commit) {
                Ok(receipt) => break receipt,
                Err(Refused::Cold(cold)) => self.bring(cold),
                Err(refused) => panic!("nobody else commits: {refused}"),
            }
        };
        self.life.commits += 1;
        self.life.runnable.extend(receipt.ring.into_iter().filter(|other| *other != actor));
        for call in receipt.cancelled {
            self.cancel_call(call);
        }
        if receipt.stopped {
            self.life.hosts.remove(&actor);
        } else if receipt.next.is_some() {
            self.life.runnable.push_back(actor);
        }
        true
    }

    /// As the keeper does after the fifth death by one message.
    fn bury(&mut self, actor: ActorId, entry: u64) {
        self.life.hosts.remove(&actor);
        let receipt = self.life.accepted.bury(self.clock_ms, actor, entry, "it died of this");
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
    }

    /// What the unsticker would name, with a tool for every call and nothing lost.
    pub(in crate::testing) fn stuck(&self) -> Vec<Waiting> {
        self.life.accepted.live().waiting(&self.registry)
    }

    pub(in crate::testing) fn live_to_an_end_or_hold(mut self) {
        self.live(None);
        let live = self.life.accepted.live();
        let row = self.row();
        let is_told = row.as_ref().is_some_and(|row| row.has_ended() || row.held.is_some());
        let is_suspended = live.actors.values().any(|actor| actor.suspended.is_some());
        assert!(is_told || is_suspended, "the run hangs and nobody can see why: {row:?} {:#?}", live.actors);
    }

    /// A fake tool is never caught running: what was not called yet did not begin in this life.
    fn cancel_call(&mut self, call: CallId) {
        let caller = self.life.accepted.live().calls.get(&call).map(|row| row.caller);
        self.bring(caller.into_iter().collect());
        if let Some(receipt) = self.life.accepted.cancel_idle(self.clock_ms, call) {
            self.life.runnable.extend(receipt.ring);
            self.life.commits += 1;
        }
    }

    fn answer(&mut self, call: CallId, outcome: Outcome) {
        let caller = self.life.accepted.live().calls.get(&call).map(|row| row.caller);
        self.bring(caller.into_iter().collect());
        let receipt = self.life.accepted.answer(self.clock_ms, vec![(call, outcome, None)]);
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
    }

    fn sync(&mut self) -> bool {
        let Some(sealed) = self.life.accepted.seal() else { return false };
        let payload = seal_record(&sealed);
        self.store.append(self.life.fence, sealed.sequence, &payload).expect("the simulated disk works");
        self.life.calls.extend(sealed.effects.calls.iter().map(|(_, call)| *call));
        for (_, call) in sealed.effects.started {
            self.invoke(call);
        }
        if self.manner.checkpoints.is_some_and(|every| sealed.sequence.0.is_multiple_of(every)) {
            self.checkpoint(None);
        }
        true
    }

    /// Write rows, up to a crash after so many if there is one, and let everything leave memory that may.
    fn checkpoint(&mut self, crash_after: Option<usize>) {
        let Some(boundary) = self.life.accepted.boundary().filter(|last| *last == self.store.durable()) else { return };
        let idle: Vec<_> =
            self.life.hosts.keys().filter(|actor| self.life.accepted.is_idle(**actor)).copied().collect();
        for actor in idle {
            self.life.hosts.remove(&actor);
            self.life.accepted.release(actor);
        }
        let mut capture = self.life.accepted.begin_capture();
        while self.life.accepted.capture(&mut capture, 3) {}
        if let Some(rows) = crash_after {
            self.store.fail_checkpoint_after(rows);
        }
        let checkpoint = Checkpoint {
            since: self.life.rows_at,
            from: boundary,
            to: boundary,
            meta: self.life.accepted.live().meta(),
            changes: &capture.changes,
        };
        let written = self.store.checkpoint(&checkpoint, &mut || true);
        match written {
            Ok(()) => {
                self.life.rows_at = boundary;
                let before = self.life.accepted.live().actors.len();
                self.life.accepted.checkpointed(capture);
                self.evicted += (before - self.life.accepted.live().actors.len()) as u64;
            }
            Err(_) => assert!(crash_after.is_some(), "the simulated disk works"),
        }
        rest::rows_are_as_the_records_say(&self.store);
    }

    /// Have actors in memory, or know that they are gone.
    fn bring(&mut self, actors: Vec<ActorId>) {
        let Ok(Some(rows)) = self.store.open().map(|opened| opened.rows) else { return };
        for actor in actors.into_iter().filter(|actor| self.life.accepted.is_cold(*actor)).collect::<Vec<_>>() {
            let evictions = self.life.accepted.evictions(actor);
            let chain = fetch(&*rows, actor).expect("what was written can be read");
            assert!(self.life.accepted.bring(actor, evictions, chain), "nobody else evicts");
        }
    }

    fn call(&mut self) -> bool {
        let Some(at) = self.life.calls.iter().position(|call| self.due_ms(*call) <= self.clock_ms) else {
            return false;
        };
        let Some(call) = self.life.calls.remove(at) else { return false };
        match self.life.accepted.live().calls.get(&call).map(|row| row.request.effect) {
            Some(Effect::AtMostOnce) => {
                self.life.commits += u64::from(self.life.accepted.start_call(self.clock_ms, call));
            }
            Some(Effect::Idempotent { .. } | Effect::Verify { .. }) => self.invoke(call),
            None => {}
        }
        true
    }

    /// From when on a call, or its probe, may be dispatched.
    fn due_ms(&self, call: CallId) -> u64 {
        match self.life.accepted.live().calls.get(&call).map(|row| &row.state) {
            Some(RowState::Probing(probing)) => probing.due_ms,
            _ => 0,
        }
    }

    /// The tool acts in the outside world, which no crash undoes, or its probe looks at it; then its answer is let in.
    fn invoke(&mut self, call: CallId) {
        let Some(row) = self.life.accepted.live().calls.get(&call).cloned() else { return };
        rest::intent_is_durable(&self.store, call);
        let tool = self.tools.get_mut(&row.request.tool).expect("the story has the tool");
        let outcome = match row.state {
            RowState::Probing(_) => tool.probe(&row.request).into(),
            RowState::Intended | RowState::Started | RowState::InDoubt(_) => tool.call(&row.request),
        };
        self.answer(call, outcome);
    }

    fn fire(&mut self) -> bool {
        let timer = self.life.accepted.next_due_ms();
        let probe = self.life.calls.iter().map(|call| self.due_ms(*call)).min();
        let Some(due_ms) = timer.into_iter().chain(probe).min() else { return false };
        self.clock_ms = self.clock_ms.max(due_ms);
        if timer != Some(due_ms) {
            // Only a probe is due, and it is dispatched next.
            return true;
        }
        let cold = self.life.accepted.cold_due(self.clock_ms, 16);
        self.bring(cold);
        let receipt = self.life.accepted.fire(self.clock_ms, 16);
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
        true
    }

    /// Nothing else is left: a person looks into the outside world and decides what is in doubt.
    fn resolve(&mut self) -> bool {
        let live = self.life.accepted.live();
        let doubted = live.calls.iter().find(|(_, row)| matches!(row.state, RowState::InDoubt(_)));
        let Some((call, row)) = doubted.map(|(call, row)| (*call, row.clone())) else { return false };
        let seen = self.tools.get(&row.request.tool).and_then(|acted| acted.effects.get(&row.request.key)).cloned();
        let verdict = match seen {
            _ if self.decisions < self.manner.repeats => Verdict::Repeat,
            Some(output) => Verdict::Ended(Outcome::Done(output)),
            None => Verdict::Ended(Outcome::failed("decided", "it is not in the tool's own books")),
        };
        self.bring(vec![row.caller]);
        let note = Note::Decided { call, decision: "as the books say".to_owned(), by: "the story".to_owned() };
        let decided = self.life.accepted.decide(self.clock_ms, call, verdict, note);
        let receipt = decided.expect("it is in doubt");
        self.decisions += 1;
        self.life.runnable.extend(receipt.ring);
        self.life.commits += 1;
        true
    }

    pub(in crate::testing) fn outcome(&self) -> Option<run::Outcome> {
        self.row()?.outcome
    }

    fn row(&self) -> Option<run::Row> {
        let row = self.index(&run::index_key(RUN))?;
        Some(run::Row::decode(&row).expect("a row decodes"))
    }

    pub(in crate::testing) fn live_now(&self) -> &Live {
        self.life.accepted.live()
    }

    pub(in crate::testing) fn keeps_rows(&self) -> bool {
        self.manner.checkpoints.is_some()
    }

    pub(in crate::testing) fn store(&self) -> &Memory {
        &self.store
    }

    pub(in crate::testing) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(in crate::testing) fn tools(&self) -> &BTreeMap<String, Acted> {
        &self.tools
    }

    /// Whether a rule of the plan repeats calls in doubt.
    pub(in crate::testing) fn repeats_doubts(&self) -> bool {
        let mut tasks = self.plan.phases.iter().flat_map(|phase| &phase.tasks);
        self.manner.repeats > 0 || tasks.any(|task| task.in_doubt == crate::plan::InDoubt::Repeat)
    }

    pub(in crate::testing) fn crashes(&self) -> u32 {
        self.crashes
    }
}

/// The run of every story.
const RUN: RunId = RunId([0x42; 16]);

impl Life {
    fn begin(store: &Memory) -> Self {
        let opened = store.open().expect("memory opens");
        let (live, recovered) = Live::start(store, &opened).expect("what was acknowledged can be recovered");
        let ids = Ids::after(live.highest_id);
        let mut accepted = Accepted::new(live, recovered.durable.next());
        if let Some(rows) = &opened.rows {
            let (window_ms, timers) = read_window(&**rows, 0, u64::MAX).expect("what was written can be read");
            accepted.extend_window(window_ms, timers);
        }
        Self {
            accepted,
            rows_at: opened.from,
            ids,
            fence: recovered.fence,
            hosts: BTreeMap::new(),
            runnable: VecDeque::new(),
            calls: VecDeque::new(),
            commits: 0,
        }
    }
}
