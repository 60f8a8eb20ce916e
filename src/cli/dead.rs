//! `headframe dead`: messages that were given up, and what a person does about them.
//!
//! **Invariant:** a letter is retried or dropped in one commit, and who decided is in the ledger of its run. No run goes
//! on meanwhile. `list` and `show` only look; so does everything with `--dry-run`.

mod filter;

use headframe::durable::{Body, DeadLetter};
use serde_json::{Value, json};

use self::filter::Chosen;
use super::{
    Common,
    exit::{Error, Exit},
    folder,
    look::{self, Look},
    out::{Format, Out},
    shown,
    table::{plain, print},
};

/// Look at messages that were given up, and retry or drop them
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// The messages that were given up, oldest first
    List(filter::Filter),
    /// One of them, with what it says
    Show {
        /// Its number, as `dead list` shows it
        letter: u64,
    },
    /// Deliver them again, each to the end of its actor's mailbox
    Retry(Act),
    /// Remove them for good
    Drop(Act),
}

/// Which letters, and who decides
#[derive(Debug, clap::Args)]
pub(crate) struct Act {
    #[command(flatten)]
    chosen: Chosen,
    /// Say which they are, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Who decides
    #[arg(long, env = "USER", default_value = "unknown", value_name = "NAME", hide_env = true)]
    by: String,
}

pub(crate) async fn run(command: Command, common: &Common, out: Out) -> Result<Exit, Error> {
    match command {
        Command::List(filter) => {
            let look = Look::at(&common.data)?;
            list(&look, &filter.of(&look, super::now_ms()), out)
        }
        Command::Show { letter } => show(common, out, letter),
        Command::Retry(act) => decide(act, common, out, Verb::Retry).await,
        Command::Drop(act) => decide(act, common, out, Verb::Drop).await,
    }
}

fn list(look: &Look, letters: &[(u64, DeadLetter)], out: Out) -> Result<Exit, Error> {
    match out.format {
        Format::Table if letters.is_empty() => out.note("there are no dead letters"),
        Format::Table => {
            let mut table = plain(["LETTER", "ACTOR", "KIND", "WHEN", "WHY"]);
            for (number, letter) in letters {
                table.add_row([
                    number.to_string(),
                    letter.to.to_string(),
                    kind(look, letter).to_owned(),
                    shown::time(letter.at_ms),
                    shown::cut(&letter.reason, 120),
                ]);
            }
            print(out, &mut table)?;
        }
        Format::Json | Format::Jsonl => {
            out.rows(&letters.iter().map(|(number, letter)| as_json(look, *number, letter)).collect::<Vec<_>>())?;
        }
    }
    Ok(Exit::Ok)
}

fn show(common: &Common, out: Out, wanted: u64) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let (number, letter) = find(&look, wanted)?;
    match out.format {
        Format::Table => {
            let mut table = plain(["letter", &number.to_string()]);
            table.add_row(["for", &format!("{} ({})", letter.to, kind(&look, &letter))]);
            table.add_row(["given up", &shown::time(letter.at_ms)]);
            table.add_row(["why", &shown::cut(&letter.reason, 2_000)]);
            table.add_row(["says", &shown::cut(&says(&look, &letter).to_string(), 4_000)]);
            print(out, &mut table)?;
        }
        Format::Json | Format::Jsonl => out.json(&as_json(&look, number, &letter))?,
    }
    Ok(Exit::Ok)
}

fn find(look: &Look, wanted: u64) -> Result<(u64, DeadLetter), Error> {
    let found = look.letters().find(|(number, _)| *number == wanted);
    found.ok_or_else(|| Error::NotFound(format!("there is no dead letter {wanted}; `headframe dead list` shows them")))
}

/// What it was for; an actor that has finished has no kind any more.
fn kind(look: &Look, letter: &DeadLetter) -> &'static str {
    look.kind(letter.to).unwrap_or("gone")
}

fn says(look: &Look, letter: &DeadLetter) -> Value {
    match &letter.body {
        Body::Message(sealed) => match look.live().actors.get(&letter.to) {
            Some(row) => look::registry().describe_message(row.kind, sealed).unwrap_or_else(|| unread(sealed.len())),
            None => unread(sealed.len()),
        },
        Body::Answer(answer) => json!({"answer": answer}),
        Body::Fired(fired) => json!({"fired": fired}),
        Body::Fate(fate) => json!({"fate": fate}),
    }
}

fn unread(bytes: usize) -> Value {
    json!({ "unread_bytes": bytes })
}

fn as_json(look: &Look, number: u64, letter: &DeadLetter) -> Value {
    json!({
        "letter": number, "actor": letter.to.to_string(), "kind": kind(look, letter), "at_ms": letter.at_ms,
        "reason": letter.reason, "says": says(look, letter),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Retry,
    Drop,
}

impl Verb {
    fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Drop => "dropped",
        }
    }
}

async fn decide(act: Act, common: &Common, out: Out, verb: Verb) -> Result<Exit, Error> {
    let look = Look::at(&common.data)?;
    let letters = act.chosen.of(&look, super::now_ms())?;
    if act.dry_run || letters.is_empty() {
        return list(&look, &letters, out);
    }
    drop(look);
    let engine = folder::start_held(&common.data, out).await?;
    let (mut told, mut exit) = (Vec::new(), Exit::Ok);
    for (number, _) in &letters {
        let done = match verb {
            Verb::Retry => engine.retry_dead_letter(*number, &act.by).await,
            Verb::Drop => engine.drop_dead_letter(*number, &act.by).await,
        };
        told.push((*number, done.is_ok()));
        // The others are not to blame.
        if let Err(error) = done.map_err(Error::from) {
            out.error(&error);
            exit = error.exit();
        }
    }
    engine.stop().await;
    tell(out, verb, &told)?;
    if verb == Verb::Retry && told.iter().any(|(_, done)| *done) {
        out.note(format_args!("`headframe runs resume{}` continues the run", common.flags()));
    }
    Ok(exit)
}

fn tell(out: Out, verb: Verb, told: &[(u64, bool)]) -> Result<(), Error> {
    match out.format {
        Format::Table => {
            for (number, _) in told.iter().filter(|(_, done)| *done) {
                out.line(format_args!("dead letter {number} is {}", verb.done()))?;
            }
        }
        Format::Json | Format::Jsonl => {
            let rows = told.iter().map(|(number, done)| json!({"letter": number, verb.done(): done}));
            out.rows(&rows.collect::<Vec<_>>())?;
        }
    }
    Ok(())
}
