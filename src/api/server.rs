//! A server: bound, served, drained.
//!
//! ```text
//! bind ─► serve ─► (drain) open requests end ─► the engine is stopped by whoever started it
//! ```
//! **Invariants:** both addresses are this machine's. A server that could not bind both has done nothing.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet, time::interval};

use super::{
    admin,
    limits::Limits,
    listen::Listen,
    marker::Marker,
    router,
    shared::{Metrics, Shared},
    workflows::Workflows,
};
use crate::engine::Engine;

/// How often a worker shows itself.
const BEAT: Duration = Duration::from_secs(1);

/// How a server is set up.
#[derive(Clone)]
pub struct Options {
    /// Where the API answers; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where health and metrics answer, on a thread of their own.
    pub admin: SocketAddr,
    /// How much may come in.
    pub limits: Limits,
    /// Makes the text of `/metrics`, of what the engine's recorder holds by then.
    pub metrics: Metrics,
    /// The data folder, in which the file `server` says where it answers.
    pub folder: PathBuf,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Whoever can reach the address could do everything.
    #[error("HF0301: `{address}` can be reached from other machines, and there are no keys yet: use 127.0.0.1")]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Somebody else listens there, or nobody may.
    #[error("HF0302: cannot listen on {address}: {source}; choose another with --listen and --admin")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of workflows cannot be read.
    #[error("HF0303: cannot read the folder of workflows {folder}: {source}")]
    Workflows {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The thread for health or the file `server` could not be made.
    #[error("HF0209: cannot set up the server in {folder}: {source}")]
    Start {
        /// The data folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Both sockets of a server, taken before its engine starts.
pub struct Sockets {
    api: TcpListener,
    admin: TcpListener,
}

/// A server that is ready to serve.
pub struct Server {
    shared: Arc<Shared>,
    options: Options,
    sockets: Sockets,
    marker: Marker,
}

/// Ends a server, at the latest when the last handle goes. Cloning gives another one.
#[derive(Clone)]
pub struct Drain(Arc<watch::Sender<bool>>);

impl Drain {
    /// Take nothing new in, and end once what is open has ended.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Options {
    /// Take both addresses.
    ///
    /// # Errors
    /// If one is not this machine's own, or is taken.
    pub fn bind(&self) -> Result<Sockets, Error> {
        Ok(Sockets { api: bind(self.listen)?, admin: bind(self.admin)? })
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback { address });
    }
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| Error::Listen { address, source })
}

impl Server {
    /// Put an engine and its workflows behind these sockets. Nobody is answered before [`Server::serve`].
    ///
    /// # Errors
    /// If a socket does not say its address.
    pub fn new(
        sockets: Sockets,
        engine: Engine,
        workflows: Workflows,
        options: Options,
    ) -> Result<(Self, Drain), Error> {
        let (sender, receiver) = watch::channel(false);
        let shared =
            Arc::new(Shared::new(engine, workflows, options.limits.clone(), options.metrics.clone(), receiver));
        let of =
            |socket: &TcpListener, address| socket.local_addr().map_err(|source| Error::Listen { address, source });
        let marker = Marker {
            address: of(&sockets.api, options.listen)?,
            admin: of(&sockets.admin, options.admin)?,
            pid: std::process::id(),
            instance: shared.instance.clone(),
        };
        Ok((Self { shared, options, sockets, marker }, Drain(Arc::new(sender))))
    }

    /// Where it answers.
    #[must_use]
    pub fn marker(&self) -> &Marker {
        &self.marker
    }

    /// Answer until told to drain; returns when what was open has ended, or its time is over. The engine is left running.
    ///
    /// # Errors
    /// If the thread for health or the file `server` cannot be made.
    pub async fn serve(self) -> Result<(), Error> {
        let Self { shared, options, sockets, marker } = self;
        let folder = options.folder;
        let start = |source| Error::Start { folder: folder.clone(), source };
        let listener = tokio::net::TcpListener::from_std(sockets.api).map_err(start)?;
        let admin = admin::start(sockets.admin, shared.clone()).map_err(start)?;
        marker.write(&folder).map_err(start)?;
        let mut beats = JoinSet::new();
        beats.spawn(beat(shared.clone()));
        let engine = shared.engine.clone();
        beats.spawn(async move { engine.keep_surveying().await });
        let (router, limits, end) = (router::router(&shared), shared.limits.clone(), shared.drain.clone());
        Listen { listener, router, limits, end }.serve().await;
        Marker::remove(&folder);
        admin.end().await;
        Ok(())
    }
}

/// Workers show themselves.
async fn beat(shared: Arc<Shared>) {
    let mut beats = interval(BEAT);
    loop {
        beats.tick().await;
        shared.beat();
    }
}
