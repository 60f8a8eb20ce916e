//! The examples, in a simulated world: each dies around every commit, and ends as if nothing had happened.

use std::{fs, path::PathBuf};

use headframe::{
    durable::Effect,
    json::Json,
    run::Outcome,
    testing::{Death, Fake, FromSpec as _, World},
};
use serde_json::json;

#[test]
fn every_example_ends_well_wherever_its_process_dies() {
    let mut told = 0;
    for path in examples() {
        let world = world(&path);
        let undisturbed = world.undisturbed();
        assert!(matches!(undisturbed.outcome, Outcome::Succeeded(_)), "{}: {:?}", world.name(), undisturbed.outcome);
        for ending in world.dying_around_every_commit() {
            // Of a call that may not be repeated a person looks into the books; what did not happen fails its run.
            let is_held = ending.decisions() > 0;
            assert!(is_held || ending.outcome == undisturbed.outcome, "{}: {:?}", ending.death, ending.outcome);
            told += 1;
        }
    }
    assert!(told >= 300, "only {told} deaths");
}

/// The two examples that must not pay twice do not, with a bank that honours no keys.
#[test]
fn a_charge_is_made_once_at_most_wherever_its_process_dies_twice() {
    for path in examples().into_iter().filter(|path| path.to_string_lossy().contains("charge")) {
        for ending in world(&path).dying_twice() {
            assert!(ending.acts("process") <= 1, "{}", ending.death);
        }
    }
}

/// With a specification that is given as text, with its inputs, and with a death that was replayed by name.
#[test]
fn a_workflow_given_as_text_takes_its_input_and_sleeps_as_the_engine_does() {
    let world = World::with_spec(
        "headframe: 1\nname: nap\ninput: { nights: { type: integer } }\nphases:\n  - name: rest\n    tasks:\n      \
         - { name: sleep, tool: sleep, with: { for: '{{ input.nights }}d' } }\n      \
         - { name: say, tool: echo, with: { slept: '{{ input.nights }}' } }\noutput: '{{ outputs.rest.say }}'\n",
    )
    .input(json!({ "nights": 3 }));
    let death: Death = "4:kept,2:partial9;7".parse().unwrap();
    for ending in [world.undisturbed(), world.dying(&death)] {
        assert_eq!(ending.outcome, Outcome::Succeeded(Json::from(json!({ "slept": 3 }))), "{}", ending.death);
        assert_eq!(ending.took_ms, 3 * 24 * 60 * 60 * 1_000, "{}", ending.death);
    }
}

#[test]
#[should_panic(expected = "phases")]
fn a_workflow_that_is_not_sound_says_what_is_wrong() {
    let _ = World::with_spec("headframe: 1\nname: empty\n");
}

fn world(path: &std::path::Path) -> World {
    World::with_spec(path.to_str().unwrap())
        .tool("process", Fake::answers(Effect::AtMostOnce, program))
        .tool("http", Fake::answers(Effect::IDEMPOTENT, |_| json!({ "status": 200, "body": "ready" }).into()))
        .tool("render", Fake::answers(Effect::IDEMPOTENT, |_| report()))
        .tool("fail", Fake::fails(Effect::IDEMPOTENT, u32::MAX))
}

/// What is rendered, as text and as the name of an artifact.
fn report() -> Json {
    json!({ "text": "told", "path": "out/report.md", "bytes": 4, "artifact": { "$artifact": "sha256:00", "bytes": 4 } })
        .into()
}

/// What a program says; two files are found.
fn program(with: &Json) -> Json {
    let stdout = match with.value()["argv"][0].as_str() {
        Some("find") => json!("a\0b\0"),
        Some("awk") => json!({
            "files": 2, "lines": 2, "bytes": 4, "unread_count": 0, "unread": [], "long_count": 1, "long": [[0, 300]],
            "duplicate_count": 0, "duplicate_bytes": 0, "duplicates": [], "largest": [[0, 2]],
        }),
        _ => json!("1 2 3\n"),
    };
    json!({ "stdout": stdout, "exit": 0 }).into()
}

fn examples() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut examples: Vec<_> = files.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect();
    examples.sort();
    assert!(examples.len() >= 5, "{examples:?}");
    examples
}
