//! Downloading a certificate with its chain (RFC 8555 §7.4.2): one read of the ledger.

use acme::base64url;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use domain::{
    Serial,
    certificate::{CertificateSigned, LedgerEvent},
};
use eventstore::{Sequence, Stream};
use http::StatusCode;

use crate::{
    Api, authenticate, problem::Refusal, reply::Reply, request::Request, settings::Profile,
};

/// A line of PEM (RFC 7468 §2).
const PEM_LINE: usize = 64;

pub(crate) async fn download(
    api: &Api,
    profile: &Profile,
    (ledger_sequence, serial): (u64, &Serial),
    request: &Request,
) -> Result<Reply, Refusal> {
    let signed = authenticate::reader(api, profile, request).await?;
    let certificate = read(api, ledger_sequence, serial).await?.ok_or(Refusal::NotFound)?;
    let owned = certificate.account.as_ref() == Some(signed.id())
        && certificate.profile.as_ref() == Some(&profile.name);
    if !owned {
        return Err(Refusal::NotFound);
    }
    let mut pem = String::new();
    for der in std::iter::once(&certificate.certificate).chain(&certificate.chain) {
        let der = base64url::decode(der).map_err(|error| Refusal::Internal(error.into()))?;
        push_pem(&mut pem, &der);
    }
    Ok(Reply::body(StatusCode::OK, "application/pem-certificate-chain", pem))
}

/// Reads a certificate from its place in the ledger.
pub(crate) async fn read(
    api: &Api,
    ledger_sequence: u64,
    serial: &Serial,
) -> Result<Option<CertificateSigned>, Refusal> {
    let store = &api.ports.aggregates.store;
    let message = store.message(Stream::Ledger, Sequence(ledger_sequence)).await?;
    let Some(message) = message else { return Ok(None) };
    let events: Vec<LedgerEvent> =
        message.envelope.decode().map_err(|error| Refusal::Internal(error.into()))?;
    Ok(events.into_iter().find_map(|event| match event {
        LedgerEvent::CertificateSigned(signed) if signed.serial == *serial => Some(signed),
        LedgerEvent::CertificateSigned(_)
        | LedgerEvent::SerialReserved(_)
        | LedgerEvent::SerialBurned(_) => None,
    }))
}

/// Every certificate ends with a newline, which certbot needs.
fn push_pem(pem: &mut String, der: &[u8]) {
    let text = BASE64_STANDARD.encode(der);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(PEM_LINE) {
        pem.extend(line.iter().copied().map(char::from));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_is_strict() {
        let mut pem = String::new();
        push_pem(&mut pem, &[0; 49]);
        let lines: Vec<&str> = pem.lines().collect();
        assert_eq!(lines[0], "-----BEGIN CERTIFICATE-----");
        assert_eq!((lines[1].len(), lines[2].len()), (64, 4));
        assert!(pem.ends_with("-----END CERTIFICATE-----\n"));
    }
}
