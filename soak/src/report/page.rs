//! The report as one page: verdict, plots, table, and what was asked. Light or dark, as its reader has it.
//!
//! **Invariant:** it needs no network and no script, and what came from outside is escaped.

use super::{
    Report,
    plot::Plot,
    series::{self, Trend, beyond_rows},
};

/// The heads of the table.
pub(super) const COLUMNS: [&str; 9] =
    ["", "first", "last", "median", "slope per hour", "growth per hour", "life to life", "bound", ""];

const MIB: f64 = 1_048_576.0;

const PLOTS: &[Plot] = &[
    Plot {
        title: "Memory",
        unit: "MiB",
        lines: &[("resident", |sample| sample.rss_kib as f64 / 1_024.0), ("beyond rows", beyond_rows)],
    },
    Plot {
        title: "Time of a run",
        unit: "ms",
        lines: &[("p50", |sample| sample.p50_ms), ("p99", |sample| sample.p99_ms)],
    },
    Plot { title: "Probes in time", unit: "%", lines: &[("in time", |sample| sample.in_time)] },
    Plot { title: "Runs", unit: "per second", lines: &[("ended", |sample| sample.runs_per_s)] },
    Plot {
        title: "File descriptors and threads",
        unit: "",
        lines: &[("descriptors", |sample| sample.fds as f64), ("threads", |sample| sample.threads as f64)],
    },
    Plot {
        title: "Actors and calls",
        unit: "",
        lines: &[
            ("actors", |sample| sample.actors as f64),
            ("hosts", |sample| sample.hosted as f64),
            ("calls", |sample| sample.calls as f64),
        ],
    },
    Plot { title: "Tokio tasks", unit: "", lines: &[("tasks", |sample| sample.tasks as f64)] },
    Plot { title: "Processor time", unit: "us a run", lines: &[("cpu", |sample| sample.cpu_us_per_run)] },
    Plot {
        title: "Disk",
        unit: "MiB",
        lines: &[
            ("all", |sample| sample.disk.total() as f64 / MIB),
            ("journal", |sample| sample.disk.journal as f64 / MIB),
            ("rows", |sample| sample.disk.rows as f64 / MIB),
            ("bases", |sample| sample.disk.bases as f64 / MIB),
            ("ledger", |sample| sample.disk.ledger as f64 / MIB),
        ],
    },
    Plot { title: "Disk for each run that ended", unit: "KiB", lines: &[("disk", series::disk_per_run)] },
];

const STYLE: &str = "\
:root{color-scheme:light dark;--back:#fff;--text:#1b1f24;--dim:#667;--grid:#e3e6ea;--kill:#d4483b;--good:#1a7f4b;\
--c0:#2563c9;--c1:#d97a06;--c2:#1a8f5c;--c3:#8b4fc4;--c4:#7a7f87}\
@media(prefers-color-scheme:dark){:root{--back:#15181c;--text:#e4e7eb;--dim:#99a;--grid:#2c3138;--kill:#ff7a6b;--good:#4cc38a;\
--c0:#6ea8ff;--c1:#f5a742;--c2:#4fd09a;--c3:#c39bf0;--c4:#a6acb5}}\
body{background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif;max-width:1180px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}.verdict{font:inherit;font-weight:600;white-space:pre-wrap;overflow-wrap:anywhere;border-left:4px solid var(--good);padding:.4rem .8rem}.broken{border-color:var(--kill)}\
code{background:var(--grid);padding:.1rem .3rem;border-radius:3px;word-break:break-all}ul{padding-left:1.2rem;color:var(--text)}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:1rem}figure{margin:0}\
figcaption{font-weight:600}figcaption small{color:var(--dim);font-weight:400}figcaption span{font-weight:400;margin-left:.8rem}\
svg{width:100%;height:auto}svg text{font-size:11px;fill:var(--dim)}.grid{stroke:var(--grid)}.kill{stroke:var(--kill);stroke-dasharray:3 3;opacity:.6}\
.line{fill:none;stroke-width:1.4}.line.c0{stroke:var(--c0)}.line.c1{stroke:var(--c1)}.line.c2{stroke:var(--c2)}.line.c3{stroke:var(--c3)}.line.c4{stroke:var(--c4)}\
span.c0{color:var(--c0)}span.c1{color:var(--c1)}span.c2{color:var(--c2)}span.c3{color:var(--c3)}span.c4{color:var(--c4)}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.15rem .8rem;text-align:right;border-bottom:1px solid var(--grid)}\
th:first-child,td:first-child{text-align:left;white-space:pre}tr.broken{color:var(--kill);font-weight:600}";

pub(super) fn page(report: &Report) -> String {
    let kills: Vec<_> = report.kills.iter().map(|kill| kill.at_s).collect();
    let plots: String = PLOTS.iter().map(|plot| plot.figure(&report.samples, &kills)).collect();
    let sentences: String = report.sentences().iter().map(|told| format!("<li>{}</li>", escaped(told))).collect();
    let heads: String = COLUMNS.iter().map(|head| format!("<th>{head}</th>")).collect();
    let rows: String = report.series.iter().map(|figures| row(&report.row(figures))).collect();
    let broken = if report.is_good() { "" } else { " broken" };
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
<title>Headframe soak</title><style>{STYLE}</style></head><body>\n<h1>Headframe soak, {}</h1>\n\
<pre class=\"verdict{broken}\">{}</pre>\n<p><code>{}</code></p>\n<ul>{sentences}</ul>\n\
<p>Dashed lines are kills; each life of the process is one stroke.</p>\n<div class=\"plots\">{plots}</div>\n\
<h2>Slopes</h2>\n<div class=\"scroll\"><table><tr>{heads}</tr>{rows}</table></div>\n</body></html>\n",
        report.version,
        escaped(&report.verdict()),
        escaped(&report.command),
    )
}

fn row(cells: &[String]) -> String {
    let is_broken = cells.last().is_some_and(|trend| trend == Trend::Broken.word());
    let class = if is_broken { " class=\"broken\"" } else { "" };
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr{class}>{cells}</tr>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
