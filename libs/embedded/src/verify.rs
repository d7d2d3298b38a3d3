//! Looking for lost and changed messages: the newest at each start, all of them on request.

use std::path::Path;

use domain::CrlName;
use eventstore::{Message, Sequence, Stream, Subject};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{
    Damage, Embedded,
    chain::{Hash, Link, Tip},
    crls,
    head::{Head, Remembered},
    index::{self, Entry, PlacedOrder},
    marks::Mark,
    queries, rebuilding, schema,
    schema::{column, stream_code},
};

/// How many messages are verified at each start.
const NEWEST: u64 = 10_000;
/// How many messages are read at once.
const PAGE: usize = 500;

/// A log in which nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many messages were verified.
    pub messages: u64,
    /// How many of them were pruned: their hashes hold the chain together, their bodies are gone.
    pub pruned: u64,
    /// How many index entries were compared with the messages they are made from.
    pub indexed: u64,
}

impl Embedded {
    /// Verifies the whole log in a directory, also one that cannot be opened: its chain, its end, the database's structure,
    /// and every index. Blocks, for as long as it takes to read everything; a server that uses it goes on meanwhile.
    ///
    /// # Errors
    /// The first damage found.
    pub fn verify_directory(dir: &Path) -> Result<Verified, Damage> {
        // Before the database: a server that writes meanwhile makes the log longer than this head, never shorter.
        let head = match Head::read(dir).map_err(Damage::Io)? {
            Remembered::Tip(tip) => tip,
            Remembered::Nothing => return Err(Damage::HeadMissing),
            Remembered::Unreadable => return Err(Damage::HeadUnreadable),
        };
        let connection = schema::open_reader(&schema::database(dir))?;
        // One snapshot for all that follows.
        let snapshot = connection.unchecked_transaction()?;
        all(&snapshot, head)
    }
}

/// Checks at a start what can be checked in short time, and tells where the log ends.
pub(crate) fn newest(connection: &Connection, head: Tip) -> Result<Tip, Damage> {
    check_structure(connection, "quick_check")?;
    let end = queries::tip(connection)?.sequence;
    let first = Sequence(end.0.saturating_sub(NEWEST));
    let before = match first {
        Sequence::NONE => Tip::default(),
        sequence => Tip {
            sequence,
            hash: queries::hash_at(connection, sequence)?
                .ok_or(Damage::Gap { expected: sequence, found: Sequence(sequence.0 + 1) })?,
        },
    };
    let tip = walk(connection, before, |_| Ok(()))?;
    check_head(connection, tip, head)?;
    Ok(tip)
}

fn all(connection: &Connection, head: Tip) -> Result<Verified, Damage> {
    if schema::kind(connection)? != schema::Kind::Ours {
        return Err(Damage::Foreign);
    }
    check_structure(connection, "integrity_check")?;
    let indexes_are_whole = !rebuilding::is_rebuilding(connection)?;
    let mut verified = Verified { messages: 0, pruned: 0, indexed: 0 };
    let mut orders = 0;
    let tip = walk(connection, Tip::default(), |row| {
        verified.messages += 1;
        let Some(message) = row.message()? else {
            verified.pruned += 1;
            return Ok(());
        };
        if indexes_are_whole {
            for entry in entries(&message)? {
                check_entry(connection, message.sequence, &entry)?;
                verified.indexed += 1;
                orders += u64::from(matches!(entry, Entry::Order(_)));
            }
        }
        Ok(())
    })?;
    check_head(connection, tip, head)?;
    check_subjects(connection)?;
    check_bodies(connection, verified.messages - verified.pruned)?;
    if indexes_are_whole {
        check_nothing_more(connection, orders)?;
    }
    let _: Vec<(CrlName, _)> = crls::all(connection)?;
    let marks = Mark::all(connection)?;
    match marks.iter().find(|mark| mark.sequence > tip.sequence) {
        Some(mark) => Err(Damage::Checksum(format!("the mark of {}", mark.name))),
        None => Ok(verified),
    }
}

fn check_structure(connection: &Connection, check: &str) -> Result<(), Damage> {
    let verdict: String =
        connection.query_row(&format!("PRAGMA {check}(1)"), (), |row| row.get(0))?;
    if verdict == "ok" { Ok(()) } else { Err(Damage::Inconsistent(verdict)) }
}

fn check_head(connection: &Connection, tip: Tip, head: Tip) -> Result<(), Damage> {
    if tip.sequence < head.sequence {
        return Err(Damage::EndsBeforeHead { last: tip.sequence, head: head.sequence });
    }
    let found = match head.sequence {
        Sequence::NONE => Hash::default(),
        sequence => queries::hash_at(connection, sequence)?
            .ok_or(Damage::EndsBeforeHead { last: tip.sequence, head: sequence })?,
    };
    if found == head.hash { Ok(()) } else { Err(Damage::NotTheHead(head.sequence)) }
}

/// Checks that every subject is named by its first message, everywhere alike, and that no name is left over.
fn check_subjects(connection: &Connection) -> Result<(), Damage> {
    let strays = "SELECT sequence FROM messages LEFT JOIN subjects USING (subject)
         WHERE subjects.aggregate IS NOT messages.aggregate
             OR (version = 1) <> (sequence = messages.aggregate)
         LIMIT 1";
    let stray = connection.query_row(strays, (), |row| row.get(0)).optional()?;
    if let Some(sequence) = stray {
        return Err(Damage::Index { index: "subjects", sequence: Sequence(sequence) });
    }
    let counts = "SELECT (SELECT count(*) FROM subjects),
             (SELECT count(*) FROM messages WHERE version = 1)";
    let (named, begun): (u64, u64) =
        connection.query_row(counts, (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    if named == begun {
        Ok(())
    } else {
        Err(Damage::Index { index: "subjects", sequence: Sequence::NONE })
    }
}

/// Checks that there is no body without a message.
fn check_bodies(connection: &Connection, expected: u64) -> Result<(), Damage> {
    let query = "SELECT (SELECT count(*) FROM kept_bodies) + (SELECT count(*) FROM order_bodies)";
    let bodies: u64 = connection.query_row(query, (), |row| row.get(0))?;
    if bodies == expected {
        Ok(())
    } else {
        Err(Damage::Inconsistent(format!("{bodies} bodies for {expected} messages")))
    }
}

/// A stored message whose hash was found right.
struct Stored<'a> {
    sequence: Sequence,
    subject: Subject,
    body: Body<'a>,
}

enum Body<'a> {
    Kept(&'a [u8]),
    Pruned,
}

impl Stored<'_> {
    fn message(self) -> Result<Option<Message>, Damage> {
        match self.body {
            Body::Kept(body) => Ok(Some(queries::parse(self.sequence, self.subject, body)?)),
            Body::Pruned => Ok(None),
        }
    }
}

/// The columns that [`walk`] selects, by number: to look each up by its name took a fifth of the time of a walk.
const SEQUENCE: usize = 0;
const SUBJECT: usize = 1;
const STREAM: usize = 2;
const VERSION: usize = 3;
const DIGEST: usize = 4;
const HASH: usize = 5;
const PRUNED: usize = 6;
const KEPT_BODY: usize = 7;
const ORDER_BODY: usize = 8;

/// Follows the chain from a message to the end.
fn walk(
    connection: &Connection,
    mut tip: Tip,
    mut each: impl FnMut(Stored<'_>) -> Result<(), Damage>,
) -> Result<Tip, Damage> {
    let mut statement = connection.prepare(
        "SELECT sequence, subject, stream, version, digest, hash, pruned,
             kept_bodies.envelope, order_bodies.envelope
         FROM messages LEFT JOIN kept_bodies USING (sequence) LEFT JOIN order_bodies USING (sequence)
         WHERE sequence > ? ORDER BY sequence",
    )?;
    let mut rows = statement.query([column(tip.sequence)])?;
    while let Some(row) = rows.next()? {
        let expected = Sequence(tip.sequence.0 + 1);
        let sequence = Sequence(row.get(SEQUENCE)?);
        if sequence != expected {
            return Err(Damage::Gap { expected, found: sequence });
        }
        let broken = || Damage::ChainBroken(sequence);
        let subject = row.get_ref(SUBJECT)?.as_str().map_err(|_| broken())?;
        let subject: Subject = subject.parse().map_err(|_| broken())?;
        let body = verified_body(row, &subject)?.ok_or_else(broken)?;
        tip = verified_tip(row, tip, &subject)?.ok_or_else(broken)?;
        each(Stored { sequence, subject, body })?;
    }
    Ok(tip)
}

/// The body of a row; `None` when it is not what was written, or where it was written.
fn verified_body<'a>(row: &'a Row<'_>, subject: &Subject) -> rusqlite::Result<Option<Body<'a>>> {
    let kept = row.get_ref(KEPT_BODY)?.as_blob_or_null()?;
    let order = row.get_ref(ORDER_BODY)?.as_blob_or_null()?;
    let body = match (schema::is_kept(subject.stream()), kept, order) {
        (true, Some(body), None) | (false, None, Some(body)) => Body::Kept(body),
        (false, None, None) => Body::Pruned,
        (_, Some(_), Some(_)) | (true, None, _) | (false, Some(_), None) => return Ok(None),
    };
    let pruned: i64 = row.get(PRUNED)?;
    let is_right = match body {
        Body::Kept(body) => pruned == 0 && Hash::of(body) == row.get(DIGEST)?,
        Body::Pruned => pruned == 1,
    };
    Ok(is_right.then_some(body))
}

/// The tip after a row; `None` when the row does not carry its hash.
fn verified_tip(row: &Row<'_>, before: Tip, subject: &Subject) -> rusqlite::Result<Option<Tip>> {
    let link = Link { subject, version: row.get(VERSION)?, body: row.get(DIGEST)? };
    let tip = before.extended(&link);
    let is_right =
        tip.hash == row.get(HASH)? && stream_code(subject.stream()) == row.get::<_, i64>(STREAM)?;
    Ok(is_right.then_some(tip))
}

/// What the indexes must hold because of a message.
pub(crate) fn entries(message: &Message) -> Result<Vec<Entry>, Damage> {
    let sequence = message.sequence;
    index::entries(&message.subject, &message.envelope)
        .map_err(|error| Damage::Malformed { sequence, source: error.into() })
}

/// Whether the index holds every certificate that the ledger signed between two places.
pub(crate) fn are_certificates_indexed(
    connection: &Connection,
    mut after: Sequence,
    to: Sequence,
) -> Result<bool, Damage> {
    while after < to {
        let page = queries::stream_after(connection, Stream::Ledger, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.sequence;
        for message in page.iter().filter(|message| message.sequence <= to) {
            let is_there = |entry| check_entry(connection, message.sequence, entry).is_ok();
            if !entries(message)?.iter().all(is_there) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

fn check_entry(connection: &Connection, sequence: Sequence, entry: &Entry) -> Result<(), Damage> {
    let (index, is_there) = match entry {
        Entry::Certificate(certificate) => {
            let found = index::certificate(connection, &certificate.serial)?;
            // A later message may have said it again.
            let is_there = found.is_some_and(|found| found.ledger_sequence >= sequence);
            ("certificates", is_there)
        }
        Entry::Order(order) => {
            let found = PlacedOrder::placed_by(connection, sequence)?;
            ("orders", found.as_ref() == Some(order))
        }
    };
    if is_there { Ok(()) } else { Err(Damage::Index { index, sequence }) }
}

/// Checks that the indexes hold nothing that no message says: each certificate is what the message it names says, and
/// there are no more orders than were compared.
fn check_nothing_more(connection: &Connection, orders: u64) -> Result<(), Damage> {
    index::each_certificate(connection, |mut found| {
        let sequence = found.ledger_sequence;
        let message = queries::at(connection, Stream::Ledger, sequence)?;
        let said = message.as_ref().map(entries).transpose()?.unwrap_or_default();
        found.ledger_sequence = Sequence::NONE;
        if said.contains(&Entry::Certificate(found)) {
            Ok(())
        } else {
            Err(Damage::Index { index: "certificates", sequence })
        }
    })?;
    let rows: u64 = connection.query_row("SELECT count(*) FROM orders", (), |row| row.get(0))?;
    if rows == orders {
        Ok(())
    } else {
        Err(Damage::Index { index: "orders", sequence: Sequence::NONE })
    }
}
