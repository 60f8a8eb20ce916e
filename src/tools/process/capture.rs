//! What a program wrote: within bounds in memory, the rest on disk.

use headframe_actors::{durable::Failure, plan::text};
use serde_json::Value;

use super::told::{Shape, Told};
use crate::artifacts::{Artifacts, Writer};

/// How much of stderr is kept: its end.
const TAIL_MAX: usize = 8 * 1024;
/// How much of it goes into a sentence.
const SENTENCE_MAX: usize = 300;

/// The standard output in the making. Text beyond the inline bound goes straight to an artifact.
pub(super) struct Output<'a> {
    artifacts: &'a Artifacts,
    told: &'a Told,
    held: Vec<u8>,
    spilled: Option<Writer>,
    bytes: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(told: &'a Told, artifacts: &'a Artifacts) -> Self {
        Self { artifacts, told, held: Vec::new(), spilled: None, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Take bytes in. An error means that the output is of no use any more.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.told.max_output {
            return Err(over("stdout", self.told.max_output));
        }
        if let Some(writer) = &mut self.spilled {
            return writer.append(bytes).map_err(|error| unstored(&error));
        }
        self.held.extend_from_slice(bytes);
        if self.told.output == Shape::Text && self.held.len() > self.told.inline_max {
            let mut writer = self.artifacts.writer().map_err(|error| unstored(&error))?;
            writer.append(&self.held).map_err(|error| unstored(&error))?;
            self.held = Vec::new();
            self.spilled = Some(writer);
        }
        Ok(())
    }

    /// What the task asked for. `Ok(Err(_))` is output of the wrong form, which is definite; `Err(_)` is output lost.
    pub(super) fn finish(self) -> Result<Result<Value, Failure>, Failure> {
        if let Some(writer) = self.spilled {
            return Ok(Ok(writer.finish().map_err(|error| unstored(&error))?.to_value()));
        }
        let value = match self.told.output {
            Shape::Text => return Ok(Ok(text::from_bytes(&self.held).into())),
            Shape::Json => match serde_json::from_slice::<Value>(&self.held) {
                Ok(value) => value,
                Err(error) => return Ok(Err(Failure::new("output", format!("stdout is not JSON: {error}")))),
            },
            Shape::Lines => lines(&self.held),
        };
        if self.held.len() <= self.told.inline_max {
            return Ok(Ok(value));
        }
        let stored = match self.told.output {
            // As the program wrote it: numbers keep digits that a tree of values would lose.
            Shape::Json => self.artifacts.put(&self.held),
            Shape::Lines | Shape::Text => self.artifacts.put(value.to_string().as_bytes()),
        };
        Ok(Ok(stored.map_err(|error| unstored(&error))?.as_json().to_value()))
    }
}

/// Lines without their ends; the end of the last one may be missing.
fn lines(bytes: &[u8]) -> Value {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Value::Array(Vec::new());
    }
    bytes.split(|byte| *byte == b'\n').map(|line| Value::String(text::from_bytes(line))).collect()
}

/// The end of stderr.
pub(super) struct Tail {
    kept: Vec<u8>,
    bytes: u64,
    max_output: u64,
}

impl Tail {
    pub(super) fn new(max_output: u64) -> Self {
        Self { kept: Vec::new(), bytes: 0, max_output }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.bytes += bytes.len() as u64;
        self.kept.extend_from_slice(bytes);
        if self.kept.len() > 16 * TAIL_MAX {
            self.kept.drain(..self.kept.len() - TAIL_MAX);
        }
        if self.bytes > self.max_output { Err(over("stderr", self.max_output)) } else { Ok(()) }
    }

    /// The last 8 KiB, as text.
    pub(super) fn text(&self) -> String {
        text::from_bytes(&self.kept[self.kept.len().saturating_sub(TAIL_MAX)..])
    }

    /// The last line that says something, for a sentence.
    pub(super) fn last_words(&self) -> String {
        let text = self.text();
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let line = text::for_people(line.trim());
        line.chars().take(SENTENCE_MAX).collect()
    }
}

fn over(stream: &str, max_output: u64) -> Failure {
    Failure::new("output", format!("{stream} is longer than `max_output`, {max_output} bytes: the program was ended"))
}

fn unstored(error: &crate::artifacts::Error) -> Failure {
    Failure::new("output", format!("the program's output could not be stored: {error}"))
}
