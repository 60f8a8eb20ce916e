//! What lies outside the process: the store, the clock, and tools whose effects no death undoes.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::plans;
use crate::{
    clock::Clock,
    durable::{
        Effect, Key, Live, Outcome, Probe, Request,
        faults::{Site, Sites, Who},
        store::Memory,
    },
    json::Json,
    testing::{
        fake::{Acted, Fake},
        oracle::{Answer, Call, Entry, Findings, Invariant, Violation},
    },
    tool::{CallContext, Tool},
};

/// These do not answer at once.
const SLOW: [&str; 3] = ["bank", "mint", "lossy"];

/// When every telling begins.
pub(super) const DAWN_MS: u64 = 1_700_000_000_000;

/// Time as tokio tells it, going on from where the last life ended.
#[derive(Debug)]
pub(super) struct Virtual {
    base_ms: u64,
    began: tokio::time::Instant,
}

impl Virtual {
    /// Must be called where time is paused.
    pub(super) fn from(base_ms: u64) -> Self {
        Self { base_ms, began: tokio::time::Instant::now() }
    }
}

impl Clock for Virtual {
    fn now_ms(&self) -> u64 {
        self.base_ms + u64::try_from(self.began.elapsed().as_millis()).expect("no telling lasts that long")
    }
}

/// All of it.
pub(super) struct Outside {
    pub(super) sites: Arc<Sites>,
    pub(super) store: Mutex<Memory>,
    pub(super) now_ms: AtomicU64,
    books: Mutex<BTreeMap<&'static str, Acted>>,
    /// Everything that was asked of the tools, in order.
    pub(super) entries: Mutex<Vec<Entry>>,
    /// What is wrong, and had to be seen when it was.
    pub(super) findings: Mutex<Findings>,
}

impl Outside {
    pub(super) fn new(sites: Arc<Sites>) -> Self {
        Self {
            sites,
            store: Mutex::new(Memory::with_rows()),
            now_ms: AtomicU64::new(DAWN_MS),
            books: Mutex::new(plans::tools().into_iter().map(|(name, fake)| (name, Acted::new(fake))).collect()),
            entries: Mutex::default(),
            findings: Mutex::default(),
        }
    }

    /// What the books of a tool say of a key.
    pub(super) fn seen(&self, tool: &str, key: Key) -> Option<Json> {
        self.books.lock().get(tool)?.effects.get(&key).cloned()
    }
}

/// A tool, as the system sees it.
pub(super) struct Worker {
    pub(super) name: &'static str,
    pub(super) fake: Fake,
    pub(super) outside: Arc<Outside>,
    pub(super) clock: Arc<Virtual>,
}

impl Worker {
    fn request(&self, cx: &CallContext, input: Json) -> Request {
        Request {
            tool: self.name.to_owned(),
            path: cx.path.to_string(),
            key: cx.key,
            attempt: cx.attempt,
            effect: self.fake.effect,
            input,
            timeout_ms: 0,
            checkpoint: None,
            key_since_ms: 0,
            heartbeat_ms: None,
        }
    }

    /// I6, at once: no call without an earlier durable intent.
    fn check_intent(&self, cx: &CallContext) {
        let store = self.outside.store.lock().fork();
        let is_there = Live::fold(&store).is_ok_and(|(live, _)| live.calls.contains_key(&cx.call));
        if !is_there {
            let what = format!("{} was made before its intent was durable", cx.call);
            self.outside.findings.lock().found(Violation::wrong(Invariant::I6, what));
        }
    }

    /// Write down that it was called. Until it has answered, nobody knows.
    fn begin(&self, cx: &CallContext, request: &Request) -> Answering<'_> {
        let mut entries = self.outside.entries.lock();
        let number = entries.len();
        entries.push(Entry {
            call: Call {
                tool: self.name.to_owned(),
                key: request.key.to_string(),
                call: cx.call.to_string(),
                label: plans::label(&request.path),
                attempt: cx.attempt,
                life: u32::try_from(cx.epoch.0).expect("there are few lives"),
                epoch: cx.epoch.0,
                may_be_unheard: true,
                inherited: false,
                only_once: self.fake.effect == Effect::AtMostOnce,
            },
            answer: Answer::Lost,
            effect: None,
            at_ms: self.clock.now_ms(),
        });
        Answering { outside: &self.outside, number }
    }

    /// Act, and write down what came of it.
    fn act(&self, request: &Request, answering: &Answering<'_>) -> Outcome {
        let mut books = self.outside.books.lock();
        let acted = books.get_mut(self.name).expect("it has books");
        let acts = |acted: &Acted| acted.acted.get(&request.key).copied().unwrap_or(0);
        let (before, honours_keys) = (acts(acted), matches!(self.fake.effect, Effect::Idempotent { .. }));
        let outcome = acted.call(request);
        let has_effect = acts(acted) > before && (before == 0 || !honours_keys);
        let entry = &mut self.outside.entries.lock()[answering.number];
        entry.answer = match &outcome {
            Outcome::Done(_) => Answer::Done,
            Outcome::Failed(_) => Answer::Refused,
            Outcome::Unknown(_) => Answer::Lost,
        };
        entry.effect = has_effect.then_some(answering.number as u64 + 1);
        outcome
    }
}

/// A call that has not answered yet.
struct Answering<'a> {
    outside: &'a Outside,
    number: usize,
}

impl Answering<'_> {
    fn answered(self) {
        self.outside.entries.lock()[self.number].call.may_be_unheard = false;
    }
}

impl Tool for Worker {
    fn effect(&self) -> Effect {
        self.fake.effect
    }

    fn max_concurrent(&self) -> usize {
        2
    }

    fn can_probe(&self, _: &serde_json::Value) -> bool {
        matches!(self.fake.effect, Effect::Verify { .. })
    }

    fn sleeps_until(&self, input: &Json, now_ms: u64) -> Option<u64> {
        self.fake.sleeps.as_ref()?(input, now_ms)
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let request = self.request(cx, input);
        self.check_intent(cx);
        let answering = self.begin(cx, &request);
        let (sites, who) = (&self.outside.sites, Who::Call(cx.call));
        // One that always refuses is to be believed.
        if self.name != "refuses" {
            sites.pass(Site::BeforeActing, who, &*self.clock).await;
        }
        if SLOW.contains(&self.name) {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let outcome = self.act(&request, &answering);
        if self.name != "refuses" {
            sites.pass(Site::AfterActing, who, &*self.clock).await;
        }
        answering.answered();
        outcome
    }

    async fn probe(&self, cx: &CallContext, input: Json) -> Probe {
        let request = self.request(cx, input);
        let mut books = self.outside.books.lock();
        books.get_mut(self.name).expect("it has books").probe(&request)
    }
}

impl Outside {
    /// Time goes on in the next life.
    pub(super) fn note_time(&self, clock: &Virtual) {
        self.now_ms.fetch_max(clock.now_ms() + 10, Ordering::SeqCst);
    }
}
