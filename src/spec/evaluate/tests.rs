//! What templates and conditions give, and how they fail.

use serde_json::json;

use super::*;
use crate::spec::tests::on_a_small_stack;

fn render(tree: Value, scope: &Value) -> Result<Value, String> {
    let rendered = Expressions::new().render(&Template::new(tree), scope);
    rendered.map(|json| json.value()).map_err(|error| error.message)
}

fn test(condition: &str, scope: &Value) -> Result<bool, String> {
    Expressions::new().test(condition, scope).map_err(|error| error.message)
}

fn reads(text: &str) -> Vec<String> {
    let references = Expressions::new().template_references(&Template::new(json!(text))).unwrap();
    references.iter().map(|path| path.join(".")).collect()
}

fn condition_reads(text: &str) -> Vec<String> {
    Expressions::new().condition_references(text).unwrap().iter().map(|path| path.join(".")).collect()
}

#[test]
fn one_expression_keeps_its_type_and_anything_else_is_text() {
    let scope = json!({"input": {"n": 3, "list": [1, "a", null], "map": {"x": 1.5}}, "item": "a b"});
    let tree = json!({"n": "{{ input.n }}", "list": "{{ input.list }}", "map": "{{ input.map }}", "text": "n={{ input.n }}",
        "deep": [{"plain": "{ {x} }", "sum": "{{ input.n + 1 }}"}], "item": "{{ item }}", "yes": "{{ input.n == 3 }}"});
    let wanted = json!({"n": 3, "list": [1, "a", null], "map": {"x": 1.5}, "text": "n=3",
        "deep": [{"plain": "{ {x} }", "sum": 4}], "item": "a b", "yes": true});
    assert_eq!(render(tree, &scope).unwrap(), wanted);
}

#[test]
fn bytes_that_are_not_utf8_pass_through() {
    let name = headframe_actors::plan::text::from_bytes(b"a\xff/b\xfe c");
    let scope = json!({"item": name});
    assert_eq!(render(json!("{{ item }}"), &scope).unwrap(), json!(name));
    let base = render(json!("<{{ item | basename }}>"), &scope).unwrap();
    assert_eq!(headframe_actors::plan::text::to_bytes(base.as_str().unwrap()), b"<b\xfe c>");
    assert_eq!(test("item.endsWith(' c')", &scope), Ok(true));
}

#[test]
fn undefined_is_an_error_with_the_name() {
    let scope = json!({"input": {"path": "x"}});
    assert_eq!(render(json!("{{ input.pth }}"), &scope).unwrap_err(), "`input.pth` is undefined");
    assert_eq!(render(json!("a {{ input.pth }}"), &scope).unwrap_err(), "`input.pth` is undefined");
    assert_eq!(test("input.pth == 'x'", &scope).unwrap_err(), "the condition has no value: No such key: pth");
}

#[test]
fn filters() {
    let scope = json!({"input": {"p": "/a/b/", "l": "x\ny", "j": "{\"k\": [1]}", "h": "<'&>"}});
    assert_eq!(render(json!("{{ input.p | basename }}"), &scope).unwrap(), json!("b"));
    assert_eq!(render(json!("{{ input.l | lines }}"), &scope).unwrap(), json!(["x", "y"]));
    assert_eq!(render(json!("{{ (input.j | fromjson).k[0] }}"), &scope).unwrap(), json!(1));
    assert_eq!(render(json!("{{ input.h | tojson }}"), &scope).unwrap(), json!("\"<'&>\""));
    assert_eq!(render(json!("{{ input.h }}"), &scope).unwrap(), json!("<'&>"));
    assert!(render(json!("{{ input.l | fromjson }}"), &scope).unwrap_err().contains("not JSON"));
}

#[test]
fn work_is_bounded() {
    let scope = json!({"input": {"big": "x".repeat(100_000)}});
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    assert!(render(json!(loops), &scope).unwrap_err().contains("too many steps"));
    let text = "{% for a in range(9999) %}{{ input.big }}{% endfor %}";
    assert!(render(json!(text), &scope).unwrap_err().contains("longer than"));
    assert!(render(json!("{{ 1 / 0 }}"), &scope).is_err());
    let list: Vec<usize> = (0..3_000).collect();
    let nested = "input.l.all(a, input.l.exists(b, a == b))";
    assert!(test(nested, &json!({"input": {"l": list}})).unwrap_err().contains("too much work"));
    assert_eq!(test(nested, &json!({"input": {"l": [1, 2]}})), Ok(true));
}

#[test]
fn no_expression_overflows_a_small_stack() {
    on_a_small_stack(evaluate_hostile_expressions);
}

fn evaluate_hostile_expressions() {
    for length in [100, 500, 1_000, 2_000, 20_000] {
        for text in [
            vec!["1"; length].join("+"),
            format!("{}1{}", "(".repeat(length), ")".repeat(length)),
            format!("{}1{}", "[".repeat(length), "]".repeat(length)),
            format!("{}true", "!".repeat(length)),
            format!("{}1", "-".repeat(length)),
            format!("input{}", ".a".repeat(length)),
            format!("true{}", " ? true : true".repeat(length)),
            format!("input{}", "[0]".repeat(length)),
            format!("input{}", "|e".repeat(length)),
            format!("{}true", "not ".repeat(length)),
        ] {
            let _ = test(&text, &json!({"input": 1}));
            let _ = render(json!(format!("{{{{ {text} }}}}")), &json!({"input": 1}));
            let _ = render(json!(format!("{{% if {text} %}}{{% endif %}}")), &json!({"input": 1}));
        }
        let _ = render(json!(format!("{}x", "{% if true %}".repeat(length))), &json!({}));
    }
}

#[test]
fn references_of_templates() {
    assert_eq!(reads("{{ input.a }} {{ outputs.p.t.stdout | upper }}"), ["input.a", "outputs.p.t.stdout"]);
    assert_eq!(reads("{% for f in outputs.p.t %}{{ f.x }}{{ loop.index }}{% endfor %}"), ["outputs.p.t"]);
    assert_eq!(reads("{{ outputs.p[item].x }}"), ["item", "outputs.p"]);
    assert_eq!(reads("{{ range(3) }}"), [] as [&str; 0]);
    assert_eq!(reads("{% for item in input.l %}{{ item.x }}{% endfor %}"), ["input.l"]);
}

#[test]
fn references_of_conditions() {
    assert_eq!(condition_reads("input.a && outputs.p.t.code == 0"), ["input.a", "outputs.p.t.code"]);
    assert_eq!(condition_reads("outputs['p'].t.exists(x, x.a == item)"), ["item", "outputs.p.t"]);
    assert_eq!(condition_reads("outputs[item].t > 0"), ["item", "outputs"]);
    assert_eq!(condition_reads("has(input.a) && size(outputs.p.t) > 0"), ["input.a", "outputs.p.t"]);
}

#[test]
fn conditions_fail_closed() {
    let scope = json!({"input": {"n": 3, "u": u64::MAX, "s": "x"}});
    assert_eq!(test("input.n + 1 == 4 && input.n < 4.5", &scope), Ok(true));
    assert_eq!(test("input.n", &scope).unwrap_err(), "the condition must be true or false, and is of type int");
    assert!(test("nope", &scope).is_err());
    assert_eq!(test("sizes(input.s) > 0", &scope).unwrap_err(), "there is no function `sizes`; did you mean `size`?");
    assert_eq!(test(" ", &scope).unwrap_err(), "the condition is empty");
    assert_eq!(
        test("input.n ==", &scope).unwrap_err(),
        "the condition does not parse at its column 11: unexpected end"
    );
}

#[test]
fn what_is_not_read_is_not_converted() {
    let expressions = Expressions::new();
    let big: Vec<Value> = (0..10_000).map(|n| json!({"n": n, "text": "x".repeat(50)})).collect();
    let scope = json!({"outputs": {"p": {"big": big, "small": 7}}, "item": 1});
    let template = Template::new(json!("{{ outputs.p.small + item }}"));
    // Converting ten megabytes two thousand times would take minutes.
    for _ in 0..2_000 {
        assert_eq!(expressions.render(&template, &scope).unwrap().as_str(), "8");
        assert!(expressions.test("outputs.p.small + item == 8", &scope).unwrap());
    }
}
