//! What a server tells, read again: entries of the ledger, and results.

use headframe::durable::{Item, StreamId, What};
use serde_json::Value;

/// An entry of the ledger, if it is one that this build can show.
pub(super) fn item(told: &Value) -> Option<Item> {
    let kind = ["run", "phase", "task"].into_iter().find(|kind| told["kind"] == *kind)?;
    let what = &told["what"];
    let what = match (what.get("event"), what.get("runtime")) {
        (Some(event), _) => What::Event(event.clone()),
        (None, Some(note)) => What::Runtime(note.clone()),
        (None, None) => What::Unreadable { bytes: 0 },
    };
    Some(Item {
        record: told["record"].as_u64()?,
        stream: StreamId::default(),
        number: told["number"].as_u64()?,
        at_ms: told["at_ms"].as_u64()?,
        actor: told["actor"].as_str()?.parse().ok()?,
        kind,
        what,
        hash: told["hash"].as_str()?.to_owned(),
    })
}

/// Takes the events out of a stream of server-sent events, however it is cut into pieces.
#[derive(Default)]
pub(super) struct Blocks(Vec<u8>);

/// One server-sent event.
pub(super) struct Block {
    pub(super) name: Option<String>,
    pub(super) data: Value,
}

impl Blocks {
    /// Another piece came.
    pub(super) fn take(&mut self, piece: &[u8]) -> Vec<Block> {
        self.0.extend_from_slice(piece);
        let mut blocks = Vec::new();
        while let Some(at) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.0.drain(..at + 2).collect();
            let block = String::from_utf8_lossy(&block);
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            // A comment only shows that the stream lives.
            let data = field("data:").and_then(|data| serde_json::from_str(data).ok());
            blocks.extend(data.map(|data| Block { name: field("event:").map(str::to_owned), data }));
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_they_are_cut() {
        let text = b": hello\n\nid: 1\ndata: {\"a\":\"x\"}\n\nevent: end\ndata: {}\n\n";
        for cut in 0..text.len() {
            let mut blocks = Blocks::default();
            let mut told = blocks.take(&text[..cut]);
            told.extend(blocks.take(&text[cut..]));
            let told: Vec<_> = told.iter().map(|block| (block.name.as_deref(), block.data.to_string())).collect();
            assert_eq!(told, [(None, r#"{"a":"x"}"#.to_owned()), (Some("end"), "{}".to_owned())], "cut at {cut}");
        }
    }

    #[test]
    fn an_entry_comes_back_as_it_was_told() {
        let item = Item {
            record: 3,
            stream: StreamId::default(),
            number: 2,
            at_ms: 7,
            actor: "actor_2a".parse().unwrap(),
            kind: "task",
            what: What::Event("Succeeded".into()),
            hash: "ab".to_owned(),
        };
        assert_eq!(super::item(&serde_json::to_value(&item).unwrap()), Some(item));
    }
}
