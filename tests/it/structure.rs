//! What the layout promises, checked on the sources themselves.
//!
//! A compiler guards most arrows between crates; these tests guard those inside a crate, and what the documents say of
//! the code: every error code has its page, every dependency its reason, and every test or file that a document names
//! is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What the durable layer must not know of.
const ABOVE: [&str; 7] = ["approval", "phase", "plan", "run", "task", "testing", "tool"];
/// Where it does all the same, and why: a tool's mailbox is a part of the durable layer, so the system starts the actor
/// before each tool and keeps the table of running calls. It knows the trait and that actor, and no tool.
const ALLOWED: [(&str, &str); 4] = [
    ("actors/src/durable/system.rs", "tool"),
    ("actors/src/durable/system/builder.rs", "tool"),
    ("actors/src/durable/system/inner.rs", "tool"),
    ("actors/src/durable/tests.rs", "tool"),
];
/// What belongs to the rim.
const SURFACES: [&str; 16] = [
    "axum",
    "cel",
    "clap",
    "comfy-table",
    "headframe",
    "hyper",
    "hyper-util",
    "indicatif",
    "metrics-exporter-prometheus",
    "minijinja",
    "reqwest",
    "serde-saphyr",
    "tower-http",
    "tracing-subscriber",
    "utoipa",
    "utoipa-axum",
];
const ROOT: [&str; 34] = [
    ".cargo",
    ".ci",
    ".config",
    ".dockerignore",
    ".gitattributes",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "Containerfile",
    "Dockerfile",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
    "actors",
    "benches",
    "chaos",
    "clippy.toml",
    "dashboard",
    "deny.toml",
    "deploy",
    "docs",
    "examples",
    "fuzz",
    "justfile",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "soak",
    "src",
    "stage",
    "tests",
];

#[test]
fn the_durable_layer_knows_nothing_of_what_stands_on_it() {
    let sources = sources();
    let durable = sources.iter().filter(|source| source.name.starts_with("actors/src/durable"));
    for source in durable {
        for word in crate_paths(&source.text).intersection(&ABOVE.map(str::to_owned).into()) {
            // A suite whose size can be chosen is told the size, and tells what it found.
            let is_a_suite = word == "testing" && source.name.ends_with("/at_scale.rs");
            let is_allowed = is_a_suite || ALLOWED.contains(&(&*source.name, &**word));
            assert!(is_allowed, "{} uses crate::{word}; give it what it needs through a trait instead", source.name);
        }
    }
}

#[test]
fn an_allowance_that_nobody_needs_is_taken_back() {
    for (file, word) in ALLOWED {
        assert!(crate_paths(&read(file)).contains(word), "{file} no longer uses crate::{word}");
    }
}

#[test]
fn actors_know_no_surface() {
    for name in dependencies("actors/Cargo.toml") {
        assert!(!SURFACES.contains(&&*name), "`{name}` belongs to the rim, and actors/Cargo.toml names it");
    }
}

/// An embedder who reads metrics in another way, or not at all, does not pay for ours.
#[test]
fn nobody_compiles_the_exporter_who_did_not_ask_for_it() {
    let tree = |features: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["tree", "--offline", "--package", "headframe", "--edges", "normal", "--prefix", "none"]);
        let told = cargo.args(features).current_dir(root()).output().unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).unwrap().contains("metrics-exporter-prometheus ")
    };
    assert!(!tree(&["--no-default-features"]));
    assert!(!tree(&["--no-default-features", "--features", "server,http"]));
    assert!(tree(&["--no-default-features", "--features", "prometheus"]) && tree(&[]));
}

#[test]
fn the_root_holds_what_the_layout_names() {
    for file in files() {
        let first = file.split('/').next().unwrap_or_default();
        assert!(ROOT.contains(&first), "`{first}` is in the root, and the layout does not name it");
    }
}

#[test]
fn a_folder_has_its_file_beside_it() {
    for source in sources() {
        assert!(!source.name.ends_with("/mod.rs"), "{}: name it after its folder, and put it beside it", source.name);
    }
}

#[test]
fn every_source_file_opens_with_what_lives_there() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "{} does not open with a line of `//!`", source.name);
    }
}

#[test]
fn nothing_outside_tests_unwraps() {
    let sources = sources();
    let tests = test_modules(&sources);
    for source in sources.iter().filter(|source| !is_test(&source.name, &tests)) {
        // What follows the mark of a test module is that module.
        let code = source.text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let line = code.lines().position(|line| line.contains(".unwrap()") && !line.trim_start().starts_with("//"));
        assert_eq!(line.map(|at| at + 1), None, "{} unwraps; `expect` says why it holds", source.name);
    }
}

#[test]
fn every_error_code_has_its_page() {
    let told: BTreeSet<String> = sources().iter().flat_map(|source| codes(&source.text)).collect();
    let pages = read("docs/ERRORS.md");
    let explained = pages.lines().filter(|line| line.starts_with("## ")).flat_map(codes).collect();
    assert_eq!(told, explained, "codes in the sources, and codes with a page in docs/ERRORS.md");
}

#[test]
fn every_dependency_has_its_reason() {
    let reasons = read("docs/DEPENDENCIES.md");
    for manifest in ["Cargo.toml", "actors/Cargo.toml", "chaos/Cargo.toml", "soak/Cargo.toml", "stage/Cargo.toml"] {
        for name in dependencies(manifest).into_iter().filter(|name| !name.starts_with("headframe")) {
            let is_told = reasons.lines().any(|line| line.starts_with(&format!("| `{name}` ")));
            assert!(is_told, "`{name}` in {manifest} has no line in docs/DEPENDENCIES.md");
        }
    }
}

#[test]
fn what_a_document_names_is_there() {
    for (document, named) in named_in_documents() {
        let (file, test) = named.split_once("::").map_or((&*named, None), |(file, test)| (file, Some(test)));
        let path = root().join(file);
        assert!(path.exists(), "{document} names `{file}`, which is not there");
        let is_there = test.is_none_or(|test| has_test(&path, test));
        assert!(is_there, "{document} names `{named}`, and there is no such test");
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let foreign = [
        concat!("../", "shared"),
        concat!("/wo", "rk/"),
        concat!("clau", "de"),
        concat!("as an ", "ai "),
        concat!("llm ", "session"),
    ];
    for file in files() {
        // What is no text has nothing to say.
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        let text = text.to_lowercase();
        for word in foreign {
            assert!(!text.contains(word), "{file} says `{word}`");
        }
    }
}

struct Source {
    /// Its path from the root.
    name: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn sources() -> Vec<Source> {
    let names = files().into_iter().filter(|file| file.ends_with(".rs"));
    let sources: Vec<_> = names.map(|name| Source { text: read(&name), name }).collect();
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    sources
}

/// The files of the project: what git knows and has not lost, or, without git, what is there.
fn files() -> Vec<String> {
    let listed = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output();
    match listed {
        Ok(listed) if listed.status.success() && !listed.stdout.is_empty() => {
            let names = String::from_utf8_lossy(&listed.stdout).into_owned();
            names.split_terminator('\0').filter(|name| root().join(name).is_file()).map(str::to_owned).collect()
        }
        _ => {
            let mut found = Vec::new();
            walk(root(), &mut found);
            found
        }
    }
}

fn walk(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            if name != "target" && name != ".git" && !name.starts_with(".headframe") {
                walk(&path, found);
            }
        } else {
            found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// The first name behind each `crate::`, also in a list of imports.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in text.split("crate::").skip(1) {
        match path.strip_prefix('{') {
            None => _ = names.insert(identifier(path)),
            Some(list) => {
                let mut depth = 1;
                let mut is_first = true;
                for (at, letter) in list.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => is_first = true,
                        letter if letter.is_alphabetic() && depth == 1 && is_first => {
                            names.insert(identifier(&list[at..]));
                            is_first = false;
                        }
                        _ => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The names in the tables of dependencies of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = read(manifest);
    let mut names = Vec::new();
    let mut is_table = false;
    for line in text.lines() {
        if line.starts_with('[') {
            is_table = line.ends_with("dependencies]");
        } else if is_table && line.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            names.push(name.to_owned());
        }
    }
    assert!(!names.is_empty(), "{manifest} has no dependencies");
    names
}

/// Files that only tests are made of: those that their module declares so.
fn test_modules(sources: &[Source]) -> BTreeSet<PathBuf> {
    let mut modules = BTreeSet::new();
    for source in sources {
        let file = Path::new(&source.name);
        let is_crate = matches!(file.file_stem().and_then(|stem| stem.to_str()), Some("lib" | "main"));
        let folder = if is_crate { file.parent().unwrap_or(file).to_path_buf() } else { file.with_extension("") };
        let lines: Vec<_> = source.text.lines().map(str::trim).collect();
        for pair in lines.windows(2) {
            let is_test = pair[0] == "#[cfg(test)]" || pair[0].starts_with("#[cfg(all(test");
            if let Some(name) = pair[1].strip_suffix(';').and_then(|line| line.split("mod ").nth(1))
                && is_test
            {
                modules.insert(folder.join(name));
            }
        }
    }
    modules
}

fn is_test(name: &str, modules: &BTreeSet<PathBuf>) -> bool {
    let path = Path::new(name).with_extension("");
    // Cargo makes test binaries of what is in the folder `tests` of any package.
    let is_in_tests =
        ["tests/", "actors/tests/", "chaos/tests/", "soak/tests/"].iter().any(|folder| name.starts_with(folder));
    is_in_tests || path.ancestors().any(|path| modules.contains(path))
}

/// Whether a test stands in a file, or in the folder of the file's name. A list of names that a macro takes counts too.
fn has_test(file: &Path, test: &str) -> bool {
    let mut files = vec![file.to_string_lossy().into_owned()];
    let folder = file.with_extension("");
    if folder.is_dir() {
        walk(&folder, &mut files);
    }
    let holds = |text: String| text.contains(&format!("fn {test}(")) || text.contains(&format!("    {test},"));
    files.iter().any(|file| fs::read_to_string(root().join(file)).is_ok_and(holds))
}

/// Every `HF` with four digits behind it.
fn codes(text: &str) -> Vec<String> {
    let found = text.match_indices("HF").filter_map(|(at, _)| {
        let digits: String = text[at + 2..].chars().take_while(char::is_ascii_digit).collect();
        (digits.len() == 4).then(|| format!("HF{digits}"))
    });
    found.collect()
}

/// What stands in backticks in a document and looks like a path, with the test that may be named behind it.
fn named_in_documents() -> Vec<(String, String)> {
    let documents = files().into_iter().filter(|file| file.ends_with(".md"));
    let mut named = Vec::new();
    for document in documents {
        let text = read(&document);
        // Between fences stand commands and pictures, not names.
        let prose: String = text.split("```").step_by(2).collect();
        for quoted in prose.split('`').skip(1).step_by(2) {
            let is_path = ["actors/", "chaos/", "docs/", "examples/", "soak/", "src/", "stage/", "tests/"]
                .iter()
                .any(|folder| quoted.starts_with(folder));
            if is_path && !quoted.contains(['*', ' ', '{']) {
                named.push((document.clone(), quoted.to_owned()));
            }
        }
    }
    named
}
