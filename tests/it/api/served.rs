//! A server in a folder of its own.

use std::{fs, process::Child};

use headframe::{api::Marker, clock::monotonic};
use serde_json::Value;

use super::client::Api;
use crate::cli::place::Place;

/// Nothing here takes longer, on the slowest machine.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) struct Served {
    pub(super) place: Place,
    pub(super) child: Child,
    marker: Marker,
    more: Vec<String>,
}

impl Served {
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// With further arguments.
    pub(super) fn with(more: &[&str]) -> Self {
        let place = Place::new();
        workflows(&place);
        let more: Vec<_> = more.iter().map(|more| (*more).to_owned()).collect();
        let (child, marker) = start(&place, &more);
        Self { place, child, marker, more }
    }

    pub(super) fn api(&self) -> Api {
        Api(self.marker.address)
    }

    pub(super) fn admin(&self) -> Api {
        Api(self.marker.admin)
    }

    /// Ask it to end.
    pub(super) fn terminate(&self) {
        self.place.signal(&self.child, "-TERM");
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Start it again, at another address.
    pub(super) fn start(&mut self) {
        (self.child, self.marker) = start(&self.place, &self.more);
    }

    /// Ask again until the answer is as wanted.
    pub(super) fn until(&self, ask: impl Fn() -> Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = monotonic();
        loop {
            let told = ask();
            if wanted(&told) {
                return told;
            }
            assert!(began.elapsed() < DEADLINE, "it never came: {told}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    pub(super) fn wait_for_file(&mut self, name: &str) {
        let path = self.place.path(name);
        assert!(self.place.wait_while(&mut self.child, || !path.exists()), "{}", self.place.read("stderr"));
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(place: &Place, more: &[String]) -> (Child, Marker) {
    let mut args = vec!["serve", "--workflows", "flows", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    args.extend(more.iter().map(String::as_str));
    let mut child = place.start(&args);
    let folder = place.path(".headframe");
    let ours = |pid: u32| Marker::read(&folder).filter(|marker| marker.pid == pid);
    let pid = child.id();
    assert!(place.wait_while(&mut child, || ours(pid).is_none()), "it did not start: {}", place.read("stderr"));
    (child, ours(pid).unwrap())
}

/// One task, and its output as the run's.
fn flow(name: &str, tool: &str, with: &str, more: &str) -> String {
    format!(
        "headframe: 1\nname: {name}\ninput:\n  name: {{type: string, default: world}}\nphases:\n  - name: a\n    tasks:\n      - name: t\n        tool: {tool}\n        with: {with}\n        {more}\noutput: \"{{{{ outputs.a.t }}}}\"\n"
    )
}

fn workflows(place: &Place) {
    let flows = place.folder("flows");
    let write = |name: &str, text: String| fs::write(flows.join(format!("{name}.yaml")), text).unwrap();
    let greet = flow("greet", "echo", "{text: \"Hello, {{ input.name }}!\"}", "");
    write("greet", greet.replace("outputs.a.t }}", "outputs.a.t.text }}"));
    write("broken", flow("broken", "fail", "{class: planned, message: as wanted}", ""));
    write("nap", flow("nap", "sleep", "{for: 5m}", ""));
    let program = place.path("charging");
    let script = format!("touch {} && exec sleep 300", program.display());
    let with = format!("{{argv: [sh, -c, \"{script}\"]}}");
    write("charge", flow("charge", "process", &with, "effect: at_most_once"));
    let go = place.path("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done; echo went", go.display());
    write("gate", flow("gate", "process", &format!("{{argv: [sh, -c, \"{script}\"]}}"), "effect: idempotent"));
    write(
        "many",
        flow("many", "echo", "{text: \"{{ item }}\"}", &format!("for_each: {:?}", (0..500).collect::<Vec<_>>())),
    );
    write("wrong", "headframe: 1\nname: wrong\nphases: 7\n".to_owned());
    write("misnamed", flow("another", "echo", "{text: x}", ""));
    fs::write(flows.join("README.md"), "no workflow").unwrap();
}
