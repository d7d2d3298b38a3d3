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

use crate::{
    IssuanceError,
    desk::{Desk, now},
    issuance::purpose,
};

/// Puts the reservation of an order into the ledger anew: with the bytes to sign that the journal has, or without any where it
/// has none, because then nobody knows what was signed.
pub(crate) async fn lost_reservation(
    desk: &Desk,
    order: &State,
    reservation: &Reservation,
) -> Result<SerialReserved, IssuanceError> {
    warn!(order = %order.id, serial = %reservation.serial, "the ledger lost a reservation");
    let journaled = desk.journal.records(|journaled| journaled.serial == reservation.serial);
    let journaled = journaled.map_err(IssuanceError::JournalRead)?.into_values().next();
    let left = journaled.map_or_else(|| unknown(order, reservation), |record| record.reservation);
    let reserved = from_journal(desk, &left, Some(order))?;
    desk.record(LedgerEvent::SerialReserved(reserved.clone())).await?;
    Ok(reserved)
}

/// A reservation whose bytes are unknown, as the journal has it once it is to be burned.
fn unknown(order: &State, reservation: &Reservation) -> Journaled {
    Journaled {
        serial: reservation.serial.clone(),
        order: Some(order.id.clone()),
        issuer: reservation.issuer.clone(),
        tbs: Vec::new(),
        at: now(),
    }
}

/// What the ledger keeps of a journaled reservation.
pub(super) fn from_journal(
    desk: &Desk,
    journaled: &Journaled,
    order: Option<&State>,
) -> Result<SerialReserved, IssuanceError> {
    let contents = if journaled.tbs.is_empty() {
        unknown_contents(desk, journaled)
    } else {
        contents(journaled)?
    };
    let own = order.map(purpose);
    Ok(SerialReserved {
        issuer: journaled.issuer.clone(),
        serial: journaled.serial.clone(),
        order: journaled.order.clone(),
        account: own.as_ref().and_then(|own| own.account.clone()),
        profile: own.as_ref().and_then(|own| own.profile.clone()),
        identifiers: own.map_or(contents.identifiers, |own| own.identifiers),
        tbs: BASE64_URL_SAFE_NO_PAD.encode(&journaled.tbs),
        not_before: contents.not_before,
        not_after: contents.not_after,
    })
}

/// What the bytes to sign say.
struct Contents {
    identifiers: Vec<Identifier>,
    not_before: Timestamp,
    not_after: Timestamp,
}

fn contents(journaled: &Journaled) -> Result<Contents, IssuanceError> {
    let (_, tbs) = TbsCertificate::from_der(&journaled.tbs)
        .map_err(|_| IssuanceError::UnreadableReservation)?;
    let time = |at: x509_parser::time::ASN1Time| Timestamp::from_unix_seconds(at.timestamp());
    Ok(Contents {
        identifiers: identifiers(&tbs),
        not_before: time(tbs.validity().not_before),
        not_after: time(tbs.validity().not_after),
    })
}

/// What has to be assumed of unknown bytes: their certificate may be valid for as long as its issuer's.
fn unknown_contents(desk: &Desk, journaled: &Journaled) -> Contents {
    let issuer = desk.issuers.by_id(&journaled.issuer).unwrap_or(desk.issuers.default());
    let issuer = issuer.authority.certificate();
    let (not_before, not_after) = (issuer.not_before(), issuer.not_after());
    Contents { identifiers: Vec::new(), not_before, not_after }
}

/// The key that a journaled reservation is for.
pub(super) fn public_key(journaled: &Journaled) -> Option<Vec<u8>> {
    let (_, tbs) = TbsCertificate::from_der(&journaled.tbs).ok()?;
    Some(tbs.subject_pki.raw.to_vec())
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
