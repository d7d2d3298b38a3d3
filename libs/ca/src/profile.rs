//! What an operator decides about leaf certificates.

use std::{fmt, str::FromStr, time::Duration};

use domain::{CrlName, CrlShards};
use rcgen::ExtendedKeyUsagePurpose;

/// id-kp-ipsecIKE.
pub(crate) const IPSEC_IKE: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 17];

/// How leaf certificates are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateProfile {
    /// From the first to the last second of validity, both counted.
    pub validity: Duration,
    /// How long before now validity starts, for clients whose clocks are slow.
    pub backdate: Duration,
    /// What stands in the subject.
    pub subject: SubjectRule,
    /// What the certificates are for.
    pub extended_key_usages: Vec<ExtendedKeyUsage>,
    /// Below which URL CRLs are served, as `{base}/{name}.crl`.
    pub crl_base_url: Option<CertificateUrl>,
    /// Into how many CRLs the revocations are divided, of which a certificate names one.
    pub crl_shards: CrlShards,
    /// Below which URL each issuer's OCSP responder answers, as `{base}/{issuer}`.
    pub ocsp_base_url: Option<CertificateUrl>,
    /// Where the issuer's own certificate is served.
    pub ca_issuers_url: Option<CertificateUrl>,
}

impl Default for CertificateProfile {
    fn default() -> Self {
        Self {
            validity: Duration::from_hours(90 * 24),
            backdate: Duration::from_hours(1),
            subject: SubjectRule::Empty,
            extended_key_usages: vec![ExtendedKeyUsage::ServerAuth],
            crl_base_url: None,
            crl_shards: CrlShards::UNDIVIDED,
            ocsp_base_url: None,
            ca_issuers_url: None,
        }
    }
}

/// What a certificate is for (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtendedKeyUsage {
    /// A TLS server.
    ServerAuth,
    /// A TLS client.
    ClientAuth,
    /// Signed code.
    CodeSigning,
    /// Signed or encrypted mail.
    EmailProtection,
    /// An IPsec peer (RFC 4945 §5.1.3.12).
    IpsecIke,
}

/// What stands in the subject of a leaf; names are certified by subjectAltName in any case (RFC 6125 §6.4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectRule {
    /// Nothing.
    Empty,
    /// The first name as common name, if it is short enough.
    FirstName,
    /// The common name that was asked for, if it is one of the names and short enough.
    AsRequested,
}

impl ExtendedKeyUsage {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ServerAuth,
        Self::ClientAuth,
        Self::CodeSigning,
        Self::EmailProtection,
        Self::IpsecIke,
    ];

    pub(crate) fn rcgen(self) -> ExtendedKeyUsagePurpose {
        match self {
            Self::ServerAuth => ExtendedKeyUsagePurpose::ServerAuth,
            Self::ClientAuth => ExtendedKeyUsagePurpose::ClientAuth,
            Self::CodeSigning => ExtendedKeyUsagePurpose::CodeSigning,
            Self::EmailProtection => ExtendedKeyUsagePurpose::EmailProtection,
            Self::IpsecIke => ExtendedKeyUsagePurpose::Other(IPSEC_IKE.to_vec()),
        }
    }
}

/// An absolute http or https URL that stands in certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateUrl(Box<str>);

/// The text cannot stand as a URL in certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an absolute http or https URL of printable ASCII and at most 1024 octets")]
pub struct InvalidCertificateUrl;

impl CertificateUrl {
    const MAX_BYTES: usize = 1024;

    /// The URL's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL of a CRL below this one.
    pub(crate) fn of_crl(&self, name: &CrlName) -> String {
        self.join(&format!("{name}.crl"))
    }

    /// The URL of a file below this one.
    pub(crate) fn join(&self, file: &str) -> String {
        format!("{}/{file}", self.0.trim_end_matches('/'))
    }
}

impl fmt::Display for CertificateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CertificateUrl {
    type Err = InvalidCertificateUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let printable = text.bytes().all(|octet| octet.is_ascii_graphic());
        if !has_host || !printable || text.len() > Self::MAX_BYTES {
            return Err(InvalidCertificateUrl);
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crl_is_served_below_its_base() {
        for base in ["http://ca.example/crl", "http://ca.example/crl/"] {
            let url: CertificateUrl = base.parse().unwrap();
            assert_eq!(url.join("00.crl"), "http://ca.example/crl/00.crl");
        }
    }

    #[test]
    fn only_absolute_ascii_urls_stand_in_certificates() {
        for text in ["", "/crl", "http://", "http:///crl", "ftp://a/", "http://ä/", "http://a/ b"]
        {
            assert_eq!(text.parse::<CertificateUrl>(), Err(InvalidCertificateUrl), "{text}");
        }
    }
}
