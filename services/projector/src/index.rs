//! The index of certificates by serial.

use domain::certificate::LedgerEvent;
use eventstore::{Message, Stream};
use readmodel::CertificateEntry;

use crate::ProjectError;

/// What a message of the ledger puts into the index; nothing for messages of other streams.
pub(crate) fn entries(message: &Message) -> Result<Vec<CertificateEntry>, ProjectError> {
    if message.subject.stream() != Stream::Ledger {
        return Ok(vec![]);
    }
    let events: Vec<LedgerEvent> = message.envelope.decode().map_err(ProjectError::Decode)?;
    Ok(events.into_iter().filter_map(|event| entry(event, message.sequence.0)).collect())
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
