//! Runs the mutants: each must be noticed by the tests that say so, and without one all of them pass.
//!
//! ```text
//! cargo run -p headframe-actors --features mutants --example mutants -- [NAME...] [--all] [--table]
//! ```
//! Without a name, all of them. `--all` runs every test against each, not only those that the table names: that is how one
//! finds out what else notices. `--table` prints the table of `docs/MUTANTS.md`. What the tests said of each is left in
//! `target/mutants/`; where `HEADFRAME_PROOF` names a file, a line of JSON is added to it. Exit code 1: one survived.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this program talks to people")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use headframe_actors::{
    clock::monotonic,
    mutant::{Mutant, VARIABLE, markdown},
    testing,
};
use serde_json::{Value, json};

/// No mutant's tests take longer, and those without one do not either.
const LIMIT: Duration = Duration::from_secs(180);
/// All tests together may.
const LIMIT_ALL: Duration = Duration::from_secs(900);

type Failure = Box<dyn std::error::Error>;

/// A test binary, and the tests in it.
struct Suite {
    /// What the names of its files begin with, in documents.
    files: &'static str,
    program: PathBuf,
    /// Where cargo runs it.
    folder: PathBuf,
    tests: Vec<String>,
}

/// What became of one run of tests.
enum Ran {
    Passed,
    /// These failed.
    Failed(Vec<String>),
    /// None failed, and they did not come to an end.
    Hung,
    /// None failed, and the process ended badly.
    Broke(String),
}

fn main() -> Result<ExitCode, Failure> {
    let (options, names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with("--"));
    let known = ["--all", "--table"];
    if let Some(option) = options.iter().find(|option| !known.contains(&option.as_str())) {
        return Err(format!("there is no option {option}: there are {known:?}").into());
    }
    if options.iter().any(|option| option == "--table") {
        print!("{}", markdown());
        return Ok(ExitCode::SUCCESS);
    }
    let mutants = chosen(&names)?;
    let everything = options.iter().any(|option| option == "--all");
    let suites = build()?;
    let logs =
        suites.first().map(|suite| suite.program.ancestors().nth(3).unwrap_or(Path::new("target")).join("mutants"));
    let logs = logs.ok_or("there is no test binary")?;
    fs::create_dir_all(&logs)?;
    prove(&mutants, &suites, everything, &logs)
}

fn chosen(names: &[String]) -> Result<Vec<Mutant>, Failure> {
    if names.is_empty() {
        return Ok(Mutant::ALL.to_vec());
    }
    let mutant = |name: &String| Mutant::named(name).ok_or_else(|| format!("there is no mutant {name}").into());
    names.iter().map(mutant).collect()
}

/// Without a mutant everything passes; then each in turn.
fn prove(mutants: &[Mutant], suites: &[Suite], everything: bool, logs: &Path) -> Result<ExitCode, Failure> {
    let began = monotonic();
    let catchers: BTreeSet<_> = mutants.iter().flat_map(|mutant| mutant.about().caught_by).copied().collect();
    let plan = if everything { all(suites) } else { named(suites, catchers)? };
    let tests: usize = plan.values().map(BTreeSet::len).sum();
    let limit = if everything { LIMIT_ALL } else { LIMIT };
    match run(suites, &plan, None, limit, &logs.join("none.log"))? {
        Ran::Passed => println!("without a mutant: {tests} tests pass ({} s)", began.elapsed().as_secs()),
        Ran::Failed(tests) => return Err(format!("these fail without a mutant: {}", tests.join(", ")).into()),
        Ran::Hung => return Err("without a mutant the tests do not end".into()),
        Ran::Broke(how) => return Err(format!("without a mutant the tests end badly: {how}").into()),
    }
    let mut survived = Vec::new();
    for mutant in mutants {
        let (about, since) = (mutant.about(), monotonic());
        let plan = if everything { all(suites) } else { named(suites, about.caught_by.iter().copied())? };
        let ran = run(suites, &plan, Some(about.name), limit, &logs.join(format!("{}.log", about.name)))?;
        let (is_caught, by) = match ran {
            Ran::Failed(tests) => (true, tests.join(" ")),
            Ran::Passed => (false, "SURVIVED".to_owned()),
            Ran::Hung => (false, "SURVIVED: tests hang, and none fails".to_owned()),
            Ran::Broke(how) => (false, format!("SURVIVED: no test fails, {how}")),
        };
        println!("{:<30} {:>6.1} s  {by}", about.name, since.elapsed().as_secs_f32());
        if !is_caught {
            survived.push(about.name);
        }
    }
    let caught = mutants.len() - survived.len();
    let seconds = began.elapsed().as_secs();
    println!("{caught} of {} mutants are caught ({seconds} s); what was said is in {}", mutants.len(), logs.display());
    let figures: [(&str, Value); 5] = [
        ("mutants", json!(mutants.len())),
        ("caught", json!(caught)),
        ("survived", json!(survived)),
        ("tests", json!(tests)),
        ("seconds", json!(seconds)),
    ];
    testing::note("mutants", &figures);
    if survived.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("these survive: {}; each shows a test that is missing", survived.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Build the test binaries once, and ask each for its tests.
fn build() -> Result<Vec<Suite>, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut command = Command::new(cargo);
    command.current_dir(&root).stderr(Stdio::inherit());
    command.args(["test", "--no-run", "--message-format", "json-render-diagnostics", "--lib", "--test", "it"]);
    command.args([
        "-p",
        "headframe-actors",
        "-p",
        "headframe",
        "--features",
        "headframe/mutants,headframe-actors/mutants",
    ]);
    let built = command.output()?;
    if !built.status.success() {
        return Err("the tests do not compile".into());
    }
    let mut suites = Vec::new();
    for line in String::from_utf8(built.stdout)?.lines() {
        let told: Value = serde_json::from_str(line)?;
        let Some(program) = told["executable"].as_str().filter(|_| told["profile"]["test"] == json!(true)) else {
            continue;
        };
        let manifest = Path::new(told["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().ok_or("a manifest lies in a folder")?.to_path_buf();
        let files = match told["target"]["name"].as_str() {
            Some("headframe_actors") => "actors/src/",
            Some("headframe") => "src/",
            Some("it") => "tests/it/",
            name => return Err(format!("cargo built a test binary {name:?}").into()),
        };
        let tests = Command::new(program).current_dir(&folder).args(["--list", "--format", "terse"]).output()?;
        let tests = String::from_utf8(tests.stdout)?;
        let tests = tests.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
        suites.push(Suite { files, program: program.into(), folder, tests });
    }
    Ok(suites)
}

/// Which tests of which suite are run.
type Plan = BTreeMap<&'static str, BTreeSet<String>>;

fn all(suites: &[Suite]) -> Plan {
    suites.iter().map(|suite| (suite.files, suite.tests.iter().cloned().collect())).collect()
}

/// The tests that documents call this: `actors/src/durable/tests.rs::name` is `durable::tests::name`, and those of that name
/// in the modules below.
fn named<'a>(suites: &[Suite], names: impl IntoIterator<Item = &'a str>) -> Result<Plan, Failure> {
    let mut plan = Plan::new();
    for name in names {
        let (suite, rest) = suites
            .iter()
            .find_map(|suite| Some((suite, name.strip_prefix(suite.files)?)))
            .ok_or_else(|| format!("{name} is in no test binary that is built"))?;
        let (file, test) = rest.split_once(".rs::").ok_or_else(|| format!("{name} is no test's name"))?;
        let (module, end) = (file.replace('/', "::"), format!("::{test}"));
        let is_it = |known: &&String| known.starts_with(&module) && known.ends_with(&end);
        let found: Vec<_> = suite.tests.iter().filter(is_it).cloned().collect();
        if found.is_empty() {
            return Err(format!("there is no test {name}").into());
        }
        plan.entry(suite.files).or_default().extend(found);
    }
    Ok(plan)
}

fn run(suites: &[Suite], plan: &Plan, mutant: Option<&str>, limit: Duration, log: &Path) -> Result<Ran, Failure> {
    let said = File::create(log)?;
    let mut worst = Ran::Passed;
    let mut failed = Vec::new();
    for suite in suites {
        let Some(tests) = plan.get(suite.files) else { continue };
        let is_whole = tests.len() == suite.tests.len();
        let mut command = Command::new(&suite.program);
        command.current_dir(&suite.folder).env("CARGO_MANIFEST_DIR", &suite.folder).process_group(0);
        command.env_remove(VARIABLE).env_remove("HEADFRAME_PROOF").stdin(Stdio::null());
        command.stdout(said.try_clone()?).stderr(said.try_clone()?);
        if let Some(mutant) = mutant {
            command.env(VARIABLE, mutant);
        }
        if !is_whole {
            command.arg("--exact").args(tests);
        }
        let mut child = command.spawn()?;
        let until = monotonic() + limit;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if monotonic() >= until => break None,
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        // Also what its tests started, and left behind when they failed.
        if let Some(group) = rustix::process::Pid::from_raw(child.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        child.wait()?;
        match status {
            Some(status) if status.success() => {}
            Some(status) => worst = Ran::Broke(status.to_string()),
            None => worst = Ran::Hung,
        }
    }
    for line in fs::read_to_string(log)?.lines() {
        let test = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
        failed.extend(test.map(|test| test.trim_end_matches(" - should panic").to_owned()));
    }
    Ok(if failed.is_empty() { worst } else { Ran::Failed(failed) })
}
