//! A log that was put back from a copy: what the journal and the last CRLs know and the log does not goes into it again.
//!
//! A mark in the signer's directory asks for it: each backup carries one, and accepting a log sets it.

mod certificate;
mod ledger;
mod reservation;
mod revocations;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ca::journal::{Outcome, Record};
use domain::{
    Serial, Timestamp,
    certificate::{LedgerEvent, SerialBurned},
    order::Order,
};
use eventstore::Stream;
use futures::{TryStreamExt as _, stream};
use tracing::info;

pub(crate) use self::reservation::lost_reservation;
use self::{
    certificate::{Journaled, waits_for},
    ledger::{Known, Ledger},
};
use crate::{
    IssuanceError, OpenError, burn,
    desk::{Desk, now},
    files,
    issuers::Claim,
};

/// How long making a copy may take, of one stream after the other: what the journal reserved so long before the end of the
/// ledger is in all of them, and needs no look.
const COPY_TIME: Duration = Duration::from_hours(24);
/// How long a serial may have been in the ledger before it was in the journal.
const RESERVED_BEFORE: Duration = Duration::from_hours(24);
/// How many orders are compared at once: each is read from the log, and a read waits for an answer.
const AT_ONCE: usize = 64;
/// After how many serials it is logged how far the comparison is.
const LOG_EVERY: usize = 10_000;

/// Compares what the signer keeps with the log, if that was asked for; a start that is cut off does it again.
pub(crate) async fn compare_if_marked(desk: &Desk) -> Result<(), OpenError> {
    let mark = desk.settings.restored_mark();
    if files::read(&mark).map_err(OpenError::Mark)?.is_none() {
        return Ok(());
    }
    info!("the log was restored: comparing journal and CRLs with it");
    compare(desk).await.map_err(OpenError::Restore)?;
    info!("the restored log holds all that journal and CRLs know");
    desk.restored_at.get_or_init(now);
    match std::fs::remove_file(&mark) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(OpenError::Mark(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn compare(desk: &Desk) -> Result<(), IssuanceError> {
    let since = maybe_lost_since(desk).await?;
    // Whatever follows the first new one is new, also where a clock that had run ahead was right again.
    let mut is_new = false;
    let records = desk.journal.records(|reserved| {
        is_new |= reserved.at >= since;
        is_new
    });
    let records = records.map_err(IssuanceError::JournalRead)?;
    let ledger = Ledger::read(desk, &records, in_ledger_since(&records, since)).await?;
    let compared = AtomicUsize::new(0);
    let orders = stream::iter(by_order(&records).map(Ok::<_, IssuanceError>));
    orders
        .try_for_each_concurrent(AT_ONCE, async |of_order| {
            for record in of_order {
                put_back(desk, record, &ledger.of(&record.reservation.serial)).await?;
                log_progress(compared.fetch_add(1, Ordering::Relaxed) + 1, records.len());
            }
            Ok(())
        })
        .await?;
    revocations::put_back(desk).await
}

/// What the journal has of each order, first what was burned: the order is free then for the certificate that it got
/// afterwards.
fn by_order(records: &BTreeMap<Serial, Record>) -> impl Iterator<Item = Vec<&Record>> {
    let mut by_order = BTreeMap::<_, Vec<&Record>>::new();
    for (serial, record) in records {
        let order = record.reservation.order.as_ref();
        let alone = order.is_none().then_some(serial);
        by_order.entry((order, alone)).or_default().push(record);
    }
    by_order.into_values().map(|mut of_order| {
        of_order.sort_by_key(|record| !matches!(record.outcome, Outcome::Burned(_)));
        of_order
    })
}

fn log_progress(compared: usize, of: usize) {
    if compared.is_multiple_of(LOG_EVERY) {
        info!(compared, of, "comparing journal and log");
    }
}

/// From when on the journal may know more than the ledger.
async fn maybe_lost_since(desk: &Desk) -> Result<Timestamp, IssuanceError> {
    let store = &desk.ports.aggregates.store;
    let last = store.last_sequence(Stream::Ledger).await.map_err(IssuanceError::Store)?;
    let last = store.message(Stream::Ledger, last).await.map_err(IssuanceError::Store)?;
    Ok(last.map_or_else(beginning, |last| last.envelope.at.minus(COPY_TIME)))
}

/// Before everything that happened.
fn beginning() -> Timestamp {
    Timestamp::from_unix_seconds(0)
}

/// From when on the ledger may hold the serials of the records. After a clock went back no time says that, and the ledger is
/// read from its beginning.
fn in_ledger_since(records: &BTreeMap<Serial, Record>, since: Timestamp) -> Timestamp {
    let earliest = since.minus(RESERVED_BEFORE);
    let went_back = records.values().any(|record| record.reservation.at < earliest);
    if went_back { beginning() } else { earliest }
}

/// Has the log say what the journal says of a serial. May run twice.
async fn put_back(desk: &Desk, record: &Record, known: &Known) -> Result<(), IssuanceError> {
    let order = match &record.reservation.order {
        Some(order) => desk.ports.aggregates.fold::<Order>(order).await?,
        None => None,
    };
    let state = order.as_ref().map(|order| order.state.as_ref());
    let reserved = reservation::from_journal(desk, &record.reservation, state)?;
    let burned = SerialBurned {
        issuer: reserved.issuer.clone(),
        serial: reserved.serial.clone(),
        not_after: reserved.not_after,
    };
    let reserved_at = match known.reserved_at {
        Some(sequence) => sequence,
        None => desk.record(LedgerEvent::SerialReserved(reserved)).await?,
    };
    match &record.outcome {
        // What is pending is settled next, as after every start.
        Outcome::Pending => Ok(()),
        Outcome::Burned(burning) => match order.filter(|order| waits_for(order, &burned.serial)) {
            Some(order) => burn::free(desk, order, burned, &burning.reason).await,
            None => burn::burn(desk, burned, &burning.reason).await,
        },
        // Another signer gave it up although it was signed here.
        Outcome::Issued(_) if known.is_burned => Ok(()),
        Outcome::Issued(issued) => match desk.issuers.by_id(&burned.issuer).map(Arc::clone) {
            Some(issuer) => {
                let SerialBurned { serial, not_after, .. } = burned;
                let certificate = Journaled {
                    claim: Claim { issuer, serial, not_after },
                    reservation: &record.reservation,
                    der: &issued.der,
                    reserved_at,
                    signed_at: known.signed_at,
                };
                certificate.put_back(desk, order).await
            }
            // Nothing of a certificate was lost that the ledger has: it is valid, whoever signs by now.
            None if known.signed_at.is_some() => Ok(()),
            None => burn::burn(desk, burned, "its issuer is gone").await,
        },
    }
}
