//! Tools of every kind: ready at once, slow, refusing now and then, losing answers, and falling silent.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use headframe::{
    durable::{Effect, Outcome},
    engine::EngineBuilder,
    json::Json,
    tool::{CallContext, ContextClosure},
};

/// Of so many answers one is lost.
const LOSES_ONE_IN: u64 = 9;

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// All of them. Once `is_to_fall_silent` says so, the next call of `silent` does.
pub(super) fn all(builder: EngineBuilder, is_to_fall_silent: &Arc<AtomicBool>) -> EngineBuilder {
    let noop = |input| std::future::ready(Outcome::Done(input));
    let slow = |input| async {
        tokio::time::sleep(Duration::from_millis(2)).await;
        Outcome::Done(input)
    };
    let is_to_fall_silent = is_to_fall_silent.clone();
    let silent = ContextClosure::new(Effect::IDEMPOTENT, move |cx: CallContext, input| -> Running {
        let falls_silent = is_to_fall_silent.swap(false, Ordering::SeqCst);
        Box::pin(async move {
            cx.beat();
            if falls_silent {
                cx.cancelled().await;
                return Outcome::unknown("cancelled", "was asked to stop");
            }
            Outcome::Done(input)
        })
    });
    builder
        .closure("noop", Effect::IDEMPOTENT, noop)
        .closure("stalled", Effect::IDEMPOTENT, noop)
        .closure("slow", Effect::IDEMPOTENT, slow)
        .closure("flaky", Effect::IDEMPOTENT, one_in(3, || Outcome::failed("refused", "not now")))
        .closure("broken", Effect::IDEMPOTENT, one_in(1, || Outcome::failed("broken", "never")))
        .closure("once", Effect::AtMostOnce, one_in(LOSES_ONE_IN, || Outcome::unknown("lost", "nobody heard")))
        .closure("lossy", Effect::IDEMPOTENT, one_in(LOSES_ONE_IN, || Outcome::unknown("lost", "nobody heard")))
        .tool("silent", silent)
}

/// Gives back what it is given, but for one call in so many.
fn one_in(number: u64, instead: fn() -> Outcome) -> impl Fn(Json) -> std::future::Ready<Outcome> + Send + Sync {
    let calls = Arc::new(AtomicU64::new(1));
    move |input| {
        let is_its_turn = calls.fetch_add(1, Ordering::Relaxed).is_multiple_of(number);
        std::future::ready(if is_its_turn { instead() } else { Outcome::Done(input) })
    }
}
