//! A reservation that the ledger lost, made anew from what the journal and the order still say of it.

use std::net::IpAddr;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ca::journal::Reservation as Journaled;
use domain::{
    Identifier, IpAddress, Timestamp,
    certificate::{LedgerEvent, SerialReserved},
    order::{Reservation, State},
};
use tracing::warn;
use x509_parser::{certificate::TbsCertificate, extensions::GeneralName, prelude::FromDer as _};

use crate::{IssuanceError, desk::Desk, issuance::purpose};

/// What is left of a reservation that an order has and the ledger lost.
pub(crate) enum LostReservation {
    /// All of it was in the journal.
    Journaled(SerialReserved),
    /// Nobody knows the bytes that were, or were not, signed.
    Unknown(SerialReserved),
}

/// Puts the reservation of an order into the ledger anew.
pub(crate) async fn lost_reservation(
    desk: &Desk,
    order: &State,
    reservation: &Reservation,
) -> Result<LostReservation, IssuanceError> {
    warn!(order = %order.id, serial = %reservation.serial, "the ledger lost a reservation");
    let journaled = desk.journal.records(|journaled| journaled.serial == reservation.serial);
    let journaled = journaled.map_err(IssuanceError::JournalRead)?.into_values().next();
    let lost = match journaled {
        Some(record) => LostReservation::Journaled(from_journal(&record.reservation, Some(order))?),
        None => LostReservation::Unknown(from_order(desk, order, reservation)),
    };
    let (LostReservation::Journaled(reserved) | LostReservation::Unknown(reserved)) = &lost;
    desk.record(LedgerEvent::SerialReserved(reserved.clone())).await?;
    Ok(lost)
}

/// The reservation as the journal has it.
pub(super) fn from_journal(
    journaled: &Journaled,
    order: Option<&State>,
) -> Result<SerialReserved, IssuanceError> {
    let (_, tbs) =
        TbsCertificate::from_der(&journaled.tbs).map_err(|_| IssuanceError::LostReservation)?;
    let own = order.map(purpose);
    let end = |at: x509_parser::time::ASN1Time| Timestamp::from_unix_seconds(at.timestamp());
    Ok(SerialReserved {
        issuer: journaled.issuer.clone(),
        serial: journaled.serial.clone(),
        order: journaled.order.clone(),
        account: own.as_ref().and_then(|own| own.account.clone()),
        profile: own.as_ref().and_then(|own| own.profile.clone()),
        identifiers: own.map_or_else(|| identifiers(&tbs), |own| own.identifiers),
        tbs: BASE64_URL_SAFE_NO_PAD.encode(&journaled.tbs),
        not_before: end(tbs.validity().not_before),
        not_after: end(tbs.validity().not_after),
    })
}

/// The key that a journaled reservation is for.
pub(super) fn public_key(journaled: &Journaled) -> Option<Vec<u8>> {
    let (_, tbs) = TbsCertificate::from_der(&journaled.tbs).ok()?;
    Some(tbs.subject_pki.raw.to_vec())
}

/// As much of the reservation as its order tells: it may have been for as long as its issuer lives.
fn from_order(desk: &Desk, order: &State, reservation: &Reservation) -> SerialReserved {
    let issuer = desk.issuers.by_id(&reservation.issuer).unwrap_or(desk.issuers.default());
    let issuer = issuer.authority.certificate();
    let own = purpose(order);
    SerialReserved {
        issuer: reservation.issuer.clone(),
        serial: reservation.serial.clone(),
        order: own.order,
        account: own.account,
        profile: own.profile,
        identifiers: own.identifiers,
        tbs: String::new(),
        not_before: issuer.not_before(),
        not_after: issuer.not_after(),
    }
}

fn identifiers(tbs: &TbsCertificate<'_>) -> Vec<Identifier> {
    let names = tbs.subject_alternative_name().ok().flatten();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    names.iter().filter_map(identifier).collect()
}

fn identifier(name: &GeneralName<'_>) -> Option<Identifier> {
    match name {
        GeneralName::DNSName(name) => name.parse().ok().map(Identifier::Dns),
        GeneralName::IPAddress(octets) => {
            let v4 = <[u8; 4]>::try_from(*octets).map(IpAddr::from);
            let v6 = <[u8; 16]>::try_from(*octets).map(IpAddr::from);
            let address = IpAddress::try_from(v4.or(v6).ok()?).ok()?;
            Some(Identifier::Ip(address))
        }
        _ => None,
    }
}
