//! How far certificates are findable again after they were cleared.

use eventstore::Sequence;
use rusqlite::Connection;

use crate::{error::ReadError, marks::Mark, verify};

/// The mark of a rebuild. Its sequence says up to where the certificates are complete, its detail up to where they have
/// to be.
const REBUILD: &str = "rebuild";

/// Certificates were cleared since the marker was read.
#[derive(Debug, thiserror::Error)]
#[error("index entries are lost: read the marker again and index on from there")]
pub(crate) struct EntriesLost;

/// What marking a place as complete meant for certificates that were cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rebuilt {
    /// They are whole.
    Whole,
    /// They are complete to the marker, and more is to come.
    Partly,
    /// The place is refused: some certificates below it are missing.
    Gap,
}

/// Remembers that the certificates were cleared, and that they are whole again with the ledger's last message.
pub(crate) fn mark_cleared(connection: &Connection, last: Sequence) -> rusqlite::Result<()> {
    let detail = last.to_string();
    Mark { name: REBUILD.into(), sequence: Sequence::NONE, detail }.store(connection)
}

/// Remembers how far the certificates are complete, if they are.
///
/// Whoever read the marker before the certificates were cleared would continue from there and mark a gap as complete.
pub(crate) fn mark_rebuilt(connection: &Connection, to: Sequence) -> rusqlite::Result<Rebuilt> {
    // A damaged mark is like none: its rebuild never ends and the index stays incomplete, which `audit verify` explains.
    let Ok(Some(mark)) = Mark::find(connection, REBUILD) else { return Ok(Rebuilt::Partly) };
    let Ok(until) = mark.detail.parse().map(Sequence) else { return Ok(Rebuilt::Partly) };
    let to = to.max(mark.sequence);
    if !verify::are_certificates_indexed(connection, mark.sequence, to).unwrap_or(false) {
        return Ok(Rebuilt::Gap);
    }
    if to >= until {
        Mark::remove(connection, REBUILD)?;
        return Ok(Rebuilt::Whole);
    }
    Mark { sequence: to, ..mark }.store(connection)?;
    Ok(Rebuilt::Partly)
}

/// How far the indexes are complete while they are made anew; `None`: they are whole.
pub(crate) fn rebuilt_to(connection: &Connection) -> Result<Option<Sequence>, ReadError> {
    Ok(Mark::find(connection, REBUILD)?.map(|mark| mark.sequence))
}

/// Whether the certificates were cleared and are not whole again.
pub(crate) fn is_rebuilding(connection: &Connection) -> Result<bool, ReadError> {
    Ok(Mark::find(connection, REBUILD)?.is_some())
}
