//! What people and machines read.

use clap::Parser as _;
use hdrhistogram::Histogram;

use super::*;
use crate::oracle::Invariant::{I1, I4};

#[test]
fn a_violation_is_told_with_its_evidence_its_seed_and_the_line_that_replays() {
    let mut findings = tested();
    let violation = Violation::duplicated(I4, "`k7/pay/charge` happened 2 times".to_owned()).of(7).at_call("call_9");
    findings.found(violation.of_run(Some("run_x".to_owned())).showing(vec!["books: twice".to_owned()]));
    let told = report(findings).to_string();
    let end = told.split("1 promises were broken:\n").nth(1).unwrap();
    assert_eq!(
        end,
        "  I4 `k7/pay/charge` happened 2 times\n      run: run_x\n      call: call_9\n      books: twice\nseed 7\n\
         replay: cargo run -r -p headframe-chaos -- --kills 3 --seed 7 --runs-in-flight 32 --actors"
    );
    assert!(told.contains("BROKEN 1 times"));
}

#[test]
fn what_was_never_put_to_the_test_is_not_told_as_kept() {
    assert!(report(tested()).to_string().ends_with("every promise held"));
    let mut only = Findings::default();
    only.tested(I1, 5);
    let told = report(only).to_string();
    let end =
        "every promise that was put to the test held; never put to the test: I2, I3, I4, I5, I6, I7, I8, I12, suite";
    assert!(told.ends_with(end), "{told}");
    assert!(told.contains("there are no gates yet"), "what cannot be tested yet is told as such: {told}");
}

/// Scripts read these.
#[test]
fn json_keeps_its_names() {
    let json = serde_json::to_value(report(tested())).unwrap();
    let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = vec![
        "seed",
        "kills",
        "kills_before_first_answer",
        "lives",
        "hosts_killed",
        "tools_killed",
        "looks",
        "runs_acknowledged",
        "runs_ended",
        "runs_succeeded",
        "runs_failed",
        "runs_cancelled",
        "calls",
        "effects",
        "calls_repeated",
        "lost",
        "duplicated",
        "in_doubt",
        "in_doubt_resolved",
        "recovery_p50_ms",
        "recovery_p99_ms",
        "recovery_max_ms",
        "checked",
        "violations",
        "replay",
    ];
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert_eq!(json["checked"][0]["invariant"], "I1");
}

fn tested() -> Findings {
    let mut findings = Findings::default();
    Invariant::ALL.into_iter().for_each(|invariant| findings.tested(invariant, 1));
    findings
}

fn report(findings: Findings) -> Report {
    let args = Args::parse_from(["chaos", "--kills", "3", "--actors"]);
    let recovery = Histogram::new(3).unwrap();
    let tally = Tally { unanswered: 0, hosts_killed: 0, tools_killed: 0, looks: 0, recovery };
    Report::new(&args, &Facts { seed: 7, kills: 3, ..Facts::default() }, &tally, findings)
}
