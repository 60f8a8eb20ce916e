//! Collecting artifacts that nothing durable names.
//!
//! ```text
//! old files ─ minus what is named by history and by what is live ─ minus what the content of any other names ─► remove
//! ```
//! An artifact that an event, a row, a message or a call names is kept for as long as that is: a run's history names what it
//! made and used, and is there to be read. So what goes is what no commit ever named: what was put by a call that crashed or
//! failed, or by a program that forgot it.
//!
//! **Invariants:** what was touched within 24 h stays, and so does whatever was touched since the oldest call without an
//! outcome began, because its answer may name it. Nothing goes unless everything durable was read, and whatever it names
//! is what it was: a damaged list names nothing that can be told. A file that is stored
//! again meanwhile stays (`artifacts/collect.rs`).

use std::{collections::HashSet, time::Duration};

use headframe_actors::{
    clock::{Clock as _, SystemClock},
    durable::{self, Ledger, Live, System},
};
use serde::Serialize;

use super::{Engine, Error};
use crate::artifacts::{self, Artifacts, Digest};

/// When the first pass of a life begins.
const FIRST: Duration = Duration::from_secs(60 * 60);
/// And how long after it the next one: all there is is read.
pub(super) const EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Artifacts that nothing durable names, and figures of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unnamed {
    /// How many artifacts there are.
    pub stored: u64,
    /// Those that were touched too lately to be looked at.
    pub young: u64,
    /// Why nothing can go now, if so.
    pub held: Option<String>,
    /// Those that nothing names: their hexadecimal digits, and their bytes.
    pub unnamed: Vec<(String, u64)>,
    #[serde(skip)]
    digests: Vec<Digest>,
    #[serde(skip)]
    before_ms: u64,
}

/// What a collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// How many artifacts there were.
    pub stored: u64,
    /// Those that were touched too lately to be looked at.
    pub young: u64,
    /// Why nothing went, if so.
    pub held: Option<String>,
    /// Those that went.
    pub removed: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Files that nobody finished writing, and that went.
    pub abandoned: u64,
}

impl Unnamed {
    /// What was last touched before this may go: 24 h ago, or when the oldest call without an outcome began.
    #[must_use]
    pub fn before_ms(live: &Live) -> u64 {
        let kept_ms = u64::try_from(artifacts::KEPT.as_millis()).unwrap_or(u64::MAX);
        let oldest = live.calls.values().map(|call| call.request.key_since_ms).min();
        SystemClock.now_ms().saturating_sub(kept_ms).min(oldest.unwrap_or(u64::MAX))
    }

    /// Look for artifacts that were last touched before `before_ms` and that nothing durable names. Removes nothing; reads
    /// all there is, so it is to be called on a thread that may block.
    ///
    /// # Errors
    /// If something cannot be read.
    pub fn look(artifacts: &Artifacts, ledger: &Ledger, before_ms: u64) -> Result<Self, Error> {
        let entries = artifacts.list()?;
        let stored = entries.len() as u64;
        let (old, young): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.stored_at_ms < before_ms);
        let mut found = Self { stored, young: young.len() as u64, before_ms, ..Self::default() };
        let mut left: HashSet<_> = old.iter().map(|entry| entry.digest).collect();
        if left.is_empty() {
            return Ok(found);
        }
        let mut names = artifacts::Names::of(&left);
        let is_whole = ledger.everything(&mut |bytes| {
            names.read(bytes);
            names.end();
        })?;
        if !is_whole {
            found.held = Some("history was lost, or moved while it was read: what is named cannot be known".to_owned());
            return Ok(found);
        }
        let named = names.found();
        left.retain(|digest| !named.contains(digest));
        let mut kept: Vec<_> = young.iter().map(|entry| entry.digest).chain(named).collect();
        while let Some(digest) = kept.pop().filter(|_| !left.is_empty()) {
            let named = match artifacts.names_in(digest, &left) {
                Err(artifacts::Error::Damaged { digest }) => {
                    found.held = Some(format!("artifact {digest} is damaged: what it names cannot be known"));
                    return Ok(found);
                }
                named => named?,
            };
            for named in named {
                left.remove(&named);
                kept.push(named);
            }
        }
        for entry in old.iter().filter(|entry| left.contains(&entry.digest)) {
            found.unnamed.push((entry.digest.hex(), entry.bytes));
            found.digests.push(entry.digest);
        }
        Ok(found)
    }
}

/// What holds every removal now.
fn held(system: &System) -> Option<String> {
    system.holds_expiries().then(|| "the wall clock jumped a while ago".to_owned())
}

async fn look(system: &System, artifacts: &Artifacts) -> Result<Unnamed, Error> {
    if let Some(held) = held(system) {
        return Ok(Unnamed { held: Some(held), ..Unnamed::default() });
    }
    // Calls first: one that begins from here on can name only what is touched from here on, or is named already.
    let before_ms = system.read(Unnamed::before_ms).await?;
    let (artifacts, ledger) = (artifacts.clone(), system.ledger());
    blocking(move || Unnamed::look(&artifacts, &ledger, before_ms)).await
}

async fn collect(system: &System, artifacts: &Artifacts) -> Result<Collected, Error> {
    let Unnamed { stored, young, held: why, digests, before_ms, .. } = look(system, artifacts).await?;
    let mut done = Collected { stored, young, held: why, ..Collected::default() };
    for digest in digests {
        done.held = held(system);
        if done.held.is_some() {
            return Ok(done);
        }
        let artifacts = artifacts.clone();
        if let Some(bytes) = blocking(move || Ok(artifacts.remove(digest, before_ms)?)).await? {
            tracing::info!(%digest, bytes, "an artifact that nothing names was removed");
            done.removed += 1;
            done.removed_bytes += bytes;
        }
    }
    if done.held.is_none() {
        let artifacts = artifacts.clone();
        done.abandoned = blocking(move || Ok(artifacts.forget_abandoned(artifacts::KEPT)?)).await?;
    }
    Ok(done)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(durable::Error::OutcomeUnknown { cause: "the runtime ends".into() }.into()),
        },
    }
}

/// Collect again and again while the system lives.
pub(super) async fn run(system: System, artifacts: Artifacts, every: Duration) {
    tokio::time::sleep(FIRST.min(every)).await;
    loop {
        match collect(&system, &artifacts).await {
            Ok(Collected { held: Some(why), .. }) => tracing::warn!(why, "no artifact is collected now"),
            Ok(done) if done.removed + done.abandoned == 0 => {}
            Ok(done) => tracing::info!(done.removed, done.removed_bytes, done.abandoned, "artifacts were collected"),
            Err(error) => tracing::warn!(%error, "artifacts cannot be collected now"),
        }
        tokio::time::sleep(every).await;
    }
}

impl Engine {
    /// Artifacts that nothing durable names, and that a collection would remove.
    ///
    /// # Errors
    /// If something cannot be read, or the store closed.
    pub async fn unnamed_artifacts(&self) -> Result<Unnamed, Error> {
        look(&self.system(), self.artifacts()).await
    }

    /// Remove artifacts that nothing durable names and that nobody touched for 24 h, and what was left half-written: the
    /// engine does so once a day by itself.
    ///
    /// # Errors
    /// If something cannot be read or removed, or the store closed; what went has gone.
    pub async fn collect_artifacts(&self) -> Result<Collected, Error> {
        collect(&self.system(), self.artifacts()).await
    }
}
