//! Remembers how far the event log had come, so that a log that goes backwards is noticed.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::durable::{self, Access};

const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The highest acknowledged sequence of each stream, kept in a small file that may lag behind but never runs ahead. Only the
/// process that holds the journal writes it.
#[derive(Debug)]
pub struct LogPositions {
    path: PathBuf,
    sequences: BTreeMap<String, u64>,
}

/// The positions cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LogPositionError {
    /// The file system said no.
    #[error("the log position file {path} cannot be used")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not ours.
    #[error(
        "the log position file {path} is damaged: restore it, or remove it if the log is whole"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The log ends before what it had acknowledged: it lost events, or was restored from a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "stream {stream} ends at sequence {found}, but {remembered} was acknowledged: the log lost events; restore it, or \
     accept it as it is with certmill ca accept-log --reason …"
)]
pub struct LogWentBack {
    /// Which stream.
    pub stream: String,
    /// The highest sequence that was acknowledged.
    pub remembered: u64,
    /// The last sequence there is.
    pub found: u64,
}

impl LogPositions {
    /// Reads the file; without one nothing is remembered yet. Its directory has to exist.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, LogPositionError> {
        let path = path.into();
        let contents = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, sequences: BTreeMap::new() });
            }
            opened => opened.and_then(|file| durable::read_bounded(&file, MAX_FILE_BYTES)),
        };
        let contents = contents.map_err(at(&path))?;
        match serde_json::from_slice(&contents) {
            Ok(sequences) => Ok(Self { path, sequences }),
            Err(source) => Err(LogPositionError::Damaged { path, source }),
        }
    }

    /// The highest acknowledged sequence of a stream.
    pub fn get(&self, stream: &str) -> Option<u64> {
        self.sequences.get(stream).copied()
    }

    /// Remembers that a stream acknowledged a sequence; a lower one than before changes nothing.
    ///
    /// # Errors
    /// When the file cannot be written; then the position is not remembered.
    pub fn set(&mut self, stream: &str, sequence: u64) -> Result<(), LogPositionError> {
        if self.get(stream).is_some_and(|remembered| remembered >= sequence) {
            return Ok(());
        }
        self.write(stream, sequence)
    }

    /// Accepts that a stream ends at `sequence`, though it had come further: the operator's decision after a restore.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is accepted.
    pub fn accept(&mut self, stream: &str, sequence: u64) -> Result<(), LogPositionError> {
        self.write(stream, sequence)
    }

    /// Checks the last sequence of a stream against what is remembered.
    ///
    /// # Errors
    /// When the stream went backwards: sign nothing until the operator decided.
    pub fn check(&self, stream: &str, last: u64) -> Result<(), LogWentBack> {
        match self.get(stream) {
            Some(remembered) if last < remembered => {
                Err(LogWentBack { stream: stream.to_owned(), remembered, found: last })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn write(&mut self, stream: &str, sequence: u64) -> Result<(), LogPositionError> {
        let mut sequences = self.sequences.clone();
        sequences.insert(stream.to_owned(), sequence);
        let contents = serde_json::to_vec(&sequences)
            .map_err(|source| LogPositionError::Damaged { path: self.path.clone(), source })?;
        durable::replace(&self.path, &contents, Access::Owner).map_err(at(&self.path))?;
        self.sequences = sequences;
        Ok(())
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> LogPositionError + use<> {
    let path = path.to_owned();
    |source| LogPositionError::Io { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_goes_backwards_is_noticed_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions");
        LogPositions::open(&path).unwrap().set("orders", 7).unwrap();
        let mut positions = LogPositions::open(&path).unwrap();
        assert_eq!(positions.check("orders", 7), Ok(()));
        assert_eq!(positions.check("accounts", 0), Ok(()));
        let error = positions.check("orders", 6).unwrap_err();
        assert_eq!((error.remembered, error.found), (7, 6));
        positions.accept("orders", 6).unwrap();
        assert_eq!(LogPositions::open(&path).unwrap().check("orders", 6), Ok(()));
    }

    #[test]
    fn a_position_never_moves_back_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let mut positions = LogPositions::open(dir.path().join("positions")).unwrap();
        positions.set("orders", 7).unwrap();
        positions.set("orders", 3).unwrap();
        assert_eq!(positions.get("orders"), Some(7));
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("positions");
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(LogPositions::open(&path), Err(LogPositionError::Damaged { .. })));
    }
}
