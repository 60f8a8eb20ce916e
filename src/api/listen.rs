//! Connections: accepted, bounded, and ended.
//!
//! **Invariants:** there are never more connections than allowed; further ones wait in the system's queue. A client that
//! sends its head slowly, lies idle or does not read is let go. When the server drains, an idle connection is closed at once
//! and a busy one after its answer.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::{limits::Limits, patience::Patient, shared::Shared};

/// How long to wait when the system has no connection to give.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Answer until the server drains and all that is open has ended, or its time is over.
pub(super) async fn serve(listener: TcpListener, router: Router, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(shared.limits.connections));
    let mut connections = JoinSet::new();
    let drained = shared.drained();
    tokio::pin!(drained);
    loop {
        tokio::select! {
            (stream, permit) = accepted(&listener, &room) => {
                connections.spawn(carry(stream, router.clone(), shared.clone(), permit));
            }
            Some(_) = connections.join_next() => {}
            () = &mut drained => break,
        }
    }
    let all_ended = async {
        // Who comes now is told that nothing new is taken in, as long as others are waited for.
        while !connections.is_empty() {
            tokio::select! {
                (stream, permit) = accepted(&listener, &room) => {
                    connections.spawn(carry(stream, router.clone(), shared.clone(), permit));
                }
                _ = connections.join_next() => {}
            }
        }
    };
    if tokio::time::timeout(shared.limits.drain_time, all_ended).await.is_err() {
        tracing::warn!("requests that were still open were cut off");
    }
}

async fn accepted(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let permit = room.clone().acquire_owned().await.expect("nobody closes it");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(SHORTAGE).await;
            }
        }
    }
}

async fn carry(stream: TcpStream, router: Router, shared: Arc<Shared>, permit: OwnedSemaphorePermit) {
    // Events are small and are waited for.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Patient::new(stream, shared.limits.write_time));
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request: Request<Incoming>| answer(service.clone(), request));
    let is_late = shared.is_draining();
    let connection = protocol(&shared.limits, !is_late).serve_connection(io, service);
    tokio::pin!(connection);
    // A client that goes away is no news.
    if is_late {
        let _ = connection.await;
    } else {
        tokio::select! {
            _ = connection.as_mut() => {}
            () = shared.drained() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
    drop(permit);
}

async fn answer(
    service: TowerToHyperService<Router>,
    request: Request<Incoming>,
) -> Result<axum::response::Response, Infallible> {
    hyper::service::Service::call(&service, request).await
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
