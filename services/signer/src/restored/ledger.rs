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
    pub(super) reserved: Option<Sequence>,
    pub(super) signed: Option<Sequence>,
    pub(super) is_burned: bool,
}

impl Ledger {
    /// Reads the ledger from a time on, and keeps what it says of those serials. What is older it does not know: that is
    /// recorded again, and says the same.
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
                for event in events {
                    note(&mut places, records, (event, message.sequence));
                }
            }
        }
    }

    pub(super) fn of(&self, serial: &Serial) -> Known {
        self.0.get(serial).copied().unwrap_or_default()
    }
}

fn note(
    places: &mut BTreeMap<Serial, Known>,
    records: &BTreeMap<Serial, Record>,
    (event, at): (LedgerEvent, Sequence),
) {
    let serial = match &event {
        LedgerEvent::SerialReserved(reserved) => &reserved.serial,
        LedgerEvent::CertificateSigned(signed) => &signed.serial,
        LedgerEvent::SerialBurned(burned) => &burned.serial,
    };
    if !records.contains_key(serial) {
        return;
    }
    let known = places.entry(serial.clone()).or_default();
    match event {
        LedgerEvent::SerialReserved(_) => known.reserved = Some(at),
        LedgerEvent::CertificateSigned(_) => known.signed = Some(at),
        LedgerEvent::SerialBurned(_) => known.is_burned = true,
    }
}
