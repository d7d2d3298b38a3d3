//! Certificates by serial, from the ledger.

use domain::certificate::LedgerEvent;
use eventstore::Message;
use readmodel::CertificateEntry;

use super::IndexError;
use crate::Ports;

/// Writes the certificates that a message of the ledger holds.
pub(super) async fn index(ports: &Ports, message: &Message) -> Result<u64, IndexError> {
    let events: Vec<LedgerEvent> = message.envelope.decode().map_err(IndexError::Decode)?;
    let mut entries = 0;
    for event in events {
        if let Some(entry) = entry(event, message.sequence.0) {
            ports.aggregates.views.put_certificate(&entry).await.map_err(IndexError::View)?;
            entries += 1;
        }
    }
    Ok(entries)
}

fn entry(event: LedgerEvent, ledger_sequence: u64) -> Option<CertificateEntry> {
    match event {
        LedgerEvent::CertificateSigned(signed) => Some(CertificateEntry {
            issuer: signed.issuer,
            serial: signed.serial,
            order: signed.order,
            account: signed.account,
            profile: signed.profile,
            ledger_sequence,
            not_after: signed.not_after,
        }),
        LedgerEvent::SerialReserved(_) | LedgerEvent::SerialBurned(_) => None,
    }
}
