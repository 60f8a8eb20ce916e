//! `headframe-proof`: from what the suites noted, the page that says what was proved: `docs/PROOF.md`.
//!
//! Suites add lines of JSON to the file that `HEADFRAME_PROOF` names, each with the suite, its scale and its figures. This
//! program only orders and words them: no figure is written by hand, and a suite that did not run is named as missing.

mod note;
mod page;
mod suites;

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Parser;

/// Write the page that says what was proved, from the lines that the suites noted
///
/// HEADFRAME_PROOF=/tmp/proof.jsonl bash .ci/run proof
/// cargo run -p headframe-chaos --example headframe-proof -- --commit "$(git rev-parse HEAD)" /tmp/proof.jsonl > docs/PROOF.md
#[derive(Parser)]
#[command(version, verbatim_doc_comment)]
struct Args {
    /// Files with lines of JSON, one for each suite that ran; of several about one suite at one scale the last counts
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The commit that was proved
    #[arg(long, value_name = "HASH")]
    commit: Option<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut notes = Vec::new();
    for file in &args.files {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let note = note::Note::read(line);
            notes.push(note.with_context(|| format!("{}:{}: not a suite's line", file.display(), at + 1))?);
        }
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = page::About { commit: args.commit, version: env!("CARGO_PKG_VERSION"), cores };
    io::stdout().write_all(page::page(&about, &note::latest(notes)).as_bytes())?;
    Ok(())
}
