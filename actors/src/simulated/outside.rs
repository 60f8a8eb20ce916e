//! What lies outside the process: the store, the clock, and tools whose effects no death undoes.

use std::{
    collections::{BTreeMap, BTreeSet},
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
    testing::fake::{Acted, Fake},
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
    /// Under which keys a tool had effects, by what was said for whom.
    effects: Mutex<BTreeMap<(&'static str, String), BTreeSet<Key>>>,
    /// What a check found that cannot be told where it was made.
    pub(super) broken: Mutex<Vec<String>>,
}

impl Outside {
    pub(super) fn new(sites: Arc<Sites>) -> Self {
        Self {
            sites,
            store: Mutex::new(Memory::with_rows()),
            now_ms: AtomicU64::new(DAWN_MS),
            books: Mutex::new(plans::tools().into_iter().map(|(name, fake)| (name, Acted::new(fake))).collect()),
            effects: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    pub(super) fn books(&self) -> BTreeMap<&'static str, Acted> {
        self.books.lock().clone()
    }

    /// How many effects a tool had for a run.
    pub(super) fn effects(&self, tool: &str, run: &str) -> usize {
        let effects = self.effects.lock();
        effects.iter().filter(|((of, path), _)| *of == tool && path.starts_with(run)).map(|(_, keys)| keys.len()).sum()
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

    /// I6: no call without an earlier durable intent.
    fn check_intent(&self, cx: &CallContext) {
        let store = self.outside.store.lock().fork();
        let is_there = Live::fold(&store).is_ok_and(|(live, _)| live.calls.contains_key(&cx.call));
        if !is_there {
            self.outside.broken.lock().push(format!("I6: {} was made before its intent was durable", cx.call));
        }
    }

    fn act(&self, request: &Request) -> Outcome {
        let mut books = self.outside.books.lock();
        let acted = books.get_mut(self.name).expect("it has books");
        let outcome = acted.call(request);
        if acted.effects.contains_key(&request.key) {
            let mut effects = self.outside.effects.lock();
            effects.entry((self.name, request.path.clone())).or_default().insert(request.key);
        }
        outcome
    }
}

/// A call that ends without an answer, whatever the reason, is one of which nobody knows.
struct Answering<'a> {
    worker: &'a Worker,
    key: Key,
    has_answered: bool,
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        if !self.has_answered {
            let mut books = self.worker.outside.books.lock();
            let acted = books.get_mut(self.worker.name).expect("it has books");
            *acted.lost.entry(self.key).or_default() += 1;
        }
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

    fn sleeps_until(&self, _: &Json, now_ms: u64) -> Option<u64> {
        Some(now_ms + self.fake.sleeps_ms?)
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let request = self.request(cx, input);
        self.check_intent(cx);
        let mut answering = Answering { worker: self, key: request.key, has_answered: false };
        let (sites, who) = (&self.outside.sites, Who::Call(cx.call));
        // One that always refuses is to be believed.
        if self.name != "refuses" {
            sites.pass(Site::BeforeActing, who, &*self.clock).await;
        }
        if SLOW.contains(&self.name) {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let outcome = self.act(&request);
        if self.name != "refuses" {
            sites.pass(Site::AfterActing, who, &*self.clock).await;
        }
        answering.has_answered = true;
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
        self.now_ms.fetch_max(clock.now_ms() + 1, Ordering::SeqCst);
    }
}
