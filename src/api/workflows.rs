//! The workflows that a server offers: the files of one folder, read and checked when it starts.
//!
//! **Invariant:** a workflow is known by one name: that of its file without the ending, which is also what it calls itself.
//! A file that is wrong takes nothing from the others: it is named with its problems, and submissions of it are refused.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use headframe_actors::plan::Checked;

use super::server::Error;
use crate::engine::{self, Engine};

/// Most files that are offered.
const FILES_MAX: usize = 1_000;

/// Workflows by name.
#[derive(Clone, Debug, Default)]
pub struct Workflows(BTreeMap<String, Offer>);

/// One file of the folder.
#[derive(Clone, Debug)]
pub(super) enum Offer {
    /// It can be submitted.
    Ready(Arc<Checked>),
    /// It is wrong, for these reasons.
    Broken(Vec<String>),
}

impl Workflows {
    /// The files of a folder that end in `.yaml` or `.yml`, in the order of their names. Nothing is read yet.
    ///
    /// # Errors
    /// If the folder cannot be read, or holds more than 1,000 of them.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let unreadable = |source: io::Error| Error::Workflows { folder: folder.to_path_buf(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|is| is == "yaml" || is == "yml") {
                files.push(path);
            }
            if files.len() > FILES_MAX {
                return Err(unreadable(io::Error::other(format!("it holds more than {FILES_MAX} workflows"))));
            }
        }
        files.sort();
        Ok(files)
    }

    /// Read and check these files with the tools of an engine.
    #[must_use]
    pub fn read(files: &[PathBuf], engine: &Engine) -> Self {
        let mut offers = BTreeMap::new();
        for path in files {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let offer = if offers.contains_key(&name) {
                Offer::Broken(vec![format!("there is more than one file for `{name}`")])
            } else {
                offer(&name, engine.load(path))
            };
            offers.insert(name, offer);
        }
        Self(offers)
    }

    /// The names of those that can be submitted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, offer)| matches!(offer, Offer::Ready(_))).map(|(name, _)| name.as_str())
    }

    /// Those that are wrong, each with its problems.
    pub fn broken(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().filter_map(|(name, offer)| match offer {
            Offer::Broken(problems) => Some((name.as_str(), problems.as_slice())),
            Offer::Ready(_) => None,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<&Offer> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Offer)> {
        self.0.iter().map(|(name, offer)| (name.as_str(), offer))
    }
}

fn offer(name: &str, loaded: Result<Arc<Checked>, engine::Error>) -> Offer {
    match loaded {
        Ok(plan) if plan.name == name => Offer::Ready(plan),
        Ok(plan) => Offer::Broken(vec![format!(
            "the file is named `{name}` and the workflow `{}`: a server knows it by one name",
            plan.name
        )]),
        Err(engine::Error::Spec(error)) => {
            let told = |problem: &crate::spec::SpecProblem| match problem.line {
                0 => format!("{}: {}", problem.code, problem.message),
                line => format!("{}: line {line}, column {}: {}", problem.code, problem.column, problem.message),
            };
            Offer::Broken(error.problems().iter().map(told).collect())
        }
        Err(error) => Offer::Broken(vec![error.to_string()]),
    }
}
