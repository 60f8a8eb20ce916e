//! Health and metrics on a thread of their own, so that they are answered while every worker is busy.
//!
//! **Invariant:** nothing runs here that waits for a worker, an actor or the disk.

use std::{io, net::TcpListener, sync::Arc, thread};

use super::{listen, router, shared::Shared};

/// Start the thread. It ends once the server drains and what is open there has ended.
pub(super) fn start(listener: TcpListener, shared: Arc<Shared>) -> io::Result<thread::JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    #[expect(clippy::disallowed_methods, reason = "the server owns this thread, and waits for it when it ends")]
    thread::Builder::new().name("headframe-admin".to_owned()).spawn(move || {
        let router = router::admin(&shared);
        runtime.block_on(listen::serve(listener, router, shared));
    })
}
