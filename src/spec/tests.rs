//! What a workflow in YAML becomes, and that the builder says the same.

use std::{fmt::Write as _, time::Duration};

use headframe_actors::{
    durable::Effect,
    json::Json,
    plan::{InDoubt, Input, InputKind, Items, Plan, PlanBuilder, Task, TaskBuilder},
};
use proptest::prelude::*;
use serde_json::json;

use super::*;

mod reference;
mod schema;
mod wrong;

/// A few tools; `process` wants `argv`.
struct Tools;

impl ToolCatalog for Tools {
    fn knows(&self, name: &str) -> bool {
        ["process", "render", "echo", "sleep"].contains(&name)
    }

    fn names(&self) -> Vec<String> {
        ["process", "render", "echo", "sleep"].map(str::to_owned).into()
    }

    fn check(&self, name: &str, with: &Value) -> Result<(), String> {
        match (name, with.get("argv")) {
            ("process", None) => Err("it needs `argv`, a list".to_owned()),
            _ => Ok(()),
        }
    }

    fn can_probe(&self, name: &str, with: &Value) -> bool {
        name == "process" && with.get("probe").is_some()
    }

    fn can_beat(&self, name: &str) -> bool {
        name == "process"
    }
}

const AUDIT: &str = r#"
headframe: 1
name: repo-audit
description: measures every file of a source tree
input:
  path: { type: string, default: ".", description: where to look }
  deep: false
  label: { type: string }
phases:
  - name: list
    description: names are bytes
    tasks:
      - name: files
        tool: process
        effect: idempotent
        with: { argv: [find, "{{ input.path }}", -print0], limits: { on: yes, n: 1.5, big: 18446744073709551615 } }
  - name: measure
    max_parallel: 4
    tasks:
      - name: hash
        tool: process
        effect: { idempotent: { remembers: 1h30m } }
        in_doubt: repeat
        for_each: { over: "{{ outputs.list.files }}", items: nul, max_items: 500 }
        when: "item != '' && index < 400"
        with: { argv: [sha256sum, "{{ item }}"] }
        retry: { max_attempts: 3, backoff: 250ms, factor: 1.5, max_backoff: 30s, jitter: 0.1, on: [timeout], never: [exit] }
        timeout: 30s
        optional: true
      - { name: pairs, tool: echo, for_each: [1, 2], with: "{{ item }}", retry: 2 }
  - name: aside
    needs: []
    tasks: [{ name: t, tool: sleep, with: { ms: 5 } }]
  - name: merge
    needs: [measure, aside]
    when: input.deep
    mode: sequential
    tasks:
      - { name: all, tool: render, with: { template: "{% for h in outputs.measure.hash %}{{ h }}\n{% endfor %}" } }
      - { name: count, tool: echo, with: "{{ outputs.merge.all }}" }
output: { total: "{{ outputs.merge.count }}", label: "{{ input.label }}" }
"#;

fn audit() -> PlanBuilder {
    let path = Input {
        name: "path".to_owned(),
        description: "where to look".to_owned(),
        kind: InputKind::String,
        default: Some(Json::from(json!("."))),
    };
    Plan::builder("repo-audit")
        .description("measures every file of a source tree")
        .add_input(path)
        .input_or("deep", InputKind::Any, false)
        .input("label", InputKind::String)
        .phase("list", |phase| {
            let with = json!({"argv": ["find", "{{ input.path }}", "-print0"], "limits": {"n": 1.5, "on": "yes", "big": u64::MAX}});
            phase.task("files", "process", |task| task.effect(Effect::IDEMPOTENT).with(with))
        })
        .phase("measure", |phase| {
            let pairs = |task: TaskBuilder| task.for_each(json!([1, 2])).with("{{ item }}").retry(2);
            phase.max_parallel(4).task("hash", "process", hash).task("pairs", "echo", pairs)
        })
        .phase("aside", |phase| phase.needs([""; 0]).task("t", "sleep", |task| task.with(json!({"ms": 5}))))
        .phase("merge", |phase| {
            let template = "{% for h in outputs.measure.hash %}{{ h }}\n{% endfor %}";
            phase
                .needs(["measure", "aside"])
                .when("input.deep")
                .sequential()
                .task("all", "render", |task| task.with(json!({"template": template})))
                .task("count", "echo", |task| task.with("{{ outputs.merge.all }}"))
        })
        .output(json!({"label": "{{ input.label }}", "total": "{{ outputs.merge.count }}"}))
}

fn hash(task: TaskBuilder) -> TaskBuilder {
    task.effect(Effect::Idempotent { remembers_ms: 90 * 60 * 1_000 })
        .in_doubt(InDoubt::Repeat)
        .for_each_in("{{ outputs.list.files }}", Items::Nul)
        .max_items(500)
        .when("item != '' && index < 400")
        .with(json!({"argv": ["sha256sum", "{{ item }}"]}))
        .retry(3)
        .backoff(Duration::from_millis(250))
        .backoff_factor(1.5)
        .backoff_max(Duration::from_secs(30))
        .jitter(0.1)
        .retry_on(["timeout"])
        .retry_never(["exit"])
        .timeout(Duration::from_secs(30))
        .optional()
}

#[test]
fn yaml_and_the_builder_give_the_same_plan() {
    let yaml = parse_with("audit.yaml", AUDIT, &Tools).unwrap_or_else(|error| panic!("{error}"));
    let built = audit().check(&Expressions::new()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(yaml.plan(), built.plan());
    assert_eq!(yaml.digest(), built.digest());
    assert_ne!(yaml.digest(), audit().description("another").check(&Expressions::new()).unwrap().digest());
}

#[test]
fn a_plan_knows_what_it_reads_and_exports_only_that() {
    let plan = parse("audit.yaml", AUDIT).unwrap();
    let exported = |phase: usize| plan.phases[phase].tasks.iter().map(|task: &Task| task.exported).collect::<Vec<_>>();
    assert_eq!(
        [exported(0), exported(1), exported(2), exported(3)],
        [vec![true], vec![true, false], vec![false], vec![true, true]]
    );
    assert_eq!(plan.phase_reads(1), [(0, 0)]);
    assert_eq!(plan.phase_reads(3), [(1, 0)]);
    assert_eq!(plan.task_reads((3, 1)), [(3, 0)]);
    assert_eq!(plan.output_reads(), [(3, 1)]);
    assert_eq!(plan.order(), [0, 2, 1, 3]);
    assert_eq!(plan.dependents(1), [3]);
}

/// The digest names the plans of runs that are stored: what `verify` added to the format must not change it for others.
#[test]
fn a_plan_keeps_its_digest_from_build_to_build() {
    let digest = audit().check(&Expressions::new()).unwrap().digest();
    assert_eq!(digest.to_string(), "69cf04ec9c8440761e9a91faee287d23d9c4b316a0d951ba99dc714e7235d3df");
}

#[test]
fn a_stored_plan_comes_back_with_its_digest() {
    let plan = parse("audit.yaml", AUDIT).unwrap();
    let stored = Checked::stored(Plan::decode(&plan.encode()).unwrap(), &Expressions::new());
    assert_eq!(stored, plan);
    let again = plan.plan().clone().check(&Expressions::new()).unwrap();
    assert_eq!(again.digest(), plan.digest());
}

#[test]
fn short_forms_mean_the_same_as_long_ones() {
    let spec = |task: &str| {
        format!("headframe: 1\nname: demo\nphases: [{{ name: a, tasks: [{{ name: t, tool: echo, {task} }}] }}]\n")
    };
    let same = [
        ("retry: 3", "retry: { max_attempts: 3 }"),
        ("for_each: [1]", "for_each: { over: [1], items: json, max_items: 10000 }"),
        ("effect: idempotent", "effect: { idempotent: { remembers: 24h } }"),
        ("effect: verify", "effect: { verify: { probes: 3, wait: 1s } }"),
        ("effect: verify", "effect: { verify: {} }"),
        ("when: true", "when: 'true'"),
        ("timeout: 5m", "optional: false"),
        ("fallback: { tool: echo }", "fallback: [{ tool: echo, timeout: 5m }]"),
    ];
    for (short, long) in same {
        let digest = |text: &str| parse("demo", &spec(text)).unwrap_or_else(|error| panic!("{error}")).digest();
        assert_eq!(digest(short), digest(long), "{short}");
    }
}

#[test]
fn a_promise_of_heartbeats_is_part_of_the_plan_and_comes_back_with_it() {
    let spec = |promise: &str| {
        format!("headframe: 1\nname: demo\nphases:\n  - name: a\n    tasks: [{{ name: t, tool: process{promise} }}]\n")
    };
    let promised = parse("demo", &spec(", heartbeat: 30s")).unwrap_or_else(|error| panic!("{error}"));
    let built = Plan::builder("demo")
        .phase("a", |phase| phase.task("t", "process", |task| task.heartbeat(Duration::from_secs(30))));
    let built = built.check(&Expressions::new()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((promised.plan(), promised.digest()), (built.plan(), built.digest()));
    assert_eq!(&Plan::decode(&promised.plan().encode()).unwrap(), promised.plan());
    let silent = parse("demo", &spec("")).unwrap_or_else(|error| panic!("{error}"));
    assert_ne!(silent.digest(), promised.digest());
}

#[test]
fn fallbacks_and_deadlines_are_part_of_the_plan_and_come_back_with_it() {
    let text = r#"
headframe: 1
name: demo
deadline: 1h
phases:
  - name: a
    deadline: 30m
    tasks:
      - name: t
        tool: echo
        deadline: 10m
        retry: 3
        optional: true
        fallback:
          - { tool: process, with: { argv: [pay] }, effect: idempotent, in_doubt: fail, retry: 2, timeout: 5s, heartbeat: 2s }
          - { tool: render, with: { template: "{{ input.n }}" } }
input: { n: 1 }
"#;
    let yaml = parse_with("demo", text, &Tools).unwrap_or_else(|error| panic!("{error}"));
    let pay = |task: TaskBuilder| {
        let task = task.with(json!({"argv": ["pay"]})).effect(Effect::IDEMPOTENT).in_doubt(InDoubt::Fail).retry(2);
        task.timeout(Duration::from_secs(5)).heartbeat(Duration::from_secs(2))
    };
    let task = |task: TaskBuilder| {
        let task = task.deadline(Duration::from_secs(600)).retry(3).optional().fallback("process", pay);
        task.fallback("render", |render| render.with(json!({"template": "{{ input.n }}"})))
    };
    let built = Plan::builder("demo")
        .deadline(Duration::from_secs(3_600))
        .input_or("n", InputKind::Any, 1)
        .phase("a", |phase| phase.deadline(Duration::from_secs(1_800)).task("t", "echo", task));
    let built = built.check(&Expressions::new()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!((yaml.plan(), yaml.digest()), (built.plan(), built.digest()));
    assert_eq!(&Plan::decode(&yaml.plan().encode()).unwrap(), yaml.plan());
    // Each of them counts for the digest.
    let without =
        |line: &str| parse("demo", &text.replace(line, "")).unwrap_or_else(|error| panic!("{error}")).digest();
    for line in ["deadline: 1h\n", "    deadline: 30m\n", "        deadline: 10m\n", ", heartbeat: 2s"] {
        assert_ne!(without(line), yaml.digest(), "{line}");
    }
}

#[test]
fn input_is_filled_and_refused_by_name() {
    let plan = parse("audit.yaml", AUDIT).unwrap();
    let take = |given: Value| plan.take_input(&Json::from(given)).map(|json| json.value());
    assert_eq!(take(json!({"label": "x"})).unwrap(), json!({"path": ".", "deep": false, "label": "x"}));
    let wrong = take(json!({"path": 3, "lable": "x"})).unwrap_err();
    let wanted = [
        "input `path` does not fit: it must be text, and is a whole number",
        "input `label` is missing: it has no default",
        "input `lable` is unknown to workflow `repo-audit`; did you mean `label`?",
    ];
    assert_eq!(wrong, wanted);
    assert_eq!(take(json!([])).unwrap_err(), ["the input must be a map of names to values, and is a list"]);
}

#[test]
fn problems_are_data_too() {
    let error = parse(
        "demo.yaml",
        "headframe: 1\nname: demo\nphasse: []\nphases: [{ name: a, tasks: [{ name: t, tool: x }] }]\n",
    );
    let problems = serde_json::to_value(error.unwrap_err().problems()).unwrap();
    assert_eq!(problems[0]["code"], "HF0102");
    assert_eq!((&problems[0]["line"], &problems[0]["column"]), (&json!(3), &json!(1)));
    assert_eq!(problems[0]["help"], "did you mean `phases`?");
}

#[test]
fn files_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yaml");
    assert_eq!(load(&path).unwrap_err().problems()[0].code, "HF0111");
    std::fs::write(&path, vec![b'#'; SPEC_MAX + 1]).unwrap();
    assert_eq!(load(&path).unwrap_err().problems()[0].code, "HF0108");
    std::fs::write(&path, b"name: \xff").unwrap();
    assert_eq!(load(&path).unwrap_err().problems()[0].code, "HF0111");
    std::fs::write(&path, AUDIT).unwrap();
    assert_eq!(load_with(&path, &Tools).unwrap().name, "repo-audit");
}

#[test]
fn a_long_chain_of_phases_is_no_problem_and_too_long_a_one_is_refused() {
    let spec = |count: usize| {
        let mut text = "headframe: 1\nname: demo\nphases:\n".to_owned();
        (0..count).for_each(|at| writeln!(text, "- {{ name: p{at}, tasks: [{{ name: t, tool: echo }}] }}").unwrap());
        text
    };
    assert_eq!(parse("long", &spec(10_000)).unwrap().order().len(), 10_000);
    let error = parse("long", &spec(10_001)).unwrap_err();
    assert_eq!(error.problems()[0].message, "the workflow has 10001 phases, and at most 10000 are allowed");
}

/// A hostile spec once had every misspelt name compared with every name there is.
#[test]
fn thousands_of_mistakes_end_quickly() {
    let mut text = "headframe: 1\nname: demo\nphases:\n".to_owned();
    (0..5_000).for_each(|at| {
        writeln!(
            text,
            "- {{ name: p{at}, needs: [q{at}], tasks: [{{ name: t, tool: echo, with: '{{{{ outputs.r{at}.t }}}}' }}] }}"
        )
        .unwrap();
    });
    let error = parse("hostile", &text).unwrap_err();
    assert_eq!(error.problems().len(), 201);
    assert!(error.to_string().ends_with("201 problems in hostile, 50 of them shown"));
}

/// Each of these once made some parser recurse, loop or allocate.
#[test]
fn hostile_documents_are_refused_on_a_small_stack() {
    on_a_small_stack(refuse_hostile_documents);
}

/// A quarter of what a thread of the runtime has: builds without optimization need many times as much.
pub(in crate::spec) fn on_a_small_stack(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(512 << 10);
    std::thread::scope(|scope| thread.spawn_scoped(scope, test).unwrap().join().unwrap());
}

fn refuse_hostile_documents() {
    let big = 200_000;
    for text in [
        "[".repeat(big),
        "{a: ".repeat(big),
        "- ".repeat(big),
        "? ".repeat(big),
        "a: ".repeat(big),
        (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect(),
        "&a ".repeat(big),
        "!t ".repeat(big),
        "a: |\n".repeat(big),
        "\"".repeat(big),
        format!("a: {}", "9".repeat(big)),
        format!("{}: 1", "k".repeat(big)),
        "&a [*a]".to_owned(),
        "---\n".repeat(big),
        "\0\u{feff}".repeat(big),
    ] {
        assert!(parse("hostile", &text).is_err());
    }
}

headframe_actors::properties! {
    #[test]
    fn any_text_is_read_or_refused(text in r"(headframe: 1\n|name: a\n|phases:\n|  - |tasks: |\{|\}|\[|\]|: |, |&a |\*a |\{\{ |'|\x22|\n| |\PC){0,60}") {
        if let Err(error) = parse("any", &text) {
            prop_assert!(!error.problems().is_empty());
            prop_assert!(error.to_string().contains("HF01"));
        }
    }

    /// Whatever stands in one place of a good spec, the errors have places and can be shown.
    #[test]
    fn any_damage_is_shown(at in 0..AUDIT.len(), cut in 0..40_usize, put in r"(\PC|\n|\{\{|: |- ){0,8}") {
        let mut text = AUDIT.to_owned();
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &put);
        if let Err(error) = parse_with("any", &text, &Tools) {
            prop_assert!(error.to_string().contains("any:"));
        }
    }
}
