//! What a `process` task says: its arguments, read and bounded.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _, path::PathBuf};

use headframe_actors::plan::text;
use serde_json::Value;

use super::launcher::{LIMITS, Limit};
use crate::{
    artifacts::{Digest, Reference},
    tools::{
        CONTENT_MAX, INLINE_MAX_DEFAULT,
        arguments::{Arguments, expected, word},
    },
};

/// Every key of `with`.
pub(super) const KEYS: &[&str] =
    &["argv", "probe", "stdin", "env", "env_allow", "cwd", "ok_exit", "max_output", "output", "inline_max", "limits"];
const ENV_ALLOW_DEFAULT: &[&str] = &["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER"];
/// Text in an answer is part of a message: no task may ask for more than this inline.
const INLINE_MAX: u64 = 256 * 1024;
/// What a task may raise `max_output` of text to: 4 GiB.
const OUTPUT_MAX: u64 = 4 << 30;

/// The arguments of one call.
pub(super) struct Told {
    pub(super) argv: Vec<OsString>,
    /// The program that finds out whether the call happened, and its arguments.
    pub(super) probe: Option<Vec<OsString>>,
    pub(super) stdin: Stdin,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) env_allow: Vec<OsString>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) ok_exit: Vec<i32>,
    /// In bytes, for each of stdout and stderr.
    pub(super) max_output: u64,
    pub(super) output: Shape,
    /// Longer output, in bytes, becomes an artifact.
    pub(super) inline_max: usize,
    pub(super) limits: Vec<(&'static Limit, u64)>,
}

/// What a program reads.
pub(super) enum Stdin {
    Nothing,
    Bytes(Vec<u8>),
    Artifact(Digest),
}

/// What stdout becomes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Shape {
    Text,
    Json,
    Lines,
}

impl Told {
    pub(super) fn read(with: &Value) -> Result<Self, String> {
        let arguments = Arguments::of(with, KEYS)?;
        Ok(Self {
            argv: argv(&arguments, "argv")?.ok_or("`argv` is missing: give the program and its arguments as a list")?,
            probe: argv(&arguments, "probe")?,
            stdin: stdin(&arguments)?,
            env: env(&arguments)?,
            env_allow: env_allow(&arguments)?,
            cwd: arguments.bytes("cwd")?.map(|path| PathBuf::from(OsString::from_vec(path))),
            ok_exit: ok_exit(&arguments)?,
            max_output: max_output(&arguments)?,
            output: output(&arguments)?,
            inline_max: inline_max(&arguments)?,
            limits: limits(&arguments)?,
        })
    }

    /// The same with the probe as its program: it reads nothing, and only 0 means that the call happened.
    pub(super) fn for_probe(self) -> Option<Self> {
        let argv = self.probe?;
        Some(Self { argv, probe: None, stdin: Stdin::Nothing, ok_exit: vec![0], ..self })
    }
}

fn argv(arguments: &Arguments<'_>, key: &str) -> Result<Option<Vec<OsString>>, String> {
    if let Some(Value::String(line)) = arguments.get(key) {
        return Err(format!("`{key}` must be a list, not a line for a shell: [{}]", line.replace(' ', ", ")));
    }
    let Some(given) = arguments.list(key)? else { return Ok(None) };
    let words =
        given.iter().enumerate().map(|(at, value)| word(&format!("{key}[{at}]"), value).map(OsString::from_vec));
    let argv: Vec<_> = words.collect::<Result<_, _>>()?;
    match argv.first() {
        None => Err(format!("`{key}` must not be empty")),
        Some(program) if program.is_empty() => Err(format!("`{key}[0]`, the program, must not be empty")),
        Some(_) => Ok(Some(argv)),
    }
}

fn stdin(arguments: &Arguments<'_>) -> Result<Stdin, String> {
    match arguments.get("stdin") {
        None => Ok(Stdin::Nothing),
        Some(Value::String(written)) => Ok(Stdin::Bytes(text::to_bytes(written))),
        Some(other) => match Reference::read(other).map_err(|error| format!("`stdin`: {error}"))? {
            Some(reference) => Ok(Stdin::Artifact(reference.digest)),
            None => Err(expected("stdin", "text or an artifact reference (the filter `tojson` makes text)", other)),
        },
    }
}

fn env(arguments: &Arguments<'_>) -> Result<Vec<(OsString, OsString)>, String> {
    let variable = |(name, value): (&String, &Value)| {
        let value = word(&format!("env.{name}"), value)?;
        Ok((variable_name("env", name)?, OsString::from_vec(value)))
    };
    arguments.map("env")?.into_iter().flatten().map(variable).collect()
}

fn env_allow(arguments: &Arguments<'_>) -> Result<Vec<OsString>, String> {
    let Some(names) = arguments.list("env_allow")? else {
        return Ok(ENV_ALLOW_DEFAULT.iter().map(OsString::from).collect());
    };
    let allow = |value: &Value| match value.as_str() {
        Some(name) => variable_name("env_allow", name),
        None => Err(expected("env_allow", "a list of names", value)),
    };
    names.iter().map(allow).collect()
}

fn variable_name(key: &str, name: &str) -> Result<OsString, String> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(format!("`{key}`: `{}` is no name for an environment variable", name.escape_debug()));
    }
    Ok(OsString::from_vec(text::to_bytes(name)))
}

fn ok_exit(arguments: &Arguments<'_>) -> Result<Vec<i32>, String> {
    let Some(codes) = arguments.list("ok_exit")? else { return Ok(vec![0]) };
    let code = |value: &Value| value.as_u64().filter(|code| *code < 256).and_then(|code| i32::try_from(code).ok());
    let read = |value: &Value| code(value).ok_or_else(|| expected("ok_exit", "a list of numbers up to 255", value));
    codes.iter().map(read).collect()
}

fn output(arguments: &Arguments<'_>) -> Result<Shape, String> {
    arguments.choice("output", &[("text", Shape::Text), ("json", Shape::Json), ("lines", Shape::Lines)])
}

/// Text flows to disk; what is to be parsed has to be held in memory.
fn max_output(arguments: &Arguments<'_>) -> Result<u64, String> {
    let most = if output(arguments)? == Shape::Text { OUTPUT_MAX } else { CONTENT_MAX as u64 };
    Ok(bounded(arguments, "max_output", most)?.unwrap_or(CONTENT_MAX as u64))
}

fn inline_max(arguments: &Arguments<'_>) -> Result<usize, String> {
    let given = bounded(arguments, "inline_max", INLINE_MAX)?;
    Ok(given.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(INLINE_MAX_DEFAULT))
}

fn bounded(arguments: &Arguments<'_>, key: &str, most: u64) -> Result<Option<u64>, String> {
    match arguments.number(key)? {
        Some(bytes) if bytes > most => Err(format!("`{key}` must be at most {most} bytes")),
        other => Ok(other),
    }
}

fn limits(arguments: &Arguments<'_>) -> Result<Vec<(&'static Limit, u64)>, String> {
    let limit = |(name, value): (&String, &Value)| {
        let known = LIMITS.iter().find(|limit| limit.name == name);
        let known = known.ok_or_else(|| {
            let names: Vec<_> = LIMITS.iter().map(|limit| limit.name).collect();
            format!("`limits`: unknown limit `{name}`: expected one of {}", names.join(", "))
        })?;
        let most = value.as_u64().ok_or_else(|| expected(&format!("limits.{name}"), "a whole number", value))?;
        Ok((known, most))
    };
    arguments.map("limits")?.into_iter().flatten().map(limit).collect()
}
