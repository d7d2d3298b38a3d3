//! The names and addresses a CSR asks for.

use std::{collections::BTreeMap, net::IpAddr};

use domain::{Identifier, IpAddress};
use x509_parser::{
    certification_request::X509CertificationRequestInfo,
    cri_attributes::ParsedCriAttribute,
    extensions::{GeneralName, ParsedExtension, SubjectAlternativeName, X509Extension},
    oid_registry::{OID_X509_EXT_BASIC_CONSTRAINTS, OID_X509_EXT_SUBJECT_ALT_NAME},
};

use super::{BadCsr, MAX_NAMES};

/// 1.3.6.1.5.5.7.1.24, the TLS feature extension (RFC 7633).
const TLS_FEATURE: [u8; 8] = [43, 6, 1, 5, 5, 7, 1, 24];

/// Collects names and addresses by their canonical form.
#[derive(Default)]
struct Names(BTreeMap<String, Identifier>);

pub(super) fn requested_names(
    request: &X509CertificationRequestInfo<'_>,
) -> Result<Vec<Identifier>, BadCsr> {
    let mut names = Names::default();
    for common_name in request.subject.iter_common_name() {
        // OpenSSL's prompts leave an empty one behind.
        match common_name.as_str().map_err(|_| BadCsr::OtherName)? {
            "" => {}
            // Some clients repeat an address here; RFC 8738 wants it in the subjectAltName, where it is looked for too.
            name => match name.parse() {
                Ok(address) => names.add(Identifier::Ip(address))?,
                Err(_) => names.add_dns(name)?,
            },
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
            GeneralName::DNSName(name) => self.add_dns(name),
            GeneralName::IPAddress(octets) => self.add(Identifier::Ip(address(octets)?)),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => Err(BadCsr::OtherName),
        })
    }

    fn add_dns(&mut self, name: &str) -> Result<(), BadCsr> {
        let name = name.to_ascii_lowercase().parse().map_err(BadCsr::Name)?;
        self.add(Identifier::Dns(name))
    }

    fn add(&mut self, name: Identifier) -> Result<(), BadCsr> {
        if self.0.len() == MAX_NAMES {
            return Err(BadCsr::TooManyNames);
        }
        self.0.insert(name.canonical(), name);
        Ok(())
    }
}

/// An address of RFC 5280 §4.2.1.6: 4 or 16 octets.
pub(crate) fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn address(octets: &[u8]) -> Result<IpAddress, BadCsr> {
    let address = ip_address(octets).ok_or(BadCsr::Malformed)?;
    address.try_into().map_err(BadCsr::Address)
}

fn refuse_ca(extension: &X509Extension<'_>) -> Result<(), BadCsr> {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) if !constraints.ca => Ok(()),
        ParsedExtension::BasicConstraints(_) => Err(BadCsr::CaCertificate),
        _ => Err(BadCsr::Malformed),
    }
}
