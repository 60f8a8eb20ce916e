//! A call of a tool, noted while it is polled.
//!
//! **Invariant:** nothing of the call runs before the gate has let it pass.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{Label, Named, Recorder};
use crate::durable::id::CallId;

type Passing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// See [`Recorder::noted_call`].
pub(crate) struct NotedCall<F> {
    recorder: Arc<Recorder>,
    named: Named,
    call: CallId,
    tool: Arc<str>,
    has_passed: bool,
    /// The wait before a gate that was closed; there is hardly ever one, and so it has no room here.
    passing: Option<Passing>,
    calling: F,
}

impl<F> NotedCall<F> {
    pub(super) fn new(recorder: Arc<Recorder>, named: Named, call: CallId, tool: Arc<str>, calling: F) -> Self {
        Self { recorder, named, call, tool, has_passed: false, passing: None, calling }
    }

    fn poll_gate(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.passing.is_none() && self.recorder.gate.is_open() {
            return Poll::Ready(());
        }
        let (recorder, call) = (self.recorder.clone(), self.call);
        let pass = || Box::pin(async move { recorder.gate.pass(call).await }) as Passing;
        self.passing.get_or_insert_with(pass).as_mut().poll(cx)
    }
}

impl<F: Future + Unpin> Future for NotedCall<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        if !this.has_passed {
            ready!(this.poll_gate(cx));
            (this.has_passed, this.passing) = (true, None);
        }
        let noted = this.recorder.begin(this.named, Label::Tool(this.tool.clone()));
        let poll = Pin::new(&mut this.calling).poll(cx);
        if poll.is_pending() {
            noted.waits();
        }
        poll
    }
}
