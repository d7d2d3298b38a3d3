//! What the ledger says of the serials that the journal knows.

use std::collections::BTreeMap;

use ca::journal::Record;
use domain::{Serial, Timestamp, certificate::LedgerEvent};
use eventstore::{Sequence, Stream, last_before};

use crate::{IssuanceError, desk::Desk};

/// How many messages are read at once.
const PAGE: usize = 500;

/// The places of some serials.
pub(super) struct Ledger(BTreeMap<Serial, Known>);

/// Where the ledger tells of a serial.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    pub(super) reserved_at: Option<Sequence>,
    pub(super) signed_at: Option<Sequence>,
    pub(super) is_burned: bool,
}

impl Ledger {
    /// Reads the ledger from a time on, and keeps where it tells of the serials of the records. What stands before that is not
    /// found and recorded again, which does no harm: it says the same.
    pub(super) async fn read(
        desk: &Desk,
        records: &BTreeMap<Serial, Record>,
        since: Timestamp,
    ) -> Result<Self, IssuanceError> {
        let store = &desk.ports.aggregates.store;
        let mut places = BTreeMap::<Serial, Known>::new();
        let after = last_before(store.as_ref(), Stream::Ledger, since).await;
        let mut after = after.map_err(IssuanceError::Store)?;
        loop {
            let page = store.scan(Stream::Ledger, after, PAGE).await;
            let page = page.map_err(IssuanceError::Store)?;
            let Some(last) = page.last() else { return Ok(Self(places)) };
            after = last.sequence;
            for message in &page {
                let events = message.envelope.decode().map_err(IssuanceError::Decode)?;
                for event in &events {
                    let serial = serial(event);
                    if records.contains_key(serial) {
                        places.entry(serial.clone()).or_default().note(event, message.sequence);
                    }
                }
            }
        }
    }

    pub(super) fn of(&self, serial: &Serial) -> Known {
        self.0.get(serial).copied().unwrap_or_default()
    }
}

impl Known {
    fn note(&mut self, event: &LedgerEvent, at: Sequence) {
        match event {
            LedgerEvent::SerialReserved(_) => self.reserved_at = Some(at),
            LedgerEvent::CertificateSigned(_) => self.signed_at = Some(at),
            LedgerEvent::SerialBurned(_) => self.is_burned = true,
        }
    }
}

fn serial(event: &LedgerEvent) -> &Serial {
    match event {
        LedgerEvent::SerialReserved(reserved) => &reserved.serial,
        LedgerEvent::CertificateSigned(signed) => &signed.serial,
        LedgerEvent::SerialBurned(burned) => &burned.serial,
    }
}
