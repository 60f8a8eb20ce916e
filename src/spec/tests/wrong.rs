//! A corpus of wrong specs, each with everything that is said about it.

use super::{Tools, parse_with};

#[track_caller]
fn wrong(text: &str, wanted: &str) {
    let error = parse_with("demo.yaml", text, &Tools).expect_err("the spec is wrong").to_string();
    assert_eq!(error.trim(), wanted.trim(), "\n{error}\n");
}

#[test]
fn a_cycle_shows_its_path() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    needs: [c]
    tasks: [{ name: t, tool: echo }]
  - name: b
    needs: [a]
    tasks: [{ name: t, tool: echo }]
  - name: c
    needs: [b]
    tasks: [{ name: t, tool: echo }]
"#,
        r#"
HF0105: phases wait for each other: a -> c -> b -> a
 --> demo.yaml:5:13
  |
5 |     needs: [c]
  |             ^
  = help: take one of these out of `needs`; an arrow means `needs`

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_phase_cannot_need_itself() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    needs: [a]
    tasks: [{ name: t, tool: echo }]
"#,
        r#"
HF0105: phase `a` needs itself: a -> a
 --> demo.yaml:5:13
  |
5 |     needs: [a]
  |             ^
  = help: take one of these out of `needs`; an arrow means `needs`

1 problem in demo.yaml
"#,
    );
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    wrong(
        r#"headframe: 1
name: demo
phase: []
phases:
  - name: a
    task: []
    tasks:
      - name: t
        tool: echo
        retrys: 3
        retry: { max_attempts: 3, zzz: 1 }
"#,
        r#"
HF0102: `phase` is not a key of a workflow
 --> demo.yaml:3:1
  |
3 | phase: []
  | ^^^^^
  = help: did you mean `phases`?

HF0102: `task` is not a key of a phase
 --> demo.yaml:6:5
  |
6 |     task: []
  |     ^^^^
  = help: did you mean `tasks`?

HF0102: `retrys` is not a key of a task
  --> demo.yaml:10:9
   |
10 |         retrys: 3
   |         ^^^^^^
  = help: did you mean `retry`?

HF0102: `zzz` is not a key of `retry`
  --> demo.yaml:11:35
   |
11 |         retry: { max_attempts: 3, zzz: 1 }
   |                                   ^^^
  = help: keys of `retry` are: max_attempts, backoff, factor, max_backoff, jitter, on, never

4 problems in demo.yaml
"#,
    );
}

#[test]
fn an_unknown_tool_suggests_the_nearest() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - { name: one, tool: proces }
      - { name: two, tool: "sql:query" }
"#,
        r#"
HF0106: there is no tool `proces`
 --> demo.yaml:6:28
  |
6 |       - { name: one, tool: proces }
  |                            ^^^^^^
  = help: did you mean `process`?

HF0106: there is no tool `sql:query`
 --> demo.yaml:7:28
  |
7 |       - { name: two, tool: "sql:query" }
  |                            ^^^^^^^^^^^
  = help: registered tools are: process, render, echo, sleep

2 problems in demo.yaml
"#,
    );
}

#[test]
fn a_tool_refuses_its_arguments() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - name: t
        tool: process
        with: { command: ls }
"#,
        r#"
HF0106: tool `process` refuses its arguments: it needs `argv`, a list
 --> demo.yaml:8:15
  |
8 |         with: { command: ls }
  |               ^

1 problem in demo.yaml
"#,
    );
}

#[test]
fn an_unknown_need_suggests_the_nearest() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: list
    tasks: [{ name: t, tool: echo }]
  - name: merge
    needs: [lst]
    tasks: [{ name: t, tool: echo }]
"#,
        r#"
HF0104: phase `merge` needs `lst`, and no phase has that name
 --> demo.yaml:7:13
  |
7 |     needs: [lst]
  |             ^^^
  = help: did you mean `list`?

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_duplicate_key_is_refused() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    name: b
    tasks: []
"#,
        r#"
HF0110: the key `name` is written twice in one map
 --> demo.yaml:5:5
  |
5 |     name: b
  |     ^^^^
  = help: take one of the two out

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_duration_says_its_unit() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - { name: one, tool: echo, timeout: 30 }
      - { name: two, tool: echo, timeout: 30 parsecs }
      - { name: three, tool: echo, timeout: 0s }
"#,
        r#"
HF0103: `timeout` must be a duration, and is a whole number
 --> demo.yaml:6:43
  |
6 |       - { name: one, tool: echo, timeout: 30 }
  |                                           ^^
  = help: say the unit: `30s` or `30ms`

HF0103: `30 parsecs` is not a duration: unknown time unit "parsecs"
 --> demo.yaml:7:43
  |
7 |       - { name: two, tool: echo, timeout: 30 parsecs }
  |                                           ^^^^^^^^^^
  = help: write a number and a unit, for example `250ms`, `30s` or `1h30m`

HF0103: `timeout` must be between 1 ms and a year, and is 0 ms
 --> demo.yaml:8:45
  |
8 |       - { name: three, tool: echo, timeout: 0s }
  |                                             ^^

3 problems in demo.yaml
"#,
    );
}

#[test]
fn a_template_that_does_not_parse() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - name: t
        tool: echo
        with: { text: "{{ input.path }", more: "{{ input. }}" }
"#,
        r#"
HF0107: the template does not parse: unexpected input after expression
 --> demo.yaml:8:23
  |
8 |         with: { text: "{{ input.path }", more: "{{ input. }}" }
  |                       ^^^^^^^^^^^^^^^^^

HF0107: the template does not parse: unexpected end of input, expected identifier or integer
 --> demo.yaml:8:48
  |
8 |         with: { text: "{{ input.path }", more: "{{ input. }}" }
  |                                                ^^^^^^^^^^^^^^

2 problems in demo.yaml
"#,
    );
}

#[test]
fn a_condition_that_does_not_parse() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    when: "1 +"
    tasks:
      - { name: t, tool: echo, when: "{{ true }}" }
      - { name: u, tool: echo, when: "sizes([]) > 0" }
"#,
        r#"
HF0107: the condition does not parse at its column 4: unexpected end
 --> demo.yaml:5:11
  |
5 |     when: "1 +"
  |           ^^^^^

HF0107: `when` is not a template
 --> demo.yaml:7:38
  |
7 |       - { name: t, tool: echo, when: "{{ true }}" }
  |                                      ^^^^^^^^^^^^
  = help: a condition is CEL: write the names without `{{` and `}}`

HF0107: there is no function `sizes`; did you mean `size`?
 --> demo.yaml:8:38
  |
8 |       - { name: u, tool: echo, when: "sizes([]) > 0" }
  |                                      ^^^^^^^^^^^^^^^

3 problems in demo.yaml
"#,
    );
}

#[test]
fn an_undefined_input_suggests_the_nearest() {
    wrong(
        r#"headframe: 1
name: demo
input:
  path: "."
phases:
  - name: a
    when: "input.pth != ''"
    tasks:
      - name: t
        tool: echo
        with:
          text: |
            first line
            then {{ input.paths }} here
"#,
        r#"
HF0104: the workflow has no input `pth`
 --> demo.yaml:7:12
  |
7 |     when: "input.pth != ''"
  |            ^^^^^^^^^
  = help: did you mean `path`?

HF0104: the workflow has no input `paths`
  --> demo.yaml:14:21
   |
14 |             then {{ input.paths }} here
   |                     ^^^^^^^^^^^
  = help: did you mean `path`?

2 problems in demo.yaml
"#,
    );
}

#[test]
fn unknown_outputs_suggest_the_nearest() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: list
    tasks: [{ name: files, tool: echo }]
  - name: use
    tasks:
      - name: t
        tool: echo
        with: ["{{ outputs.list.file }}", "{{ outputs.lost.files }}", "{{ outputs.files }}", "{{ output.list }}"]
"#,
        r#"
HF0104: phase `list` has no task `file`
  --> demo.yaml:10:20
   |
10 |         with: ["{{ outputs.list.file }}", "{{ outputs.lost.files }}", "{{ outputs.files }}", "{{ out...
   |                    ^^^^^^^^^^^^^^^^^
  = help: did you mean `files`?

HF0104: there is no phase `lost`
  --> demo.yaml:10:47
   |
10 |         with: ["{{ outputs.list.file }}", "{{ outputs.lost.files }}", "{{ outputs.files }}", "{{ out...
   |                                               ^^^^^^^^^^^^^^^^^^
  = help: did you mean `list`?

HF0104: there is no phase `files`
  --> demo.yaml:10:75
   |
10 | ...ts.list.file }}", "{{ outputs.lost.files }}", "{{ outputs.files }}", "{{ output.list }}"]
   |                                                      ^^^^^^^^^^^^^
  = help: did you mean `outputs.list.files`?

HF0104: the name `output` is unknown here
  --> demo.yaml:10:98
   |
10 | ...utputs.lost.files }}", "{{ outputs.files }}", "{{ output.list }}"]
   |                                                      ^^^^^^^^^^^
  = help: did you mean `outputs`?

4 problems in demo.yaml
"#,
    );
}

#[test]
fn a_parallel_sibling_cannot_be_read() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - { name: one, tool: echo }
      - { name: two, tool: echo, with: "{{ outputs.a.one }}" }
"#,
        r#"
HF0104: tasks of the parallel phase `a` cannot read each other's outputs: they run at once
 --> demo.yaml:7:44
  |
7 |       - { name: two, tool: echo, with: "{{ outputs.a.one }}" }
  |                                            ^^^^^^^^^^^^^
  = help: set `mode: sequential`, or move the reader to a later phase

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_later_task_cannot_be_read() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    mode: sequential
    tasks:
      - { name: one, tool: echo, with: "{{ outputs.a.two }}" }
      - { name: two, tool: echo, with: "{{ outputs.a.two }}" }
"#,
        r#"
HF0104: task `two` of phase `a` runs after this one
 --> demo.yaml:7:44
  |
7 |       - { name: one, tool: echo, with: "{{ outputs.a.two }}" }
  |                                            ^^^^^^^^^^^^^
  = help: only outputs of earlier tasks can be read

HF0104: task `two` cannot read its own output
 --> demo.yaml:8:44
  |
8 |       - { name: two, tool: echo, with: "{{ outputs.a.two }}" }
  |                                            ^^^^^^^^^^^^^
  = help: only outputs of earlier tasks can be read

2 problems in demo.yaml
"#,
    );
}

#[test]
fn a_phase_that_is_not_needed_cannot_be_read() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks: [{ name: t, tool: echo }]
  - name: b
    needs: []
    when: "outputs.a.t != null"
    tasks: [{ name: t, tool: echo }]
"#,
        r#"
HF0104: phase `a` may not have ended when `b` runs
 --> demo.yaml:8:12
  |
8 |     when: "outputs.a.t != null"
  |            ^^^^^^^^^^^
  = help: add `a` to the `needs` of `b`

1 problem in demo.yaml
"#,
    );
}

#[test]
fn an_item_exists_only_in_a_for_each() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - { name: one, tool: echo, with: "{{ item }}" }
      - { name: two, tool: echo, for_each: "{{ item }}", with: "{{ index }}" }
"#,
        r#"
HF0104: `item` exists only for the items of a `for_each`
 --> demo.yaml:6:44
  |
6 |       - { name: one, tool: echo, with: "{{ item }}" }
  |                                            ^^^^
  = help: it can stand in `with` and `when` of a task that has a `for_each`

HF0104: `item` exists only for the items of a `for_each`
 --> demo.yaml:7:48
  |
7 |       - { name: two, tool: echo, for_each: "{{ item }}", with: "{{ index }}" }
  |                                                ^^^^
  = help: it can stand in `with` and `when` of a task that has a `for_each`

2 problems in demo.yaml
"#,
    );
}

#[test]
fn an_alias_bomb_is_refused() {
    wrong(
        r#"a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]
e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]
f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]
"#,
        r#"
HF0108: aliases (`*name`) add more than 100000 values
 --> demo.yaml:6:8
  |
6 | f: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]
  |        ^^
  = help: keep data out of the spec: give it as input, or let a task read it

1 problem in demo.yaml
"#,
    );
}

#[test]
fn depth_is_bounded() {
    wrong(
        r#"a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
"#,
        r#"
HF0108: the document is nested more than 64 deep
 --> demo.yaml:1:68
  |
1 | ...[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]...
  |                                                      ^
  = help: keep data out of the spec: give it as input, or let a task read it

1 problem in demo.yaml
"#,
    );
}

#[test]
fn wrong_types_say_what_they_are() {
    wrong(
        r#"headframe: 1
name: demo
description: [no]
input: [path]
phases:
  - name: 7
    needs: list
    mode: serial
    max_parallel: lots
    tasks:
      - name: t
        tool: echo
        optional: "yes"
        effect: sometimes
        for_each: 3
        retry: soon
"#,
        r#"
HF0103: `description` must be text, and is a list
 --> demo.yaml:3:14
  |
3 | description: [no]
  |              ^

HF0103: `input` must be a map of names to inputs, and is a list
 --> demo.yaml:4:8
  |
4 | input: [path]
  |        ^

HF0103: `name` must be text, and is a whole number
 --> demo.yaml:6:11
  |
6 |   - name: 7
  |           ^
  = help: quote it: "7"

HF0103: `needs` must be a list, and is text
 --> demo.yaml:7:12
  |
7 |     needs: list
  |            ^^^^
  = help: write `[list]`

HF0103: `mode` must be one of parallel, sequential, and is `serial`
 --> demo.yaml:8:11
  |
8 |     mode: serial
  |           ^^^^^^

HF0103: `max_parallel` must be a whole number, and is text
 --> demo.yaml:9:19
  |
9 |     max_parallel: lots
  |                   ^^^^

HF0103: `optional` must be `true` or `false`, and is text
  --> demo.yaml:13:19
   |
13 |         optional: "yes"
   |                   ^^^^^

HF0103: `effect` must be one of idempotent, verify, at_most_once, and is `sometimes`
  --> demo.yaml:14:17
   |
14 |         effect: sometimes
   |                 ^^^^^^^^^

HF0103: `for_each` must be a template, a list, or a map with `over`, and is a whole number
  --> demo.yaml:15:19
   |
15 |         for_each: 3
   |                   ^

HF0103: `retry` must be a whole number, and is text
  --> demo.yaml:16:16
   |
16 |         retry: soon
   |                ^^^^

10 problems in demo.yaml
"#,
    );
}

#[test]
fn what_cannot_be_probed_cannot_be_verified() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - name: asked
        tool: process
        effect: verify
        with: { argv: [charge], probe: [is-charged] }
      - name: deaf
        tool: process
        effect: { verify: { probes: 0 } }
        with: { argv: [charge] }
      - name: both
        tool: echo
        effect: { verify: {}, idempotent: {} }
"#,
        r#"
HF0106: tool `process` cannot tell what became of a call, so its effect cannot be verified
  --> demo.yaml:12:17
   |
12 |         effect: { verify: { probes: 0 } }
   |                 ^
  = help: give `process` a `probe`, or declare another `effect`

HF0103: `probes` must be between 1 and 100, and is 0
  --> demo.yaml:12:37
   |
12 |         effect: { verify: { probes: 0 } }
   |                                     ^

HF0103: `effect` must be either `idempotent` or `verify`
  --> demo.yaml:16:17
   |
16 |         effect: { verify: {}, idempotent: {} }
   |                 ^

3 problems in demo.yaml
"#,
    );
}

#[test]
fn heartbeats_are_promised_only_of_tools_that_beat_and_are_shorter_than_the_time_limit() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - { name: kept, tool: process, heartbeat: 30s, with: { argv: [build] } }
      - { name: mute, tool: echo, heartbeat: 30s }
      - { name: late, tool: process, heartbeat: 5m, with: { argv: [build] } }
      - { name: short, tool: process, heartbeat: 10ms, with: { argv: [build] } }
"#,
        r#"
HF0106: tool `echo` does not say that its calls live, so a task cannot promise a heartbeat
 --> demo.yaml:7:46
  |
7 |       - { name: mute, tool: echo, heartbeat: 30s }
  |                                              ^^^
  = help: leave out `heartbeat`: its `timeout` ends a call that hangs

HF0103: `heartbeat` must be shorter than the time limit, which is 300000 ms, and is 300000 ms
 --> demo.yaml:8:49
  |
8 |       - { name: late, tool: process, heartbeat: 5m, with: { argv: [build] } }
  |                                                 ^^

HF0103: `heartbeat` must be between 1000 ms and a year, and is 10 ms
 --> demo.yaml:9:50
  |
9 |       - { name: short, tool: process, heartbeat: 10ms, with: { argv: [build] } }
  |                                                  ^^^^

3 problems in demo.yaml
"#,
    );
}

#[test]
fn limits_are_checked() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    max_parallel: 0
    tasks:
      - name: t
        tool: echo
        for_each: { over: [1], max_items: 0 }
        retry: { max_attempts: 0, factor: 0.5, jitter: 2, backoff: 2m, max_backoff: 1m, on: [exit], never: [exit] }
"#,
        r#"
HF0103: `max_parallel` must be between 1 and 512, and is 0
 --> demo.yaml:5:19
  |
5 |     max_parallel: 0
  |                   ^

HF0103: `max_items` must be between 1 and 1000000, and is 0
 --> demo.yaml:9:43
  |
9 |         for_each: { over: [1], max_items: 0 }
  |                                           ^

HF0103: `max_attempts` must be between 1 and 1000, and is 0
  --> demo.yaml:10:32
   |
10 |         retry: { max_attempts: 0, factor: 0.5, jitter: 2, backoff: 2m, max_backoff: 1m, on: [exit], ...
   |                                ^

HF0103: `factor` must be between 1 and 100, and is 0.5
  --> demo.yaml:10:43
   |
10 |         retry: { max_attempts: 0, factor: 0.5, jitter: 2, backoff: 2m, max_backoff: 1m, on: [exit], ...
   |                                           ^^^

HF0103: `jitter` must be between 0 and 1, and is 2
  --> demo.yaml:10:56
   |
10 | ...   retry: { max_attempts: 0, factor: 0.5, jitter: 2, backoff: 2m, max_backoff: 1m, on: [exit], never...
   |                                                      ^

HF0103: `max_backoff` must lie between `backoff` and a year, and is 60000 ms
  --> demo.yaml:10:85
   |
10 | ...factor: 0.5, jitter: 2, backoff: 2m, max_backoff: 1m, on: [exit], never: [exit] }
   |                                                      ^^

HF0103: `exit` cannot be both retried and never retried
  --> demo.yaml:10:109
   |
10 | ...backoff: 2m, max_backoff: 1m, on: [exit], never: [exit] }
   |                                                      ^^^^

7 problems in demo.yaml
"#,
    );
}

#[test]
fn names_are_words_and_unique() {
    wrong(
        r#"headframe: 1
name: demo
input:
  in: 1
  Path: 2
phases:
  - name: First Phase
    tasks: [{ name: t, tool: echo }, { name: t, tool: echo }, { name: "", tool: echo }]
  - name: b
    tasks: [{ name: a-b, tool: echo }]
  - name: b
    tasks: [{ name: t, tool: echo }]
"#,
        r#"
HF0109: `in` is a word of the expression languages and cannot name an input
 --> demo.yaml:4:3
  |
4 |   in: 1
  |   ^^

HF0109: `Path` is not a name for an input
 --> demo.yaml:5:3
  |
5 |   Path: 2
  |   ^^^^
  = help: use lower case letters, digits and `_`, a letter first, at most 64

HF0109: `First Phase` is not a name for a phase
 --> demo.yaml:7:11
  |
7 |   - name: First Phase
  |           ^^^^^^^^^^^
  = help: use lower case letters, digits and `_`, a letter first, at most 64

HF0109: the name `t` is taken: a task before it has it
 --> demo.yaml:8:46
  |
8 |     tasks: [{ name: t, tool: echo }, { name: t, tool: echo }, { name: "", tool: echo }]
  |                                              ^
  = help: rename one of the two

HF0109: a task needs a name
 --> demo.yaml:8:71
  |
8 |     tasks: [{ name: t, tool: echo }, { name: t, tool: echo }, { name: "", tool: echo }]
  |                                                                       ^^
  = help: use lower case letters, digits and `_`, a letter first, at most 64

HF0109: `a-b` is not a name for a task
  --> demo.yaml:10:21
   |
10 |     tasks: [{ name: a-b, tool: echo }]
   |                     ^^^
  = help: use lower case letters, digits and `_`, a letter first, at most 64

HF0109: the name `b` is taken: a phase before it has it
  --> demo.yaml:11:11
   |
11 |   - name: b
   |           ^
  = help: rename one of the two

7 problems in demo.yaml
"#,
    );
}

#[test]
fn an_empty_document_is_refused() {
    wrong(
        r#""#,
        r#"
HF0103: the document is empty
 --> demo.yaml:1:1
  |
1 |
  | ^
  = help: start with `headframe: 1`, `name` and `phases`

1 problem in demo.yaml
"#,
    );
}

#[test]
fn another_format_version_is_refused() {
    wrong(
        r#"headframe: 2
name: demo
phases: [{ name: a, tasks: [{ name: t, tool: echo }] }]
"#,
        r#"
HF0103: this build reads format 1, and the spec is in format 2
 --> demo.yaml:1:12
  |
1 | headframe: 2
  |            ^
  = help: update headframe, or the spec

1 problem in demo.yaml
"#,
    );
}

#[test]
fn what_must_be_there_is_named() {
    wrong(
        r#"description: nothing else
"#,
        r#"
HF0112: the workflow has no `headframe`
 --> demo.yaml:1:1
  |
1 | description: nothing else
  | ^^^^^^^^^^^
  = help: write `headframe: 1` on the first line

HF0112: the workflow has no `name`
 --> demo.yaml:1:1
  |
1 | description: nothing else
  | ^^^^^^^^^^^
  = help: give it a name, for example `name: repo-audit`

HF0112: the workflow has no `phases`
 --> demo.yaml:1:1
  |
1 | description: nothing else
  | ^^^^^^^^^^^
  = help: list the phases, each with a name and tasks

3 problems in demo.yaml
"#,
    );
}

#[test]
fn nothing_to_do_is_refused() {
    wrong(
        r#"headframe: 1
name: demo
phases: []
"#,
        r#"
HF0103: the workflow has no phases, so there is nothing to do
 --> demo.yaml:3:9
  |
3 | phases: []
  |         ^

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_phase_without_tasks_is_refused() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks: []
  - name: b
"#,
        r#"
HF0103: phase `a` has no tasks
 --> demo.yaml:5:12
  |
5 |     tasks: []
  |            ^

HF0112: the phase has no `tasks`
 --> demo.yaml:6:5
  |
6 |   - name: b
  |     ^^^^
  = help: list its tasks, each with a name and a tool

2 problems in demo.yaml
"#,
    );
}

#[test]
fn an_unquoted_template_is_explained() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - name: t
        tool: echo
        with: {{ input.path }}
"#,
        r#"
HF0101: this is not YAML: expected string scalar
 --> demo.yaml:8:16
  |
8 |         with: {{ input.path }}
  |                ^
  = help: a value that starts with `{{` must be quoted: "{{ ... }}"

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_tab_is_explained() {
    wrong(
        r#"headframe: 1
name: demo
phases:
	- name: a
"#,
        r#"
HF0101: this is not YAML: tabs disallowed within this context (block indentation)
 --> demo.yaml:4:2
  |
4 |  - name: a
  |  ^
  = help: indent with spaces: YAML does not take tabs

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_number_that_yaml_would_change_is_refused() {
    wrong(
        r#"headframe: 1
name: demo
input:
  zip: 01234
phases:
  - name: a
    tasks: [{ name: t, tool: echo, with: [007, 123456789012345678901234567890, 1.5, 1e3] }]
"#,
        r#"
HF0103: `01234` cannot be kept as the number that is written
 --> demo.yaml:4:8
  |
4 |   zip: 01234
  |        ^^^^^
  = help: quote it to keep it as text: "01234"

HF0103: `007` cannot be kept as the number that is written
 --> demo.yaml:7:43
  |
7 |     tasks: [{ name: t, tool: echo, with: [007, 123456789012345678901234567890, 1.5, 1e3] }]
  |                                           ^^^
  = help: quote it to keep it as text: "007"

HF0103: `123456789012345678901234567890` cannot be kept as the number that is written
 --> demo.yaml:7:48
  |
7 |     tasks: [{ name: t, tool: echo, with: [007, 123456789012345678901234567890, 1.5, 1e3] }]
  |                                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  = help: quote it to keep it as text: "123456789012345678901234567890"

3 problems in demo.yaml
"#,
    );
}

#[test]
fn a_default_must_fit_its_type() {
    wrong(
        r#"headframe: 1
name: demo
input:
  depth: { type: integer, default: deep }
  path: { type: text }
phases:
  - name: a
    tasks: [{ name: t, tool: echo }]
"#,
        r#"
HF0103: the default of input `depth` does not fit: it must be a whole number, and is text
 --> demo.yaml:4:36
  |
4 |   depth: { type: integer, default: deep }
  |                                    ^^^^

HF0103: `type` must be one of any, string, number, integer, boolean, array, object, and is `text`
 --> demo.yaml:5:17
  |
5 |   path: { type: text }
  |                 ^^^^

2 problems in demo.yaml
"#,
    );
}

#[test]
fn a_key_cannot_hold_a_template() {
    wrong(
        r#"headframe: 1
name: demo
input: { k: x }
phases:
  - name: a
    tasks: [{ name: t, tool: echo, with: { "{{ input.k }}": 1 } }]
"#,
        r#"
HF0107: a key cannot hold a template: only values are rendered
 --> demo.yaml:6:44
  |
6 |     tasks: [{ name: t, tool: echo, with: { "{{ input.k }}": 1 } }]
  |                                            ^^^^^^^^^^^^^^^

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_merge_key_is_refused() {
    wrong(
        r#"headframe: 1
name: demo
base: &base { tool: echo }
phases:
  - name: a
    tasks: [{ name: t, <<: *base }]
"#,
        r#"
HF0101: merge keys (`<<`) are not supported
 --> demo.yaml:6:24
  |
6 |     tasks: [{ name: t, <<: *base }]
  |                        ^^
  = help: write the keys out

1 problem in demo.yaml
"#,
    );
}

#[test]
fn a_fallback_only_says_how_another_tool_is_called() {
    wrong(
        r#"headframe: 1
name: demo
phases:
  - name: a
    tasks:
      - { name: one, tool: echo, fallback: { tool: ecoh, when: "true", retry: 0 } }
      - { name: two, tool: echo, fallback: [{ tool: process, with: {} }, { with: "{{ input.n }}" }] }
"#,
        r#"
HF0106: there is no tool `ecoh`
 --> demo.yaml:6:52
  |
6 |       - { name: one, tool: echo, fallback: { tool: ecoh, when: "true", retry: 0 } }
  |                                                    ^^^^
  = help: did you mean `echo`?

HF0102: `when` is not a key of a fallback
 --> demo.yaml:6:58
  |
6 |       - { name: one, tool: echo, fallback: { tool: ecoh, when: "true", retry: 0 } }
  |                                                          ^^^^
  = help: keys of a fallback are: tool, effect, in_doubt, with, retry, timeout, heartbeat, description

HF0103: `max_attempts` must be between 1 and 1000, and is 0
 --> demo.yaml:6:79
  |
6 |       - { name: one, tool: echo, fallback: { tool: ecoh, when: "true", retry: 0 } }
  |                                                                               ^

HF0106: tool `process` refuses its arguments: it needs `argv`, a list
 --> demo.yaml:7:68
  |
7 | ...wo, tool: echo, fallback: [{ tool: process, with: {} }, { with: "{{ input.n }}" }] }
  |                                                      ^

HF0112: the fallback has no `tool`
 --> demo.yaml:7:76
  |
7 | ...: echo, fallback: [{ tool: process, with: {} }, { with: "{{ input.n }}" }] }
  |                                                      ^^^^
  = help: name the tool it calls, for example `tool: process`

HF0104: the workflow has no input `n`
 --> demo.yaml:7:86
  |
7 | ...llback: [{ tool: process, with: {} }, { with: "{{ input.n }}" }] }
  |                                                      ^^^^^^^
  = help: declare it under `input`; declared: none

6 problems in demo.yaml
"#,
    );
}

#[test]
fn deadlines_are_durations_and_longer_than_nothing() {
    wrong(
        r#"headframe: 1
name: demo
deadline: 0s
phases:
  - name: a
    deadline: 5
    tasks: [{ name: t, tool: echo, deadline: 9000days }]
"#,
        r#"
HF0103: `deadline` must be between 1 ms and a year, and is 0 ms
 --> demo.yaml:3:11
  |
3 | deadline: 0s
  |           ^^

HF0103: `deadline` must be a duration, and is a whole number
 --> demo.yaml:6:15
  |
6 |     deadline: 5
  |               ^
  = help: say the unit: `5s` or `5ms`

HF0103: `deadline` must be between 1 ms and a year, and is 777600000000 ms
 --> demo.yaml:7:46
  |
7 |     tasks: [{ name: t, tool: echo, deadline: 9000days }]
  |                                              ^^^^^^^^

3 problems in demo.yaml
"#,
    );
}
