//! What a run is given on the command line.
//!
//! **Invariant:** arguments are bytes: a file name that is no UTF-8 reaches the run as the same name.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

use headframe::plan::{InputKind, Plan, text};
use serde_json::{Map, Value};

use super::exit::Error;

/// `--input` and every `-i`, the later over the earlier.
pub(crate) fn read(plan: &Plan, whole: Option<&OsStr>, single: &[OsString]) -> Result<Value, Error> {
    let mut input = match whole {
        Some(written) => object(written)?,
        None => Map::new(),
    };
    for pair in single {
        let (name, written) = split(pair)?;
        let kind = plan.inputs.iter().find(|input| input.name == name).map_or(InputKind::Any, |input| input.kind);
        input.insert(name, value(kind, &written));
    }
    Ok(Value::Object(input))
}

/// `@FILE`, `@-` for stdin, or JSON as it is.
pub(crate) fn document(written: &OsStr) -> Result<Value, Error> {
    let bytes = match written.as_bytes().strip_prefix(b"@") {
        Some(b"-") => std::io::read_to_string(std::io::stdin())
            .map(String::into_bytes)
            .map_err(|error| unreadable("stdin", &error))?,
        Some(path) => {
            let path = PathBuf::from(OsString::from_vec(path.to_vec()));
            std::fs::read(&path).map_err(|error| unreadable(&path.display().to_string(), &error))?
        }
        None => written.as_bytes().to_vec(),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::Usage(format!(
            "`{}` is not JSON: {error}; give a JSON document, or @FILE with one",
            written.to_string_lossy()
        ))
    })
}

/// `key=value` pairs of labels.
pub(crate) fn labels(pairs: &[OsString]) -> Result<Vec<(String, String)>, Error> {
    pairs.iter().map(|pair| split(pair)).collect()
}

fn object(written: &OsStr) -> Result<Map<String, Value>, Error> {
    match document(written)? {
        Value::Object(map) => Ok(map),
        _ => Err(Error::Usage("--input must be a map of names to values".to_owned())),
    }
}

fn split(pair: &OsStr) -> Result<(String, String), Error> {
    let bytes = pair.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0);
    let at = at.ok_or_else(|| Error::Usage(format!("`{}` must be written key=value", pair.to_string_lossy())))?;
    Ok((text::from_bytes(&bytes[..at]), text::from_bytes(&bytes[at + 1..])))
}

/// Text stays text where text is wanted; elsewhere it is JSON if it can be.
fn value(kind: InputKind, written: &str) -> Value {
    match kind {
        InputKind::String => Value::from(written),
        _ => serde_json::from_str(written).unwrap_or_else(|_| Value::from(written)),
    }
}

fn unreadable(what: &str, error: &std::io::Error) -> Error {
    Error::Usage(format!("cannot read {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_text_where_text_is_wanted_and_names_are_bytes() {
        let plan = Plan::builder("p")
            .input("s", InputKind::String)
            .input("n", InputKind::Integer)
            .phase("a", |phase| phase.task("t", "echo", |task| task))
            .build();
        let given = ["s=3", "n=3", "any=[1]", "other=x=y"].map(OsString::from);
        let read = read(&plan, Some(OsStr::new(r#"{"n": 1, "k": true}"#)), &given).unwrap();
        assert_eq!(read, json!({"s": "3", "n": 3, "any": [1], "other": "x=y", "k": true}));
        let odd = split(OsStr::from_bytes(b"p=caf\xe9")).unwrap();
        assert_eq!(text::to_bytes(&odd.1), b"caf\xe9");
        assert!(split(OsStr::new("=x")).is_err() && split(OsStr::new("x")).is_err());
    }
}
