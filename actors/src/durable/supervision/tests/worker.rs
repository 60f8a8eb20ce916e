//! A child that does as it is told, and may refuse to end.

use std::sync::Arc;

use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use crate::durable::supervision::StartFailure;

pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// What a worker can be told.
#[derive(Debug)]
pub(super) enum Order {
    Crash,
    Panic,
    Stop(Option<&'static str>),
}

pub(super) struct Worker {
    id: String,
    is_stubborn: bool,
    log: Log,
}

impl Worker {
    pub(super) async fn start(
        id: &str,
        supervisor: ActorCell,
        is_stubborn: bool,
        log: &Log,
    ) -> Result<ActorCell, StartFailure> {
        let worker = Self { id: id.to_owned(), is_stubborn, log: log.clone() };
        Ok(Actor::spawn_linked(None, worker, (), supervisor).await?.0.get_cell())
    }
}

impl Actor for Worker {
    type Msg = Order;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Order>, (): ()) -> Result<(), ActorProcessingErr> {
        self.log.lock().push(format!("start {}", self.id));
        Ok(())
    }

    async fn handle(&self, myself: ActorRef<Order>, order: Order, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Crash => return Err("it crashed".into()),
            Order::Panic => panic!("it panicked"),
            Order::Stop(reason) => myself.stop(reason.map(str::to_owned)),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if self.is_stubborn {
            std::future::pending::<()>().await;
        }
        self.log.lock().push(format!("end {}", self.id));
        Ok(())
    }
}
