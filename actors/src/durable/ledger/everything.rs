//! The bytes of everything durable, for whoever asks whether something is still named anywhere.
//!
//! ```text
//! events in ledger segments ─ rows of the base at which these end ─ every record since
//! ```
//! What is live is the base and the records since (they are what rows are built again from), so whatever is in a mailbox,
//! a snapshot, a call or an index row is in one of these, without any lock and without asking memory.
//!
//! **Invariant:** nothing that was durable when the visit began is left out of one that says it was whole.

use super::{FORMAT, Ledger, Past, codec, store};

/// Records go to the ledger now and then; not so often that all of it cannot be read in between.
const ATTEMPTS: u32 = 4;

impl Ledger {
    /// Visit the bytes of every event, of every row that is live, and of the messages, calls and rows that records of the
    /// journal hold: text inside them is in one piece, and some of it may come more than once. Says whether that was everything: not
    /// if history was lost, or records went to the ledger again and again meanwhile. Reads all there is; to be called on a
    /// thread that may block.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn everything(&self, visit: &mut dyn FnMut(&[u8])) -> Result<bool, store::Error> {
        for _ in 0..ATTEMPTS {
            let past = self.store.past()?;
            if !past.lost().is_empty() {
                return Ok(false);
            }
            if self.all_since(&*past, visit)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says whether the records go on where the past ends.
    fn all_since(&self, past: &dyn Past, visit: &mut dyn FnMut(&[u8])) -> Result<bool, store::Error> {
        past.visit(None, &mut |_, event| {
            visit(&event.payload);
            true
        })?;
        past.live(visit)?;
        let wanted = past.end().next();
        let (mut first, mut wrong) = (None, None);
        self.store.scan(wanted, &mut |sequence, sealed| {
            first.get_or_insert(sequence);
            // Compressed, it would name nothing.
            match codec::unwrap(FORMAT.type_id, sealed) {
                Ok(stored) => visit(&stored.payload),
                Err(error) => wrong = Some(store::Error::Undecodable { sequence, cause: error.to_string() }),
            }
            wrong.is_none()
        })?;
        match wrong {
            Some(error) => Err(error),
            None => Ok(first.is_none_or(|first| first == wanted)),
        }
    }
}
