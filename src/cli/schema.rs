//! `headframe schema`: the JSON Schema of workflows, for editors.

use std::io::Write as _;

use super::{
    exit::{Error, Exit},
    out::Out,
};

/// Print the JSON Schema of workflows, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  headframe schema > workflow.schema.json

An editor with a YAML language server completes and checks a file whose first line is
  # yaml-language-server: $schema=workflow.schema.json")]
pub(super) struct Args {}

pub(super) fn run(_: &Args, out: Out) -> Result<Exit, Error> {
    let mut to = out.bulk();
    to.write_all(headframe::spec::SCHEMA.as_bytes())?;
    to.flush()?;
    Ok(Exit::Ok)
}
