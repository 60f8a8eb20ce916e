//! One page of HTML that needs nothing else: no script, no font, no picture from elsewhere.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use minijinja::{Environment, value::Serde};
use serde_json::json;
use tempfile::{Builder, NamedTempFile};

use super::{Report, chart};
use crate::parent::Tally;

const TEMPLATE: &str = include_str!("page.html");

/// Where the page is to go; made before anything is killed, so that a place that cannot be written is told at once.
pub(crate) struct Page(Option<(NamedTempFile, PathBuf)>);

impl Page {
    /// Nothing is seen of it until it is written.
    pub(crate) fn prepare(path: Option<&Path>) -> anyhow::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let Some(path) = path else { return Ok(Self(None)) };
        ensure!(!path.is_dir(), "cannot write --html {}: it is a folder", path.display());
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        let mode = std::fs::Permissions::from_mode(0o644);
        let file = Builder::new().prefix(".headframe-chaos-").permissions(mode).tempfile_in(folder);
        let file = file.with_context(|| format!("cannot write --html {}", path.display()))?;
        Ok(Self(Some((file, path.to_owned()))))
    }

    /// Write it.
    pub(crate) fn write(self, report: &Report, tally: &Tally) -> anyhow::Result<()> {
        let Some((file, path)) = self.0 else { return Ok(()) };
        std::fs::write(file.path(), render(report, tally)?).context("cannot write the page")?;
        file.persist(&path).with_context(|| format!("cannot write --html {}", path.display()))?;
        Ok(())
    }
}

pub(super) fn render(report: &Report, tally: &Tally) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    // What ends in .html is escaped.
    environment.add_template("page.html", TEMPLATE)?;
    let chronicle = &tally.chronicle;
    let lanes = chart::lanes(&report.faults, &chronicle.marks, report.seconds);
    let spreads = chart::spreads(&report.faults, |fault| chronicle.figures(fault));
    let told: Vec<_> = report.faults.iter().map(super::faults::Struck::told).collect();
    let page = environment.get_template("page.html")?.render(Serde(json!({
        "report": report,
        "lanes": lanes,
        "spreads": spreads,
        "told": told,
        "shown": report.violations.iter().take(super::SHOWN).collect::<Vec<_>>(),
        "untested": report.untested(),
        "ticks": chart::ticks(report.seconds),
        "decades": chart::decades(),
        "time": chart::time(report.seconds * 1_000.0),
        "version": env!("CARGO_PKG_VERSION"),
    })))?;
    Ok(page)
}
