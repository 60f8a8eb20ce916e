//! Plans that are wrong, and what is said of them.

use serde_json::json;

use super::*;
use crate::{
    json::Json,
    plan::{EvaluateError, InputKind, PlanBuilder, Reference, Retry, TaskBuilder, Template},
};

/// Names between `{{` and `}}`, or a condition, split at dots; `!` does not parse.
struct Dots;

fn path(text: &str) -> Result<Reference, EvaluateError> {
    if text.contains('!') {
        Err(EvaluateError { message: "no".to_owned() })
    } else {
        Ok(text.trim().split('.').map(str::to_owned).collect())
    }
}

impl Evaluate for Dots {
    fn render(&self, template: &Template, _: &Value) -> Result<Json, EvaluateError> {
        Ok(template.tree.clone())
    }

    fn test(&self, _: &str, _: &Value) -> Result<bool, EvaluateError> {
        Ok(true)
    }

    fn template_references(&self, template: &Template) -> Result<Vec<Reference>, EvaluateError> {
        let text: String = template.tree.parse().expect("only strings are asked for");
        text.split("{{").skip(1).map(|rest| path(rest.split("}}").next().unwrap_or_default())).collect()
    }

    fn condition_references(&self, condition: &str) -> Result<Vec<Reference>, EvaluateError> {
        path(condition).map(|path| vec![path])
    }
}

fn same(task: TaskBuilder) -> TaskBuilder {
    task
}

/// Phases with one task `t` each, by name and needs.
fn phases(graph: &[(&str, &[&str])]) -> PlanBuilder {
    graph.iter().fold(PlanBuilder::new("demo"), |plan, (name, needs)| {
        plan.phase(*name, |phase| phase.needs(needs.iter().copied()).task("t", "echo", same))
    })
}

fn problems(plan: PlanBuilder) -> Vec<String> {
    plan.check(&Dots).expect_err("the plan is wrong").iter().map(Problem::to_string).collect()
}

#[test]
fn a_phase_needs_the_one_before_it_unless_it_says_otherwise() {
    let plan =
        PlanBuilder::new("demo").phase("a", |p| p.task("t", "echo", same)).phase("b", |p| p.task("t", "echo", same));
    let plan = plan.phase("c", |p| p.needs([""; 0]).task("t", "echo", same)).check(&Dots).unwrap();
    assert_eq!(plan.phases.iter().map(|phase| phase.needs.clone()).collect::<Vec<_>>(), [vec![], vec![0], vec![]]);
}

#[test]
fn every_cycle_is_reported_once_with_its_path() {
    let plan = phases(&[
        ("a", &["c"]),
        ("b", &["a"]),
        ("c", &["b"]),
        ("d", &["a"]),
        ("e", &["e"]),
        ("f", &["g"]),
        ("g", &["f"]),
    ]);
    let cycles = [
        "phases[0].needs[0]: phases wait for each other: a -> c -> b -> a",
        "phases[4].needs[0]: phase `e` needs itself: e -> e",
        "phases[5].needs[0]: phases wait for each other: f -> g -> f",
    ];
    let found = problems(plan);
    assert_eq!(found.len(), 3);
    assert!(found.iter().zip(cycles).all(|(found, cycle)| found.starts_with(cycle)), "{found:#?}");
}

#[test]
fn dangling_and_doubled_needs_are_reported() {
    let found = problems(phases(&[("list", &[]), ("merge", &["lst", "list", "list"])]));
    assert_eq!(
        found[0],
        "phases[1].needs[0]: phase `merge` needs `lst`, and no phase has that name (did you mean `list`?)"
    );
    assert_eq!(found[1], "phases[1].needs[2]: phase `merge` needs `list` twice");
    let unnamed = phases(&[("list", &[]), ("merge", &["lst"])]).build().check(&Dots).unwrap_err();
    assert_eq!(unnamed[0].message, "phase `merge` needs a phase that does not exist");
}

#[test]
fn a_path_that_ends_early_exports_all_it_could_mean() {
    let reading = |with: &'static str| {
        let two = |phase: crate::plan::PhaseBuilder| phase.task("x", "echo", same).task("y", "echo", same);
        let plan = PlanBuilder::new("demo").phase("a", two).phase("b", |phase| two(phase.needs([""; 0])));
        let plan = plan.phase("c", |phase| phase.needs(["a"]).task("t", "echo", |task| task.with(with)));
        let plan = plan.check(&Dots).unwrap();
        let exported =
            plan.phases.iter().flat_map(|phase| phase.tasks.iter().map(|task| task.exported)).collect::<Vec<_>>();
        assert_eq!(plan.task_reads((2, 0)), plan.phase_reads(2));
        exported
    };
    assert_eq!(reading("{{ outputs.a.y.more }}"), [false, true, false, false, false]);
    assert_eq!(reading("{{ outputs.a }}"), [true, true, false, false, false]);
    assert_eq!(reading("{{ outputs }}"), [true, true, false, false, false]);
    assert_eq!(reading("no template"), [false; 5]);
}

#[test]
fn outputs_of_phases_needed_through_others_can_be_read() {
    let plan = phases(&[("a", &[]), ("b", &["a"])]);
    let plan =
        plan.phase("c", |phase| phase.needs(["b"]).when("outputs.a.t").task("t", "echo", same)).check(&Dots).unwrap();
    assert_eq!(plan.phase_reads(2), [(0, 0)]);
    assert_eq!(plan.task_reads((2, 0)), []);
}

#[test]
fn a_condition_cannot_read_its_own_phase() {
    let plan = PlanBuilder::new("demo").phase("a", |phase| phase.when("outputs.a.t").task("t", "echo", same));
    assert_eq!(problems(plan), ["phases[0].when: the condition of phase `a` is decided before it runs"]);
}

#[test]
fn one_expression_that_does_not_parse_hides_no_other_problem() {
    let with = json!({"a": ["{{ ! }}"], "odd key": "{{ nope }}"});
    let plan = PlanBuilder::new("demo").phase("a", |phase| phase.task("t", "echo", |task| task.with(with)));
    let found = problems(plan);
    assert_eq!(found[0], "phases[0].tasks[0].with.a[0]: no");
    assert!(found[1].starts_with("phases[0].tasks[0].with[\"odd key\"]: the name `nope` is unknown here"));
}

#[test]
fn a_plan_that_reads_too_much_is_refused() {
    let all = |task: TaskBuilder| task.with("{{ outputs }}");
    let wide = |phase| {
        (0..1_500).fold(phase, |phase: crate::plan::PhaseBuilder, at| phase.task(format!("t{at}"), "echo", all))
    };
    let plan = PlanBuilder::new("demo").phase("a", wide).phase("b", wide);
    assert!(problems(plan)[0].contains("more than 1000000 outputs"));
}

#[test]
fn durations_too_short_or_too_long_are_refused() {
    let plan = |timeout| PlanBuilder::new("demo").phase("a", |p| p.task("t", "echo", |task| task.timeout(timeout)));
    for wrong in [std::time::Duration::from_micros(999), std::time::Duration::MAX] {
        assert!(
            problems(plan(wrong))[0]
                .starts_with("phases[0].tasks[0].timeout: `timeout` must be between 1 ms and a year")
        );
    }
    assert!(plan(std::time::Duration::from_millis(1)).check(&Dots).is_ok());
}

#[test]
fn input_kinds() {
    let plan =
        PlanBuilder::new("demo").input("n", InputKind::Integer).phase("a", |phase| phase.task("t", "echo", same));
    let plan = plan.check(&Dots).unwrap();
    for (value, fits) in [(json!(3), true), (json!(3.0), true), (json!(3.5), false), (json!("3"), false)] {
        assert_eq!(plan.take_input(&Json::from(json!({"n": value}))).is_ok(), fits);
    }
    assert_eq!(plan.take_input(&Json::NULL).unwrap_err(), ["input `n` is missing: it has no default"]);
}

#[test]
fn a_first_wait_longer_than_the_default_limit_raises_it() {
    let retry = |build: fn(TaskBuilder) -> TaskBuilder| {
        let plan = PlanBuilder::new("demo").phase("a", |phase| phase.task("t", "echo", build)).build();
        plan.phases[0].tasks[0].retry.clone()
    };
    assert_eq!(retry(same), Retry::default());
    assert_eq!(retry(|task| task.backoff(std::time::Duration::from_secs(120))).backoff_max_ms, 120_000);
}

#[test]
fn the_nearest_name_is_near() {
    let names = ["files", "filters", "x"];
    assert_eq!(nearest("file", names), Some("files"));
    assert_eq!(nearest("flies", names), Some("files"));
    assert_eq!(nearest("Files", names), Some("files"));
    assert_eq!(nearest("directories", names), None);
    assert_eq!(nearest("y", names), None);
}

#[test]
fn what_is_of_the_task_is_not_of_its_fallbacks() {
    let cash = |task: TaskBuilder| {
        let task = task.for_each(json!([1])).when("input.n").optional().deadline(std::time::Duration::from_secs(1));
        task.fallback("books", same)
    };
    let plan = |fallback: fn(TaskBuilder) -> TaskBuilder| {
        PlanBuilder::new("demo").phase("a", |phase| phase.task("t", "bank", fallback))
    };
    let found = problems(
        PlanBuilder::new("demo").phase("a", |phase| phase.task("t", "bank", |task| task.fallback("cash", cash))),
    );
    let said = |key: &str| {
        let place = format!("phases[0].tasks[0].fallback[0].{key}");
        format!("{place}: a fallback has no `{key}`: it only says how another tool is called (say it of the task)")
    };
    assert_eq!(found, ["for_each", "when", "deadline", "optional", "fallback"].map(said));
    let nine = |task: TaskBuilder| (0..9).fold(task, |task, _| task.fallback("cash", same));
    let many = "phases[0].tasks[0].fallback: the task has 9 fallbacks, and at most 8 are allowed";
    assert_eq!(problems(plan(nine)), [many]);
}

#[test]
fn what_a_fallback_reads_is_read_by_its_task() {
    let cash = |task: TaskBuilder| task.fallback("cash", |cash| cash.with("{{outputs.a.t}}"));
    let plan = phases(&[("a", &[])]).phase("b", |phase| phase.task("t", "bank", cash)).check(&Dots).unwrap();
    assert_eq!(plan.task_reads((1, 0)), [(0, 0)]);
    assert!(plan.phases[0].tasks[0].exported);
}
