//! Revocation requests (RFC 8555 §7.6).

use domain::{Serial, certificate::RevocationReason};
use schemars::JsonSchema;
use serde::Deserialize;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::{base64url, csr::names::ip_address, key::PublicKey};

/// The longest certificate looked at: ours have at most as many names as a CSR.
const MAX_CERTIFICATE_BYTES: usize = 32 * 1024;

/// The payload of revokeCert; whatever else it has is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Revoke {
    /// The certificate: unpadded base64url of DER.
    pub certificate: String,
    /// The reason code: 0, 1, 3, 4 or 5 (RFC 5280 §5.3.1); an absent one is 0.
    #[serde(default)]
    pub reason: Option<i64>,
}

/// The reason is none that clients may give: answered as `badRevocationReason`, with the allowed ones in the detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reason code must be one of 0, 1, 3, 4 and 5")]
pub struct BadRevocationReason;

/// A certificate as somebody handed it in: whether we issued it is for the ledger to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedCertificate {
    /// Its DER encoding, to be compared with what was issued.
    pub der: Vec<u8>,
    /// Its serial.
    pub serial: Serial,
    /// The DNS names and addresses it certifies, in canonical form; `None` when it certifies something else as well.
    pub names: Option<Vec<String>>,
    /// Its key, to be compared with the one that signed the request; `None` when it is of a kind we never certify.
    pub public_key: Option<PublicKey>,
}

/// The text is not a certificate: answered as `malformed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not base64url of a DER certificate")]
pub struct MalformedCertificate;

impl Revoke {
    /// The reason given; an absent one is unspecified.
    ///
    /// # Errors
    /// When clients may not give it.
    pub fn reason(&self) -> Result<RevocationReason, BadRevocationReason> {
        let code = self.reason.unwrap_or(0);
        RevocationReason::FOR_CLIENTS
            .into_iter()
            .find(|reason| i64::from(reason.code()) == code)
            .ok_or(BadRevocationReason)
    }
}

impl PresentedCertificate {
    /// Reads the `certificate` member of a revocation request.
    ///
    /// # Errors
    /// When it is not unpadded base64url of exactly one certificate.
    pub fn from_base64url(text: &str) -> Result<Self, MalformedCertificate> {
        if text.len() > MAX_CERTIFICATE_BYTES.div_ceil(3) * 4 {
            return Err(MalformedCertificate);
        }
        Self::from_der(base64url::decode(text).map_err(|_| MalformedCertificate)?)
    }

    /// Reads a DER certificate.
    ///
    /// # Errors
    /// When it is not exactly one certificate.
    pub fn from_der(der: Vec<u8>) -> Result<Self, MalformedCertificate> {
        let (serial, names, public_key) = match X509Certificate::from_der(&der) {
            Ok(([], certificate)) => {
                let serial = Serial::from_octets(certificate.raw_serial());
                let key = PublicKey::from_spki(certificate.public_key());
                let names = certified_names(&certificate);
                (serial.map_err(|_| MalformedCertificate)?, names, key.ok())
            }
            Ok(_) | Err(_) => return Err(MalformedCertificate),
        };
        Ok(Self { der, serial, names, public_key })
    }
}

fn certified_names(certificate: &X509Certificate<'_>) -> Option<Vec<String>> {
    let names = certificate.subject_alternative_name().ok().flatten()?;
    let canonical = names.value.general_names.iter().map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(octets) => ip_address(octets).map(|address| address.to_string()),
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::URI(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    });
    canonical.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_give_five_reasons() {
        let reason = |json: &str| {
            let json = format!(r#"{{"certificate":"","reason":{json}}}"#);
            serde_json::from_str::<Revoke>(&json).unwrap().reason()
        };
        assert_eq!(reason("null"), Ok(RevocationReason::Unspecified));
        assert_eq!(reason("1"), Ok(RevocationReason::KeyCompromise));
        for code in ["2", "6", "7", "8", "9", "10", "11", "-1", "4294967296"] {
            assert_eq!(reason(code), Err(BadRevocationReason), "{code}");
        }
    }

    #[test]
    fn a_presented_certificate_shows_serial_and_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.serial_number = Some(vec![0x01, 0xff, 0x02].into());
        let der = params.self_signed(&key).unwrap().der().to_vec();
        let text = base64url::encode(&der);
        let presented = PresentedCertificate::from_base64url(&text).unwrap();
        assert_eq!(presented.serial.as_str(), "01ff02");
        assert_eq!(presented.names, Some(vec!["a.example".to_owned()]));
        let spki = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(presented.public_key.unwrap().spki_der(), spki);
        assert_eq!(presented.der, der);
        for text in ["", "AAAA", &text[..text.len() / 2], &format!("{text}===")] {
            assert!(PresentedCertificate::from_base64url(text).is_err());
        }
    }

    #[test]
    fn a_certificate_for_a_hundred_of_the_longest_names_can_be_presented() {
        let [label, last] = [63, 51].map(|length| "a".repeat(length));
        let long = |i| format!("n{i:03}.{label}.{label}.{label}.{last}.a");
        let names: Vec<String> = (0..100).map(long).collect();
        assert_eq!(names[0].len(), 250);
        let params = rcgen::CertificateParams::new(names.clone()).unwrap();
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let presented = PresentedCertificate::from_base64url(&base64url::encode(&der)).unwrap();
        assert_eq!(presented.names, Some(names));
        let too_long = "A".repeat(MAX_CERTIFICATE_BYTES.div_ceil(3) * 4 + 4);
        assert!(PresentedCertificate::from_base64url(&too_long).is_err());
    }
}
