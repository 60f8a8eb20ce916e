//! Tools of the simulated world. What they did outlives every crash, as the outside world does.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::json;

use crate::{
    durable::{Effect, Failure, Key, Outcome, Probe, Request},
    json::Json,
    plan::SleepsUntil,
};

/// What a tool makes of its arguments.
type Answering = Arc<dyn Fn(&Json) -> Json + Send + Sync>;

/// How a fake tool answers.
#[derive(Clone)]
pub struct Fake {
    pub(crate) effect: Effect,
    fails: u32,
    fails_later: u32,
    unknowns: u32,
    lost_requests: u32,
    blind_probes: u32,
    answer: Option<Answering>,
    wait_ms: Option<u64>,
    pub(crate) sleeps: Option<SleepsUntil>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fake").field("effect", &self.effect).finish_non_exhaustive()
    }
}

impl Fake {
    /// Has its effect and says so.
    #[must_use]
    pub fn works(effect: Effect) -> Self {
        Self {
            effect,
            fails: 0,
            fails_later: 0,
            unknowns: 0,
            lost_requests: 0,
            blind_probes: 0,
            answer: None,
            wait_ms: None,
            sleeps: None,
        }
    }

    /// Does nothing but let so much time pass, so that its task sleeps and never calls it.
    #[must_use]
    pub fn sleeps(ms: u64) -> Self {
        Self::sleeps_until(Arc::new(move |_, now_ms| Some(now_ms + ms)))
    }

    /// Does nothing but let time pass: until when, by its arguments and the time now, in milliseconds since 1970.
    #[must_use]
    pub fn sleeps_until(until: SleepsUntil) -> Self {
        Self { sleeps: Some(until), ..Self::works(Effect::IDEMPOTENT) }
    }

    /// Fails its first call, certainly without an effect, then works.
    #[must_use]
    pub fn fails_once(effect: Effect) -> Self {
        Self::fails(effect, 1)
    }

    /// Fails so many calls, certainly without an effect, then works.
    #[must_use]
    pub fn fails(effect: Effect, calls: u32) -> Self {
        Self { fails: calls, ..Self::works(effect) }
    }

    /// Works, and answers what this makes of its arguments.
    #[must_use]
    pub fn answers(effect: Effect, answer: impl Fn(&Json) -> Json + Send + Sync + 'static) -> Self {
        Self { answer: Some(Arc::new(answer)), ..Self::works(effect) }
    }

    /// Has its effect but loses its first answer, then works.
    #[must_use]
    pub fn loses_an_answer(effect: Effect) -> Self {
        Self::loses_answers(effect, 1)
    }

    /// Has its effect but loses so many answers, then works.
    #[must_use]
    pub fn loses_answers(effect: Effect, answers: u32) -> Self {
        Self { unknowns: answers, ..Self::works(effect) }
    }

    /// Does not hear so many requests, of which nobody can tell, then works.
    #[must_use]
    pub fn loses_requests(effect: Effect, requests: u32) -> Self {
        Self { lost_requests: requests, ..Self::works(effect) }
    }

    /// Once it has lost its first answer it refuses so many calls, as one that starts again does.
    #[must_use]
    pub fn then_fails(self, calls: u32) -> Self {
        Self { fails_later: calls, ..self }
    }

    /// Whenever it refuses a call it asks to wait so long before the next, as `Retry-After` does.
    #[must_use]
    pub fn asking_to_wait(self, ms: u64) -> Self {
        Self { wait_ms: Some(ms), ..self }
    }

    /// Its first probes, so many, cannot tell what happened; all others tell the truth.
    #[must_use]
    pub fn with_blind_probes(self, probes: u32) -> Self {
        Self { blind_probes: probes, ..self }
    }
}

/// A fake tool, and what it did.
#[derive(Clone, Debug)]
pub(crate) struct Acted {
    pub(crate) fake: Fake,
    /// How often it was called with each key.
    pub(crate) invoked: BTreeMap<Key, u32>,
    /// Keys under which it had its effect: a tool that honours keys has it once.
    pub(crate) effects: BTreeMap<Key, Json>,
    /// How often it acted with each key, as a tool does that honours none.
    pub(crate) acted: BTreeMap<Key, u32>,
    /// Requests and answers that were lost on the way, by key.
    pub(crate) lost: BTreeMap<Key, u32>,
    /// How often it refused a call, by key.
    pub(crate) refused: BTreeMap<Key, u32>,
    /// How often its probe was asked.
    pub(crate) probed: u32,
}

impl Acted {
    pub(crate) fn new(fake: Fake) -> Self {
        Self {
            fake,
            invoked: BTreeMap::new(),
            effects: BTreeMap::new(),
            acted: BTreeMap::new(),
            lost: BTreeMap::new(),
            refused: BTreeMap::new(),
            probed: 0,
        }
    }

    pub(crate) fn call(&mut self, request: &Request) -> Outcome {
        *self.invoked.entry(request.key).or_default() += 1;
        if self.fake.fails > 0 {
            self.fake.fails -= 1;
            *self.refused.entry(request.key).or_default() += 1;
            let failure = Failure::new("refused", "not today");
            return Outcome::Failed(Failure { retry_after_ms: self.fake.wait_ms, ..failure });
        }
        if self.fake.lost_requests > 0 {
            self.fake.lost_requests -= 1;
            *self.lost.entry(request.key).or_default() += 1;
            return Outcome::unknown("reset", "the connection broke before the answer");
        }
        *self.acted.entry(request.key).or_default() += 1;
        let output = match &self.fake.answer {
            Some(answer) => answer(&request.input),
            None => Json::from(json!({ "receipt": request.key.to_string() })),
        };
        let output = self.effects.entry(request.key).or_insert(output).clone();
        if self.fake.unknowns > 0 {
            self.fake.unknowns -= 1;
            self.fake.fails += std::mem::take(&mut self.fake.fails_later);
            *self.lost.entry(request.key).or_default() += 1;
            return Outcome::unknown("reset", "the connection broke before the answer");
        }
        Outcome::Done(output)
    }

    /// Looks into the tool's own books.
    pub(crate) fn probe(&mut self, request: &Request) -> Probe {
        self.probed += 1;
        if self.fake.blind_probes > 0 {
            self.fake.blind_probes -= 1;
            return Probe::CannotTell(Failure::new("down", "the books are closed"));
        }
        match self.effects.get(&request.key) {
            Some(output) => Probe::Happened(output.clone()),
            None => Probe::DidNot("it is not in the books".to_owned()),
        }
    }
}
