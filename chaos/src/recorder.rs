//! The outside world: a process that writes down what happened, and outlives every victim.
//!
//! One connection is one request: a call of a tool, a question whether something happened, or a look into the books. A
//! victim that dies leaves its requests in the socket; they still take effect, as a letter does whose writer has died.
//!
//! **Invariants:** nothing is ever struck from the books. A question is answered only when every request that was sent
//! before it is in the books: "it did not happen" stays true.

mod books;
mod wire;

use std::{
    collections::BTreeSet,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::Notify,
    task::JoinSet,
};

use self::books::Books;
pub(crate) use self::{
    books::{Answer, Call, Entry},
    wire::{Receipt, Request, ask, ask_at_once, call, call_at_once, read_books, receipt_at_once},
};
use crate::{args::RecorderRole, random};

/// A late answer takes longer than anybody waits for it.
const LATE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct World {
    books: Mutex<Books>,
    /// Connections whose request is not in the books yet, by the order in which they came.
    unread: Mutex<BTreeSet<u64>>,
    read: Notify,
}

/// Serve until the parent ends us.
pub(crate) fn main(role: &RecorderRole) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(role))
}

async fn serve(role: &RecorderRole) -> anyhow::Result<ExitCode> {
    let listener = UnixListener::bind(&role.socket).with_context(|| format!("cannot listen on {:?}", role.socket))?;
    println!("listening");
    let world = Arc::new(World { books: Mutex::new(Books::new(role.mutant)), ..World::default() });
    let mut connections = JoinSet::new();
    for number in 0.. {
        let (stream, _) = listener.accept().await.context("cannot accept")?;
        world.unread().insert(number);
        connections.spawn(connection(world.clone(), number, stream));
        while connections.try_join_next().is_some() {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A peer that died, before its request was whole or before the answer, is no error here.
async fn connection(world: Arc<World>, number: u64, stream: UnixStream) {
    let mut peer = wire::Peer::new(stream);
    let request = peer.request().await;
    let reply = match request {
        Some(Request::Call { call, at_ms }) => Reply::Call(call.key.clone(), world.books().record(call, at_ms)),
        Some(Request::Ask { key }) => Reply::Asked(key),
        Some(Request::Books) => Reply::Books,
        None => Reply::Nothing,
    };
    world.unread().remove(&number);
    world.read.notify_waiters();
    match reply {
        Reply::Call(key, answer) => {
            tokio::time::sleep(delay(&key, &answer)).await;
            peer.answer(&answer).await;
        }
        Reply::Asked(key) => {
            world.until_read(number).await;
            let receipt = world.books().receipt(&key);
            peer.tell(&receipt).await;
        }
        Reply::Books => {
            world.until_read(number).await;
            let entries = world.books().entries().to_vec();
            peer.tell(&entries).await;
        }
        Reply::Nothing => {}
    }
}

enum Reply {
    Call(String, Answer),
    Asked(String),
    Books,
    Nothing,
}

/// Between effect and answer lies time in which a victim can die.
fn delay(key: &str, answer: &Answer) -> Duration {
    let receipt = match answer {
        Answer::Done(receipt) => receipt,
        Answer::Late(_) => return LATE,
        Answer::Refused | Answer::Lost => return Duration::ZERO,
    };
    let drawn = random::number_of(key);
    match receipt.tool.as_str() {
        "swift" => Duration::ZERO,
        "once" => Duration::from_micros(drawn % 12_000),
        _ if drawn.is_multiple_of(3) => Duration::from_micros(drawn % 6_000),
        _ => Duration::ZERO,
    }
}

impl World {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().expect("nobody panics while writing the books")
    }

    fn unread(&self) -> std::sync::MutexGuard<'_, BTreeSet<u64>> {
        self.unread.lock().expect("nobody panics while counting connections")
    }

    /// Wait until every request that came before this one is in the books.
    async fn until_read(&self, number: u64) {
        loop {
            let read = self.read.notified();
            if self.unread().range(..number).next().is_none() {
                return;
            }
            read.await;
        }
    }
}
