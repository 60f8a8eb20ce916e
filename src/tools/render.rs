//! `render`: fills a template (minijinja) with data, into text, a file or an artifact.
//!
//! ```yaml
//! with:
//!   template_file: report.md.j2            # or `template:`, inside {% raw %} because `with` is rendered first
//!   data: { files: "{{ outputs.merge }}" } # artifact references in it are replaced by their content
//!   to: file                               # text (default), file, artifact
//!   path: out/report.md
//! ```
//! Text stands for bytes as in [`headframe_actors::plan::text`]: a file name that is no UTF-8 reaches the file as it
//! was. The filter `printable` shows such bytes, and control characters, to people.
//!
//! **Invariant:** a file is the old one or the whole new one, never a part; an undefined name is an error; the work of
//! a template is bounded.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use headframe_actors::{
    durable::{Effect, Failure, Key, Outcome},
    json::Json,
    plan::text,
    tool::{CallContext, Tool},
};
use minijinja::{Environment, UndefinedBehavior, syntax::SyntaxConfig, value::Serde};
use serde_json::{Value, json};

use super::{
    CONTENT_MAX, INLINE_MAX_DEFAULT, TEXT_MAX, Trouble,
    arguments::{self, Arguments},
    artifact, blocking,
};
use crate::artifacts::Artifacts;

const KEYS: &[&str] = &["template", "template_file", "data", "to", "path"];
/// Instructions one rendering may take: some seconds.
const FUEL: u64 = 50_000_000;

/// The tool `render`.
#[derive(Clone, Debug)]
pub struct Render {
    store: Artifacts,
}

struct Told {
    template: Template,
    data: Value,
    to: Target,
}

enum Template {
    Text(String),
    File(PathBuf),
}

enum Target {
    Text,
    File(PathBuf),
    Artifact,
}

impl Render {
    /// The tool; the store holds what `data` refers to and what goes `to: artifact`.
    #[must_use]
    pub fn new(store: Artifacts) -> Self {
        Self { store }
    }
}

impl Tool for Render {
    fn effect(&self) -> Effect {
        Effect::IDEMPOTENT
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        arguments::check(with, KEYS, told)
    }

    async fn call(&self, cx: &CallContext, input: Json) -> Outcome {
        let (store, key) = (self.store.clone(), cx.key());
        blocking(move || {
            let told = told(&input.value()).map_err(|error| Failure::new("input", error))?;
            let data = store.resolve(told.data, CONTENT_MAX as u64).map_err(artifact::failure)?;
            // A map gives its keys as names; anything else is known as `data`.
            let data = if data.is_object() { data } else { json!({"data": data}) };
            let rendered = fill(&told.template.read()?, &data)?;
            deliver(&store, key, &told.to, rendered)
        })
        .await
    }
}

impl Template {
    fn read(self) -> Result<String, Failure> {
        match self {
            Self::Text(template) => Ok(template),
            Self::File(path) => fs::read_to_string(&path).map_err(|error| {
                Failure::new("input", format!("cannot read `template_file` {}: {error}", path.display()))
            }),
        }
    }
}

fn fill(template: &str, data: &Value) -> Result<String, Failure> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the default syntax is sound"));
    // It would show all of the data.
    environment.remove_global("debug");
    environment.add_filter("printable", |shown: String| text::for_people(&shown));
    let template = environment.template_from_named_str("template", template).map_err(|error| refused(&error))?;
    let mut rendered = Bounded(Vec::new());
    let written = template.render_captured_to(Serde(data), &mut rendered);
    written.map_err(|error| refused(&error))?;
    String::from_utf8(rendered.0).map_err(|error| Failure::new("template", error.to_string()))
}

fn refused(error: &minijinja::Error) -> Failure {
    use std::error::Error as _;
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::new("template", format!("{error}{cause}"))
}

fn deliver(store: &Artifacts, key: Key, to: &Target, rendered: String) -> Result<Value, Trouble> {
    match to {
        Target::Text if rendered.len() > TEXT_MAX => Err(Trouble::Definite(Failure::new(
            "too_large",
            format!("the text has {} bytes, more than {TEXT_MAX}: use `to: artifact` or `to: file`", rendered.len()),
        ))),
        Target::Text => Ok(json!({"text": rendered})),
        Target::File(path) => {
            let bytes = text::to_bytes(&rendered);
            replace_file(path, key, &bytes)?;
            Ok(json!({"path": text::from_bytes(path.as_os_str().as_encoded_bytes()), "bytes": bytes.len()}))
        }
        Target::Artifact => {
            let reference = store.put(&text::to_bytes(&rendered)).map_err(artifact::failure)?;
            let mut answer = json!({"artifact": reference.to_value(), "bytes": reference.bytes});
            if rendered.len() <= INLINE_MAX_DEFAULT {
                answer["text"] = rendered.into();
            }
            Ok(answer)
        }
    }
}

/// Write beside the file, sync, rename, sync the folder. The temporary name comes from the call's key, so that a repeat
/// after a crash takes it up again instead of leaving another one.
fn replace_file(path: &Path, key: Key, bytes: &[u8]) -> Result<(), Trouble> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".headframe-{}.tmp", &key.to_string()[..16]));
    let failure = |error: io::Error| Failure::new("io", format!("cannot write {}: {error}", path.display()));
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The file it was to become is untouched; what cannot be removed is overwritten by the next attempt.
        let _ = fs::remove_file(&temporary);
        return Err(Trouble::Definite(failure(error)));
    }
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Trouble::Doubtful(failure(error)))
}

fn told(with: &Value) -> Result<Told, String> {
    let arguments = Arguments::of(with, KEYS)?;
    let template = match (arguments.text("template")?, arguments.bytes("template_file")?) {
        (Some(template), None) => Template::Text(template.to_owned()),
        (None, Some(path)) => Template::File(OsString::from_vec(path).into()),
        _ => return Err("give either `template` (text) or `template_file` (a path)".to_owned()),
    };
    let path = arguments.bytes("path")?.map(|path| PathBuf::from(OsString::from_vec(path)));
    let to = match (arguments.choice("to", &[("text", 0), ("file", 1), ("artifact", 2)])?, path) {
        (0, None) => Target::Text,
        (1, Some(path)) if path.file_name().is_some() => Target::File(path),
        (1, _) => return Err("`to: file` needs a `path` that names a file".to_owned()),
        (2, None) => Target::Artifact,
        _ => return Err("`path` belongs to `to: file`".to_owned()),
    };
    Ok(Told { template, data: arguments.get("data").cloned().unwrap_or_else(|| json!({})), to })
}

/// A buffer that ends at [`CONTENT_MAX`]: fuel bounds steps, not what a step writes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > CONTENT_MAX {
            return Err(io::Error::other(format!("the template writes more than {CONTENT_MAX} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
