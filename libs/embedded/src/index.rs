//! The indexes made from the log: certificates by serial, orders by account.
//!
//! They are written in the transaction of the message they are made from.

use std::str::FromStr;

use domain::{
    AccountId, InvalidId, OrderId, Serial, Timestamp, certificate::LedgerEvent, order::Event,
};
use eventstore::{DecodeError, Envelope, Sequence, Stream, Subject};
use readmodel::CertificateEntry;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::{
    error::{Damage, ReadError},
    schema::column,
};

/// What one message adds to the indexes. The ledger sequence of a certificate is filled in when the message has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A certificate, by serial.
    Certificate(CertificateEntry),
    /// An order, by account.
    Order(PlacedOrder),
}

/// An order in the index by account, and the list by which orders are pruned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedOrder {
    /// Which one.
    pub(crate) id: OrderId,
    /// Who placed it.
    pub(crate) account: AccountId,
    /// When.
    pub(crate) at: Timestamp,
}

/// What a message adds to the indexes.
pub(crate) fn entries(subject: &Subject, envelope: &Envelope) -> Result<Vec<Entry>, DecodeError> {
    match subject.stream() {
        Stream::Ledger => {
            let mut entries = vec![];
            // Decoding a reservation, with the bytes to sign in it, would be for nothing.
            for event in envelope.events.iter().filter(|event| event.is("CertificateSigned")) {
                entries.extend(certificate_entry(event.decode()?));
            }
            Ok(entries)
        }
        Stream::Orders(_) => {
            // Only an order's first message places it: the others are not decoded.
            let Some(first) = envelope.events.first() else { return Ok(vec![]) };
            if first.kind()?.0 != "OrderPlaced" {
                return Ok(vec![]);
            }
            match first.decode::<Event>()? {
                Event::OrderPlaced(placed) => Ok(vec![Entry::Order(PlacedOrder {
                    id: placed.id,
                    account: placed.account,
                    at: placed.at,
                })]),
                Event::ChallengeReady(_)
                | Event::ChallengeValidated(_)
                | Event::ChallengeFailed(_)
                | Event::ChallengeAttemptFailed(_)
                | Event::CaaCheckNeeded(_)
                | Event::CaaChecked(_)
                | Event::CaaCheckFailed(_)
                | Event::AuthorizationDeactivated(_)
                | Event::OrderFinalized(_)
                | Event::CertificateReserved(_)
                | Event::ReservationBurned(_)
                | Event::CertificateIssued(_)
                | Event::IssuanceFailed(_) => Ok(vec![]),
            }
        }
        Stream::Accounts | Stream::Administration | Stream::Revocations => Ok(vec![]),
    }
}

fn certificate_entry(event: LedgerEvent) -> Option<Entry> {
    match event {
        LedgerEvent::CertificateSigned(signed) => {
            Some(Entry::Certificate(CertificateEntry::of(signed, Sequence::NONE)))
        }
        LedgerEvent::SerialReserved(_) | LedgerEvent::SerialBurned(_) => None,
    }
}

impl Entry {
    /// Writes the entry as made from the message at a place.
    pub(crate) fn store(
        &self,
        connection: &Connection,
        sequence: Sequence,
    ) -> rusqlite::Result<()> {
        match self {
            Self::Certificate(entry) => store_certificate(connection, entry, column(sequence)),
            Self::Order(order) => order.store(connection, sequence),
        }
    }
}

const CERTIFICATE_COLUMNS: &str =
    "issuer, serial, order_id, account, profile, ledger_sequence, not_after";

/// Writes a certificate unless a later message wrote it.
pub(crate) fn store_certificate(
    connection: &Connection,
    entry: &CertificateEntry,
    ledger_sequence: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO certificates ({CERTIFICATE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET issuer = excluded.issuer, order_id = excluded.order_id, account = excluded.account,
                 profile = excluded.profile, ledger_sequence = excluded.ledger_sequence,
                 not_after = excluded.not_after
             WHERE excluded.ledger_sequence >= ledger_sequence"
        ))?
        .execute(params![
            entry.issuer.as_str(),
            entry.serial.as_str(),
            entry.order.as_ref().map(OrderId::as_str),
            entry.account.as_ref().map(AccountId::as_str),
            entry.profile.as_ref().map(domain::ProfileName::as_str),
            ledger_sequence,
            entry.not_after.unix_millis(),
        ])?;
    Ok(())
}

/// Finds a certificate.
pub(crate) fn certificate(
    connection: &Connection,
    serial: &Serial,
) -> Result<Option<CertificateEntry>, ReadError> {
    connection
        .prepare_cached(&format!(
            "SELECT {CERTIFICATE_COLUMNS} FROM certificates WHERE serial = ?"
        ))?
        .query_row([serial.as_str()], |row| Ok(read_certificate(row)))
        .optional()?
        .transpose()
}

/// Over how many shards the orders are spread.
pub(crate) fn order_shards(connection: &Connection) -> Result<u8, ReadError> {
    // An id begins with the two digits of its shard.
    let last = "SELECT max(order_id) FROM orders";
    let last = connection.query_row(last, (), |row| Ok(optional_id::<OrderId>(row, 0)))??;
    Ok(last.map_or(0, |order| order.shard() + 1))
}

/// Calls back with every certificate.
pub(crate) fn each_certificate<E: From<ReadError>>(
    connection: &Connection,
    mut check: impl FnMut(CertificateEntry) -> Result<(), E>,
) -> Result<(), E> {
    let query = format!("SELECT {CERTIFICATE_COLUMNS} FROM certificates");
    let mut statement = connection.prepare(&query).map_err(ReadError::from)?;
    let rows = statement.query_and_then((), read_certificate).map_err(ReadError::from)?;
    for entry in rows {
        check(entry?)?;
    }
    Ok(())
}

fn read_certificate(row: &Row<'_>) -> Result<CertificateEntry, ReadError> {
    Ok(CertificateEntry {
        issuer: id(row, 0)?,
        serial: id(row, 1)?,
        order: optional_id(row, 2)?,
        account: optional_id(row, 3)?,
        profile: optional_id(row, 4)?,
        ledger_sequence: Sequence(row.get(5)?),
        not_after: Timestamp::from_unix_millis(row.get(6)?),
    })
}

impl PlacedOrder {
    fn store(&self, connection: &Connection, sequence: Sequence) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO orders (sequence, order_id, account, placed_at)
                 VALUES (?, ?, ?, ?)",
            )?
            .execute(params![
                column(sequence),
                self.id.as_str(),
                self.account.as_str(),
                self.at.unix_millis(),
            ])?;
        Ok(())
    }

    /// Finds the order that a message placed.
    pub(crate) fn placed_by(
        connection: &Connection,
        sequence: Sequence,
    ) -> Result<Option<Self>, ReadError> {
        connection
            .prepare_cached("SELECT order_id, account, placed_at FROM orders WHERE sequence = ?")?
            .query_row([column(sequence)], |row| Ok(Self::read(row)))
            .optional()?
            .transpose()
    }

    fn read(row: &Row<'_>) -> Result<Self, ReadError> {
        let at = Timestamp::from_unix_millis(row.get(2)?);
        Ok(Self { id: id(row, 0)?, account: id(row, 1)?, at })
    }
}

/// The orders of an account, oldest first.
pub(crate) fn orders_of(
    connection: &Connection,
    account: &AccountId,
) -> Result<Vec<OrderId>, ReadError> {
    connection
        .prepare_cached("SELECT order_id FROM orders WHERE account = ? ORDER BY sequence")?
        .query_and_then([account.as_str()], |row| id(row, 0))?
        .collect()
}

/// Some orders of an account behind a message, oldest first, each with the message that placed it.
pub(crate) fn orders_after(
    connection: &Connection,
    account: &AccountId,
    after: Sequence,
    limit: usize,
) -> Result<Vec<(Sequence, OrderId)>, ReadError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT order_id, sequence FROM orders WHERE account = ? AND sequence > ?
             ORDER BY sequence LIMIT ?",
        )?
        .query_and_then(params![account.as_str(), column(after), limit], |row| {
            Ok((Sequence(row.get(1)?), id(row, 0)?))
        })?
        .collect()
}

/// The newest orders of an account, newest first, each with the message that placed it.
pub(crate) fn newest_orders(
    connection: &Connection,
    account: &AccountId,
    limit: usize,
) -> Result<Vec<(Sequence, OrderId)>, ReadError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT order_id, sequence FROM orders WHERE account = ? ORDER BY sequence DESC LIMIT ?",
        )?
        .query_and_then(params![account.as_str(), limit], |row| {
            Ok((Sequence(row.get(1)?), id(row, 0)?))
        })?
        .collect()
}

/// Orders that were placed before a time, at most so many.
pub(crate) fn orders_before(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<(i64, String)>> {
    connection
        .prepare_cached(
            "SELECT sequence, order_id FROM orders WHERE placed_at < ? ORDER BY sequence LIMIT ?",
        )?
        .query_map(params![before.unix_millis(), limit], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Forgets the orders that a part of the log placed.
pub(crate) fn clear_orders(
    connection: &Connection,
    after: Sequence,
    end: Sequence,
) -> rusqlite::Result<()> {
    let bounds = [column(after), column(end)];
    connection
        .execute("DELETE FROM orders WHERE sequence > ? AND sequence <= ?", bounds)
        .map(|_| ())
}

/// Forgets every certificate.
pub(crate) fn clear_certificates(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM certificates", ()).map(|_| ())
}

fn id<T: FromStr<Err = InvalidId>>(row: &Row<'_>, column: usize) -> Result<T, ReadError> {
    optional_id(row, column)?
        .ok_or_else(|| Damage::Inconsistent("an index entry names nothing".into()).into())
}

fn optional_id<T: FromStr<Err = InvalidId>>(
    row: &Row<'_>,
    column: usize,
) -> Result<Option<T>, ReadError> {
    let text = row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    let id = text.map(str::parse).transpose();
    id.map_err(|error| Damage::Inconsistent(format!("an index entry: {error}")).into())
}
