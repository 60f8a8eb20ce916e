//! Two durable actors in conversation: each knows the other's address, and neither ever waits for an answer.
//!
//! `cargo run -p headframe-actors --example conversation -- /tmp/conversation`, and kill it in between: the next run goes
//! on where this one was.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use headframe_actors::durable::{
    Address, Behavior, Rejection, System, Turn,
    store::{Local, LocalOptions},
};
use serde::{Deserialize, Serialize};

/// The game is over after so many strokes.
const STROKES: u32 = 1_000;

struct Player;

#[derive(Serialize, Deserialize)]
enum Message {
    /// Be there.
    Join,
    /// Play the first ball to this opponent.
    Serve(Address<Player>),
    /// The ball comes from an opponent, after so many strokes.
    Ball { from: Address<Player>, strokes: u32 },
    /// How many balls did you take?
    Count,
}

#[derive(Serialize, Deserialize)]
enum Event {
    Served,
    Took,
}

impl Behavior for Player {
    const KIND: &'static str = "player";
    const VERSION: u16 = 1;
    type State = u32;
    type Message = Message;
    type Event = Event;
    type Reply = u32;

    fn decide(turn: &mut Turn<'_, Self>, message: Message) -> Result<(), Rejection> {
        let me = Address::new(turn.me());
        match message {
            Message::Join => {}
            Message::Serve(opponent) => {
                turn.emit(&Event::Served);
                turn.send(opponent, &Message::Ball { from: me, strokes: 1 });
            }
            Message::Ball { from, strokes } => {
                turn.emit(&Event::Took);
                // What was taken, what is known and what is sent are one commit: no crash loses or doubles the ball.
                if strokes < STROKES {
                    turn.send(from, &Message::Ball { from: me, strokes: strokes + 1 });
                }
            }
            Message::Count => {
                let taken = *turn.state();
                turn.reply(&taken);
            }
        }
        Ok(())
    }

    fn apply(taken: &mut u32, event: &Event) {
        match event {
            Event::Served => {}
            Event::Took => *taken += 1,
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(|| PathBuf::from("conversation-data"), PathBuf::from);
    let store = Arc::new(Local::open(&folder, LocalOptions::default())?);
    let system = System::builder().behavior::<Player>().start(store).await?;

    let anna = system.spawn::<Player>("anna", &Message::Join).await?;
    let bert = system.spawn::<Player>("bert", &Message::Join).await?;
    system.tell_once("first ball", anna, Message::Serve(bert)).await?;
    let (mut by_anna, mut by_bert) = (0, 0);
    while by_anna + by_bert < STROKES {
        tokio::time::sleep(Duration::from_millis(20)).await;
        by_anna = system.ask(anna, Message::Count, Duration::from_secs(5)).await?;
        by_bert = system.ask(bert, Message::Count, Duration::from_secs(5)).await?;
    }
    println!("anna took {by_anna} balls, and bert {by_bert}");

    system.stop(Duration::from_secs(5)).await;
    Ok(())
}
