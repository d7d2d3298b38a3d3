//! Chains that go along with a leaf: the default one, and others from the same key to other roots.

use domain::Timestamp;
use x509_parser::{prelude::FromDer as _, x509::X509Name};

use crate::{
    ca_certificate::{CaCertificate, ChainError, check_chain},
    profile::ExtendedKeyUsage,
    subject_name::SubjectName,
};

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
    /// Makes the default chain of an issuing certificate and those above it, from which the roots are left out; it is empty where
    /// a root issues.
    pub(crate) fn default_of(
        certificate: &CaCertificate,
        mut certificates: Vec<CaCertificate>,
        roots: &[CaCertificate],
    ) -> Self {
        certificates.retain(|certificate| roots.iter().all(|root| root.der() != certificate.der()));
        let name = certificates.last().map_or(certificate.subject(), CaCertificate::issuer);
        Self { root_name: common_name(name), certificates }
    }

    /// Makes an alternate chain for the key of an issuing certificate, from its certificates with the root last.
    ///
    /// # Errors
    /// When it is not for that key and name, or does not hold.
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

    /// Whether each of its certificates lets those below certify a name.
    pub(crate) fn permits(&self, name: &SubjectName) -> bool {
        self.certificates.iter().all(|certificate| certificate.permits(name))
    }

    /// Whether each of its certificates is for that usage, or does not limit usages.
    pub(crate) fn is_for(&self, usage: ExtendedKeyUsage) -> bool {
        self.certificates.iter().all(|certificate| certificate.is_for(usage))
    }

    /// The common name of the root that it leads to, by which clients choose.
    pub fn root_name(&self) -> &str {
        &self.root_name
    }

    /// When the first of its certificates ends; `None` where it has none.
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

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
        KeyUsagePurpose,
    };

    use super::*;

    struct Ca {
        params: CertificateParams,
        key: KeyPair,
    }

    fn ca(name: &str, constraints: BasicConstraints) -> Ca {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(constraints);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.key_identifier_method = KeyIdMethod::PreSpecified(name.into());
        Ca { params, key: KeyPair::generate().unwrap() }
    }

    fn root(name: &str) -> Ca {
        ca(name, BasicConstraints::Unconstrained)
    }

    impl Ca {
        fn own(&self) -> CaCertificate {
            let certificate = self.params.self_signed(&self.key).unwrap();
            CaCertificate::from_der(certificate.der()).unwrap()
        }

        fn by(&self, issuer: &Self) -> CaCertificate {
            let issuer = Issuer::from_params(&issuer.params, &issuer.key);
            let certificate = self.params.signed_by(&self.key, &issuer).unwrap();
            CaCertificate::from_der(certificate.der()).unwrap()
        }
    }

    #[test]
    fn an_alternate_chain_is_for_the_issuing_key_and_leads_to_its_root() {
        let (first, other, between) = (root("First"), root("Other"), root("Between"));
        let issuing = root("Issuing");
        let ours = issuing.by(&first);
        let alternate = |certificates| Chain::alternate(&ours, certificates);

        let chain = alternate(vec![issuing.by(&other), other.own()]).unwrap();
        assert_eq!((chain.root_name(), chain.certificates().count()), ("Other", 1));
        let chain = alternate(vec![issuing.by(&between), between.by(&other), other.own()]).unwrap();
        assert_eq!((chain.root_name(), chain.certificates().count()), ("Other", 2));

        for certificates in [vec![], vec![other.own()]] {
            assert_eq!(alternate(certificates), Err(AlternateError::TooShort));
        }
        let gap = vec![issuing.by(&between), other.own()];
        assert_eq!(alternate(gap), Err(AlternateError::Chain(ChainError::NoRoot)));
    }

    #[test]
    fn an_alternate_chain_has_the_key_the_name_and_the_key_identifier_of_the_issuer() {
        let (first, other, issuing) = (root("First"), root("Other"), root("Issuing"));
        let ours = issuing.by(&first);
        let other_key = root("Issuing");
        let key = || KeyPair::try_from(issuing.key.serialize_der()).unwrap();
        let mut other_name = Ca { params: root("Renamed").params, key: key() };
        other_name.params.key_identifier_method = issuing.params.key_identifier_method.clone();
        let mut other_identifier = Ca { params: issuing.params.clone(), key: key() };
        other_identifier.params.key_identifier_method = KeyIdMethod::PreSpecified(b"2".to_vec());
        for wrong in [other_key, other_name, other_identifier] {
            let refused = Chain::alternate(&ours, vec![wrong.by(&other), other.own()]);
            assert_eq!(refused, Err(AlternateError::OtherIssuer));
        }
    }

    #[test]
    fn no_more_certificates_are_below_a_ca_than_its_path_length_allows() {
        let issuing = root("Issuing");
        let check = |between: Option<u8>, above: Option<u8>| {
            let constrained = |name, length: Option<u8>| {
                let constraints = length.map(BasicConstraints::Constrained);
                ca(name, constraints.unwrap_or(BasicConstraints::Unconstrained))
            };
            let (between, above) = (constrained("Between", between), constrained("Above", above));
            check_chain(&[issuing.by(&between), between.by(&above)], &[above.own()])
        };
        for (between, above, expected) in [
            (None, None, Ok(())),
            (Some(1), Some(2), Ok(())),
            (Some(2), Some(3), Ok(())),
            (Some(0), None, Err(ChainError::PathLength(1))),
            (None, Some(1), Err(ChainError::NoRoot)),
        ] {
            assert_eq!(check(between, above).map(drop), expected, "{between:?} below {above:?}");
        }
    }
}
