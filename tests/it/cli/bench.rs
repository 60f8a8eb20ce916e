//! What `bench` promises: it says what it measured, refuses what it would not look at, and leaves nothing behind.

use std::fs;

use serde_json::Value;

use super::place::{Place, code, json, stderr};

/// Nothing but what the tests themselves put there.
fn is_empty(place: &Place) -> bool {
    fs::read_dir(place.path(".")).unwrap().all(|entry| entry.unwrap().file_name() == "stderr")
}

fn measured(line: &str) -> Value {
    let place = Place::new();
    let args: Vec<_> = ["bench", "-o", "json"].into_iter().chain(line.split(' ')).collect();
    let told = place.run(&args);
    assert_eq!(code(&told), 0, "{line}: {}", stderr(&told));
    assert!(is_empty(&place), "{line}");
    json(&told)
}

fn is_positive(told: &Value, keys: &[&str]) {
    for key in keys {
        assert!(told[key].as_f64() > Some(0.0), "{key} in {told}");
    }
}

#[test]
fn a_bench_says_what_it_measured_and_leaves_nothing_behind() {
    let told = measured("-c 4 -s 1 --warmup 1");
    is_positive(&told, &["tasks_per_s", "run_p50_ms", "run_p99_ms", "syncs_per_task", "bytes_per_task", "limit_per_s"]);
    assert_eq!(told["fdatasync_p50_us"].as_array().map(Vec::len), Some(2), "before and after");
    let shares = told["cpu_shares"].as_object().unwrap();
    let sum: f64 = shares.values().map(|share| share.as_f64().unwrap()).sum();
    assert!((0.99..1.01).contains(&sum), "every tick has an owner: {told}");
}

#[test]
fn what_age_costs_is_measured_on_the_store_that_was_new() {
    let told = measured("-c 4 -s 1 --aged 200");
    is_positive(&told["commit"], &["p50_ms", "p99_ms", "max_ms"]);
    assert_eq!(told["aged"]["runs"], 200);
    is_positive(&told["aged"], &["cpu_ratio", "tasks_ratio", "fresh_tasks_per_s", "memory_bytes"]);
}

#[test]
fn latency_is_measured_under_each_guarantee() {
    let effects = ["idempotent", "verify", "at_most_once"];
    let told = measured(&format!("--workload w5 -s 1 --effect {}", effects.join(",")));
    let told = told.as_array().unwrap();
    assert_eq!(told.iter().map(|told| &told["effect"]).collect::<Vec<_>>(), effects);
    for told in told {
        assert_eq!(told["workload"], "w5");
        is_positive(told, &["p50_ms", "p99_ms", "syncs_per_run"]);
    }
}

#[test]
fn a_fan_out_is_measured_over_its_items() {
    let told = measured("--workload w2 --items 300 -s 1 -c 16");
    is_positive(&told, &["p50_ms", "tasks_per_s", "runs"]);
    assert_eq!(told["items"], 300);
}

#[test]
fn messages_are_measured_beside_those_that_nobody_keeps() {
    let told = measured("--workload w6 -c 8 -s 1");
    is_positive(&told, &["ractor_per_s", "limit_per_s"]);
    for kind in ["tell", "ask", "between"] {
        is_positive(&told[kind], &["messages", "per_s", "syncs_per_message", "bytes_per_message"]);
    }
    assert!(told["tell"]["p50_ms"].is_number() && told["between"]["p50_ms"].is_null(), "{told}");
}

#[test]
fn workers_are_measured_each_number_by_itself() {
    let told = measured("--workload w7 --workers 1,8 -s 1");
    let steps = told["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| &step["workers"]).collect::<Vec<_>>(), [1, 8]);
    assert!(steps.iter().all(|step| step["efficiency"].as_f64() > Some(0.0)), "{told}");
}

#[test]
fn sleeping_runs_are_weighed_and_end_when_they_are_told_to() {
    let told = measured("--workload w4 --runs 40");
    is_positive(&told, &["starts_per_s", "rows", "disk_bytes_per_run", "live_bytes_per_run"]);
    assert_eq!((&told["runs"], &told["cancelled"]), (&40.into(), &10.into()));
    assert!(told["disk_bytes"]["journal"].as_u64() > Some(0), "{told}");
}

#[test]
fn a_killed_process_loses_no_run_whatever_they_were_doing() {
    for line in
        ["--state asleep", "--state asleep --rebuild", "--state begun", "--state working", "--state working --rebuild"]
    {
        let told = measured(&format!("--workload w3 --runs 20 {line}"));
        assert_eq!((&told["runs"], &told["lost"], &told["tasks_lost"]), (&20.into(), &0.into(), &0.into()), "{line}");
        // What was under way at the kill may be done again, one task a run.
        assert!(told["tasks_repeated"].as_u64() <= Some(20), "{line}: {told}");
        is_positive(&told, &["open_s"]);
        assert_eq!(told["done_s"].is_null(), line.contains("asleep"), "{line}: {told}");
    }
}

#[test]
fn a_measurement_is_compared_with_an_earlier_one_and_only_with_its_like() {
    let place = Place::new();
    let line = ["bench", "-c", "4", "-s", "1", "-o", "json"];
    fs::write(place.path("before"), place.run(&line).stdout).unwrap();
    let with = |more: &[&str]| place.run(&[&line[..], &["--compare", "before"], more].concat());
    let told = with(&[]);
    assert_eq!(code(&told), 0, "{}", stderr(&told));
    let figures = json(&told)[0]["figures"].as_array().unwrap().clone();
    let share = figures.iter().find(|figure| figure["name"] == "of_limit").unwrap();
    assert!(["before", "now", "ratio"].iter().all(|key| share[key].as_f64() > Some(0.0)), "{share}");
    let worse = with(&["--at-least", "1000000"]);
    assert_eq!(code(&worse), 1, "{}", stderr(&worse));
    assert!(stderr(&worse).contains("of the share of the disk's limit that it had"), "{}", stderr(&worse));
    let other = place.run(&["bench", "-c", "5", "-s", "1", "--compare", "before"]);
    assert_eq!(code(&other), 2, "{}", stderr(&other));
    fs::write(place.path("other"), "[{}]").unwrap();
    for (file, why) in [("nowhere", "No such file"), ("other", "not what")] {
        let told = place.run(&["bench", "-s", "1", "--compare", file]);
        assert!(code(&told) == 2 && stderr(&told).contains(why), "{file}: {}", stderr(&told));
    }
}

#[test]
fn a_bench_refuses_what_its_workload_would_not_look_at() {
    let place = Place::new();
    let wrong = [
        ("--workload w4 -s 3", "--seconds means nothing to workload w4; it is for w1, w2, w5, w6, w7"),
        ("--rebuild", "--rebuild means nothing to workload w1; it is for w3"),
        ("--workload w9", "w1, w2, w3, w4, w5, w6, w7"),
        ("--workload w4 --runs 0", "0 is not in 1..="),
        ("--workload w7 --workers ten", "invalid"),
    ];
    for (line, sentence) in wrong {
        let args: Vec<_> = ["bench"].into_iter().chain(line.split(' ')).collect();
        let told = place.run(&args);
        assert_eq!(code(&told), 2, "{line}");
        assert!(stderr(&told).contains(sentence), "{line}: {}", stderr(&told));
    }
    assert!(is_empty(&place));
}

#[test]
fn an_interrupted_bench_leaves_neither_its_folder_nor_a_process_behind() {
    for line in ["-c 100 -s 60", "--workload w3 --runs 1000000", "--workload w4 --runs 1000000"] {
        let place = Place::new();
        let args: Vec<_> = ["bench"].into_iter().chain(line.split(' ')).collect();
        let mut bench = place.start(&args);
        let measures =
            || fs::read_dir(place.path(".")).unwrap().any(|entry| entry.unwrap().path().join("0/store/HEAD").exists());
        assert!(place.wait_while(&mut bench, || !measures()), "{line}: {}", place.read("stderr"));
        let children = children(bench.id());
        assert_eq!(children.len(), usize::from(line.contains("w3")), "{line}");
        place.interrupt(&bench);
        assert_eq!(bench.wait().unwrap().code(), Some(130), "{line}");
        assert!(is_empty(&place), "{line}: {}", place.read("stderr"));
        assert!(children.iter().all(|child| !fs::exists(format!("/proc/{child}")).unwrap()), "{line}");
    }
}

/// Processes whose parent is this one.
fn children(parent: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_child = |process: &String| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // After the name, which is in parentheses: the state, and the parent.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        fields.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    processes.filter(is_child).collect()
}
