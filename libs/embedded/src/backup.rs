//! Backups while the server runs.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};

use crate::{Damage, Embedded, Verified, head::Head, queries, read_only::ReadOnly, schema};

/// A backup was not made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already; backups are made into directories of their own.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The backup cannot be written.
    #[error("cannot write the backup")]
    Io(#[from] io::Error),
    /// The database cannot be copied.
    #[error("cannot copy the database")]
    Database(#[from] rusqlite::Error),
    /// The copy cannot be trusted: the log itself is damaged, or the disk under the backup.
    #[error("the backup does not verify")]
    Damaged(#[source] Damage),
}

impl Embedded {
    /// Copies the log as of now into a new directory that opens as a data directory, and verifies the copy. Blocks;
    /// appends go on meanwhile.
    ///
    /// # Errors
    /// See [`BackupError`]. Nothing is left of the directory then.
    pub fn backup(&self, to: &Path) -> Result<Verified, BackupError> {
        copy(self.dir(), to)
    }
}

impl ReadOnly {
    /// Copies the log, as [`Embedded::backup`] does, beside a running server or without one.
    ///
    /// # Errors
    /// As [`Embedded::backup`].
    pub fn backup(&self, to: &Path) -> Result<Verified, BackupError> {
        copy(self.dir(), to)
    }
}

fn copy(from: &Path, to: &Path) -> Result<Verified, BackupError> {
    match DirBuilder::new().mode(0o700).create(to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists(to.to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    fill(from, to).inspect_err(|_| {
        // What cannot be removed either is told by the error that there is.
        let _ = fs::remove_dir_all(to);
    })
}

/// Copies the log into the directory that was made for it.
fn fill(from: &Path, to: &Path) -> Result<Verified, BackupError> {
    let path = schema::database(to);
    // SQLite would make it readable to everybody.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let source = schema::open_reader(&schema::database(from))?;
    let mut target = Connection::open(&path)?;
    // In one step, which is one snapshot: in several, each append in between would start it over.
    let done = Backup::new(&source, &mut target)?.step(-1)?;
    if done != StepResult::Done {
        return Err(io::Error::from(io::ErrorKind::WouldBlock).into());
    }
    let tip = queries::tip(&target)?;
    target.close().map_err(|(_, error)| error)?;
    File::open(&path)?.sync_all()?;
    Head::write_new(to, &tip)?;
    Embedded::verify_directory(to).map_err(BackupError::Damaged)
}
