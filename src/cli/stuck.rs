//! `headframe stuck`: what waits for a person, or for what cannot come.
//!
//! **Invariant:** it only looks. What a running process cures by itself is not told here.

use headframe::durable::Waiting;
use serde_json::{Value, json};

use super::{
    Common,
    exit::{Error, Exit},
    look::{self, Look},
    out::{Format, Out},
    shown,
};

/// Look at what waits for a person, or for what cannot come
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// One sentence for each: who waits for what, since when, and what to do
    List,
}

pub(crate) fn run(Command::List: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    let waiting = Look::at(&common.data)?.live().waiting(&look::registry());
    match out.format {
        Format::Table if waiting.is_empty() => out.line("nothing waits")?,
        Format::Table => waiting.iter().try_for_each(|waiting| out.line(sentence(waiting)))?,
        Format::Json | Format::Jsonl => out.rows(&waiting.iter().map(as_json).collect::<Vec<_>>())?,
    }
    Ok(Exit::Ok)
}

fn sentence(waiting: &Waiting) -> String {
    let since = waiting.since_ms.map_or_else(String::new, |since_ms| format!(", since {}", shown::time(since_ms)));
    format!("{}{since}: {}", shown::cut(&waiting.sentence, 300), waiting.reason.advice())
}

fn as_json(waiting: &Waiting) -> Value {
    json!({
        "actor": waiting.actor.to_string(), "call": waiting.call.map(|call| call.to_string()),
        "reason": waiting.reason.word(), "sentence": waiting.sentence, "since_ms": waiting.since_ms,
        "advice": waiting.reason.advice(),
    })
}

#[cfg(test)]
mod tests {
    use headframe::durable::{ActorId, Reason};

    use super::*;

    #[test]
    fn each_class_says_who_waits_since_when_and_what_to_do() {
        for reason in Reason::ALL {
            let said = "actor_100 (task) waits for something".to_owned();
            let waiting =
                Waiting { actor: ActorId(256), call: None, reason, sentence: said.clone(), since_ms: Some(0) };
            let told = sentence(&waiting);
            assert!(told.starts_with(&said) && told.contains(", since "), "{told}");
            assert!(told.ends_with(reason.advice()) && !reason.advice().is_empty(), "{told}");
        }
    }
}
