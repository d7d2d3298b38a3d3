//! Dropping old orders, and making indexes anew.

use domain::{OrderId, Timestamp};
use eventstore::{Sequence, StoreError, Stream, Subject};
use readmodel::ReadModel as _;
use rusqlite::Connection;

use crate::{
    Embedded, WriteError, index, queries,
    queries::OF_SUBJECT,
    request::{Change, Changed},
    verify,
};

/// How many orders one transaction drops, so that appends do not wait for long.
const ORDERS_AT_ONCE: u32 = 100;
/// How many messages a rebuild reads at once.
const MESSAGES_AT_ONCE: usize = 1000;

impl Embedded {
    /// Drops the messages of orders placed before a time, as a cluster's `max_age` does, and tells how many orders went.
    /// Their hashes stay, so the chain can still be followed.
    ///
    /// # Errors
    /// When the database cannot be written; what was dropped before stays dropped.
    pub async fn prune(&self, before: Timestamp) -> Result<u64, WriteError> {
        let mut orders = 0;
        loop {
            let change = Change::Prune { before, limit: ORDERS_AT_ONCE };
            match self.change(change).await? {
                Changed::Pruned(subjects) if !subjects.is_empty() => {
                    orders += subjects.len() as u64
                }
                Changed::Pruned(_) | Changed::Done | Changed::Rebuilt(_) => return Ok(orders),
            }
        }
    }

    /// Makes every index anew from the log, and forgets the views. Appends go on meanwhile. Orders are found all the time;
    /// where it is cut short, the projector completes the certificates.
    ///
    /// # Errors
    /// When the log cannot be read or the indexes not be written; call it again.
    pub async fn rebuild(&self) -> Result<(), StoreError> {
        self.begin_rebuild(Change::ClearCertificates).await.map_err(StoreError::unavailable)?;
        let mut after = Sequence::NONE;
        loop {
            let query = self.shared().readers.query(move |connection| {
                let page = queries::page(connection, after, MESSAGES_AT_ONCE)?;
                let mut entries = Vec::new();
                for message in &page.messages {
                    let own = verify::entries(message)?.into_iter();
                    entries.extend(own.map(|entry| (message.sequence, entry)));
                }
                Ok((entries, page.end))
            });
            let (entries, end) = query.await?;
            if end == after {
                break;
            }
            let page = Change::Reindex { after, end, entries };
            self.change(page).await.map_err(StoreError::unavailable)?;
            after = end;
            self.mark_complete(Stream::Ledger, after).await.map_err(StoreError::unavailable)?;
        }
        Ok(())
    }
}

/// Drops orders within a transaction: of each message all but its body stays.
pub(crate) fn prune(
    connection: &Connection,
    before: Timestamp,
    limit: u32,
) -> rusqlite::Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for (sequence, order) in index::orders_before(connection, before, limit)? {
        connection.prepare_cached("DELETE FROM orders WHERE sequence = ?")?.execute([sequence])?;
        // An entry that names no order leads to no messages.
        let Ok(order) = order.parse::<OrderId>() else { continue };
        let subject = Subject::order(&order);
        drop_bodies(connection, &subject)?;
        subjects.push(subject);
    }
    Ok(subjects)
}

fn drop_bodies(connection: &Connection, subject: &Subject) -> rusqlite::Result<()> {
    connection
        .prepare_cached(&format!(
            "DELETE FROM order_bodies
             WHERE sequence IN (SELECT sequence FROM messages WHERE {OF_SUBJECT})"
        ))?
        .execute([subject.as_str()])?;
    connection
        .prepare_cached(&format!("UPDATE messages SET pruned = 1 WHERE {OF_SUBJECT}"))?
        .execute([subject.as_str()])?;
    Ok(())
}
