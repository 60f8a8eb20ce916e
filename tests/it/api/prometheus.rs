//! A real Prometheus reads what a real server tells. Skipped, and said so, where there is none.

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::{client::Api, metrics, served::Served};

#[test]
fn a_real_prometheus_reads_the_right_figures() {
    if !is_installed("prometheus") {
        return;
    }
    let served = Served::new();
    metrics::work(served.api());
    let prometheus = Prometheus::of(&served);
    prometheus.until(&served, "up{job=\"headframe\"}", "1");
    prometheus.until(&served, "headframe_runs_ended_total{outcome=\"succeeded\"}", "2");
    prometheus.until(&served, "headframe_runs_ended_total{outcome=\"failed\"}", "1");
    // A histogram has real buckets, of which quantiles over many servers can be computed.
    let many = "headframe_call_duration_seconds_bucket{tool=\"echo\",le=\"+Inf\"}";
    prometheus.until(&served, many, "501");
    let run = served.api().submit("greet", json!({}));
    served.api().get(&format!("/v1/runs/{run}/result?wait=30s"));
    prometheus.until(&served, "headframe_runs_ended_total{outcome=\"succeeded\"}", "3");
}

#[test]
fn the_linter_of_prometheus_has_nothing_to_say() {
    if !is_installed("promtool") {
        return;
    }
    let served = Served::new();
    metrics::work(served.api());
    let mut linter = Command::new("promtool");
    linter.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut linter = linter.spawn().unwrap();
    linter.stdin.take().unwrap().write_all(&served.admin().get("/metrics").body).unwrap();
    let told = linter.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && said.trim().is_empty(), "{said}");
}

/// Whether it is there; says so if it is not.
#[expect(clippy::print_stderr, reason = "what was skipped has to be known")]
fn is_installed(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if asked.as_ref().is_ok_and(std::process::ExitStatus::success) {
        return true;
    }
    eprintln!("skipped: `{program}` is not installed (Debian has it in the package `prometheus`)");
    false
}

/// A Prometheus at an address that it chose, with its data beside that of the server.
struct Prometheus {
    child: Child,
    api: Api,
}

impl Prometheus {
    fn of(served: &Served) -> Self {
        let place = &served.place;
        let folder = place.folder("prometheus");
        let config = format!(
            "global: {{scrape_interval: 200ms}}\nscrape_configs:\n  - job_name: headframe\n    static_configs: [{{targets: [\"{}\"]}}]\n",
            served.admin().0
        );
        fs::write(folder.join("prometheus.yml"), config).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.format=json"]);
        command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]).current_dir(&folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let address = || listening(&place.read("prometheus/log"));
        let is_up = place.wait_while(&mut child, || address().is_none());
        assert!(is_up, "{}", place.read("prometheus/log"));
        Self { child, api: Api(address().unwrap()) }
    }

    /// Ask until it knows that this is so.
    fn until(&self, served: &Served, query: &str, wanted: &str) {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let ask = || {
            let reply = self.api.get(&format!("/api/v1/query?query={escaped}"));
            // It answers before it is ready to be asked.
            if reply.status == 200 { reply.json() } else { Value::Null }
        };
        served.until(ask, |told| told["data"]["result"][0]["value"][1] == wanted);
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where it says that it listens.
fn listening(log: &str) -> Option<SocketAddr> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut told = lines.filter(|line| line["msg"] == "Listening on");
    told.find_map(|line| line["address"].as_str()?.parse().ok())
}
