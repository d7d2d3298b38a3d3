//! Puts a certificate that the journal has back into a restored log: on its order, if that still waits for it, and in any case
//! into the ledger.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::journal::Reservation;
use domain::{
    Serial,
    order::{CertificateReserved, Command, Finalized, Progress},
};
use eventstore::Sequence;
use tracing::warn;

use super::reservation::public_key;
use crate::{
    IssuanceError,
    delivery::{deliver, record},
    desk::Desk,
    issuance::{OrderView, Purpose, purpose},
    issuers::Claim,
};

/// A certificate that the journal has, and where the ledger tells of it.
pub(super) struct Journaled<'a> {
    pub(super) claim: Claim,
    pub(super) reservation: &'a Reservation,
    pub(super) der: &'a [u8],
    pub(super) reserved_at: Sequence,
    /// `None` where the ledger lost the certificate.
    pub(super) signed_at: Option<Sequence>,
}

impl Journaled<'_> {
    /// Delivers the certificate to its order, if that still waits for it or for one with its key, else records it in the ledger.
    pub(super) async fn put_back(
        &self,
        desk: &Desk,
        order: Option<OrderView>,
    ) -> Result<(), IssuanceError> {
        let claim = &self.claim;
        if let Some(order) = order.clone() {
            match &order.state.progress {
                Progress::Processing(_) if waits_for(&order, &claim.serial) => {
                    return deliver(desk, order, claim, self.der).await;
                }
                Progress::Processing(finalized @ Finalized { reservation: None, .. })
                    if self.is_for(finalized) =>
                {
                    let reserved = CertificateReserved {
                        issuer: claim.issuer.id().clone(),
                        serial: claim.serial.clone(),
                        ledger_sequence: self.reserved_at.0,
                    };
                    let command = Command::Reserve { reserved, caa_since: None };
                    let order = desk.command(order, &command).await?;
                    return deliver(desk, order, claim, self.der).await;
                }
                Progress::Processing(_)
                | Progress::Open
                | Progress::Valid { .. }
                | Progress::Invalid { .. } => {}
            }
        }
        if self.signed_at.is_some() {
            return Ok(());
        }
        warn!(serial = %claim.serial, "a certificate that the log had lost is in the ledger again");
        record(desk, claim, self.purpose(order.as_ref()), self.der).await
    }

    /// Whether it is for the key that an order was finalized with.
    fn is_for(&self, finalized: &Finalized) -> bool {
        let key = BASE64_URL_SAFE_NO_PAD.decode(&finalized.public_key.0).unwrap_or_default();
        public_key(self.reservation).is_some_and(|journaled| journaled == key)
    }

    /// What it is for. An order that has another certificate, or will get one, must not have two.
    fn purpose(&self, order: Option<&OrderView>) -> Purpose {
        let Some(order) = order else { return Purpose::default() };
        let own = purpose(&order.state);
        match &order.state.progress {
            Progress::Valid { serial, .. } if *serial == self.claim.serial => own,
            Progress::Open
            | Progress::Processing(_)
            | Progress::Valid { .. }
            | Progress::Invalid { .. } => Purpose { order: None, ..own },
        }
    }
}

/// Whether an order waits for a certificate with that serial.
pub(super) fn waits_for(order: &OrderView, serial: &Serial) -> bool {
    match &order.state.progress {
        Progress::Processing(finalized) => {
            finalized.reservation.as_ref().is_some_and(|reserved| reserved.serial == *serial)
        }
        Progress::Open | Progress::Valid { .. } | Progress::Invalid { .. } => false,
    }
}
