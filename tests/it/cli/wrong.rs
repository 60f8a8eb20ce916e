//! What is wrong, and how it is told.

use std::{fs, path::Path};

use super::{
    AUDIT,
    kills::tear_last,
    place::{Place, code, json, stderr},
};

#[test]
fn what_is_wrong_is_told_by_its_exit_code_and_leaves_nothing_behind() {
    let place = Place::new();
    fs::write(
        place.path("wrong.yaml"),
        "headframe: 1\nname: x\nphases: [{ name: a, tasks: [{ name: t, tool: nope }] }]\n",
    )
    .unwrap();
    let wrong = place.run(&["run", "wrong.yaml"]);
    assert_eq!(code(&wrong), 2);
    assert!(stderr(&wrong).contains("wrong.yaml:3:") && stderr(&wrong).contains("HF0106"), "{}", stderr(&wrong));
    let usage: [&[&str]; 5] = [
        &["validate", "wrong.yaml"],
        &["run", "missing.yaml"],
        &["run", AUDIT, "-i", "pth=x"],
        &["fly"],
        &["run", AUDIT, "-i", "path"],
    ];
    for args in usage {
        assert_eq!(code(&place.run(args)), 2, "{args:?}");
    }
    let looks: [&[&str]; 5] =
        [&["runs", "list"], &["runs", "resume"], &["ledger", "verify"], &["store", "stats"], &["doubt", "list"]];
    for args in looks {
        assert_eq!(code(&place.run(args)), 3, "{args:?}");
    }
    assert!(!place.path(".headframe").exists(), "a command that was refused made a folder");
    assert_eq!(code(&place.run(&["validate", AUDIT])), 0);
    assert_eq!(code(&place.run(&["--help"])), 0);
}

#[test]
fn an_input_that_does_not_fit_is_told_before_anything_is_made() {
    let place = Place::new();
    let wanted = "headframe: 1\nname: w\ninput: { who: { type: string } }\nphases: [{ name: a, tasks: [{ name: t, tool: echo, with: { a: 1 } }] }]\n";
    fs::write(place.path("wants.yaml"), wanted).unwrap();
    let wrong: [(&[&str], &str); 5] = [
        (&["run", "wants.yaml"], "input `who` is missing"),
        (&["run", "wants.yaml", "--input", "@missing.json"], "cannot read missing.json"),
        (&["run", "wants.yaml", "--input", "[1]"], "must be a map"),
        (&["run", "wants.yaml", "--input", "{who: x"], "is not JSON"),
        (&["run", AUDIT, "-i", "long_line=many"], "it must be a whole number, and is text"),
    ];
    for (args, sentence) in wrong {
        let told = place.run(args);
        assert_eq!(code(&told), 2, "{args:?}");
        assert!(stderr(&told).contains(sentence), "{args:?}: {}", stderr(&told));
    }
    assert!(!place.path(".headframe").exists());
}

/// The hint after Ctrl-C once led to a command that asked for the input again.
#[test]
fn a_run_is_continued_without_saying_its_input_again() {
    let place = Place::new();
    let wants = "headframe: 1\nname: w\ninput: { go: { type: string } }\nphases: [{ name: a, tasks: [{ name: t, tool: process, effect: idempotent, with: { argv: [sh, -c, 'until [ -e \"$0\" ]; do sleep 0.05; done', '{{ input.go }}'] } }] }]\n";
    fs::write(place.path("wants.yaml"), wants).unwrap();
    let go = place.path("go");
    let input = format!("go={}", go.display());
    assert_eq!(code(&place.run(&["run", "wants.yaml", "-i", &input, "--timeout", "50ms"])), 5);
    fs::write(go, "").unwrap();
    let told = place.run(&["run", "wants.yaml", "--resume"]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    let again = place.run(&["run", "wants.yaml", "--resume"]);
    assert_eq!(code(&again), 2, "nothing is unfinished, and a new run needs its input");
}

#[test]
fn an_unknown_key_is_pointed_at() {
    let place = Place::new();
    place.spec("wrong.yaml", "echo", "{ a: 1 }", "wiht: { a: 1 }");
    let told = place.run(&["run", "wrong.yaml"]);
    assert_eq!(code(&told), 2);
    for wanted in ["HF0102: `wiht` is not a key of a task", "wrong.yaml:9:9", "^^^^", "did you mean `with`?"] {
        assert!(stderr(&told).contains(wanted), "{}", stderr(&told));
    }
}

#[test]
fn a_program_that_hangs_or_never_stops_talking_fails_its_run_and_says_why() {
    let place = Place::new();
    place.spec("hangs.yaml", "process", "{ argv: [sleep, '1000'] }", "timeout: 1s\n        in_doubt: fail");
    place.spec("talks.yaml", "process", "{ argv: ['yes'] }", "timeout: 30s\n        in_doubt: fail");
    for (file, sentence) in [("hangs.yaml", "a/t: timeout: "), ("talks.yaml", "`max_output`")] {
        let told = place.run(&["run", file]);
        assert_eq!(code(&told), 1, "{}", stderr(&told));
        assert!(stderr(&told).contains(sentence), "{}", stderr(&told));
    }
    place.is_clean();
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let place = Place::new();
    place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
    fs::write(place.path("file"), "").unwrap();
    // Nobody can make a folder in /proc, not even root.
    for folder in ["file", "/proc/headframe"] {
        let told = place.run(&["run", "shapes.yaml", "--data", folder]);
        assert_eq!(code(&told), 4, "{folder}");
        assert!(stderr(&told).contains(&format!("HF0209: cannot use the data folder {folder}")), "{}", stderr(&told));
    }
    let looked = place.run(&["runs", "list", "--data", "file"]);
    assert_eq!(code(&looked), 4);
    assert!(stderr(&looked).contains("not a directory"), "{}", stderr(&looked));
    let measured = place.run(&["bench", "--dir", "nowhere"]);
    assert_eq!(code(&measured), 2);
    assert!(stderr(&measured).contains("cannot measure in nowhere"), "{}", stderr(&measured));
}

#[test]
fn a_record_that_was_acknowledged_and_is_damaged_is_named_by_every_command() {
    let damages: [fn(&Path); 2] = [flip, tear_last];
    for damage in damages {
        let place = Place::new();
        place.spec("shapes.yaml", "echo", "{ a: 1 }", "");
        assert_eq!(code(&place.run(&["run", "shapes.yaml"])), 0);
        damage(&place.segments()[0]);
        let found = place.run(&["store", "verify", "-o", "json"]);
        assert_eq!((code(&found), json(&found)["clean"].as_bool()), (1, Some(false)));
        for args in [["runs", "list"], ["ledger", "verify"], ["doubt", "list"], ["run", "shapes.yaml"]] {
            let refused = place.run(&args);
            assert_eq!(code(&refused), 4, "{args:?}");
            assert!(stderr(&refused).contains("HF0003"), "{args:?}: {}", stderr(&refused));
        }
    }
}

/// Change a bit of the first record.
fn flip(segment: &Path) {
    let mut bytes = fs::read(segment).unwrap();
    bytes[4096 + 40] ^= 1;
    fs::write(segment, bytes).unwrap();
}
