//! A call of a tool, noted while it is polled.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Label, Named, Recorder};

/// See [`Recorder::noted_call`].
pub(crate) struct NotedCall<F> {
    recorder: Arc<Recorder>,
    named: Named,
    tool: Arc<str>,
    calling: F,
}

impl<F> NotedCall<F> {
    pub(super) fn new(recorder: Arc<Recorder>, named: Named, tool: Arc<str>, calling: F) -> Self {
        Self { recorder, named, tool, calling }
    }
}

impl<F: Future + Unpin> Future for NotedCall<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let noted = this.recorder.begin(this.named, Label::Tool(this.tool.clone()));
        let poll = Pin::new(&mut this.calling).poll(cx);
        if poll.is_pending() {
            noted.waits();
        }
        poll
    }
}
