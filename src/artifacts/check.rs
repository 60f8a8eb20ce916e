//! Reading every artifact, and looking whether those that are named are there.
//!
//! ```text
//! what is durable ─► references ─► documents behind them ─► references ─► ...    named, and not there: missing
//! every file ─► its digest                                                       another than its name: damaged
//! ```
//! **Invariants:** nothing is changed, and a process may be working meanwhile: names are read first, and what is named is
//! never removed. An artifact that nothing names and that is gone cannot be missed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read as _,
};

use serde::Serialize;
use serde_json::Value;

use super::{Artifacts, Digest, Error, Reference};

/// A larger document is too large for whoever would resolve it.
const DOCUMENT_MAX: u64 = 64 * 1024 * 1024;

/// What a check of all artifacts found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Artifacts that were read.
    pub stored: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that something durable names, or a document behind such a name.
    pub named: u64,
    /// Those whose content has another digest than their name says.
    pub damaged: Vec<String>,
    /// Those that are named and not there.
    pub missing: Vec<String>,
    /// What is wrong, in sentences.
    pub problems: Vec<String>,
}

/// What is named, gathered from durable bytes.
#[derive(Debug, Default)]
pub struct Named {
    /// And whether it is a document that may name others.
    digests: BTreeMap<Digest, bool>,
    /// Documents that were not read yet.
    unread: Vec<Digest>,
}

impl Named {
    /// Find the references in some bytes, in which each document is in one piece.
    pub fn read(&mut self, bytes: &[u8]) {
        for (at, _) in bytes.windows(2).enumerate().filter(|(_, two)| two == b"\"$") {
            let is_key = ["\"$artifact\"", "\"$list\""].iter().any(|key| bytes[at..].starts_with(key.as_bytes()));
            let before = bytes[..at].trim_ascii_end();
            if is_key && before.ends_with(b"{") {
                let mut values = serde_json::Deserializer::from_slice(&bytes[before.len() - 1..]).into_iter::<Value>();
                if let Some(Ok(value)) = values.next() {
                    self.take(&value);
                }
            }
        }
    }

    fn take(&mut self, value: &Value) {
        let Self { digests, unread } = self;
        let mut add = |reference: Reference, is_document: bool| {
            let known = digests.entry(reference.digest).or_default();
            if is_document && !*known {
                *known = true;
                unread.push(reference.digest);
            }
        };
        if let Ok(Some(reference)) = Reference::read(value) {
            add(reference, reference.json);
        }
        let chunks = value.get("$list").and_then(Value::as_array).into_iter().flatten();
        chunks.filter_map(|chunk| Reference::read(chunk).ok().flatten()).for_each(|chunk| add(chunk, true));
    }
}

impl Artifacts {
    /// Read all of them, and look for those that are named.
    ///
    /// # Errors
    /// If the folder cannot be listed; what is wrong with one artifact is told in [`Checked::problems`].
    pub fn check(&self, named: Named) -> Result<Checked, Error> {
        let (mut checked, mut bad) = (Checked::default(), BTreeSet::new());
        let entries = if self.dir.is_dir() { self.list()? } else { Vec::new() };
        for entry in entries {
            match self.open_file(entry.digest) {
                Ok(_) => {
                    checked.stored += 1;
                    checked.bytes += entry.bytes;
                }
                // It was collected after it was listed.
                Err(Error::Missing { .. }) => {}
                Err(error) => {
                    bad.insert(entry.digest);
                    checked.damaged.push(entry.digest.to_string());
                    let told = match error {
                        Error::Damaged { .. } => format!("HF0211: {error}"),
                        error => format!("HF0211: artifact {} cannot be read: {error}", entry.digest),
                    };
                    checked.problems.push(told);
                }
            }
        }
        for digest in self.behind(named, &bad)? {
            checked.named += 1;
            if !bad.contains(&digest) && !self.contains(digest) {
                checked.missing.push(digest.to_string());
                checked.problems.push(format!("HF0211: artifact {digest} is named and is not there"));
            }
        }
        Ok(checked)
    }

    /// All that is named, also by documents behind names.
    fn behind(&self, mut named: Named, bad: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>, Error> {
        while let Some(digest) = named.unread.pop() {
            if bad.contains(&digest) {
                continue;
            }
            match self.document(digest) {
                Ok(content) => named.read(&content),
                // It is told of as missing, or was collected after it was named.
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(named.digests.into_keys().collect())
    }

    /// Its content; nothing of one that is too large for whoever would resolve it.
    fn document(&self, digest: Digest) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        if self.len(digest)? <= DOCUMENT_MAX {
            let path = self.path(digest);
            self.file(digest)?.read_to_end(&mut content).map_err(Error::io("read", &path))?;
        }
        Ok(content)
    }
}
