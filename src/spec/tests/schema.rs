//! The JSON Schema for editors says what the reader does.
//!
//! A schema knows no names, cycles or templates, so it may take what the reader refuses; never the other way round.

use std::path::Path;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::Value;

use super::super::{SCHEMA, parse, read, task};

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn document(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// The names of the properties at a place of the schema, in order.
fn properties(place: &str) -> Vec<String> {
    let schema = schema();
    let found = schema.pointer(&format!("{place}/properties")).unwrap_or_else(|| panic!("nothing at {place}"));
    found.as_object().unwrap().keys().cloned().collect()
}

fn sorted(keys: &[&str]) -> Vec<String> {
    let mut keys: Vec<_> = keys.iter().map(|key| (*key).to_owned()).collect();
    keys.sort();
    keys
}

#[test]
fn the_schema_has_the_keys_that_the_reader_has() {
    for (place, keys) in [
        ("", &read::WORKFLOW[..]),
        ("/$defs/input/then", &read::INPUT[..]),
        ("/$defs/phase", &read::PHASE[..]),
        ("/$defs/task", &task::TASK[..]),
        ("/$defs/fallback", &task::FALLBACK[..]),
        ("/$defs/task/properties/for_each/then", &task::FOR_EACH[..]),
        ("/$defs/task/properties/retry/then", &task::RETRY[..]),
    ] {
        let mut found = properties(place);
        found.sort();
        assert_eq!(found, sorted(keys), "at {place}");
    }
}

#[test]
fn every_example_fits_the_schema_and_points_at_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let points = "# yaml-language-server: $schema=../src/spec/schema.json";
        assert!(text.starts_with(points), "{} does not begin with `{points}`", path.display());
        let problems: Vec<_> = validator().iter_errors(&document(&text)).map(|error| error.to_string()).collect();
        assert!(problems.is_empty(), "{}: {problems:?}", path.display());
        seen += 1;
    }
    assert!(seen >= 3, "the examples are in another folder");
}

#[test]
fn a_full_workflow_fits_the_schema() {
    assert!(validator().is_valid(&document(super::AUDIT)));
}

#[test]
fn the_schema_refuses_what_an_editor_can_see() {
    let good = "{headframe: 1, name: w, phases: [{name: p, tasks: [{name: t, tool: echo}]}]}";
    assert!(validator().is_valid(&document(good)));
    for wrong in [
        "{name: w, phases: [{name: p, tasks: [{name: t, tool: echo}]}]}",
        "{headframe: 2, name: w, phases: [{name: p, tasks: [{name: t, tool: echo}]}]}",
        "{headframe: 1, name: w, phases: []}",
        "{headframe: 1, name: W, phases: [{name: p, tasks: [{name: t, tool: echo}]}]}",
        "{headframe: 1, name: w, phases: [{name: p, tasks: [{name: t, tool: echo, retries: 3}]}]}",
        "{headframe: 1, name: w, phases: [{name: p, tasks: [{name: t, tool: echo, retry: {}}]}]}",
        "{headframe: 1, name: w, phases: [{name: p, tasks: [{name: t, tool: echo, timeout: 30}]}]}",
        "{headframe: 1, name: w, phases: [{name: p, tasks: [{name: t, tool: echo, effect: always}]}]}",
        "{headframe: 1, name: w, phases: [{name: p, mode: random, tasks: [{name: t, tool: echo}]}]}",
        "{headframe: 1, name: w, phases: [{name: p, tasks: [{name: t, tool: echo, for_each: 3}]}]}",
        "{headframe: 1, name: w, input: {n: {type: text}}, phases: [{name: p, tasks: [{name: t, tool: echo}]}]}",
    ] {
        assert!(!validator().is_valid(&document(wrong)), "the schema takes {wrong}");
        assert!(parse("wrong", wrong).is_err(), "the reader takes {wrong}");
    }
}

/// Values for keys, some of which fit.
fn words() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1",
        "0",
        "513",
        "-1",
        "1.5",
        "true",
        "x",
        "idempotent",
        "hold",
        "json",
        "lines",
        "30s",
        "1h 5m",
        "5 parsecs",
        "[a]",
        "[]",
        "{}",
        "{over: [1]}",
        "{max_attempts: 2}",
        "\"{{ input.n }}\"",
        "sequential",
        "{idempotent: {}}",
        "{verify: {probes: 3, wait: 2s}}",
        "{idempotent: {remembers: 1h}}",
        "{tool: echo, retry: 2, timeout: 5s}",
        "[{tool: echo}, {tool: render, with: {template: x}}]",
        "null",
    ])
}

headframe_actors::properties! {
    /// An editor must not mark what the reader takes.
    #[test]
    fn what_the_reader_takes_fits_the_schema(
        on_phase in any::<bool>(),
        at in 0..16_usize,
        word in words(),
    ) {
        let keys = if on_phase { &read::PHASE[..] } else { &task::TASK[..] };
        let key = keys[at % keys.len()];
        prop_assume!(!["name", "tasks", "tool"].contains(&key));
        let (phase, task) = if on_phase { (format!(", {key}: {word}"), String::new()) } else { (String::new(), format!(", {key}: {word}")) };
        let text = format!("{{headframe: 1, name: w, input: {{n: 1}}, phases: [{{name: a, tasks: [{{name: t, tool: echo}}]}}, {{name: p{phase}, tasks: [{{name: t, tool: echo{task}}}]}}]}}");
        if parse("w", &text).is_ok() {
            prop_assert!(validator().is_valid(&document(&text)), "the schema refuses {}", text);
        }
    }
}
