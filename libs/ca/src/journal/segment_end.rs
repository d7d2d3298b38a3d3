//! The end of the newest segment: lines are written into zeros, which mostly are on disk before them.
//!
//! An fsync of a file that has grown has to write its length and its new blocks, too, which takes another flush of the disk or a
//! commit of the file system; of a file that was only overwritten it writes the data alone.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Seek as _, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

/// The file grows by so much at once, in whole multiples: some hundred certificates.
const GROWTH_BYTES: u64 = 1 << 20;
/// How many zeros are written at once.
const ZEROS: [u8; 1 << 14] = [0; 1 << 14];

/// The newest segment, open for writing.
#[derive(Debug)]
pub(super) struct SegmentEnd {
    file: File,
    /// Up to here are lines.
    written: u64,
    /// Up to here the file reaches, as far as this knows.
    grown: u64,
    /// Lines were written that may not be on disk yet.
    unsynced: bool,
}

impl SegmentEnd {
    /// Goes on where the lines of a segment end; its file ends there, too.
    pub(super) fn open(path: &Path, written: u64) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self { file, written, grown: written, unsynced: false })
    }

    /// How many bytes its lines have.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes lines, which need not be on disk before the next [`sync`](Self::sync).
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let end = self.written + lines.len() as u64;
        self.grow(end);
        self.file.write_all_at(lines, self.written)?;
        self.written = end;
        self.grown = self.grown.max(end);
        self.unsynced = true;
        Ok(())
    }

    /// Brings what was written to the disk. Returns whether there was anything.
    pub(super) fn sync(&mut self) -> io::Result<bool> {
        if !self.unsynced {
            return Ok(false);
        }
        self.file.sync_data()?;
        self.unsynced = false;
        Ok(true)
    }

    /// Ends the file where its lines end.
    pub(super) fn cut_zeros(&mut self) -> io::Result<()> {
        // A write of zeros that failed may have written some.
        if self.file.metadata()?.len() > self.written {
            self.file.set_len(self.written)?;
            self.grown = self.written;
            self.file.sync_all()?;
        }
        Ok(())
    }

    /// Writes zeros where the next lines will be, if these would reach the end of the file.
    fn grow(&mut self, end: u64) {
        if end <= self.grown {
            return;
        }
        let grown = end.next_multiple_of(GROWTH_BYTES);
        while self.grown < grown {
            let length = usize::try_from(grown - self.grown).unwrap_or(usize::MAX);
            let zeros = &ZEROS[..length.min(ZEROS.len())];
            // Lines that still fit on a full disk are not refused for the zeros behind them.
            if self.file.write_all_at(zeros, self.grown).is_err() {
                return;
            }
            self.grown += zeros.len() as u64;
        }
    }
}

/// Whether nothing but zeros follows the lines, as after a crash.
pub(super) fn ends_with_zeros(path: &Path, written: u64) -> io::Result<bool> {
    let mut rest = BufReader::new(File::open(path)?);
    rest.seek(SeekFrom::Start(written))?;
    loop {
        let chunk = rest.fill_buf()?;
        if chunk.is_empty() {
            return Ok(true);
        }
        if chunk.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let length = chunk.len();
        rest.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_a_growth_that_failed_are_cut_off_too() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut end = SegmentEnd::open(path.path(), 0).unwrap();
        end.write(b"line\n").unwrap();
        end.file.write_all_at(&[0; 100], end.grown).unwrap();
        end.grown = end.written;
        end.cut_zeros().unwrap();
        assert_eq!(std::fs::read(path.path()).unwrap(), b"line\n");
    }

    #[test]
    fn zeros_are_told_from_what_was_being_written() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut end = SegmentEnd::open(path.path(), 0).unwrap();
        end.write(b"line\n").unwrap();
        let ends_with_zeros = || ends_with_zeros(path.path(), end.written).unwrap();
        assert!(ends_with_zeros());
        end.file.write_all_at(b"0", end.grown - 1).unwrap();
        assert!(!ends_with_zeros());
    }
}
