//! Health and metrics on a thread of their own, so that they are answered while every worker is busy.
//!
//! **Invariant:** nothing runs here that waits for a worker, an actor or the disk.

use std::{io, net::TcpListener, sync::Arc, thread};

use tokio::sync::watch;

use super::{listen::Listen, router, shared::Shared};

/// The thread, which answers until it is told to end: while a server drains, it says so.
pub(super) struct Admin {
    end: watch::Sender<bool>,
    thread: thread::JoinHandle<()>,
}

/// Start the thread.
pub(super) fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Admin> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let (sender, end) = watch::channel(false);
    #[expect(clippy::disallowed_methods, reason = "the server owns this thread, and waits for it when it ends")]
    let thread = thread::Builder::new().name("headframe-admin".to_owned()).spawn(move || {
        let (router, limits) = (router::admin(&shared), shared.limits.clone());
        runtime.block_on(Listen { listener, router, limits, end }.serve());
    })?;
    Ok(Admin { end: sender, thread })
}

impl Admin {
    /// End it, and wait for that.
    pub(super) async fn end(self) {
        self.end.send_replace(true);
        // It drains for a bounded time; a panic there has been told.
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}
