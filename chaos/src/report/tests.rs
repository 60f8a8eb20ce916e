//! What people and machines read.

use clap::Parser as _;

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
         replay: cargo run -r -p headframe-chaos -- --kills 3 --seed 7 --runs-in-flight 32 --only kill,stop"
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
        "seconds",
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
        "submissions_put_off",
        "stores_reopened",
        "faults",
        "tools",
        "checked",
        "violations",
        "replay",
    ];
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    assert_eq!(json["checked"][0]["invariant"], "I1");
}

#[test]
fn a_fault_that_was_chosen_and_never_struck_is_told_and_after_many_kills_it_is_a_finding() {
    let told = report(tested()).to_string();
    assert!(told.contains("\nnever struck: stop\n"), "{told}");
    let args = Args::parse_from(["chaos", "--only", "stop"]);
    let check = |kills| {
        let mut findings = Findings::default();
        add_faults(&args, &Tally::default().chronicle, kills, &mut findings);
        findings.violations.into_iter().map(|violation| violation.what).collect::<Vec<_>>()
    };
    assert_eq!(check(99), [""; 0]);
    assert_eq!(check(100), ["in 100 lives `kill` never struck", "in 100 lives `stop` never struck"]);
}

#[test]
fn a_fault_that_cannot_strike_here_says_why() {
    let mut tally = Tally::default();
    tally.chronicle.skipped(Fault::FullDisk, "nothing can be mounted here");
    let args = Args::parse_from(["chaos", "--only", "full-disk"]);
    let told = Report::new(&args, 3, &Facts::default(), &tally, tested()).to_string();
    assert!(
        told.contains("skipped: nothing can be mounted here") && !told.contains("never struck: full-disk"),
        "{told}"
    );
}

#[test]
fn a_page_needs_nothing_else_and_shows_what_people_say_as_text() {
    let mut findings = tested();
    findings.found(Violation::wrong(I4, "<script>alert(1)</script>".to_owned()));
    let mut tally = Tally::default();
    tally.chronicle.struck(Fault::Stop, "stopped <b>");
    let page = page::render(&report(findings), &tally).unwrap();
    assert!(!page.contains("<script") && page.contains("stopped &lt;b&gt;"), "{page}");
    assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("http"), "{page}");
    assert!(page.contains("1 promise was broken") && page.contains("--seed 7"), "{page}");
    let balanced = |tag: &str| page.matches(&format!("<{tag}")).count() == page.matches(&format!("</{tag}>")).count();
    assert!(["svg", "table", "section", "pre", "title", "tr"].into_iter().all(balanced));
}

fn tested() -> Findings {
    let mut findings = Findings::default();
    Invariant::ALL.into_iter().for_each(|invariant| findings.tested(invariant, 1));
    findings
}

fn report(findings: Findings) -> Report {
    let args = Args::parse_from(["chaos", "--kills", "3", "--only", "stop"]);
    let mut tally = Tally::default();
    tally.chronicle.struck(Fault::Kill, "at work");
    Report::new(&args, 3, &Facts { seed: 7, kills: 3, ..Facts::default() }, &tally, findings)
}
