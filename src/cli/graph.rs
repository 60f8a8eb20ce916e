//! `headframe graph`: a workflow as a picture.
//!
//! ```text
//! plan ─► cards and arrows ─► mermaid | dot | svg | json
//! ```
//! **Invariant:** drawing decides nothing about the plan: it shows each phase, its tasks and what it needs, as written.

mod card;
mod svg;
mod text;

use std::path::PathBuf;

use self::card::{Card, cards};
use super::{
    exit::{Error, Exit},
    out::{Out, Output},
    tools,
};

/// Draw a workflow: its phases, their tasks, and what needs what
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe graph examples/repo-audit.yaml                        Mermaid, for a README
  headframe graph examples/repo-audit.yaml -o dot | dot -Tpdf     Graphviz
  headframe graph examples/repo-audit.yaml -o svg > audit.svg     a picture for a browser")]
pub(super) struct Args {
    /// The workflow, a YAML file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &Args, output: Output, out: Out) -> Result<Exit, Error> {
    let plan = tools::load(&args.file)?;
    let cards = cards(&plan);
    match output {
        Output::Table | Output::Mermaid => out.line(text::mermaid(&cards).trim_end())?,
        Output::Dot => out.line(text::dot(&plan.name, &cards).trim_end())?,
        Output::Svg => out.line(svg::draw(&cards)?.trim_end())?,
        Output::Json | Output::Jsonl => out.json(&cards)?,
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests;
