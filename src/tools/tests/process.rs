//! `process` with programs that behave, and with programs that do not.

use std::time::Instant;

use headframe_actors::plan::text;

use super::{orphans::*, *};
use crate::tools::Process;

/// Whatever hangs here hangs for longer.
const IN_TIME: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_program_gives_its_output_its_errors_and_its_code() {
    for shop in both() {
        let answer = shop.done("process", sh("echo out; echo err >&2")).await;
        assert_eq!(answer, json!({"exit": 0, "stdout": "out\n", "stderr": "err\n"}));
        let answer = shop.done("process", json!({"argv": ["sh", "-c", "exit 3"], "ok_exit": [0, 3]})).await;
        assert_eq!(answer["exit"], 3);
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn any_byte_but_nul_passes_through_argv_file_names_and_stdout() {
    let bytes: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let word = text::from_bytes(&bytes);
    for shop in both() {
        let answer = shop.done("process", json!({"argv": ["printf", "%s", word]})).await;
        assert_eq!(answer["stdout"], word);
        let folder = text::from_bytes(b"d\xff d");
        shop.done("process", json!({"argv": ["mkdir", folder], "cwd": shop.folder.path()})).await;
        let inside = format!("{}/{folder}", shop.folder.path().display());
        shop.done("process", json!({"argv": ["touch", "a\nb", "c"], "cwd": inside})).await;
        let listed = shop.done("process", json!({"argv": ["find", ".", "-type", "f", "-print0"], "cwd": inside})).await;
        let mut names: Vec<_> = listed["stdout"].as_str().unwrap().split_terminator('\0').collect();
        names.sort_unstable();
        assert_eq!(names, ["./a\nb", "./c"]);
    }
}

#[tokio::test]
async fn stdin_is_text_an_artifact_or_nothing() {
    for shop in both() {
        let cat = |stdin: Value| json!({"argv": ["cat"], "stdin": stdin});
        let odd = text::from_bytes(b"caf\xe9");
        assert_eq!(shop.done("process", cat(json!(odd))).await["stdout"], odd);
        assert_eq!(shop.done("process", cat(Value::Null)).await["stdout"], "");
        assert_eq!(shop.done("process", cat(json!(""))).await["stdout"], "");
        let stored = shop.artifacts.put(b"stored").unwrap();
        assert_eq!(shop.done("process", cat(stored.to_value())).await["stdout"], "stored");
        let missing = json!({"$artifact": format!("sha256:{}", "0".repeat(64))});
        assert_eq!(shop.failed("process", cat(missing)).await.class, "input");
    }
}

#[tokio::test]
async fn long_input_reaches_a_program_that_writes_while_it_reads_and_need_not_be_read() {
    let shop = Shop::open();
    let long = "x".repeat(3 << 20);
    let counted = shop.done("process", json!({"argv": ["wc", "-c"], "stdin": long})).await;
    assert_eq!(counted["stdout"].as_str().unwrap().trim(), (3 << 20).to_string());
    let copied = shop.done("process", json!({"argv": ["cat"], "stdin": long})).await;
    assert_eq!(copied["stdout"]["bytes"], 3 << 20);
    assert_eq!(shop.done("process", json!({"argv": ["true"], "stdin": long})).await["exit"], 0);
}

#[tokio::test]
async fn only_allowed_variables_are_passed_on() {
    for shop in both() {
        let with = json!({"argv": ["env"], "output": "lines", "env_allow": ["PATH"], "env": {"N": 5, "A": "b c"}});
        let answer = shop.done("process", with).await;
        let mut names: Vec<_> =
            answer["stdout"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        names.retain(|line| !line.starts_with("PATH="));
        names.sort_unstable();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!([names[0], names[1], names[3]], ["A=b c", "HEADFRAME_ATTEMPT=1", "N=5"]);
        assert!(names[2].starts_with("HEADFRAME_KEY="), "{names:?}");
    }
}

/// Once, a relative data folder, as `./.headframe` is, was looked for inside the program's `cwd`.
#[tokio::test]
async fn a_relative_data_folder_and_launcher_are_right_in_any_cwd() {
    let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
    let relative = |path: PathBuf| up.join(path.strip_prefix("/").unwrap());
    let shop = Shop::with_launcher(Some(relative(launcher())));
    let process = Process::new(shop.artifacts.clone(), relative(shop.path("run")), Some(relative(launcher())));
    let with = json!({"argv": ["pwd"], "cwd": shop.path("artifacts")});
    let outcome = Arc::new(process).start(context("relative", &shop), Json::from(with)).await;
    let Outcome::Done(answer) = outcome else { panic!("{outcome:?}") };
    assert!(answer.value()["stdout"].as_str().unwrap().ends_with("/artifacts\n"));
}

#[tokio::test]
async fn a_bad_exit_is_definite_and_quotes_the_last_words() {
    for shop in both() {
        let failure = shop.failed("process", sh("echo one >&2; echo 'no such thing' >&2; exit 4")).await;
        assert_eq!(failure.class, "exit");
        assert_eq!(failure.message, "the program ended with code 4: no such thing");
        assert_eq!(failure.details.value(), json!({"exit": 4, "stderr": "one\nno such thing\n"}));
        assert_eq!(shop.failed("process", sh("exit 127")).await.class, "exit");
    }
}

#[tokio::test]
async fn death_by_signal_is_unknown() {
    for shop in both() {
        let failure = shop.unknown("process", sh("kill -9 $$")).await;
        assert_eq!((failure.class.as_str(), failure.message.as_str()), ("signal", "the program was ended by signal 9"));
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_a_definite_failure_that_says_what_to_do() {
    for shop in both() {
        let missing = shop.failed("process", json!({"argv": ["no-such-program"]})).await;
        assert_eq!(missing.class, "spawn");
        assert!(missing.message.contains("not found in PATH") && missing.message.contains("install"), "{missing:?}");
        let script = shop.path("script");
        fs::write(&script, "#!/no/such/interpreter\n").unwrap();
        assert_eq!(shop.failed("process", json!({"argv": [script]})).await.class, "spawn", "not executable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&script, mode).unwrap();
        let refused = shop.failed("process", json!({"argv": [script]})).await;
        assert_eq!(refused.class, "spawn", "{refused:?}");
        assert_eq!(shop.failed("process", json!({"argv": ["ls"], "cwd": "/no/such"})).await.class, "spawn");
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_program_that_hangs_and_ignores_the_polite_signal_is_ended_on_time() {
    for shop in both() {
        let script = "trap '' TERM; echo begun; while :; do sleep 1000 & wait; done";
        let start = now();
        let failure = shop.within(Duration::from_millis(300), sh(script)).await;
        assert_eq!(failure.class, "timeout");
        assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_program_that_heeds_the_polite_signal_may_clean_up() {
    for shop in both() {
        let (cx, begun, cleaned) = (context("polite", &shop), shop.path("begun"), shop.path("cleaned"));
        let (begin, clean) = (begun.display(), cleaned.display());
        let script = format!("trap 'touch {clean}; exit' TERM; touch {begin}; while :; do sleep 0.01; done");
        let (outcome, ()) = tokio::join!(shop.call("process", &cx, sh(&script)), async {
            until(|| begun.exists()).await;
            cx.cancel();
        });
        assert!(matches!(&outcome, Outcome::Unknown(failure) if failure.class == "cancelled"), "{outcome:?}");
        assert!(cleaned.exists());
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_cancel_ends_the_program() {
    for shop in both() {
        let (cx, begun) = (context("cancel", &shop), shop.path("begun"));
        let with = sh(&format!("touch {}; sleep 1000 | sleep 1000", begun.display()));
        let (outcome, ()) = tokio::join!(shop.call("process", &cx, with.clone()), async {
            until(|| begun.exists()).await;
            cx.cancel();
        });
        let Outcome::Unknown(failure) = outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.class, "cancelled");
        let Outcome::Failed(failure) = shop.call("process", &cx, with).await else { panic!("it was not to begin") };
        assert_eq!(failure.class, "cancelled");
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_flood_is_cut_off() {
    for shop in both() {
        for script in ["yes", "yes >&2"] {
            let mut with = sh(script);
            with["max_output"] = json!(1 << 20);
            let failure = shop.unknown("process", with).await;
            assert_eq!(failure.class, "output");
            shop.nothing_is_left();
        }
        assert_eq!(shop.artifacts.list().unwrap().len(), 0);
        assert_eq!(fs::read_dir(shop.path("artifacts/tmp")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_program_that_forks_away_with_its_pipes_does_not_hold_the_call() {
    for shop in both() {
        let escapes =
            ["sleep 1000 & echo done", "setsid sleep 1000 & echo done", "(setsid sh -c 'sleep 1000; :' &); echo done"];
        for escape in escapes {
            // A call that is held comes to its time limit, and is not done.
            assert_eq!(shop.done("process", sh(escape)).await["stdout"], "done\n");
            shop.nothing_is_left();
        }
        shop.done("process", sh("sleep 1000 >/dev/null 2>&1 & echo done")).await;
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_swarm_ends_with_its_call() {
    for shop in both() {
        let script =
            "trap '' TERM; i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; while :; do sleep 0.01 & done";
        assert_eq!(shop.within(Duration::from_millis(500), sh(script)).await.class, "timeout");
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn long_output_becomes_an_artifact() {
    let shop = Shop::open();
    let answer = shop.done("process", sh("head -c 100000 /dev/zero; printf 'caf\\351'")).await;
    let stored = shop.artifacts.resolve(answer["stdout"].clone(), 200_000).unwrap();
    assert_eq!(answer["stdout"]["bytes"], 100_004);
    assert!(text::to_bytes(stored.as_str().unwrap()).ends_with(b"\0caf\xe9"));
    let short = json!({"argv": ["echo", "12345"], "inline_max": 6});
    assert_eq!(shop.done("process", short).await["stdout"], "12345\n");
}

#[tokio::test]
async fn output_is_read_as_json_or_lines_when_asked() {
    let shop = Shop::open();
    let echo = |word: &str, output: &str| json!({"argv": ["echo", word], "output": output, "inline_max": 20});
    assert_eq!(shop.done("process", echo(r#"{"a": 1}"#, "json")).await["stdout"], json!({"a": 1}));
    let failure = shop.failed("process", echo("{", "json")).await;
    assert_eq!(failure.class, "output");
    assert_eq!(shop.done("process", echo("a\n\nb", "lines")).await["stdout"], json!(["a", "", "b"]));
    assert_eq!(shop.done("process", json!({"argv": ["true"], "output": "lines"})).await["stdout"], json!([]));
    let long = shop.done("process", echo(r#"["aaaaaaaaaa", "bbbbbbbbbb"]"#, "json")).await;
    let resolved = shop.artifacts.resolve(long["stdout"].clone(), 1_000).unwrap();
    assert_eq!(resolved, json!(["aaaaaaaaaa", "bbbbbbbbbb"]));
}

#[tokio::test]
async fn limits_hold_and_need_a_launcher() {
    let limited = json!({"argv": ["sh", "-c", "ulimit -n"], "limits": {"open_files": 17}});
    let shop = Shop::with_launcher(Some(launcher()));
    assert_eq!(shop.done("process", limited.clone()).await["stdout"], "17\n");
    let spin = json!({"argv": ["sh", "-c", "while :; do :; done"], "limits": {"cpu_s": 1}});
    assert_eq!(shop.unknown("process", spin).await.class, "signal");
    assert_eq!(Shop::open().failed("process", limited).await.class, "input");
}

/// Once, a program died with the thread that had started it: a parent-death signal names a thread, not a process.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_outlives_the_thread_that_called() {
    use std::{future::Future, pin::Pin, task::Poll};
    let shop = Shop::with_launcher(Some(launcher()));
    let (begun, go) = (shop.path("begun"), shop.path("go"));
    let script = format!("touch {}; while [ ! -e {} ]; do sleep 0.01; done; echo alive", begun.display(), go.display());
    let cx = context("thread", &shop);
    let mut calling = shop.tool("process").start(cx, Json::from(sh(&script)));
    let handle = tokio::runtime::Handle::current();
    #[expect(clippy::disallowed_methods, reason = "a thread that ends is what this is about")]
    let polled = std::thread::Builder::new().spawn(move || {
        handle.block_on(std::future::poll_fn(|context| {
            assert!(Pin::new(&mut calling).poll(context).is_pending());
            Poll::Ready(())
        }));
        calling
    });
    let calling = polled.unwrap().join().unwrap();
    until(|| begun.exists()).await;
    fs::write(&go, "").unwrap();
    let Outcome::Done(answer) = calling.await else { panic!("it died") };
    assert_eq!(answer.value()["stdout"], "alive\n");
}

#[tokio::test]
async fn a_given_up_call_ends_its_program_politely_and_its_repeat_starts_only_then() {
    for shop in both() {
        let (cx, begun, cleaned) = (context("again", &shop), shop.path("begun"), shop.path("cleaned"));
        let (begin, clean) = (begun.display(), cleaned.display());
        let first = format!("trap 'sleep 0.2; touch {clean}; exit' TERM; touch {begin}; while :; do sleep 0.01; done");
        tokio::select! {
            outcome = shop.call("process", &cx, sh(&first)) => panic!("{outcome:?}"),
            () = until(|| begun.exists()) => {}
        }
        let outcome = shop.call("process", &cx, sh(&format!("test -e {clean} && echo after"))).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_probe_says_by_its_exit_code_whether_the_call_happened_and_is_given_its_key() {
    for shop in both() {
        let script = |exit: u32| format!("test \"$HEADFRAME_KEY\" && echo found && exit {exit}");
        let happened = shop.ask("happened", &script(0)).await;
        let Probe::Happened(output) = happened else { panic!("{happened:?}") };
        assert_eq!(output.value(), json!({"exit": 0, "stdout": "found\n", "stderr": ""}), "as of the program itself");
        let did_not = shop.ask("did not", &script(1)).await;
        assert!(matches!(&did_not, Probe::DidNot(reason) if reason.contains("code 1")), "{did_not:?}");
        for unsure in [script(2), "kill -9 $$".to_owned(), "exec 2>/dev/null; exec /no/such/program".to_owned()] {
            let probe = shop.ask("unsure", &unsure).await;
            assert!(matches!(probe, Probe::CannotTell(_)), "{unsure}: {probe:?}");
        }
        let nameless = shop.tool("process").ask(context("nameless", &shop), Json::from(sh("true"))).await;
        assert!(matches!(nameless, Probe::CannotTell(_)), "{nameless:?}");
        shop.nothing_is_left();
    }
}

#[tokio::test]
async fn a_probe_starts_only_when_the_program_it_is_asked_about_has_ended() {
    for shop in both() {
        let (cx, begun, cleaned) = (context("probed", &shop), shop.path("begun"), shop.path("cleaned"));
        let (begin, clean) = (begun.display(), cleaned.display());
        let first = format!("trap 'sleep 0.2; touch {clean}; exit' TERM; touch {begin}; while :; do sleep 0.01; done");
        let with = json!({"argv": ["sh", "-c", first], "probe": ["test", "-e", cleaned]});
        tokio::select! {
            outcome = shop.call("process", &cx, with.clone()) => panic!("{outcome:?}"),
            () = until(|| begun.exists()) => {}
        }
        let probe = shop.tool("process").ask(cx.clone(), Json::from(with)).await;
        assert!(matches!(probe, Probe::Happened(_)), "{probe:?}");
        shop.nothing_is_left();
    }
}

impl Shop {
    /// Ask the probe of a call that was never made.
    async fn ask(&self, key: &str, script: &str) -> Probe {
        let with = json!({"argv": ["false"], "stdin": "unread", "ok_exit": [0, 1, 2], "probe": ["sh", "-c", script]});
        self.tool("process").ask(context(key, self), Json::from(with)).await
    }

    /// What a program comes to under a time limit.
    async fn within(&self, limit: Duration, with: Value) -> Failure {
        let (key, mut limit) = (context("within", self).key(), limit);
        loop {
            match self.call("process", &CallContext::detached("test", key, limit), with.clone()).await {
                Outcome::Unknown(failure) => return failure,
                // Its time was over before the program had begun: a busy machine.
                Outcome::Failed(failure) if failure.class == "timeout" && limit < IN_TIME => limit *= 2,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn now() -> Instant {
    headframe_actors::clock::monotonic()
}
