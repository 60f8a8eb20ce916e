//! What the program promises at the command line: results, exit codes, and that nothing is lost, however it ends.
//!
//! **Invariant:** no test waits for a time; it waits for what it needs to see, with a deadline.

mod bench;
mod disks;
mod kills;
mod looks;
mod lossy;
mod operator;
pub(crate) mod place;
mod wrong;

use std::{fs, io::Read as _, os::unix::ffi::OsStrExt as _};

use self::place::{Place, code, json, lines, stderr, stdout};

const AUDIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/repo-audit.yaml");
const CHARGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/charge.yaml");
const VERIFIED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/charge-verified.yaml");

#[test]
fn the_audit_counts_every_file_whatever_its_name() {
    let place = Place::new();
    let tree = place.folder("tree");
    let names: [&[u8]; 6] = [b"plain", b"with space", b"new\nline", b"caf\xe9", b"-n", b"back\\slash"];
    for (at, name) in names.iter().enumerate() {
        fs::write(tree.join(std::ffi::OsStr::from_bytes(name)), format!("{at}\n")).unwrap();
    }
    fs::write(tree.join("twin"), "0\n").unwrap();
    fs::write(tree.join("wide"), "x".repeat(300)).unwrap();
    let told = place.run(&["run", AUDIT, "-i", "path=tree"]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    let report = stdout(&told);
    for wanted in [
        "8 files, 7 lines, 314 bytes",
        "in 1 files:\n  300  tree/wide",
        "tree/new\\nline",
        "tree/caf\\xE9",
        "in 1 files (2 bytes)",
    ] {
        assert!(report.contains(wanted), "`{wanted}` is missing in:\n{report}");
    }
    assert!(stderr(&told).contains("succeeded"), "{}", stderr(&told));
    place.is_clean();
}

#[test]
fn an_empty_tree_is_no_error_and_nothing_is_warned_of() {
    let place = Place::new();
    place.folder("tree");
    let told = json(&place.run(&["run", AUDIT, "-i", "path=tree", "-o", "json"]));
    assert_eq!(told["status"], "succeeded", "{told}");
    assert!(told["output"].as_str().unwrap().contains("0 files, 0 lines, 0 bytes"), "{told}");
    let shown = json(&place.run(&["runs", "show", "last", "-o", "json"]));
    assert_eq!((&shown["phases"][3]["name"], &shown["phases"][3]["status"]), (&"warn".into(), &"skipped".into()));
}

/// The list once had to fit a message, and an audit ended at about a thousand files.
#[test]
fn a_list_too_long_for_a_message_is_audited_all_the_same() {
    let place = Place::new();
    let deep = (0..6).fold(place.folder("tree"), |folder, _| folder.join("d".repeat(200)));
    fs::create_dir_all(&deep).unwrap();
    for at in 0..60 {
        let odd: &[u8] = [&b"-n "[..], b"new\nline ", b"caf\xe9 ", b"{{ x }} "][at % 4];
        let name = [odd, at.to_string().as_bytes()].concat();
        fs::write(deep.join(std::ffi::OsStr::from_bytes(&name)), format!("{at}\n")).unwrap();
    }
    fs::write(deep.join("wide"), "x".repeat(300)).unwrap();
    let told = place.run(&["run", AUDIT, "-i", "path=tree"]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    assert!(stdout(&told).contains("61 files, 60 lines, 470 bytes"), "{}", stdout(&told));
    let ledger = stdout(&place.run(&["ledger", "show", "last"]));
    assert!(ledger.contains("put outputs aside as"), "the lists were short: {ledger}");
    place.is_clean();
}

#[test]
fn a_charge_that_was_cut_off_waits_for_a_person_and_is_made_once() {
    let place = Place::new();
    let mut child = place.start(&["run", CHARGE, "-i", "order=7", "-i", "seconds=300"]);
    assert!(place.wait_while(&mut child, || place.read("charges.txt").is_empty()));
    child.kill().unwrap();
    child.wait().unwrap();

    let held = place.run(&["run", CHARGE, "--resume", "-o", "json"]);
    assert_eq!(code(&held), 6, "{}", stderr(&held));
    assert!(stderr(&held).contains("headframe doubt resolve"), "{}", stderr(&held));
    let held = json(&held);
    assert_eq!(held["status"], "held");
    assert_eq!(json(&place.run(&["runs", "list", "-o", "json"]))[0]["status"], "held");
    let doubts = json(&place.run(&["doubt", "list", "-o", "json"]));
    let call = doubts[0]["call"].as_str().unwrap();
    assert_eq!((&held["in_doubt"][0], &doubts[0]["tool"]), (&call.into(), &"process".into()));

    fs::write(place.path("out.json"), r#"{"stdout": "it was charged"}"#).unwrap();
    let decided = place.run(&["doubt", "resolve", call, "--happened", "@out.json", "--by", "ada"]);
    assert_eq!(code(&decided), 0, "{}", stderr(&decided));
    assert_eq!(code(&place.run(&["doubt", "resolve", call, "--repeat"])), 3, "it is decided already");
    let told = place.run(&["runs", "resume", "last"]);
    // Where the run ended before whoever decided had stopped, nothing is left to resume.
    let by_then = stderr(&told).contains("no run is unfinished");
    let output = if by_then { "" } else { "order 7: it was charged\n" };
    assert_eq!((code(&told), stdout(&told).as_str()), (0, output), "{}", stderr(&told));
    let shown = json(&place.run(&["runs", "show", "last", "-o", "json"]));
    assert_eq!(
        (&shown["status"], &shown["output"]),
        (&"succeeded".into(), &"order 7: it was charged".into()),
        "{shown}"
    );
    assert_eq!(place.read("charges.txt").lines().count(), 1, "the charge was repeated");
    assert!(stdout(&place.run(&["ledger", "show", "last"])).contains("decided by ada"));
    place.is_clean();
}

#[test]
fn a_charge_that_was_cut_off_and_can_be_verified_is_made_once_and_nobody_is_asked() {
    let place = Place::new();
    let mut child = place.start(&["run", VERIFIED, "-i", "order=7", "-i", "seconds=300"]);
    assert!(place.wait_while(&mut child, || place.read("charges.txt").is_empty()));
    child.kill().unwrap();
    child.wait().unwrap();
    let told = place.run(&["run", VERIFIED, "--resume"]);
    assert_eq!((code(&told), stdout(&told).as_str()), (0, "order 7: found the charge\n"), "{}", stderr(&told));
    assert_eq!(place.read("charges.txt").lines().count(), 1, "the charge was repeated");
    place.is_clean();
}

#[test]
fn a_probe_that_cannot_tell_is_quoted_where_a_person_decides() {
    let place = Place::new();
    let with = "{ argv: [sh, -c, 'touch begun; sleep 300'], probe: [sh, -c, 'echo the books are closed >&2; exit 2'] }";
    place.spec("blind.yaml", "process", with, "effect: { verify: { probes: 2, wait: 10ms } }");
    let mut child = place.start(&["run", "blind.yaml"]);
    assert!(place.wait_while(&mut child, || !place.path("begun").exists()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(code(&place.run(&["run", "blind.yaml", "--resume"])), 6, "held for a decision");
    let told = stdout(&place.run(&["doubt", "list"]));
    assert!(told.contains("the books are closed"), "{told}");
}

#[test]
fn how_a_run_ends_is_the_exit_code() {
    let place = Place::new();
    place.spec("fails.yaml", "fail", "{ message: no luck }", "");
    place.spec("sleeps.yaml", "sleep", "{ for: 5m }", "retry: 3");
    place.spec("shapes.yaml", "echo", "{ a: [1] }", "");
    let failed = place.run(&["run", "fails.yaml", "-o", "json", "--label", "team=a b"]);
    assert_eq!((code(&failed), json(&failed)["failure"]["message"].as_str()), (1, Some("no luck")));
    let told = place.run(&["run", "shapes.yaml"]);
    assert_eq!((code(&told), json(&told)), (0, serde_json::json!({"a": [1]})));
    assert_eq!(code(&place.run(&["run", "sleeps.yaml", "--timeout", "100ms", "--key", "k"])), 5);
    assert_eq!(code(&place.run(&["run", "shapes.yaml", "--key", "k"])), 6);
    let other = place.run(&["run", "shapes.yaml"]);
    assert!(stderr(&other).contains("1 other unfinished run is held"), "{}", stderr(&other));
    // The run with the key goes on; it is not held as another's.
    let again = place.run(&["run", "sleeps.yaml", "--timeout", "100ms", "--key", "k", "-o", "json"]);
    assert_eq!((code(&again), json(&again)["status"].as_str()), (5, Some("running")), "{}", stderr(&again));
    assert!(!stderr(&again).contains("held"), "{}", stderr(&again));
    let listed = stdout(&place.run(&["runs", "list"]));
    assert!(listed.contains("team=a b") && listed.contains("running") && listed.contains("failed"), "{listed}");
    assert_eq!(code(&place.run(&["runs", "show", "run_ffff"])), 3);
}

/// Ctrl-C once cost an attempt: a task that has only one failed its run while the engine stopped.
#[test]
fn an_interrupted_run_says_how_to_go_on_and_does_with_its_only_attempt() {
    let waits = "{ argv: [sh, -c, 'until [ -e go ]; do sleep 0.05; done'] }";
    for (tool, with, more) in [("sleep", "{ ms: 3000 }", ""), ("process", waits, "effect: idempotent")] {
        let place = Place::new();
        place.spec("sleeps.yaml", tool, with, more);
        let mut child = place.start(&["run", "sleeps.yaml"]);
        assert!(place.wait_while(&mut child, || !place.read("stderr").contains("a: started")));
        place.interrupt(&child);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let said = place.read("stderr");
        assert!(said.contains("finish it with: headframe run sleeps.yaml --resume"), "{said}");
        assert_eq!(json(&place.run(&["runs", "list", "-o", "json"]))[0]["status"], "running", "{tool}");
        fs::write(place.path("go"), "").unwrap();
        let told = place.run(&["run", "sleeps.yaml", "--resume"]);
        assert_eq!(code(&told), 0, "{tool}: {}", stderr(&told));
        assert_eq!(lines(&place.run(&["runs", "list", "-o", "jsonl"])).len(), 1, "another run was started");
        place.is_clean();
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let place = Place::new();
    let items = (0..400).map(|at| at.to_string()).collect::<Vec<_>>().join(", ");
    place.spec("many.yaml", "echo", "{ text: '{{ item }}' }", &format!("for_each: [{items}]"));
    let told = lines(&place.run(&["run", "many.yaml", "-o", "jsonl"]));
    assert!(told.len() > 400 && told.last().unwrap()["status"] == "succeeded", "{}", told.len());
    for args in [["ledger", "export", "last"], ["ledger", "show", "last"]] {
        let mut child = place.piped(&args);
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(place.read("stderr"), "", "{args:?}");
    }
}
