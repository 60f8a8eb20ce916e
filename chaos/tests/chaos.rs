//! The program as people start it: its verdict, its words, and what it leaves behind, which is nothing.
#![expect(clippy::unwrap_used, reason = "tests say what must hold by failing, helpers of theirs, too")]
#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn a_few_kills_end_with_a_verdict_on_every_invariant_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--kills", "6", "--seed", "7", "--only", "actors", "--runs-in-flight", "12", "-o", "json"];
    let told = verdict(dir.path(), &args);
    assert_eq!(told["kills"], 6);
    assert_eq!(told["violations"], Value::Array(Vec::new()), "{told:#}");
    assert_eq!((&told["lost"], &told["duplicated"]), (&Value::from(0), &Value::from(0)));
    let tested = told["checked"].as_array().unwrap().iter();
    let tested: BTreeMap<_, _> =
        tested.map(|checked| (checked["invariant"].as_str().unwrap(), checked["tested"].as_u64().unwrap())).collect();
    assert_eq!(
        tested.keys().copied().collect::<Vec<_>>(),
        ["I1", "I10", "I11", "I12", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "Suite"]
    );
    // What the engine does not have yet cannot be tested, and the report says so.
    assert!(["I9", "I10", "I11"].into_iter().all(|invariant| tested[invariant] == 0), "{tested:?}");
    let gates = told["checked"].as_array().unwrap().iter().find(|checked| checked["invariant"] == "I9").unwrap();
    assert_eq!(gates["nothing_yet"], "there are no gates yet");
    // Whatever was killed when: the last life is quiet, and everything ends in it.
    assert!(["I2", "I4", "I6", "I7"].into_iter().all(|invariant| tested[invariant] > 0), "{tested:?}");
    assert_eq!(left_in(dir.path()), [""; 0]);
}

/// In so few lives each of these strikes, wherever the machine is slow.
#[test]
fn every_fault_from_outside_strikes_and_the_page_shows_it() {
    let (dir, pages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let page = pages.path().join("chaos.html");
    let only = "programs,clock,stop,full-disk,corrupt";
    let told = verdict(
        dir.path(),
        &["--kills=9", "--seed=7", "--only", only, "--runs-in-flight=12", "--html", page.to_str().unwrap(), "-o=json"],
    );
    assert_eq!(told["violations"], Value::Array(Vec::new()), "{told:#}");
    for fault in told["faults"].as_array().unwrap() {
        let (name, strikes) = (fault["fault"].as_str().unwrap(), fault["strikes"].as_u64().unwrap());
        match name {
            "kill" => assert_eq!(strikes, 9),
            "clock" | "stop" | "corrupt" => assert!(strikes > 0, "{fault:#}"),
            "full-disk" if fault["skipped"].is_string() => eprintln!("skipped: {}", fault["skipped"]),
            "full-disk" => assert!(strikes > 0, "{fault:#}"),
            // Whether a program runs just then is up to the machine.
            "programs" => assert!(fault["chosen"].as_bool().unwrap()),
            _ => assert_eq!((strikes, &fault["chosen"]), (0, &Value::Bool(false)), "{name}"),
        }
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("processes killed") && page.contains("--only kill,programs,clock,stop,full-disk,corrupt"));
    assert_eq!(left_in(dir.path()), [""; 0]);
    assert_eq!(left_in(pages.path()), ["chaos.html"]);
}

#[test]
fn tools_that_hang_keep_no_run_from_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let told = verdict(dir.path(), &["--kills=3", "--seed=7", "--only=hangs", "--runs-in-flight=48", "-o=json"]);
    assert_eq!(told["violations"], Value::Array(Vec::new()), "{told:#}");
    let hangs = &told["faults"].as_array().unwrap()[3];
    assert_eq!(hangs["fault"], "hangs");
    assert!(hangs["strikes"].as_u64() > Some(0) && hangs["recoveries"].as_u64() > Some(0), "{hangs:#}");
    assert_eq!(told["runs_acknowledged"], told["runs_ended"]);
}

/// The whole way of a broken promise: tools that forget what they did make a lost answer a second effect.
#[test]
fn a_bug_on_purpose_is_found_and_told_with_its_evidence_and_the_line_that_replays() {
    let dir = tempfile::tempdir().unwrap();
    let args =
        ["--kills", "3", "--seed", "7", "--runs-in-flight", "24", "--only", "kill", "--mutant", "forgetful-tools"];
    let output = run(dir.path(), &args);
    let (out, talk) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}{talk}");
    let broken = out.split(" promises were broken:\n").nth(1).unwrap();
    // How often a call is repeated before it is given up is up to the machine: its effects are counted in the books.
    for told in broken.split("  I4 `k").skip(1) {
        let times = told.lines().next().unwrap().strip_suffix(" times").and_then(|told| told.rsplit(' ').next());
        let times: usize = times.and_then(|times| times.parse().ok()).unwrap_or_else(|| panic!("{out}"));
        let effects = told.lines().filter(|line| line.starts_with("      books: ") && line.contains(", effect "));
        assert!(times > 1 && effects.count() == times, "{told}");
        assert!(told.contains("      run: run_") && told.contains("      ledger: "), "{told}");
    }
    assert!(broken.starts_with("  I4 `k"), "{out}");
    let replay = format!(
        "seed 7\nreplay: cargo run -r -p headframe-chaos -- {}\n",
        args[..8].join(" ") + " --mutant forgetful-tools"
    );
    assert!(broken.ends_with(&replay), "{out}");
    assert_eq!(left_in(dir.path()), [""; 0]);
}

#[test]
fn kills_for_a_time_come_in_fives_and_are_replayed_by_their_number() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--for", "1s", "--seed", "11", "--runs-in-flight", "4", "--only", "clock", "-o", "json"];
    let told = verdict(dir.path(), &args);
    let kills = told["kills"].as_u64().unwrap();
    assert!(kills > 0 && kills.is_multiple_of(5), "{kills}");
    let replay =
        format!("cargo run -r -p headframe-chaos -- --kills {kills} --seed 11 --runs-in-flight 4 --only kill,clock");
    assert_eq!(told["replay"], replay);
    assert_eq!(left_in(dir.path()), [""; 0]);
}

#[test]
fn people_get_a_table_that_names_every_invariant_and_the_folder_is_kept_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(dir.path(), &["--kills=2", "--seed=7", "--runs-in-flight=4", "--keep", "--only=stop"]);
    let (out, talk) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{talk}");
    assert!(out.starts_with("seed 7\n"), "{out}");
    for name in [
        "I1 ",
        "I2 ",
        "I3 ",
        "I4 ",
        "I5 ",
        "I6 ",
        "I7 ",
        "I8 ",
        "I12 ",
        "lost",
        "duplicated",
        "in doubt",
        "recovery",
        "fault ",
        "kill ",
    ] {
        assert!(out.contains(name), "{name}: {out}");
    }
    assert!(out.contains("every promise"), "{out}");
    let left = left_in(dir.path());
    assert_eq!(left.len(), 1);
    assert!(talk.contains(&left[0]), "{talk}");
}

/// A victim in the middle of its life was once killed and not waited for.
#[test]
fn a_signal_ends_every_process_and_removes_the_folder() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let dir = tempfile::tempdir().unwrap();
        let mut parent = command(dir.path(), &["--kills", "100000", "--runs-in-flight", "4"]).spawn().unwrap();
        let children = wait_for("a recorder and a victim", || {
            assert!(parent.try_wait().unwrap().is_none(), "it ended by itself");
            Some(children_of(&parent)).filter(|children| children.len() >= 2)
        });
        kill_process(pid(&parent), signal).unwrap();
        assert_eq!(parent.wait().unwrap().code(), Some(code));
        // Whoever was not waited for would still be there, as a zombie or as more.
        let alive: Vec<_> = children.into_iter().filter(|child| is_chaos(*child)).collect();
        assert_eq!(alive, [0; 0]);
        assert_eq!(left_in(dir.path()), [""; 0]);
    }
}

/// A process that stands still takes no other signal; SIGKILL ends it all the same.
#[test]
fn a_victim_that_was_stopped_is_ended_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--kills", "100000", "--runs-in-flight", "4", "--only", "stop"];
    let mut parent = command(dir.path(), &args).spawn().unwrap();
    let stopped = wait_for("a victim that stands still", || {
        assert!(parent.try_wait().unwrap().is_none(), "it ended by itself");
        children_of(&parent).into_iter().find(|child| state_of(*child) == Some('T'))
    });
    kill_process(pid(&parent), Signal::TERM).unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(143));
    assert!(!is_chaos(stopped));
    assert_eq!(left_in(dir.path()), [""; 0]);
}

#[test]
fn a_small_disk_goes_with_its_folder_when_it_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--kills", "100000", "--runs-in-flight", "4", "--only", "full-disk"];
    let mut parent = command(dir.path(), &args).spawn().unwrap();
    let small = format!("{}/headframe-chaos-", dir.path().canonicalize().unwrap().display());
    let mounted = wait_for("a small disk", || {
        assert!(parent.try_wait().unwrap().is_none(), "it ended by itself");
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", parent.id())).unwrap_or_default();
        let deaths = fs::read_to_string(format!("/proc/{}/environ", parent.id())).unwrap_or_default();
        let is_skipped = !children_of(&parent).is_empty() && !deaths.contains("HEADFRAME_CHAOS_NAMESPACE");
        if is_skipped { Some(false) } else { mounts.contains(&small).then_some(true) }
    });
    if !mounted {
        eprintln!("skipped: nothing can be mounted here");
    }
    kill_process(pid(&parent), Signal::INT).unwrap();
    assert_eq!(parent.wait().unwrap().code(), Some(130));
    assert_eq!(left_in(dir.path()), [""; 0]);
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&small), "nobody else ever sees it");
}

#[test]
fn children_do_not_outlive_a_parent_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut parent = command(dir.path(), &["--kills", "100000", "--runs-in-flight", "4"]).spawn().unwrap();
    let children =
        wait_for("a recorder and a victim", || Some(children_of(&parent)).filter(|children| children.len() >= 2));
    kill_process(pid(&parent), Signal::KILL).unwrap();
    parent.wait().unwrap();
    wait_for("the end of all children", || children.iter().all(|child| !is_chaos(*child)).then_some(()));
    // Also of programs that a victim's tasks had started.
    let place = dir.path().to_str().unwrap();
    wait_for("the end of whoever works there", || processes().all(|process| !is_told_of(process, place)).then_some(()));
}

#[test]
fn wrong_usage_is_told_with_what_to_do_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (file, long) = (dir.path().join("file"), dir.path().join("x".repeat(120)));
    fs::write(&file, "").unwrap();
    let cases: [(&[&str], &Path, &str); 9] = [
        (&["--kill", "5"], dir.path(), "a similar argument exists: '--kills'"),
        (&["--kills", "5", "--for", "1s"], dir.path(), "cannot be used with"),
        (&["--for", "soon"], dir.path(), "write `90s`, `10m` or `8h`"),
        (&["--only", "clocks"], dir.path(), "a similar value exists: 'clock'"),
        (&["--html", "/nowhere/to/go.html"], dir.path(), "cannot write --html /nowhere/to/go.html"),
        (&["--html", "/"], dir.path(), "it is a folder"),
        (&[], &file, "cannot use --dir"),
        (&[], &long, "choose a shorter --dir"),
        // A file system on which nobody can have any room.
        (&[], Path::new("/proc"), "has 0 MiB free, and this needs 256 MiB; choose another --dir"),
    ];
    for (args, place, wanted) in cases {
        let output = run(place, args);
        let (_, talk) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {talk}");
        assert!(talk.contains(wanted), "{args:?}: {talk}");
    }
    fs::remove_dir(long).unwrap();
    assert_eq!(left_in(dir.path()), ["file"]);
}

#[test]
fn the_help_has_examples_that_this_program_understands() {
    let help = run(Path::new("/tmp"), &["--help"]);
    let (out, _) = texts(&help);
    let examples: Vec<_> = out.lines().filter_map(|line| line.strip_prefix("  headframe-chaos")).collect();
    assert_eq!(examples.len(), 5, "{out}");
    for example in examples {
        // What stands behind two spaces is said of it; an unknown flag before `--help` would be an error.
        let args: Vec<_> = example.trim_start_matches(' ').split("  ").next().unwrap().split(' ').collect();
        let args: Vec<_> = args.into_iter().filter(|arg| arg.starts_with('-') || arg.parse::<f64>().is_ok()).collect();
        let known = ["--kills", "--only", "--seed", "--for", "--dir", "--html", "-o"];
        assert!(args.iter().all(|arg| known.contains(arg) || arg.parse::<f64>().is_ok()), "{args:?}");
    }
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headframe-chaos"));
    command.args(args).arg("--dir").arg(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
}

fn verdict(dir: &Path, args: &[&str]) -> Value {
    let output = run(dir, args);
    let (out, talk) = texts(&output);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{talk}"));
    // Whoever reads this has to see what is wrong; all the figures would hide it.
    let wrong = (&told["violations"], &told["replay"]);
    assert_eq!(output.status.code(), Some(0), "{wrong:#?}\n{talk}");
    told
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn left_in(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Look again until there is something to see; what never comes is a failure, not a race.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6_000 {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited a minute for {what}");
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn children_of(parent: &Child) -> Vec<u32> {
    processes().filter(|process| parent_of(*process) == Some(parent.id()) && is_chaos(*process)).collect()
}

fn parent_of(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// Ids are used again; command lines of ours say whose they are. A zombie has none.
fn is_chaos(process: u32) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    line.starts_with(b"headframe-chaos\0__")
}

fn is_told_of(process: u32, what: &str) -> bool {
    let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    process != std::process::id() && String::from_utf8_lossy(&line).contains(what)
}

/// As `ps` names it: `T` stands still.
fn state_of(process: u32) -> Option<char> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("State:"))?.trim().chars().next()
}
