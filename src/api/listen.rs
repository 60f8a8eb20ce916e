//! Connections: accepted, bounded, and ended.
//!
//! **Invariants:** there are never more connections than allowed; further ones wait in the system's queue. A client that
//! sends its head slowly, lies idle or does not read is let go. When it ends, an idle connection is closed at once and a busy
//! one after its answer.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
};

use super::{limits::Limits, patience::Patient};

/// How long to wait when the system has no connection to give.
const SHORTAGE: Duration = Duration::from_millis(100);

/// A listener, and what it needs to know.
pub(super) struct Listen {
    pub(super) listener: TcpListener,
    pub(super) router: Router,
    pub(super) limits: Limits,
    /// `true` from the moment on at which it is to end.
    pub(super) end: watch::Receiver<bool>,
}

impl Listen {
    /// Answer until it is to end and all that is open has ended, or the time for that is over.
    pub(super) async fn serve(self) {
        let listen = Arc::new(self);
        let room = Arc::new(Semaphore::new(listen.limits.connections));
        let mut connections = JoinSet::new();
        let ended = ended(listen.end.clone());
        tokio::pin!(ended);
        loop {
            tokio::select! {
                (stream, permit) = listen.accepted(&room) => {
                    connections.spawn(listen.clone().carry(stream, permit));
                }
                Some(_) = connections.join_next() => {}
                () = &mut ended => break,
            }
        }
        let all_ended = async {
            // Who comes now is told that nothing new is taken in, as long as others are waited for.
            while !connections.is_empty() {
                tokio::select! {
                    (stream, permit) = listen.accepted(&room) => {
                        connections.spawn(listen.clone().carry(stream, permit));
                    }
                    _ = connections.join_next() => {}
                }
            }
        };
        if tokio::time::timeout(listen.limits.drain_time, all_ended).await.is_err() {
            tracing::warn!("requests that were still open were cut off");
        }
    }

    async fn accepted(&self, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
        let permit = room.clone().acquire_owned().await.expect("nobody closes it");
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, permit),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(SHORTAGE).await;
                }
            }
        }
    }

    async fn carry(self: Arc<Self>, stream: TcpStream, _permit: OwnedSemaphorePermit) {
        // Events are small and are waited for.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Patient::new(stream, self.limits.write_time));
        let service = TowerToHyperService::new(self.router.clone());
        let is_late = *self.end.borrow();
        let connection = protocol(&self.limits, !is_late).serve_connection(io, service);
        tokio::pin!(connection);
        // A client that goes away is no news.
        if is_late {
            let _ = connection.await;
            return;
        }
        tokio::select! {
            _ = connection.as_mut() => {}
            () = ended(self.end.clone()) => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}

/// Completes when it is `true`, or when nobody can say so any more.
pub(super) async fn ended(mut end: watch::Receiver<bool>) {
    let _ = end.wait_for(|is_end| *is_end).await;
}

fn protocol(limits: &Limits, keep_alive: bool) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head_bytes)
        .max_headers(limits.headers)
        .keep_alive(keep_alive);
    protocol
}
