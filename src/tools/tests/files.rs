//! `render` and `artifact`.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use headframe_actors::plan::text;

use super::*;

#[tokio::test]
async fn a_template_becomes_text() {
    let shop = Shop::open();
    let with = json!({"template": "{% for f in files %}{{ f }}!\n{% endfor %}", "data": {"files": ["a", "<b>"]}});
    assert_eq!(shop.done("render", with).await, json!({"text": "a!\n<b>!\n"}));
    let list = json!({"template": "{{ data|length }}\n", "data": [1, 2]});
    assert_eq!(shop.done("render", list).await, json!({"text": "2\n"}));
}

#[tokio::test]
async fn what_data_refers_to_is_resolved_first() {
    let shop = Shop::open();
    let chunk = shop.artifacts.put(br#"[[1,"b"],[0,"a"]]"#).unwrap();
    let data = json!({"items": {"$list": [chunk.to_value()], "count": 2}});
    let answer = shop.done("render", json!({"template": "{{ items|join('+') }}", "data": data})).await;
    assert_eq!(answer, json!({"text": "a+b"}));
}

#[tokio::test]
async fn a_file_is_replaced_as_a_whole_and_keeps_bytes_that_are_no_text() {
    let shop = Shop::open();
    let (template, target) = (shop.path("t.j2"), shop.folder.path().join(OsStr::from_bytes(b"caf\xe9.txt")));
    fs::write(&template, "{{ name }} {{ name|printable }}\n").unwrap();
    fs::write(&target, "old").unwrap();
    let path = text::from_bytes(target.as_os_str().as_bytes());
    let with =
        json!({"template_file": template, "data": {"name": text::from_bytes(b"caf\xe9")}, "to": "file", "path": path});
    assert_eq!(shop.done("render", with).await, json!({"path": path, "bytes": 13}));
    assert_eq!(fs::read(&target).unwrap(), b"caf\xe9 caf\\xE9\n");
    assert_eq!(fs::read_dir(shop.folder.path()).unwrap().count(), 3, "no temporary file is left");
}

#[tokio::test]
async fn a_report_becomes_an_artifact_with_its_text_while_it_is_short() {
    let shop = Shop::open();
    let answer = shop.done("render", json!({"template": "hi", "to": "artifact"})).await;
    assert_eq!(answer["text"], "hi");
    let long = json!({"template": "{{ 'x' * 40000 }}", "to": "artifact"});
    let answer = shop.done("render", long).await;
    assert_eq!((&answer["bytes"], answer.get("text")), (&json!(40_000), None));
    assert_eq!(shop.artifacts.resolve(answer["artifact"].clone(), 50_000).unwrap(), "x".repeat(40_000));
}

#[tokio::test]
async fn a_bad_template_is_a_definite_failure() {
    let shop = Shop::open();
    let undefined = shop.failed("render", json!({"template": "{{ nope }}"})).await;
    assert_eq!(undefined.class, "template");
    let endless = "{% for a in range(10000) %}{% for b in range(10000) %}.{% endfor %}{% endfor %}";
    assert!(shop.failed("render", json!({"template": endless})).await.message.contains("fuel"));
    let flood = "{% set x = 'x' * 1000000 %}{% for a in range(1000) %}{{ x }}{% endfor %}";
    assert!(shop.failed("render", json!({"template": flood})).await.message.contains("bytes"));
    assert_eq!(shop.failed("render", json!({"template": "{{ 'x' * 300000 }}"})).await.class, "too_large");
    let nowhere = json!({"template": "x", "to": "file", "path": shop.path("no/such/folder")});
    assert_eq!(shop.failed("render", nowhere).await.class, "io");
}

#[tokio::test]
async fn artifacts_are_put_got_and_listed() {
    let shop = Shop::open();
    let put = shop.done("artifact", json!({"put": text::from_bytes(b"caf\xe9"), "name": "cafe"})).await;
    assert_eq!((&put["name"], &put["bytes"]), (&json!("cafe"), &json!(4)));
    let digest = put["artifact"]["$artifact"].clone();
    assert_eq!(shop.done("artifact", json!({"get": digest})).await["text"], text::from_bytes(b"caf\xe9"));
    let put = shop.done("artifact", json!({"put": {"a": 1}})).await;
    assert_eq!(shop.done("artifact", json!({"get": put["artifact"]})).await["value"], json!({"a": 1}));
    assert_eq!(shop.done("artifact", json!({"list": true})).await["count"], 2);
    let missing = format!("sha256:{}", "0".repeat(64));
    assert_eq!(shop.failed("artifact", json!({"get": missing})).await.class, "missing");
}
