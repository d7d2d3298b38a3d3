//! Chains that go along with a leaf: the default one, and others from the same key to other roots.

use domain::Timestamp;
use x509_parser::{prelude::FromDer as _, x509::X509Name};

use crate::ca_certificate::{CaCertificate, ChainError, check_chain};

/// The certificates above a leaf, without the root they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    certificates: Vec<CaCertificate>,
    root_name: String,
}

/// Why certificates are no alternate chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlternateError {
    /// There are fewer than two certificates, so that it leads nowhere.
    #[error("an alternate chain starts with a certificate of the issuing key and ends with a root")]
    TooShort,
    /// The first certificate is not for the issuing key, name and key identifier, which every leaf names.
    #[error("the first certificate of an alternate chain is not for the issuing CA's key and name")]
    OtherIssuer,
    /// The certificates do not hold together.
    #[error("the certificates of an alternate chain are not a chain")]
    Chain(#[from] ChainError),
}

impl Chain {
    /// Takes the default chain, of which roots were left out already; a root that issues itself has none above.
    pub(crate) fn default_of(
        certificate: &CaCertificate,
        certificates: Vec<CaCertificate>,
    ) -> Self {
        let name = certificates.last().map_or(certificate.subject(), CaCertificate::issuer);
        Self { root_name: common_name(name), certificates }
    }

    /// Takes the certificates of an alternate chain, its root last.
    pub(crate) fn alternate(
        certificate: &CaCertificate,
        mut certificates: Vec<CaCertificate>,
    ) -> Result<Self, AlternateError> {
        let root = certificates.pop().ok_or(AlternateError::TooShort)?;
        let first = certificates.first().ok_or(AlternateError::TooShort)?;
        let is_ours = first.spki() == certificate.spki()
            && first.subject() == certificate.subject()
            && first.key_identifier() == certificate.key_identifier();
        if !is_ours {
            return Err(AlternateError::OtherIssuer);
        }
        check_chain(&certificates, std::slice::from_ref(&root))?;
        Ok(Self { root_name: common_name(root.subject()), certificates })
    }

    /// The DER certificates, the issuing one first.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(CaCertificate::der)
    }

    /// The common name of the root that it leads to, by which clients choose.
    pub fn root_name(&self) -> &str {
        &self.root_name
    }

    /// When the first of its certificates ends; `None` where there is none.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.certificates.iter().map(CaCertificate::not_after).min()
    }
}

/// The common name in a DER Name; empty where there is none.
fn common_name(name: &[u8]) -> String {
    let Ok((_, name)) = X509Name::from_der(name) else { return String::new() };
    let found = name.iter_common_name().find_map(|name| name.as_str().ok());
    found.unwrap_or_default().to_owned()
}
