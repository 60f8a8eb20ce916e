//! The log of the program, on stderr: lines for people, or one JSON object a line.
//!
//! ```text
//! {"timestamp":"…","level":"INFO","target":"headframe_actors::tool::told","message":"the attempt failed, …",
//!  "run":"run_…","phase":"pay","task":"charge","attempt":1,"tool":"http","call":"call_2a",…}
//! ```
//! An object holds the fields of the event, and around it those of the spans it happened in: run, phase, task, attempt, tool
//! and call, where they are known. The innermost counts where several have a name.
//!
//! **Invariants:** with JSON every line on stderr is an object, also what the program says outside its log. Colour goes to
//! a terminal only.

use std::{
    fmt::{self, Display},
    io::{self, IsTerminal as _},
};

use headframe::clock::{Clock as _, SystemClock};
use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

/// What the log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// JSON for a server whose stderr is no terminal, and lines for people otherwise.
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Whether it is JSON.
    pub(crate) fn is_json(self, is_server: bool) -> bool {
        self.chosen(is_server, io::stderr().is_terminal())
    }

    fn chosen(self, is_server: bool, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_server && !is_terminal,
            Self::Human => false,
            Self::Json => true,
        }
    }
}

/// Log what `HEADFRAME_LOG` asks for, and this if it is not set.
pub(crate) fn install(is_json: bool, otherwise: &str, color: bool) {
    let asked = std::env::var("HEADFRAME_LOG").ok().filter(|asked| !asked.trim().is_empty());
    let filter = EnvFilter::builder().with_default_directive(tracing::Level::WARN.into());
    let filter = filter.parse_lossy(asked.as_deref().unwrap_or(otherwise));
    let is_terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if is_json {
        log.fmt_fields(JsonFields::new()).event_format(Json).init();
    } else {
        log.with_ansi(color && is_terminal).with_target(!is_terminal).init();
    }
}

/// What the program says outside its log, as a line of it.
pub(crate) fn said(level: &str, text: impl Display) -> String {
    let line = line(level, "headframe", [("message".to_owned(), text.to_string().into())]);
    Value::Object(line).to_string()
}

fn line(level: &str, target: &str, fields: impl IntoIterator<Item = (String, Value)>) -> Map<String, Value> {
    let now_ms = i64::try_from(SystemClock.now_ms()).unwrap_or(i64::MAX);
    let now = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let head = [("timestamp", format!("{now:.3}")), ("level", level.to_owned()), ("target", target.to_owned())];
    let head = head.map(|(name, value)| (name.to_owned(), Value::from(value)));
    head.into_iter().chain(fields).collect()
}

/// One JSON object a line.
struct Json;

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let known = extensions.get::<FormattedFields<JsonFields>>();
            // They were written by the same subscriber; a span without fields has none.
            let known = known.and_then(|known| serde_json::from_str::<Map<_, _>>(known).ok());
            fields.0.extend(known.unwrap_or_default());
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = line(metadata.level().as_str(), metadata.target(), fields.0);
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.put(field, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_terminal_writes_json_and_everything_else_is_for_people() {
        let chosen =
            |format: LogFormat| [(true, false), (true, true), (false, false)].map(|(s, t)| format.chosen(s, t));
        assert_eq!(chosen(LogFormat::Auto), [true, false, false]);
        assert_eq!(chosen(LogFormat::Human), [false; 3]);
        assert_eq!(chosen(LogFormat::Json), [true; 3]);
    }

    #[test]
    fn what_is_said_outside_the_log_is_a_line_of_it() {
        let line: Value = serde_json::from_str(&said("INFO", "one\n  \"two\"")).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"one\n  \"two\"".into()), "{line}");
        let at = line["timestamp"].as_str().unwrap();
        assert!(at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    }
}
