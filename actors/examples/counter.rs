//! A durable counter: every run of this program counts one further, whatever became of the runs before.
//!
//! `cargo run -p headframe-actors --example counter -- /tmp/counter`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use headframe_actors::durable::{
    Behavior, Rejection, System, Turn,
    store::{Local, LocalOptions},
};
use serde::{Deserialize, Serialize};

struct Counter;

#[derive(Serialize, Deserialize)]
enum Message {
    Add(u64),
    Get,
}

#[derive(Serialize, Deserialize)]
enum Event {
    Added(u64),
}

impl Behavior for Counter {
    const KIND: &'static str = "counter";
    const VERSION: u16 = 1;
    type State = u64;
    type Message = Message;
    type Event = Event;
    type Reply = u64;

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        match message {
            Message::Add(0) => return Err(Rejection::new("nothing is no step")),
            Message::Add(number) => turn.emit(&Event::Added(number)),
            Message::Get => {
                let total = *turn.state();
                turn.reply(&total);
            }
        }
        Ok(())
    }

    fn apply(total: &mut u64, Event::Added(number): &Event) {
        *total += number;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("counter-data"), PathBuf::from);
    let store = Arc::new(Local::open(&folder, LocalOptions::default())?);
    let system = System::builder().behavior::<Counter>().start(store).await?;

    // Made by the first run, found by every other.
    let counter = system.spawn::<Counter>("visits", &Message::Get).await?;
    system.tell(counter, Message::Add(1)).await?;
    // Once, however often this program runs.
    system.tell_once("opening", counter, Message::Add(1_000)).await?;
    let total = system.ask(counter, Message::Get, Duration::from_secs(5)).await?;
    println!("{total}");

    system.stop(Duration::from_secs(5)).await;
    Ok(())
}
