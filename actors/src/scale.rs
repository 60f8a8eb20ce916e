//! How much of a suite is run, and what it found out, for those who want to read it later.
//!
//! A suite whose size can be chosen lives in a module called `at_scale`, so that `cargo test at_scale` runs all of them.
//! `HEADFRAME_SCALE` chooses: `test` (the default), `prove` or `nightly`. Where `HEADFRAME_PROOF` names a file, each
//! suite adds one line of JSON to it.

use std::{fs::OpenOptions, io::Write as _};

use serde_json::{Map, Value, json};

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// With every `cargo test`: seconds.
    Test,
    /// Before something is handed on: a minute or two in all.
    Prove,
    /// Over night.
    Nightly,
}

impl Scale {
    /// What `HEADFRAME_SCALE` says.
    ///
    /// # Panics
    /// If it says something else than `test`, `prove` or `nightly`.
    #[must_use]
    pub fn chosen() -> Self {
        match std::env::var("HEADFRAME_SCALE").as_deref() {
            Err(_) | Ok("" | "test") => Self::Test,
            Ok("prove") => Self::Prove,
            Ok("nightly") => Self::Nightly,
            Ok(other) => panic!("HEADFRAME_SCALE is {other:?}: use test, prove or nightly"),
        }
    }

    /// One of three figures.
    pub fn pick<T>(self, test: T, prove: T, nightly: T) -> T {
        match self {
            Self::Test => test,
            Self::Prove => prove,
            Self::Nightly => nightly,
        }
    }
}

/// Note what a suite found out: a line of JSON `{"suite": .., "scale": .., FIGURES}` in the file that `HEADFRAME_PROOF`
/// names, if it names one.
///
/// # Panics
/// If the file cannot be written: a proof that is not written down is none.
pub fn note(suite: &str, figures: &[(&str, Value)]) {
    let Some(path) = std::env::var_os("HEADFRAME_PROOF") else { return };
    let scale = Scale::chosen().pick("test", "prove", "nightly");
    let mut line = Map::new();
    line.insert("suite".to_owned(), json!(suite));
    line.insert("scale".to_owned(), json!(scale));
    line.extend(figures.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let file = OpenOptions::new().create(true).append(true).open(&path);
    // One write, so that lines of several processes do not mix.
    let written = file.and_then(|mut file| file.write_all(format!("{}\n", Value::Object(line)).as_bytes()));
    written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_picks_its_figure() {
        assert_eq!(Scale::Test.pick(1, 2, 3), 1);
        assert_eq!(Scale::Prove.pick(1, 2, 3), 2);
        assert_eq!(Scale::Nightly.pick(1, 2, 3), 3);
    }
}
