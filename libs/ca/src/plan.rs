//! Decides the exact bytes of a leaf certificate that are to be signed: a pure function of its arguments.

mod verify;

use std::collections::HashSet;

use domain::{CrlName, Serial, Timestamp, certificate::validity};
use rcgen::{
    CertificateParams, CrlDistributionPoint, CustomExtension, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose,
};
use yasna::{Tag, models::ObjectIdentifier};

use crate::{
    authority::Authority,
    profile::{CertificateProfile, SubjectRule},
    public_key::{KeyKind, WeakKey, check_public_key},
    subject_name::SubjectName,
    unsigned::tbs_of,
};

/// More names than this are no certificate but an attack on those who parse it.
const MAX_NAMES: usize = 1000;
/// RFC 5280, ub-common-name.
const MAX_COMMON_NAME: usize = 64;
const AUTHORITY_INFORMATION_ACCESS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 1, 1];
const OCSP: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 48, 1];
const CA_ISSUERS: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 48, 2];
/// GeneralName's uniformResourceIdentifier (RFC 5280 §4.2.1.6).
const URI_TAG: u64 = 6;

/// What one leaf certificate is to say.
#[derive(Clone, Debug)]
pub struct LeafRequest<'a> {
    /// The names certified, without repetition.
    pub names: &'a [SubjectName],
    /// The common name asked for, of which the profile decides.
    pub common_name: Option<&'a str>,
    /// The DER SubjectPublicKeyInfo certified.
    pub public_key: &'a [u8],
    /// The start of validity, when the order asks for one.
    pub not_before: Option<Timestamp>,
    /// The end of validity, when the order asks for one.
    pub not_after: Option<Timestamp>,
    /// When start and end were asked for: a start that was not too early then is still right when the order had to wait.
    pub asked_at: Timestamp,
    /// Now.
    pub now: Timestamp,
    /// A serial that no certificate of this issuer has.
    pub serial: &'a Serial,
}

/// A certificate that is decided but not signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCertificate {
    /// The DER TBSCertificate.
    pub tbs: Vec<u8>,
    /// Its serial.
    pub serial: Serial,
    /// The first second of validity.
    pub not_before: Timestamp,
    /// The last second of validity.
    pub not_after: Timestamp,
}

/// Why a certificate cannot be made as asked.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No names, too many, or one of them twice.
    #[error("the names are none, too many, or repeated")]
    Names,
    /// The public key is not certified.
    #[error("the public key is not certified")]
    PublicKey(#[from] WeakKey),
    /// The validity asked for is empty, too long, or too early.
    #[error("the validity asked for is empty, too long, or too early")]
    Validity,
    /// The validity asked for goes on when that of the issuer, or of those above it, has ended.
    #[error("the validity asked for is beyond the end of the issuer's certificate, which is {end}")]
    BeyondIssuer {
        /// The latest end that can be asked for.
        end: Timestamp,
    },
    /// The issuer's own certificate is not valid at that time.
    #[error("the issuer's certificate is not valid at that time")]
    IssuerNotValid,
    /// No chain above the issuer is valid any more.
    #[error("a certificate above the issuer's has ended, so that nothing below it would be valid")]
    AboveNotValid,
    /// The certificate could not be built.
    #[error("the certificate cannot be built")]
    Build(#[source] rcgen::Error),
    /// What was built does not say what was asked.
    #[error("the certificate that was built does not say what was asked")]
    Mismatch,
}

/// Decides the bytes to sign; the same arguments give the same bytes.
///
/// # Errors
/// When the certificate cannot be made as asked; asking again does not help.
pub fn plan(
    authority: &Authority,
    profile: &CertificateProfile,
    request: &LeafRequest<'_>,
) -> Result<PlannedCertificate, PlanError> {
    check_names(request.names)?;
    let kind = check_public_key(request.public_key)?;
    let (not_before, not_after) = validity_period(authority, profile, request)?;

    let mut params = CertificateParams::default();
    let common_name = common_name(profile.subject, request);
    params.distinguished_name = subject(common_name.as_deref());
    params.serial_number = Some(request.serial.octets().into());
    params.not_before = not_before.to_offset_date_time();
    params.not_after = not_after.to_offset_date_time();
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = key_usages(kind);
    params.extended_key_usages =
        profile.extended_key_usages.iter().map(|usage| usage.rcgen()).collect();
    params.subject_alt_names = request
        .names
        .iter()
        .map(SubjectName::rcgen)
        .collect::<Result<_, _>>()
        .map_err(PlanError::Build)?;
    params.crl_distribution_points =
        crl_distribution_point(authority, profile, request.serial).into_iter().collect();
    params.custom_extensions = authority_information(authority, profile).into_iter().collect();

    let public_key =
        rcgen::SubjectPublicKeyInfo::from_der(request.public_key).map_err(PlanError::Build)?;
    let unsigned = params.signed_by(&public_key, authority.unsigned()).map_err(PlanError::Build)?;
    let tbs = tbs_of(unsigned.der()).ok_or(PlanError::Mismatch)?;
    if !verify::says(&tbs, authority, request)
        || !verify::names_itself(&tbs, common_name.as_deref())
    {
        return Err(PlanError::Mismatch);
    }
    Ok(PlannedCertificate { tbs, serial: request.serial.clone(), not_before, not_after })
}

fn check_names(names: &[SubjectName]) -> Result<(), PlanError> {
    let distinct: HashSet<&SubjectName> = names.iter().collect();
    let fits = (1..=MAX_NAMES).contains(&names.len());
    if fits && distinct.len() == names.len() { Ok(()) } else { Err(PlanError::Names) }
}

/// The common name that the profile gives; a name that is too long for one stands in subjectAltName only.
fn common_name(rule: SubjectRule, request: &LeafRequest<'_>) -> Option<String> {
    let mut texts = request.names.iter().map(SubjectName::to_string);
    let chosen = match rule {
        SubjectRule::Empty => None,
        SubjectRule::FirstName => texts.next(),
        SubjectRule::AsRequested => texts.find(|name| Some(name.as_str()) == request.common_name),
    };
    chosen.filter(|name| name.len() <= MAX_COMMON_NAME)
}

fn subject(common_name: Option<&str>) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(name) = common_name {
        subject.push(DnType::CommonName, name);
    }
    subject
}

/// Where the CRL is served that lists the serial once it is revoked.
fn crl_distribution_point(
    authority: &Authority,
    profile: &CertificateProfile,
    serial: &Serial,
) -> Option<CrlDistributionPoint> {
    let base = profile.crl_base_url.as_ref()?;
    let crl = CrlName::listing(authority.id().clone(), serial, profile.crl_shards);
    Some(CrlDistributionPoint { uris: vec![base.of_crl(&crl)] })
}

/// The first and last second of validity. What the client asked for is kept exactly or refused (RFC 8555 §7.4); what it left
/// open ends with the issuer.
fn validity_period(
    authority: &Authority,
    profile: &CertificateProfile,
    request: &LeafRequest<'_>,
) -> Result<(Timestamp, Timestamp), PlanError> {
    let (issuer, end) = (authority.certificate(), authority.not_after());
    let is_beyond =
        |asked: Option<Timestamp>| asked.is_some_and(|asked| asked.whole_seconds() > end);
    if is_beyond(request.not_before) || is_beyond(request.not_after) {
        return Err(PlanError::BeyondIssuer { end });
    }
    let not_before = first_second(authority, profile, request)?;
    if not_before > issuer.not_after() || request.now > issuer.not_after() {
        return Err(PlanError::IssuerNotValid);
    }
    if not_before > end || request.now > end {
        return Err(PlanError::AboveNotValid);
    }
    let latest = validity::last_second(not_before, profile.validity).whole_seconds().min(end);
    let not_after = request.not_after.map_or(latest, Timestamp::whole_seconds);
    if not_after > latest || not_after <= not_before || not_after <= request.now {
        return Err(PlanError::Validity);
    }
    Ok((not_before, not_after))
}

/// The first second of validity: what the client asked for, or now, backdated as the profile says.
fn first_second(
    authority: &Authority,
    profile: &CertificateProfile,
    request: &LeafRequest<'_>,
) -> Result<Timestamp, PlanError> {
    let issuer = authority.certificate();
    let backdated =
        |from: Timestamp| from.minus(profile.backdate).max(issuer.not_before()).whole_seconds();
    if let Some(asked) = request.not_before {
        let asked = asked.whole_seconds();
        let is_too_early = asked < backdated(request.now.min(request.asked_at));
        return if is_too_early { Err(PlanError::Validity) } else { Ok(asked) };
    }
    let latest = validity::latest_start(request.now.max(request.asked_at));
    if issuer.not_before() > latest {
        return Err(PlanError::IssuerNotValid);
    }
    let mut not_before = backdated(request.now);
    if let Some(end) = request.not_after {
        // Backdated only as far as the end that is asked for leaves room.
        not_before = not_before.max(validity::first_second(end.whole_seconds(), profile.validity));
    }
    if not_before > latest { Err(PlanError::Validity) } else { Ok(not_before) }
}

/// RSA keys may also transport a key in TLS 1.2 (RFC 5246 §7.4.2).
fn key_usages(kind: KeyKind) -> Vec<KeyUsagePurpose> {
    match kind {
        KeyKind::P256 | KeyKind::P384 | KeyKind::Ed25519 => vec![KeyUsagePurpose::DigitalSignature],
        KeyKind::Rsa { .. } => {
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment]
        }
    }
}

/// authorityInfoAccess with where to ask about the certificate and where to get the issuer's (RFC 5280 §4.2.2.1); rcgen
/// has no word for it.
fn authority_information(
    authority: &Authority,
    profile: &CertificateProfile,
) -> Option<CustomExtension> {
    let ocsp = profile.ocsp_base_url.as_ref().map(|base| base.join(authority.id().as_str()));
    let issuers = profile.ca_issuers_url.as_ref().map(|url| url.as_str().to_owned());
    let places: Vec<([u64; 9], String)> =
        [ocsp.map(|url| (OCSP, url)), issuers.map(|url| (CA_ISSUERS, url))]
            .into_iter()
            .flatten()
            .collect();
    if places.is_empty() {
        return None;
    }
    let content = yasna::construct_der(|writer| {
        writer.write_sequence_of(|writer| {
            for (method, url) in &places {
                writer.next().write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(method));
                    writer.next().write_tagged_implicit(Tag::context(URI_TAG), |writer| {
                        writer.write_ia5_string(url);
                    });
                });
            }
        });
    });
    Some(CustomExtension::from_oid_content(&AUTHORITY_INFORMATION_ACCESS, content))
}
