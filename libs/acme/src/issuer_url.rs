//! Where the certificate of an issuer is, as those below it say (RFC 5280 §4.2.2.1).

use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS,
    prelude::FromDer,
};

/// The first URL of caIssuers in a DER certificate.
pub fn issuer_url(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    certificate.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else {
            return None;
        };
        access.accessdescs.iter().find_map(|place| match place.access_location {
            GeneralName::URI(url)
                if place.access_method == OID_PKIX_ACCESS_DESCRIPTOR_CA_ISSUERS =>
            {
                Some(url.to_owned())
            }
            _ => None,
        })
    })
}
