//! The program as people start it, for some seconds: what it says, and what it leaves behind, which is nothing.
//!
//! Nothing here depends on how fast the machine is: probes may all be late, and nothing is judged by its slope.
#![expect(clippy::unwrap_used, reason = "tests say what must hold by failing, helpers of theirs, too")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn a_short_soak_says_what_it_saw_in_json_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--for", "3s", "--sample", "1s", "-c", "4", "--available-min", "0", "-o", "json"]);
    let (out, talk) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{talk}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["left_over"], &told["judges_growth"]), (&Value::from(0), &Value::from(false)));
    assert_eq!(told["broken"], Value::Array(Vec::new()));
    assert!(told["runs"].as_u64() > Some(0) && told["available"]["sent"].as_u64() > Some(0), "{told:#}");
    // At the last of them all runs may have ended.
    let samples = told["samples"].as_array().unwrap();
    for name in ["rss_kib", "fds", "threads", "tasks", "actors"] {
        assert!(samples.iter().any(|sample| sample[name].as_u64() > Some(0)), "{name}: {samples:#?}");
    }
    assert!(samples.iter().any(|sample| sample["disk"]["journal"].as_u64() > Some(0)), "{samples:#?}");
    assert_eq!(left_in(dir.path()), [""; 0]);
}

#[test]
fn a_soak_with_kills_and_stalls_recovers_and_its_page_shows_them() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("soak.html");
    let args = ["--for", "6s", "--kill-every", "2s", "--stall-every", "1s", "--rate", "40", "--sample", "1s"];
    let rest = ["--available-min", "0", "-o", "json", "--html", page.to_str().unwrap()];
    let output = run(dir.path(), &[&args[..], &rest[..]].concat());
    let (out, talk) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{talk}");
    let told: Value = serde_json::from_str(&out).unwrap();
    let kills = told["kills"].as_array().unwrap();
    // A start that takes longer than the time between two kills is killed as well.
    assert!(kills.last().unwrap()["up_s"].is_number(), "{kills:?}");
    assert!(told["unsticker"]["stalls"]["lost-bell"]["tried"].as_u64() > Some(0), "{told:#}");
    let folder = &told["folder"];
    assert_eq!((&folder["violations"], &folder["runs"]), (&Value::from(0), &told["runs"]), "{told:#}");
    for invariant in ["I1", "I2", "I4", "I5", "I7", "I8", "I12"] {
        assert!(folder["tested"][invariant].as_u64() > Some(0), "{invariant}: {folder:#}");
    }
    let page = fs::read_to_string(page).unwrap();
    for wanted in ["<svg", "class=\"kill\"", "verdict: within all bounds", "--kill-every 2s"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    assert_eq!(left_in(dir.path()), ["soak.html"]);
}

#[test]
fn a_bound_that_is_broken_is_named_and_is_an_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    // Nothing is answered in no time at all.
    let output = run(dir.path(), &["--for", "1s", "-c", "2", "--within", "0s"]);
    let (out, talk) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{talk}");
    assert!(
        out.contains("verdict: BROKEN: 0.00 % of the probes were answered within 0 ms, and the bound is 99 %"),
        "{out}"
    );
    assert_eq!(left_in(dir.path()), [""; 0]);
}

#[test]
fn a_signal_ends_it_with_the_report_so_far_and_leaves_nothing_behind() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let dir = tempfile::tempdir().unwrap();
        let mut soak = command(dir.path(), &["--for", "1h", "--sample", "1s", "-c", "4", "--available-min", "0"]);
        let mut soak = soak.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(soak.stdout.take().unwrap());
        // The head of the table, and the first sample.
        for _ in 0..2 {
            assert!(out.read_line(&mut String::new()).unwrap() > 0);
        }
        kill_process(Pid::from_child(&soak), signal).unwrap();
        let mut told = String::new();
        out.read_to_string(&mut told).unwrap();
        assert_eq!(soak.wait().unwrap().code(), Some(code), "{told}");
        assert!(told.contains("this is the report so far") && told.contains("verdict: within"), "{told}");
        assert_eq!(processes_of(dir.path()), [""; 0], "the engine's process is gone");
        assert_eq!(left_in(dir.path()), [""; 0]);
    }
}

#[test]
fn wrong_usage_is_told_with_what_to_do_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let cases: [(&[&str], &Path, &str); 5] = [
        (&["--smaple", "5s"], dir.path(), "a similar argument exists: '--sample'"),
        (&["--html", "/proc/nowhere/page.html"], dir.path(), "cannot write --html /proc/nowhere/page.html"),
        (&["--for", "soon"], dir.path(), "write `500ms`, `90s` or `8h`"),
        (&[], &file, "cannot use --dir"),
        // A file system on which nobody can have any room.
        (&[], Path::new("/proc"), "has 0 MiB free, and this needs 256 MiB"),
    ];
    for (args, place, wanted) in cases {
        let output = run(place, args);
        let (_, talk) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {talk}");
        assert!(talk.contains(wanted), "{args:?}: {talk}");
    }
    assert_eq!(left_in(dir.path()), ["file"]);
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-soak"));
    command.args(args).arg("--dir").arg(dir).stdin(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().unwrap()
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// What was started with this path.
fn processes_of(dir: &Path) -> Vec<String> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let lines = processes.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(dir.to_str().unwrap())).collect()
}

fn left_in(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}
