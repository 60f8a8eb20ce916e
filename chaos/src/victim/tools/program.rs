//! The tool `process` with one thing added: a program is told which call it is, so that the books can say it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use headframe::{
    artifacts::Artifacts,
    durable::{Effect, Outcome, Probe},
    json::Json,
    tool::{CallContext, Tool},
    tools::Process,
};
use serde_json::{Value, json};

use super::Outside;
use crate::program::CALL;

/// As tasks name it.
pub(in crate::victim) const NAME: &str = "process";

/// The tool.
pub(crate) struct Program {
    process: Process,
    outside: Arc<Outside>,
}

impl Program {
    /// On the data folder of an engine. Programs are started by `launcher`, so that none outlives the victim.
    pub(crate) fn new(data: &Path, launcher: PathBuf, outside: &Arc<Outside>) -> Self {
        let artifacts = Artifacts::at(data.join("artifacts"));
        let process = Process::new(artifacts, data.join("processes"), Some(launcher));
        Self { process, outside: outside.clone() }
    }

    fn told(&self, cx: &CallContext, input: &Json) -> Json {
        let mut input = input.value();
        let request = self.outside.call(cx, "", String::new(), false);
        if let Value::Object(with) = &mut input {
            with.insert("env".to_owned(), json!({ CALL: json!(request).to_string() }));
        }
        input.into()
    }
}

impl Tool for Program {
    fn effect(&self) -> Effect {
        self.process.effect()
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        self.process.check(with)
    }

    fn can_probe(&self, with: &Value) -> bool {
        self.process.can_probe(with)
    }

    fn can_beat(&self) -> bool {
        Tool::can_beat(&self.process)
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        self.outside.called_through(NAME);
        Tool::call(&self.process, cx, self.told(cx, &input)).await
    }

    async fn probe(&self, cx: &CallContext, input: Json) -> Probe {
        Tool::probe(&self.process, cx, self.told(cx, &input)).await
    }
}
