//! Places in the log that are remembered across restarts: how far consumers came, and a rebuild.

use eventstore::Sequence;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    chain::Hash,
    error::{Damage, ReadError},
    schema::column,
};

/// A remembered place. The rows are not part of the hash chain: each has a checksum of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Who remembers.
    pub(crate) name: String,
    /// The place.
    pub(crate) sequence: Sequence,
    /// What else belongs to it.
    pub(crate) detail: String,
}

const COLUMNS: &str = "name, sequence, detail, checksum";

impl Mark {
    fn checksum(&self) -> Hash {
        let sequence = column(self.sequence).to_be_bytes();
        Hash::of_fields(&[self.name.as_bytes(), &sequence, self.detail.as_bytes()])
    }

    fn read(row: &Row<'_>) -> Result<Self, ReadError> {
        let mark = Self { name: row.get(0)?, sequence: Sequence(row.get(1)?), detail: row.get(2)? };
        if row.get::<_, Hash>(3)? == mark.checksum() {
            Ok(mark)
        } else {
            Err(Damage::Checksum(format!("the mark of {}", mark.name)).into())
        }
    }

    /// Writes the mark over the older one of its name.
    pub(crate) fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached(&format!(
                "INSERT OR REPLACE INTO marks ({COLUMNS}) VALUES (?, ?, ?, ?)"
            ))?
            .execute(params![self.name, column(self.sequence), self.detail, self.checksum()])?;
        Ok(())
    }

    /// Finds a mark.
    pub(crate) fn find(connection: &Connection, name: &str) -> Result<Option<Self>, ReadError> {
        connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM marks WHERE name = ?"))?
            .query_row([name], |row| Ok(Self::read(row)))
            .optional()?
            .transpose()
    }

    /// Every mark.
    pub(crate) fn all(connection: &Connection) -> Result<Vec<Self>, ReadError> {
        connection
            .prepare(&format!("SELECT {COLUMNS} FROM marks"))?
            .query_and_then((), Self::read)?
            .collect()
    }

    /// Removes a mark.
    pub(crate) fn remove(connection: &Connection, name: &str) -> rusqlite::Result<()> {
        connection.execute("DELETE FROM marks WHERE name = ?", [name]).map(|_| ())
    }
}
