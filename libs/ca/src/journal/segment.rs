//! The files of the journal, numbered from 1.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use super::{OpenError, at};

/// A line is never longer than this; the first of a segment, with all that is pending, is the longest.
pub(super) const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// One file of the journal.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    /// Names a segment.
    pub(super) fn new(dir: &Path, number: u64) -> Self {
        Self { number, path: dir.join(format!("journal-{number:08}.log")) }
    }

    /// The segments of a directory, oldest first, without gaps.
    pub(super) fn list(dir: &Path) -> Result<Vec<Self>, OpenError> {
        let mut numbers = Vec::new();
        for file in std::fs::read_dir(dir).map_err(at(dir))? {
            let name = file.map_err(at(dir))?.file_name();
            let number: Option<u64> = name
                .to_str()
                .and_then(|name| name.strip_prefix("journal-")?.strip_suffix(".log")?.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]) {
            return Err(OpenError::MissingSegment(Self::new(dir, pair[0] + 1).path));
        }
        Ok(numbers.into_iter().map(|number| Self::new(dir, number)).collect())
    }

    /// Opens the segment to read its lines.
    pub(super) fn lines(&self) -> Result<Lines, OpenError> {
        let file = File::open(&self.path).map_err(at(&self.path))?;
        Ok(Lines { reader: BufReader::new(file), line: Vec::new(), offset: 0 })
    }
}

/// The lines of a segment, read one after the other.
#[derive(Debug)]
pub(super) struct Lines {
    reader: BufReader<File>,
    line: Vec<u8>,
    offset: u64,
}

impl Lines {
    /// Reads the next line, with its newline if it has one.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.offset += self.line.len() as u64;
        self.line.clear();
        self.reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line)?;
        Ok(if self.line.is_empty() { None } else { Some(&self.line) })
    }

    /// Where the line that was read last begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether a crash left the line that was read last unfinished: it ends with the file and without a newline, or holds blocks
    /// that were never written, which read as zeros. Our lines never hold two zeros, nor begin with one.
    pub(super) fn is_unfinished(&mut self) -> io::Result<bool> {
        let ends_here = self.reader.fill_buf()?.is_empty();
        let unwritten =
            self.line.starts_with(&[0]) || self.line.windows(2).any(|pair| pair == [0, 0]);
        Ok(unwritten || (ends_here && !self.line.ends_with(b"\n")))
    }
}
