//! `http`: sends one request, and knows what its answer proves.
//!
//! ```yaml
//! with:
//!   method: POST                           # GET when not said
//!   url: "https://api.example.com/charges"
//!   query: { expand: [customer, order] }
//!   headers: { authorization: "Bearer {{ input.token }}" }
//!   json: { order: "{{ input.order }}" }   # or `text: ...`
//!   ok_status: [200, 201]                  # any 2xx when not said
//!   failed_status: [429]                   # proves that nothing happened, here; see below
//!   idempotency_header: Idempotency-Key    # sent unless the method is safe; "" sends none
//!   probe: { url: "https://api.example.com/charges/{key}", happened: [200], did_not: [404] }   # for `effect: verify`
//!   allow_private: ["127.0.0.1:8080"]      # hosts whose addresses may be private; none when not said
//! ```
//! | what happened | means |
//! |---|---|
//! | no address, no connection, no TLS, an address that is private | failed: no byte of the request was sent |
//! | a status that was asked for | done |
//! | another 4xx but 408, 409 and 429, and what `failed_status` names | failed: the server refused |
//! | 408, 409, 429, 5xx, another 2xx, a redirect that is not followed | unknown, unless the method is safe |
//! | a broken connection, the time limit, a cancel, an answer that cannot be taken | unknown, unless the method is safe |
//!
//! GET, HEAD and OPTIONS are safe (RFC 9110, 9.2.1): they ask for nothing to happen, so whatever becomes of them nothing
//! did. `Retry-After` is honoured by the task's back-off.
//!
//! **Invariant:** an address is looked at after its name was resolved and before it is connected to, at each redirect
//! again, so that no name leads to a private address that was not allowed. Answers and waits are bounded.

mod address;
mod exchange;
mod told;
mod verdict;

use std::sync::Arc;

use headframe_actors::{
    clock::{Clock, SystemClock},
    durable::{Failure, Outcome, Probe},
    json::Json,
    tool::{CallContext, Tool},
};
use serde_json::Value;

use self::{
    exchange::{Answer, Clients, Trouble},
    told::{KEYS, Told},
    verdict::{Verdict, judge, retry_after_ms},
};
use super::arguments;
use crate::artifacts::Artifacts;

/// Requests at once: each may hold an answer of 16 MiB.
const AT_ONCE: usize = 32;

/// The tool `http`.
#[derive(Clone)]
pub struct Http {
    artifacts: Artifacts,
    clients: Arc<Clients>,
}

impl Http {
    /// The tool; answers that are too long for a message go to the store.
    #[must_use]
    pub fn new(artifacts: Artifacts) -> Self {
        Self { artifacts, clients: Arc::default() }
    }
}

impl Tool for Http {
    fn max_concurrent(&self) -> usize {
        AT_ONCE
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        told::written_out(with)?;
        arguments::check(with, KEYS, Told::read)
    }

    fn can_probe(&self, with: &Value) -> bool {
        with.get("probe").is_some_and(|probe| !probe.is_null())
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let told = match Told::read(&input.value()) {
            Ok(told) => told,
            Err(error) => return Outcome::failed("input", error),
        };
        let (is_safe, request) = (told.request.is_safe(), told.request.for_call(&told, cx.key()));
        let answer = tokio::select! {
            answer = self.clients.exchange(request) => answer,
            () = cx.cancelled() => Err(Trouble::Doubtful(Failure::new("cancelled", "given up while no answer was there"))),
        };
        let outcome = match answer {
            Ok(answer) => self.outcome(&told, answer).await,
            Err(Trouble::Definite(failure)) => Outcome::Failed(failure),
            Err(Trouble::Doubtful(failure)) => Outcome::Unknown(failure),
        };
        match outcome {
            Outcome::Unknown(failure) if is_safe => Outcome::Failed(failure),
            outcome => outcome,
        }
    }

    async fn probe(&self, cx: &CallContext, input: Json) -> Probe {
        let cannot_tell = |failure| Probe::CannotTell(failure);
        let told = match Told::read(&input.value()) {
            Ok(told) => told,
            Err(error) => return cannot_tell(Failure::new("input", error)),
        };
        let Some(probe) = &told.probe else {
            return cannot_tell(Failure::new("probe", "the task names no `probe`"));
        };
        let request = match probe.request(&told, cx.key()) {
            Ok(request) => request,
            Err(error) => return cannot_tell(Failure::new("input", error)),
        };
        let answer = tokio::select! {
            answer = self.clients.exchange(request) => answer,
            () = cx.cancelled() => return cannot_tell(Failure::new("cancelled", "the probe was given up")),
        };
        match answer {
            Ok(answer) if probe.happened.contains(&answer.status) => match self.output(&told, answer).await {
                Ok(output) => Probe::Happened(output.into()),
                Err(failure) => cannot_tell(failure),
            },
            Ok(answer) if probe.did_not.contains(&answer.status) => {
                Probe::DidNot(format!("the probe was answered {}", verdict::named(answer.status)))
            }
            Ok(answer) => cannot_tell(refusal(&answer)),
            Err(Trouble::Definite(failure) | Trouble::Doubtful(failure)) => cannot_tell(failure),
        }
    }
}

impl Http {
    async fn outcome(&self, told: &Told, answer: Answer) -> Outcome {
        match judge(answer.status, &told.ok_status, &told.failed_status) {
            Verdict::Done => match self.output(told, answer).await {
                Ok(output) => Outcome::Done(output.into()),
                Err(failure) => Outcome::Unknown(failure),
            },
            Verdict::Failed => Outcome::Failed(refusal(&answer)),
            Verdict::Unknown => Outcome::Unknown(refusal(&answer)),
        }
    }

    /// What a task reads: status, headers and body; a long body is put aside.
    async fn output(&self, told: &Told, answer: Answer) -> Result<Value, Failure> {
        let (shape, inline_max, artifacts) = (told.output, told.inline_max, self.artifacts.clone());
        let put = tokio::task::spawn_blocking(move || answer.into_value(shape, inline_max, &artifacts));
        put.await.unwrap_or_else(|error| Err(Failure::new("crash", format!("the answer was not kept: {error}"))))
    }
}

/// Why a status is no success, with the beginning of what the server said.
fn refusal(answer: &Answer) -> Failure {
    let said = answer.excerpt();
    let sentence = if said.is_empty() { String::new() } else { format!(": {said}") };
    let message = format!("{} answered {}{sentence}", answer.from, verdict::named(answer.status));
    let mut failure = Failure::new(format!("http_{}", answer.status), message)
        .with_details(serde_json::json!({"status": answer.status, "headers": answer.headers(), "body": said}));
    failure.retry_after_ms = answer.header("retry-after").and_then(|value| retry_after_ms(value, SystemClock.now_ms()));
    failure
}

#[cfg(test)]
mod tests;
