//! Whether ledger segments follow each other: none removed, none exchanged.
//!
//! **Invariant:** only the oldest may be missing, because retention takes whole segments from that end.

use std::path::Path;

use super::Segment;
use crate::durable::store::Error;

/// Whether these segments, oldest first, belong to a store and follow each other without a gap.
///
/// # Errors
/// [`Error::Inconsistent`] names the first two that do not fit.
pub(crate) fn connected(folder: &Path, store: u64, segments: &[Segment]) -> Result<(), Error> {
    let stranger = segments.iter().find(|segment| segment.header().store != store);
    let stranger = stranger.map(|segment| format!("{} belongs to another store", segment.path().display()));
    let gap = segments.windows(2).find_map(|pair| gap(&pair[0], &pair[1]));
    let Some(cause) = stranger.or(gap) else { return Ok(()) };
    Err(Error::Inconsistent { folder: folder.to_path_buf(), cause })
}

fn gap(older: &Segment, newer: &Segment) -> Option<String> {
    let (reached, goes_on) = (older.range().to, newer.range().from);
    if goes_on != reached.next() {
        return Some(format!(
            "ledger segments end at record {reached} and go on at {goes_on}; put back what is missing"
        ));
    }
    let (older_path, newer_path) = (older.path().display(), newer.path().display());
    let was_exchanged = newer.header().previous != older.link();
    was_exchanged.then(|| format!("{newer_path} was made after another file than {older_path}; put back the right one"))
}
