//! Pictures of small workflows, and that no text gets out of its label.

use headframe::plan::Plan;

use super::{
    card::{Card, cards},
    svg, text,
};

fn diamond() -> Vec<Card> {
    let plan = Plan::builder("diamond")
        .phase("list", |phase| phase.task("files", "process", |task| task))
        .phase("hash", |phase| {
            phase.task("sums", "process", |task| task.for_each("{{ outputs.list.files }}").set_optional(true))
        })
        .phase("warn", |phase| phase.needs(["list"]).when("input.loud == \"yes\"").task("say", "echo", |task| task))
        .phase("done", |phase| phase.needs(["hash", "warn"]).task("end", "echo", |task| task));
    cards(&plan.build())
}

#[test]
fn mermaid_shows_phases_tasks_conditions_and_needs() {
    let expected = "\
flowchart TD
    p0[\"<b>list</b><br/>files: process\"]
    p1[\"<b>hash</b><br/>sums: process for each item (optional)\"]
    p2[\"<b>warn</b><br/>when input.loud == #34;yes#34;<br/>say: echo\"]:::conditional
    p3[\"<b>done</b><br/>end: echo\"]
    p0 --> p1
    p0 --> p2
    p1 --> p3
    p2 --> p3
    classDef conditional stroke-dasharray: 5 5
";
    assert_eq!(text::mermaid(&diamond()), expected);
}

#[test]
fn dot_shows_the_same() {
    let expected = "\
digraph \"diamond\" {
    node [shape=box, fontname=\"sans-serif\"];
    p0 [label=\"list\\nfiles: process\"];
    p1 [label=\"hash\\nsums: process for each item (optional)\"];
    p2 [label=\"warn\\nwhen input.loud == \\\"yes\\\"\\nsay: echo\", style=dashed];
    p3 [label=\"done\\nend: echo\"];
    p0 -> p1;
    p0 -> p2;
    p1 -> p3;
    p2 -> p3;
}
";
    assert_eq!(text::dot("diamond", &diamond()), expected);
}

#[test]
fn a_picture_names_every_phase() {
    let picture = svg::draw(&diamond()).expect("four phases are few");
    assert!(picture.contains("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
    for name in ["list", "hash", "warn", "done", "files: process", "&quot;yes&quot;"] {
        assert!(picture.contains(name), "{name} is missing in {picture}");
    }
}

#[test]
fn no_text_ends_a_label_or_becomes_markup() {
    let line = "\"]; evil --> p0 <script>\n#`\\".to_owned();
    let hostile = [Card { phase: "odd".to_owned(), needs: Vec::new(), conditional: false, lines: vec![line] }];
    let mermaid = text::mermaid(&hostile);
    assert_eq!(mermaid.matches('"').count(), 2, "{mermaid}");
    assert!(!mermaid.contains("<script"), "{mermaid}");
    let dot = text::dot("g", &hostile);
    assert!(dot.contains("\\\"]; evil"), "{dot}");
    assert!(!svg::draw(&hostile).expect("one phase").contains("<script"));
}

#[test]
fn a_picture_of_too_many_phases_is_refused_and_says_what_to_do() {
    let card = |at: u32| Card { phase: format!("p{at}"), needs: Vec::new(), conditional: false, lines: Vec::new() };
    let many: Vec<_> = (0..1_000).map(card).collect();
    let told = svg::draw(&many).expect_err("a thousand is too many").to_string();
    assert!(told.contains("-o dot"), "{told}");
}
