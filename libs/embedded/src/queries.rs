//! What is read from the tables of the log.

use eventstore::{Envelope, InvalidSubject, Message, Sequence, Stream, Subject};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    chain::{Hash, Tip},
    error::{Damage, ReadError},
    positions::Position,
    schema::{bodies, column, is_kept, stream_code},
};

/// The condition that a message belongs to a subject.
pub(crate) const OF_SUBJECT: &str =
    "aggregate = (SELECT aggregate FROM subjects WHERE subject = ?)";

/// A part of the log, in order.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its messages, without pruned ones.
    pub(crate) messages: Vec<Message>,
    /// The last message looked at, pruned or not; where the page began when there was none.
    pub(crate) end: Sequence,
}

/// Reads a message from the columns `sequence, subject, envelope`.
fn message(row: &Row<'_>) -> Result<Message, ReadError> {
    let sequence = Sequence(row.get(0)?);
    let subject = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let subject = subject.parse().map_err(|error: InvalidSubject| {
        ReadError::from(Damage::Malformed { sequence, source: error.into() })
    })?;
    parse(sequence, subject, row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)
}

/// Puts a message together from what is stored of it.
pub(crate) fn parse(
    sequence: Sequence,
    subject: Subject,
    body: &[u8],
) -> Result<Message, ReadError> {
    let envelope: Envelope = serde_json::from_slice(body)
        .map_err(|error| Damage::Malformed { sequence, source: error.into() })?;
    Ok(Message { subject, sequence, envelope })
}

/// The messages of a subject after a place.
pub(crate) fn subject_after(
    connection: &Connection,
    subject: &Subject,
    after: Sequence,
) -> Result<Vec<Message>, ReadError> {
    connection
        .prepare_cached(&format!(
            "SELECT sequence, subject, envelope FROM messages JOIN {} USING (sequence)
             WHERE {OF_SUBJECT} AND sequence > ? ORDER BY version",
            bodies(subject.stream())
        ))?
        .query_and_then(params![subject.as_str(), column(after)], message)?
        .collect()
}

/// The message of a stream at a place.
pub(crate) fn at(
    connection: &Connection,
    stream: Stream,
    sequence: Sequence,
) -> Result<Option<Message>, ReadError> {
    connection
        .prepare_cached(&format!(
            "SELECT sequence, subject, envelope FROM messages JOIN {} USING (sequence)
             WHERE sequence = ? AND stream = ?",
            bodies(stream)
        ))?
        .query_row([column(sequence), stream_code(stream)], |row| Ok(message(row)))
        .optional()?
        .transpose()
}

/// The messages of a stream after a place, at most so many.
pub(crate) fn stream_after(
    connection: &Connection,
    stream: Stream,
    after: Sequence,
    limit: usize,
) -> Result<Vec<Message>, ReadError> {
    connection
        .prepare_cached(&format!(
            "SELECT sequence, subject, envelope FROM messages JOIN {} USING (sequence)
             WHERE {} AND stream = ? AND sequence > ? ORDER BY sequence LIMIT ?",
            bodies(stream),
            indexed(stream)
        ))?
        .query_and_then(params![stream_code(stream), column(after), row_limit(limit)], message)?
        .collect()
}

/// The messages of all streams after a place: at most so many places are looked at.
pub(crate) fn page(
    connection: &Connection,
    after: Sequence,
    limit: usize,
) -> Result<Page, ReadError> {
    let mut statement = connection.prepare_cached(
        "SELECT sequence, subject, coalesce(kept_bodies.envelope, order_bodies.envelope)
         FROM messages LEFT JOIN kept_bodies USING (sequence) LEFT JOIN order_bodies USING (sequence)
         WHERE sequence > ? ORDER BY sequence LIMIT ?",
    )?;
    let mut rows = statement.query(params![column(after), row_limit(limit)])?;
    let mut page = Page { messages: Vec::new(), end: after };
    while let Some(row) = rows.next()? {
        page.end = Sequence(row.get(0)?);
        if row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?.is_some() {
            page.messages.push(message(row)?);
        }
    }
    Ok(page)
}

/// The messages of all streams after a place, at most so many; empty only at the end.
pub(crate) fn log(
    connection: &Connection,
    mut after: Sequence,
    limit: usize,
) -> Result<Vec<Message>, ReadError> {
    loop {
        let page = page(connection, after, limit)?;
        if !page.messages.is_empty() || page.end == after {
            return Ok(page.messages);
        }
        after = page.end;
    }
}

/// The last message of a stream, pruned or not.
pub(crate) fn last_of(connection: &Connection, stream: Stream) -> rusqlite::Result<Sequence> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT sequence FROM messages WHERE {} AND stream = ? ORDER BY sequence DESC LIMIT 1",
            indexed(stream)
        ))?
        .query_row([stream_code(stream)], |row| row.get(0))
        .optional()?;
    Ok(found.map_or(Sequence::NONE, Sequence))
}

/// Where a subject ends.
pub(crate) fn position(connection: &Connection, subject: &Subject) -> rusqlite::Result<Position> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT iif(pruned, 0, sequence), version, aggregate FROM messages
                 WHERE {OF_SUBJECT} ORDER BY version DESC LIMIT 1"
        ))?
        .query_row([subject.as_str()], |row| {
            Ok(Position {
                last: Sequence(row.get(0)?),
                version: row.get(1)?,
                aggregate: Some(Sequence(row.get(2)?)),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Whether a message was pruned.
pub(crate) fn is_pruned(connection: &Connection, sequence: Sequence) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM messages WHERE sequence = ? AND pruned")?
        .exists([column(sequence)])
}

/// Whether no subject of these ever held a message.
pub(crate) fn are_empty(connection: &Connection, subjects: &[Subject]) -> Result<bool, ReadError> {
    let mut found = connection.prepare_cached("SELECT 1 FROM subjects WHERE subject = ?")?;
    for subject in subjects {
        if found.exists([subject.as_str()])? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Shows every subject of some streams, until that says that it has enough.
pub(crate) fn each_subject(
    connection: &Connection,
    streams: &[Stream],
    mut goes_on: impl FnMut(&str) -> bool,
) -> Result<(), ReadError> {
    for stream in streams {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT subject FROM messages WHERE {} AND stream = ? AND version = 1",
            indexed(*stream)
        ))?;
        let mut rows = statement.query([stream_code(*stream)])?;
        while let Some(row) = rows.next()? {
            if !goes_on(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Where the log ends.
pub(crate) fn tip(connection: &Connection) -> rusqlite::Result<Tip> {
    let found = connection
        .query_row(
            "SELECT sequence, hash FROM messages ORDER BY sequence DESC LIMIT 1",
            (),
            |row| Ok(Tip { sequence: Sequence(row.get(0)?), hash: row.get(1)? }),
        )
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// The hash a message carries.
pub(crate) fn hash_at(
    connection: &Connection,
    sequence: Sequence,
) -> rusqlite::Result<Option<Hash>> {
    connection
        .query_row("SELECT hash FROM messages WHERE sequence = ?", [column(sequence)], |row| {
            row.get(0)
        })
        .optional()
}

/// The condition that lets SQLite use the index of kept streams, in the index's own words.
fn indexed(stream: Stream) -> &'static str {
    if is_kept(stream) { "stream < 100" } else { "TRUE" }
}

fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
