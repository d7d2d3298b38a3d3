//! How roots and intermediates are made.

use std::time::Duration;

use domain::{Serial, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue, IsCa,
    Issuer, KeyUsagePurpose, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use yasna::models::ObjectIdentifier;

use crate::{
    authority::Authority, ca_certificate::CaCertificate, ca_key::CaKey, profile::ExtendedKeyUsage,
};

const CERTIFICATE_POLICIES: [u64; 4] = [2, 5, 29, 32];
const ANY_POLICY: [u64; 5] = [2, 5, 29, 32, 0];
/// The upper bounds of RFC 5280 appendix A.1.
const MAX_NAME_CHARS: usize = 64;
const COUNTRY_CHARS: usize = 2;

/// What a CA calls itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaSubject {
    /// The common name, at most 64 characters.
    pub common_name: String,
    /// The organization, at most 64 characters.
    pub organization: Option<String>,
    /// The country as two capital letters.
    pub country: Option<String>,
}

/// What is wanted of a CA certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaRequest {
    /// What the CA calls itself.
    pub subject: CaSubject,
    /// What certificates below an intermediate are for, beside TLS servers and clients.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// From now until the end of validity; an intermediate ends with its root at the latest.
    pub validity: Duration,
    /// Now.
    pub now: Timestamp,
}

/// Why a CA certificate or request cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CaProfileError {
    /// A part of the subject is empty, too long, or no country.
    #[error(
        "the subject needs a common name of 1 to 64 characters, an organization of as many and a country of two capital \
         letters, if any"
    )]
    Subject,
    /// The root is not valid now.
    #[error("the root is not valid now, so that nothing below it would be")]
    RootNotValid,
    /// The operating system gave no random numbers.
    #[error("the system's random number generator failed")]
    Random,
    /// The certificate could not be built.
    #[error("the certificate cannot be built")]
    Build(#[source] rcgen::Error),
}

impl CaSubject {
    /// Checks that the subject can stand in a certificate.
    ///
    /// # Errors
    /// When it cannot.
    pub(crate) fn check(&self) -> Result<(), CaProfileError> {
        distinguished_name(self).map(drop)
    }
}

impl CaRequest {
    /// How long before now a CA certificate starts, so that backdated leaves do not start before it.
    const BACKDATE: Duration = Duration::from_hours(1);
}

/// Makes a self-signed root certificate.
pub(crate) fn root_certificate(
    key: &CaKey,
    request: &CaRequest,
) -> Result<Vec<u8>, CaProfileError> {
    let mut params = ca_params(&request.subject)?;
    params.serial_number = Some(random_serial()?);
    params.not_before =
        request.now.minus(CaRequest::BACKDATE).whole_seconds().to_offset_date_time();
    params.not_after = request.now.plus(request.validity).whole_seconds().to_offset_date_time();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.use_authority_key_identifier_extension = true;
    let certificate = params.self_signed(key).map_err(CaProfileError::Build)?;
    Ok(certificate.der().to_vec())
}

/// Makes the certificate of an intermediate that signs leaves only.
pub(crate) fn intermediate_certificate(
    root: &Authority,
    key: &CaKey,
    request: &CaRequest,
) -> Result<Vec<u8>, CaProfileError> {
    let issuer = root.certificate();
    let not_before = request.now.minus(CaRequest::BACKDATE).max(issuer.not_before());
    let not_after = request.now.plus(request.validity).min(issuer.not_after());
    if request.now < issuer.not_before() || issuer.not_after() <= request.now {
        return Err(CaProfileError::RootNotValid);
    }
    let mut params = intermediate_params(request)?;
    params.serial_number = Some(random_serial()?);
    params.not_before = not_before.whole_seconds().to_offset_date_time();
    params.not_after = not_after.whole_seconds().to_offset_date_time();
    params.use_authority_key_identifier_extension = true;
    let signer = rcgen_issuer(issuer, root.key()).map_err(CaProfileError::Build)?;
    let certificate = params.signed_by(key, &signer).map_err(CaProfileError::Build)?;
    Ok(certificate.der().to_vec())
}

/// Makes the PKCS#10 request for an intermediate, to be signed by a root that is kept elsewhere.
pub(crate) fn intermediate_request(
    key: &CaKey,
    request: &CaRequest,
) -> Result<Vec<u8>, CaProfileError> {
    let request = intermediate_params(request)?.serialize_request(key);
    Ok(request.map_err(CaProfileError::Build)?.der().to_vec())
}

/// The issuer as rcgen wants it, with whatever key is to sign.
pub(crate) fn rcgen_issuer<K: rcgen::SigningKey>(
    certificate: &CaCertificate,
    key: K,
) -> Result<Issuer<'static, K>, rcgen::Error> {
    Issuer::from_ca_cert_der(&certificate.der().into(), key)
}

/// What an intermediate is not for is refused by most clients in certificates below it.
fn intermediate_params(request: &CaRequest) -> Result<CertificateParams, CaProfileError> {
    let mut params = ca_params(&request.subject)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut usages = vec![ExtendedKeyUsage::ServerAuth, ExtendedKeyUsage::ClientAuth];
    for usage in &request.extended_key_usages {
        if !usages.contains(usage) {
            usages.push(*usage);
        }
    }
    params.extended_key_usages = usages.into_iter().map(ExtendedKeyUsage::rcgen).collect();
    params.custom_extensions = vec![any_policy()];
    Ok(params)
}

fn ca_params(subject: &CaSubject) -> Result<CertificateParams, CaProfileError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(subject)?;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn distinguished_name(subject: &CaSubject) -> Result<DistinguishedName, CaProfileError> {
    let fits = |text: &str| (1..=MAX_NAME_CHARS).contains(&text.chars().count());
    let mut name = DistinguishedName::new();
    if let Some(country) = &subject.country {
        let letters = country.bytes().all(|octet| octet.is_ascii_uppercase());
        if country.len() != COUNTRY_CHARS || !letters {
            return Err(CaProfileError::Subject);
        }
        // RFC 5280 appendix A.1 wants a PrintableString here.
        let value = country.as_str().try_into().map_err(|_| CaProfileError::Subject)?;
        name.push(DnType::CountryName, DnValue::PrintableString(value));
    }
    let texts = [
        (DnType::OrganizationName, subject.organization.as_deref()),
        (DnType::CommonName, Some(subject.common_name.as_str())),
    ];
    for (kind, text) in texts {
        match text {
            Some(text) if fits(text) => name.push(kind, text),
            Some(_) => return Err(CaProfileError::Subject),
            None => {}
        }
    }
    Ok(name)
}

fn any_policy() -> CustomExtension {
    let content = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                writer.next().write_oid(&ObjectIdentifier::from_slice(&ANY_POLICY));
            });
        });
    });
    CustomExtension::from_oid_content(&CERTIFICATE_POLICIES, content)
}

fn random_serial() -> Result<SerialNumber, CaProfileError> {
    let mut octets = [0; 16];
    SystemRandom::new().fill(&mut octets).map_err(|_| CaProfileError::Random)?;
    Ok(Serial::from_random(&octets).octets().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(common_name: &str, country: Option<&str>, accepted: bool) {
        let subject = CaSubject {
            common_name: common_name.to_owned(),
            organization: None,
            country: country.map(str::to_owned),
        };
        assert_eq!(distinguished_name(&subject).is_ok(), accepted, "{subject:?}");
    }

    #[test]
    fn subjects_keep_to_their_bounds() {
        check("Root", None, true);
        check("Root", Some("DE"), true);
        check("", None, false);
        check(&"ä".repeat(64), None, true);
        check(&"ä".repeat(65), None, false);
        check("Root", Some("de"), false);
        check("Root", Some("DEU"), false);
    }
}
