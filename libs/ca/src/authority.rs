//! An issuing CA: a key, the certificate for it, and the certificates above.

use domain::{IssuerId, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, Issuer};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use crate::{
    ca_certificate::{CaCertificate, CaCertificateError, ChainError, check_chain},
    ca_key::CaKey,
    ca_profile::rcgen_issuer,
    chain::{AlternateError, Chain},
    profile::ExtendedKeyUsage,
    subject_name::SubjectName,
    unsigned::Unsigned,
};

/// A CA that can sign: its key belongs to its certificate, and its chain holds up to a root.
#[derive(Debug)]
pub struct Authority {
    key: CaKey,
    certificate: CaCertificate,
    /// The default one first.
    chains: Vec<Chain>,
    roots: Vec<CaCertificate>,
    not_after: Timestamp,
    id: IssuerId,
    unsigned: Issuer<'static, Unsigned>,
}

/// Why a key and certificates do not make an authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is no certificate.
    #[error("there is no CA certificate")]
    NoCertificate,
    /// One of the certificates is not a CA's.
    #[error("one of the certificates cannot be used")]
    Certificate(#[from] CaCertificateError),
    /// The certificate is for another key.
    #[error("the first CA certificate is for another key than the CA's")]
    OtherKey,
    /// The certificates are no chain.
    #[error("the CA's certificates are not a chain")]
    Chain(#[from] ChainError),
    /// The key may not sign CRLs, so that nothing could be revoked.
    #[error("the CA certificate may not sign CRLs: keyUsage lacks cRLSign")]
    NoCrlSigning,
    /// An alternate chain does not hold.
    #[error("an alternate chain cannot be used")]
    Alternate(#[from] AlternateError),
    /// rcgen cannot write the subject as it is, so that leaves would name another issuer.
    #[error(
        "the ca's subject cannot be reproduced: it repeats an attribute or has several in one part; \
         use a ca certificate with a plain subject"
    )]
    UnsupportedSubject,
}

impl Authority {
    /// Joins a key with DER certificates: `chain` starts with the key's own, `roots` are those that clients trust.
    ///
    /// # Errors
    /// When they do not belong together, or the CA's subject is one we cannot put into certificates.
    pub fn new(key: CaKey, chain: &[Vec<u8>], roots: &[Vec<u8>]) -> Result<Self, AuthorityError> {
        let parse = |ders: &[Vec<u8>]| {
            ders.iter().map(|der| CaCertificate::from_der(der)).collect::<Result<Vec<_>, _>>()
        };
        let (chain, roots) = (parse(chain)?, parse(roots)?);
        let certificate = chain.first().ok_or(AuthorityError::NoCertificate)?.clone();
        if certificate.spki() != key.spki() {
            return Err(AuthorityError::OtherKey);
        }
        if !certificate.signs_crls() {
            return Err(AuthorityError::NoCrlSigning);
        }
        let not_after = check_chain(&chain, &roots)?;
        let unsigned = rcgen_issuer(&certificate, Unsigned::for_key(&key))
            .map_err(|_| AuthorityError::UnsupportedSubject)?;
        if trial_issuer(&unsigned, &key).as_deref() != Some(certificate.subject()) {
            return Err(AuthorityError::UnsupportedSubject);
        }
        let chains = vec![Chain::default_of(&certificate, chain, &roots)];
        let id = certificate.issuer_id();
        Ok(Self { key, certificate, chains, roots, not_after, id, unsigned })
    }

    /// Adds another chain from the same key: its DER certificates from the issuing one up to a root, which is not sent.
    ///
    /// # Errors
    /// When it is not for this key and name, or does not hold.
    pub(crate) fn add_alternate(&mut self, certificates: &[Vec<u8>]) -> Result<(), AuthorityError> {
        let certificates = certificates.iter().map(|der| CaCertificate::from_der(der));
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        let end = certificates.iter().map(CaCertificate::not_after).min();
        self.chains.push(Chain::alternate(&self.certificate, certificates)?);
        self.not_after = self.not_after.max(end.unwrap_or(self.not_after));
        Ok(())
    }

    /// The id of this issuer.
    pub fn id(&self) -> &IssuerId {
        &self.id
    }

    /// The key that signs.
    pub fn key(&self) -> &CaKey {
        &self.key
    }

    /// The certificate for that key.
    pub fn certificate(&self) -> &CaCertificate {
        &self.certificate
    }

    /// The last second at which anybody can verify what it signs: until then a chain is valid up to its root.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether a certificate for a name can be verified: one of the chains has no name constraints against it.
    pub fn permits(&self, name: &SubjectName) -> bool {
        self.chains.iter().any(|chain| chain.permits(name))
    }

    /// Whether certificates for that usage can be verified: one of the chains does not rule it out.
    pub fn is_for(&self, usage: ExtendedKeyUsage) -> bool {
        self.chains.iter().any(|chain| chain.is_for(usage))
    }

    /// The DER certificates that go along with a leaf: the issuing one first, without roots (RFC 8555 §9.1).
    pub fn chain(&self) -> impl Iterator<Item = &[u8]> {
        self.chains.iter().take(1).flat_map(Chain::certificates)
    }

    /// All chains that may go along with a leaf, the default one first.
    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The DER certificates that clients trust.
    pub fn roots(&self) -> impl Iterator<Item = &[u8]> {
        self.roots.iter().map(CaCertificate::der)
    }

    /// This issuer for building what is to be signed.
    pub(crate) fn unsigned(&self) -> &Issuer<'static, Unsigned> {
        &self.unsigned
    }
}

/// The issuer as a throw-away certificate names it: rcgen keeps names in a map, which loses repeated attributes.
fn trial_issuer(issuer: &Issuer<'static, Unsigned>, key: &CaKey) -> Option<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let trial = params.signed_by(key, issuer).ok()?;
    let (_, parsed) = X509Certificate::from_der(trial.der()).ok()?;
    Some(parsed.issuer().as_raw().to_vec())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::Timestamp;

    use super::*;
    use crate::{
        CaRequest, CaSubject, KeyAlgorithm,
        ca_profile::{intermediate_certificate, root_certificate},
    };

    fn key() -> CaKey {
        CaKey::from_pkcs8(&CaKey::generate_pkcs8(KeyAlgorithm::Ed25519).unwrap()).unwrap()
    }

    fn request(common_name: &str) -> CaRequest {
        let subject = CaSubject {
            common_name: common_name.to_owned(),
            organization: Some("Example".to_owned()),
            country: None,
        };
        let now = Timestamp::from_unix_seconds(1_790_000_000);
        CaRequest { subject, extended_key_usages: vec![], validity: Duration::from_hours(24), now }
    }

    fn root() -> Authority {
        let key = key();
        let own = [root_certificate(&key, &request("Root")).unwrap()];
        Authority::new(key, &own, &own).unwrap()
    }

    /// A CA certificate of the same key whose subject has the attributes given as (OID's last arc, text) per RDN.
    fn self_signed_with_subject(key: &CaKey, rdns: &[&[(u64, &str)]]) -> Vec<u8> {
        let name = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                for rdn in rdns {
                    writer.next().write_set(|writer| {
                        for (arc, text) in *rdn {
                            writer.next().write_sequence(|writer| {
                                let oid = [2, 5, 4, *arc];
                                writer
                                    .next()
                                    .write_oid(&yasna::models::ObjectIdentifier::from_slice(&oid));
                                writer.next().write_utf8_string(text);
                            });
                        }
                    });
                }
            });
        });
        let plain = root_certificate(key, &request("Root")).unwrap();
        let (_, parsed) = X509Certificate::from_der(&plain).unwrap();
        let old = parsed.subject().as_raw();
        let fields = parsed.tbs_certificate.as_ref();
        // The name stands in the TBS twice; everything else stays as it is.
        let tbs = yasna::parse_der(fields, |reader| {
            reader.read_sequence(|reader| {
                let mut parts = Vec::new();
                for _ in 0..8 {
                    let part = reader.next().read_der()?;
                    parts.push(if part == old { name.clone() } else { part });
                }
                Ok(parts)
            })
        })
        .unwrap();
        let tbs = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                for part in &tbs {
                    writer.next().write_der(part);
                }
            });
        });
        crate::unsigned::assemble(&tbs, &key.sign(&tbs).unwrap(), key.algorithm())
    }

    #[test]
    fn a_root_and_an_intermediate_are_authorities() {
        let root = root();
        assert_eq!(root.chain().count(), 0);
        let key = key();
        let certificate = intermediate_certificate(&root, &key, &request("Issuing")).unwrap();
        let roots: Vec<Vec<u8>> = root.roots().map(<[u8]>::to_vec).collect();
        let issuing = Authority::new(key, std::slice::from_ref(&certificate), &roots).unwrap();
        assert_eq!(issuing.chain().collect::<Vec<_>>(), [certificate]);
        assert_ne!(issuing.id(), root.id());
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let own = [root_certificate(&key(), &request("Root")).unwrap()];
        let result = Authority::new(key(), &own, &own);
        assert!(matches!(result, Err(AuthorityError::OtherKey)));
    }

    #[test]
    fn a_chain_that_ends_elsewhere_is_refused() {
        let (root, other) = (root(), root());
        let key = key();
        let certificate = intermediate_certificate(&root, &key, &request("Issuing")).unwrap();
        let roots: Vec<Vec<u8>> = other.roots().map(<[u8]>::to_vec).collect();
        let result = Authority::new(key, &[certificate], &roots);
        assert!(matches!(result, Err(AuthorityError::Chain(ChainError::NoRoot))));
    }

    #[test]
    fn a_subject_that_cannot_be_reproduced_is_refused() {
        let plain: &[&[(u64, &str)]] = &[&[(10, "Example")], &[(11, "One")], &[(3, "Root")]];
        let repeated: &[&[(u64, &str)]] = &[&[(11, "One")], &[(11, "Two")], &[(3, "Root")]];
        let multi_valued: &[&[(u64, &str)]] = &[&[(10, "Example"), (3, "Root")]];
        for (subject, accepted) in [(plain, true), (repeated, false), (multi_valued, false)] {
            let key = key();
            let own = [self_signed_with_subject(&key, subject)];
            let result = Authority::new(key, &own, &own);
            match result {
                Ok(_) => assert!(accepted, "{subject:?}"),
                Err(AuthorityError::UnsupportedSubject) => assert!(!accepted, "{subject:?}"),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn an_authority_is_shared_between_threads() {
        fn is_shared<T: Send + Sync>() {}
        is_shared::<Authority>();
    }
}
