//! Reads a segment from front to back through one buffer.
//!
//! **Invariant:** nothing is larger in memory than the file is on disk, whatever a length in it claims.

use std::{io, sync::Arc};

use super::{
    disk::{Disk, File},
    frame::{self, Frame},
    segment::Segment,
};

const CHUNK: usize = 256 * 1024;

/// A file being read.
pub(crate) struct Reader {
    file: Arc<dyn File>,
    len: u64,
    buffer: Vec<u8>,
    at: u64,
}

impl Reader {
    /// Open a segment's file.
    pub(crate) fn open(disk: &dyn Disk, segment: &Segment) -> io::Result<Self> {
        let file = segment.open(disk)?;
        let len = file.len()?;
        Ok(Self { file, len, buffer: Vec::new(), at: 0 })
    }

    /// The record that starts here, if there is a whole one.
    pub(crate) fn frame(&mut self, offset: u64) -> io::Result<Option<Frame<'_>>> {
        let Some(header) = self.bytes(offset, frame::HEADER)?.first_chunk() else { return Ok(None) };
        let size = frame::size(header);
        Ok(frame::open(self.bytes(offset, size)?))
    }

    /// Forget what was read: the file may have changed since.
    pub(crate) fn refresh(&mut self) {
        self.buffer.clear();
    }

    /// Where the first byte that is not zero lies, from an offset on.
    pub(crate) fn first_written(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        loop {
            let bytes = self.bytes(offset, CHUNK)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            if let Some(at) = nonzero(bytes) {
                return Ok(Some(offset + at as u64));
            }
            offset += bytes.len() as u64;
        }
    }

    /// The highest sequence above one, of all whole records of a segment from an offset on, wherever they start.
    pub(crate) fn latest(&mut self, mut offset: u64, segment: u64, above: u64) -> io::Result<Option<u64>> {
        let mut latest = None;
        while let Some(at) = self.find(offset, segment.to_le_bytes())? {
            offset = at + 1;
            if let Some(frame) = self.frame(at)?.filter(|frame| frame.place.sequence > above) {
                offset = at + frame.size() as u64;
                latest = latest.max(Some(frame.place.sequence));
            }
        }
        Ok(latest)
    }

    fn find(&mut self, mut offset: u64, wanted: [u8; 8]) -> io::Result<Option<u64>> {
        loop {
            let bytes = self.bytes(offset, CHUNK)?;
            if bytes.len() < wanted.len() {
                return Ok(None);
            }
            if let Some(at) = position(bytes, wanted) {
                return Ok(Some(offset + at as u64));
            }
            // The last seven bytes may be the beginning of it.
            offset += (bytes.len() - wanted.len() + 1) as u64;
        }
    }

    /// So many bytes from an offset on; fewer at the end of the file.
    fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let length = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(length);
        let has = self.at <= offset && offset + length as u64 <= self.at + self.buffer.len() as u64;
        if !has {
            self.fetch(offset, length)?;
        }
        let start = usize::try_from(offset - self.at).unwrap_or(usize::MAX).min(self.buffer.len());
        let end = self.buffer.len().min(start + length);
        Ok(&self.buffer[start..end])
    }

    fn fetch(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        self.buffer.resize(length.max(CHUNK.min(rest)), 0);
        self.at = offset;
        let read = self.file.read_at(&mut self.buffer, offset)?;
        self.buffer.truncate(read);
        Ok(())
    }
}

fn nonzero(bytes: &[u8]) -> Option<usize> {
    // Blocks are compared at once: most of what is asked about is megabytes of zeros.
    let block = bytes.chunks(64).position(|block| block.iter().fold(0, |all, byte| all | byte) != 0)? * 64;
    bytes[block..].iter().position(|byte| *byte != 0).map(|at| block + at)
}

fn position(bytes: &[u8], wanted: [u8; 8]) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == wanted[0]) {
        if bytes[from + at..].starts_with(&wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_wherever_it_lies() {
        let wanted = [1, 1, 2, 3, 4, 5, 6, 7];
        for at in 0..100 {
            let mut bytes = vec![1; at];
            bytes.extend(wanted);
            assert_eq!(position(&bytes, wanted), Some(at));
            assert_eq!(position(&bytes[..bytes.len() - 1], wanted), None);
        }
    }

    #[test]
    fn the_first_byte_that_is_not_zero_is_found() {
        for at in 0..200 {
            let mut bytes = vec![0; 200];
            assert_eq!(nonzero(&bytes), None);
            bytes[at] = 1;
            assert_eq!(nonzero(&bytes), Some(at));
        }
    }
}
