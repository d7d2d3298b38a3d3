//! The key certificates are asked for, and a check of what came back.

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// A P-256 key; a worker uses one for all its certificates, each with a request of its own.
pub(crate) struct CertificateKey(KeyPair);

impl CertificateKey {
    /// Makes a new key.
    pub(crate) fn generate() -> anyhow::Result<Self> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// A certificate request for one name, as finalize wants it (RFC 8555 §7.4).
    pub(super) fn request(&self, name: &str) -> anyhow::Result<String> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        Ok(URL_SAFE_NO_PAD.encode(params.serialize_request(&self.0)?.der()))
    }

    /// Checks that the chain starts with a certificate for exactly this name and key and that each certificate of it
    /// is signed by the next.
    ///
    /// # Errors
    /// When it is anything else; the server is broken then.
    pub(crate) fn check(&self, name: &str, pem: &[u8]) -> anyhow::Result<()> {
        let ders = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
        let chain = ders
            .iter()
            .map(|der| Ok(X509Certificate::from_der(der)?.1))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let leaf = chain.first().context("an empty chain")?;
        ensure!(chain.len() > 1, "a chain without an issuer");

        let alternative_names =
            leaf.subject_alternative_name()?.context("no subject alternative name")?;
        ensure!(
            alternative_names.value.general_names == [GeneralName::DNSName(name)],
            "asked for {name}, got {:?}",
            alternative_names.value.general_names
        );
        let public_key = &leaf.public_key().subject_public_key.data;
        ensure!(public_key.as_ref() == self.0.public_key_raw(), "the certificate has another key");
        for (subject, issuer) in chain.iter().zip(chain.iter().skip(1)) {
            ensure!(
                subject.issuer().as_raw() == issuer.subject().as_raw(),
                "the chain is out of order"
            );
            subject.verify_signature(Some(issuer.public_key())).context("bad signature")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, IsCa, Issuer};

    use super::*;

    fn chain(name: &str, key: &CertificateKey) -> String {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).expect("a CA");
        let issuer = Issuer::new(ca, ca_key);
        let leaf = CertificateParams::new([name.to_owned()]).expect("a name");
        leaf.signed_by(&key.0, &issuer).expect("a leaf").pem() + &ca_certificate.pem()
    }

    #[test]
    fn a_chain_for_the_name_and_key_passes_and_every_other_is_refused() {
        let key = CertificateKey::generate().expect("a key");
        let good = chain("a.localhost", &key);
        key.check("a.localhost", good.as_bytes()).expect("a good chain");

        let other_key = CertificateKey::generate().expect("a key");
        assert!(other_key.check("a.localhost", good.as_bytes()).is_err());
        assert!(key.check("b.localhost", good.as_bytes()).is_err());
        assert!(key.check("a.localhost", b"").is_err());

        let other = chain("a.localhost", &key);
        let end = "-----END CERTIFICATE-----\n";
        let split = |pem: &str| pem.find(end).expect("a certificate") + end.len();
        let leaf_only = &good[..split(&good)];
        assert!(key.check("a.localhost", leaf_only.as_bytes()).is_err());
        let wrong_issuer = leaf_only.to_owned() + &other[split(&other)..];
        assert!(key.check("a.localhost", wrong_issuer.as_bytes()).is_err());
    }
}
