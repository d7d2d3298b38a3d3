//! The names a CSR asks for.

use std::collections::BTreeMap;

use domain::DnsName;
use x509_parser::{
    certification_request::X509CertificationRequestInfo,
    cri_attributes::ParsedCriAttribute,
    extensions::{GeneralName, ParsedExtension, SubjectAlternativeName, X509Extension},
    oid_registry::{OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME},
};

use super::{BadCsr, MAX_NAMES};

/// 1.3.6.1.5.5.7.1.24, the TLS feature extension (RFC 7633).
const TLS_FEATURE: [u8; 8] = [43, 6, 1, 5, 5, 7, 1, 24];

/// Collects the names by their lower-case form.
#[derive(Default)]
struct Names(BTreeMap<String, DnsName>);

pub(super) fn requested_names(
    request: &X509CertificationRequestInfo<'_>,
) -> Result<Vec<DnsName>, BadCsr> {
    let mut names = Names::default();
    for common_name in request.subject.iter_common_name() {
        // OpenSSL's prompts leave an empty one behind.
        match common_name.as_str().map_err(|_| BadCsr::NotDns)? {
            "" => {}
            name => names.add(name)?,
        }
    }
    let mut alternative_names = 0;
    for extension in requested_extensions(request) {
        if extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME {
            alternative_names += 1;
            names.add_alternative_names(extension)?;
        } else if extension.oid == OID_X509_EXT_BASIC_CONSTRAINTS {
            refuse_ca(extension)?;
        } else if extension.oid.as_bytes() == TLS_FEATURE {
            return Err(BadCsr::MustStaple);
        }
    }
    if alternative_names > 1 {
        return Err(BadCsr::RepeatedExtension);
    }
    if names.0.is_empty() {
        return Err(BadCsr::NoNames);
    }
    Ok(names.0.into_values().collect())
}

/// The extensions of every extensionRequest attribute; x509-parser's own method sees the first attribute only.
fn requested_extensions<'a>(
    request: &'a X509CertificationRequestInfo<'_>,
) -> impl Iterator<Item = &'a X509Extension<'a>> {
    request.iter_attributes().flat_map(|attribute| match attribute.parsed_attribute() {
        ParsedCriAttribute::ExtensionRequest(requested) => requested.extensions.as_slice(),
        ParsedCriAttribute::ChallengePassword(_) | ParsedCriAttribute::UnsupportedAttribute => &[],
    })
}

impl Names {
    fn add_alternative_names(&mut self, extension: &X509Extension<'_>) -> Result<(), BadCsr> {
        let ParsedExtension::SubjectAlternativeName(SubjectAlternativeName { general_names }) =
            extension.parsed_extension()
        else {
            return Err(BadCsr::Malformed);
        };
        general_names.iter().try_for_each(|name| match name {
            GeneralName::DNSName(name) => self.add(name),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::IPAddress(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => Err(BadCsr::NotDns),
        })
    }

    fn add(&mut self, name: &str) -> Result<(), BadCsr> {
        if self.0.len() == MAX_NAMES {
            return Err(BadCsr::TooManyNames);
        }
        let lower = name.to_ascii_lowercase();
        let name = lower.parse().map_err(BadCsr::Name)?;
        self.0.insert(lower, name);
        Ok(())
    }
}

fn refuse_ca(extension: &X509Extension<'_>) -> Result<(), BadCsr> {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) if !constraints.ca => Ok(()),
        ParsedExtension::BasicConstraints(_) => Err(BadCsr::CaCertificate),
        _ => Err(BadCsr::Malformed),
    }
}
