//! A server inside the test, where its limits can be short.

use std::{net::SocketAddr, sync::Arc};

use headframe::{
    Engine,
    api::{Drain, Error, Limits, Options, Server, Workflows},
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, task::JoinHandle};

use super::client::Api;

pub(super) struct Inside {
    pub(super) api: Api,
    pub(super) admin: Api,
    pub(super) runtime: Runtime,
    engine: Engine,
    drain: Drain,
    served: JoinHandle<Result<(), Error>>,
    _folder: TempDir,
}

impl Inside {
    /// With so many workers.
    pub(super) fn new(workers: usize, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = Options {
            listen: any,
            admin: any,
            limits,
            metrics: Arc::new(|| "one 1\n".to_owned()),
            folder: folder.path().to_path_buf(),
        };
        let sockets = options.bind().unwrap();
        let engine = runtime.block_on(Engine::builder().data(folder.path()).start()).unwrap();
        let (server, drain) = Server::new(sockets, engine.clone(), Workflows::default(), options).unwrap();
        let (api, admin) = (Api(server.marker().address), Api(server.marker().admin));
        let served = runtime.spawn(server.serve());
        Self { api, admin, runtime, engine, drain, served, _folder: folder }
    }

    pub(super) fn end(self) {
        self.drain.begin();
        self.runtime.block_on(self.served).unwrap().unwrap();
        self.runtime.block_on(self.engine.stop());
    }
}
