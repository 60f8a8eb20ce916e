//! Bytes that stay on disk, held to what a file of them says: `tests/fixtures/bytes/NAME.txt`.
//!
//! A line is a name and the bytes in hexadecimal digits. Lines are added and never changed: whatever a build wrote, every
//! later one reads. A test that finds a value without a line prints the line to add.

use std::{collections::BTreeMap, fmt::Debug, fs, path::Path};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    durable::codec::{self, Format},
    hex,
};

/// One file of bytes, and what today's build writes.
pub(crate) struct Golden {
    file: String,
    kept: BTreeMap<String, String>,
    missing: Vec<String>,
}

impl Golden {
    /// The bytes of a name.
    pub(crate) fn of(name: &str) -> Self {
        let file = format!("{}/../tests/fixtures/bytes/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        let text = if Path::new(&file).exists() { fs::read_to_string(&file).unwrap() } else { String::new() };
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let kept = lines.map(|line| line.split_once(" = ").expect("a line is a name and bytes"));
        let kept = kept.map(|(name, bytes)| (name.to_owned(), bytes.to_owned())).collect();
        Self { file, kept, missing: Vec::new() }
    }

    /// These bytes are those that are kept under a name.
    pub(crate) fn bytes(&mut self, name: &str, written: &[u8]) {
        match self.kept.remove(name) {
            Some(kept) => assert_eq!(hex::text(written), kept, "{name} is written with other bytes than before"),
            None => self.missing.push(format!("{name} = {}", hex::text(written))),
        }
    }

    /// A value is sealed to the bytes that are kept under a name, and they open to it.
    pub(crate) fn value<T>(&mut self, name: &str, format: Format, value: &T)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let sealed = codec::seal(format, value);
        self.bytes(name, &sealed);
        assert_eq!(codec::open::<T>(format, &sealed).as_ref(), Ok(value), "{name} opens as what it was");
    }

    /// The bytes that are kept under a name, which nothing writes any more, are read as this.
    pub(crate) fn read<T: PartialEq + Debug>(
        &mut self,
        name: &str,
        read: impl FnOnce(&[u8]) -> Result<T, codec::Error>,
        value: &T,
    ) {
        let kept = self.kept.remove(name).unwrap_or_else(|| panic!("{name} is kept in {}", self.file));
        let bytes: Vec<u8> =
            (0..kept.len()).step_by(2).map(|at| u8::from_str_radix(&kept[at..at + 2], 16).unwrap()).collect();
        assert_eq!(read(&bytes).as_ref(), Ok(value), "{name} is read as what it was");
    }

    /// All of them were looked at, and none is new.
    pub(crate) fn end(self) {
        assert!(self.missing.is_empty(), "add to {}:\n{}\n", self.file, self.missing.join("\n"));
        assert!(self.kept.is_empty(), "nothing writes or reads {:?} any more", self.kept.keys());
    }
}
