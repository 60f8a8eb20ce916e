//! One suite's line.

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value};

/// What a suite noted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Note {
    /// Its name.
    pub(crate) suite: String,
    /// How much of it ran.
    pub(crate) scale: String,
    /// What it found out.
    pub(crate) figures: Map<String, Value>,
}

impl Note {
    pub(crate) fn read(line: &str) -> anyhow::Result<Self> {
        let mut figures: Map<String, Value> = serde_json::from_str(line).context("it is no JSON object")?;
        let mut word = |name: &str| figures.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        let suite = word("suite").context("it names no `suite`")?;
        let scale = word("scale").unwrap_or_else(|| "test".to_owned());
        ensure!(!figures.is_empty(), "it has no figures");
        Ok(Self { suite, scale, figures })
    }
}

/// Of several notes of one suite at one scale the last, in the order in which suites first came.
pub(crate) fn latest(notes: Vec<Note>) -> Vec<Note> {
    let mut kept: Vec<Note> = Vec::new();
    for note in notes {
        match kept.iter_mut().find(|known| (&known.suite, &known.scale) == (&note.suite, &note.scale)) {
            Some(known) => *known = note,
            None => kept.push(note),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_suite_its_scale_and_its_figures() {
        let note = Note::read(r#"{"suite": "kill loop", "scale": "prove", "kills": 300}"#).unwrap();
        assert_eq!((&*note.suite, &*note.scale, &note.figures["kills"]), ("kill loop", "prove", &300.into()));
        for wrong in ["", "[]", "{\"scale\": \"prove\"}", "{\"suite\": \"kill loop\"}"] {
            assert!(Note::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_note_of_a_suite_at_a_scale_counts() {
        let note = |suite: &str, scale: &str, runs: u32| {
            Note::read(&format!(r#"{{"suite": "{suite}", "scale": "{scale}", "runs": {runs}}}"#)).unwrap()
        };
        let notes = vec![note("a", "test", 1), note("b", "test", 2), note("a", "prove", 3), note("a", "test", 4)];
        assert_eq!(latest(notes), [note("a", "test", 4), note("b", "test", 2), note("a", "prove", 3)]);
    }
}
