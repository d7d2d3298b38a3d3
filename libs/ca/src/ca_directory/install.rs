//! An intermediate whose root is kept elsewhere, and keys that were made elsewhere.

use domain::Timestamp;

use super::{
    CaDirectory, CaDirectoryError, INTERMEDIATE_KEY, INTERMEDIATE_PEM, ROOT_KEY, ROOT_PEM, encode,
};
use crate::{
    algorithm::KeyChoice,
    authority::Authority,
    ca_certificate::CaCertificate,
    ca_profile::{CaRequest, intermediate_request},
    pem_file::{encode_request, parse_certificates},
};

const INTERMEDIATE_REQUEST: &str = "intermediate.csr";

impl CaDirectory {
    /// Makes the request for an intermediate that a root kept elsewhere is to sign, and returns it as PKCS#10 PEM. Its
    /// key is generated unless one is there already.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn request_intermediate(
        &self,
        key: impl Into<KeyChoice>,
        request: &CaRequest,
    ) -> Result<String, CaDirectoryError> {
        request.subject.check()?;
        let _lock = self.lock()?;
        let key = self.key(INTERMEDIATE_KEY, key.into())?;
        let pem = encode_request(&intermediate_request(&key, request)?);
        self.replace(INTERMEDIATE_REQUEST, &pem)?;
        Ok(pem)
    }

    /// Installs the intermediate's certificate from a PEM bundle: with it, in any order, the certificates up to the root.
    /// A root in the bundle that ends the chain joins those that clients trust.
    ///
    /// # Errors
    /// When the certificate is for another key, names this one otherwise than the installed one, is not a CA's, not valid
    /// now, or its chain does not hold; then nothing changes.
    pub fn install(&self, bundle: &str, now: Timestamp) -> Result<Authority, CaDirectoryError> {
        let _lock = self.lock()?;
        let key = self.keys.load(INTERMEDIATE_KEY)?;
        let bundle = parse_certificates(bundle)?
            .iter()
            .map(|der| CaCertificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()?;
        let (chain, root) = sort_chain(bundle, &key.spki()).ok_or(CaDirectoryError::OtherKey)?;
        let valid = |certificate: &CaCertificate| {
            certificate.not_before() <= now && now < certificate.not_after()
        };
        if !chain.iter().chain(&root).all(valid) {
            return Err(CaDirectoryError::NotValid);
        }
        if let Some(own) = chain.first() {
            self.check_names(own)?;
        }
        let mut roots = if self.exists(ROOT_PEM) { self.read(ROOT_PEM)? } else { Vec::new() };
        if let Some(root) = root.filter(|root| roots.iter().all(|known| known != root.der())) {
            roots.push(root.der().to_vec());
        }
        let chain: Vec<Vec<u8>> = chain.iter().map(|link| link.der().to_vec()).collect();
        let authority = Authority::new(key, &chain, &roots)?;
        // The roots first: an intermediate without its root could not be opened.
        self.replace(ROOT_PEM, &encode(&roots))?;
        self.replace(INTERMEDIATE_PEM, &encode(&chain))?;
        Ok(authority)
    }

    /// Certificates name their issuer and its key, and so does the CRL: a certificate that names the key in use otherwise would
    /// leave those that were issued so far without either.
    fn check_names(&self, next: &CaCertificate) -> Result<(), CaDirectoryError> {
        if !self.exists(INTERMEDIATE_PEM) {
            return Ok(());
        }
        let installed = self.read(INTERMEDIATE_PEM)?;
        let Some(installed) = installed.first() else { return Ok(()) };
        let installed = CaCertificate::from_der(installed)?;
        let is_named_alike = installed.subject() == next.subject()
            && installed.key_identifier() == next.key_identifier();
        if is_named_alike || installed.spki() != next.spki() {
            return Ok(());
        }
        let digits = installed.key_identifier().iter().map(|octet| format!("{octet:02x}"));
        Err(CaDirectoryError::OtherNames { key_identifier: digits.collect() })
    }

    /// Imports the root's key from PKCS#8 PEM; the next [`create_root`](Self::create_root) uses it.
    ///
    /// # Errors
    /// When there is one already or it is unusable.
    pub fn import_root_key(&self, pem: &str) -> Result<(), CaDirectoryError> {
        self.import(ROOT_KEY, pem)
    }

    /// Imports the intermediate's key from PKCS#8 PEM.
    ///
    /// # Errors
    /// When there is one already or it is unusable.
    pub fn import_intermediate_key(&self, pem: &str) -> Result<(), CaDirectoryError> {
        self.import(INTERMEDIATE_KEY, pem)
    }

    fn import(&self, name: &str, pem: &str) -> Result<(), CaDirectoryError> {
        let _lock = self.lock()?;
        self.keys.import(name, pem)?;
        Ok(())
    }
}

/// Orders certificates upwards from the one of the key; the root, if there is one, is kept apart unless it is that one.
fn sort_chain(
    mut bundle: Vec<CaCertificate>,
    spki: &[u8],
) -> Option<(Vec<CaCertificate>, Option<CaCertificate>)> {
    let own = bundle.iter().position(|certificate| certificate.spki() == spki)?;
    let mut last = bundle.remove(own);
    let mut chain = vec![last.clone()];
    while !last.is_self_issued() {
        let Some(next) = bundle.iter().position(|next| last.is_signed_by(next)) else {
            return Some((chain, None));
        };
        last = bundle.remove(next);
        if !last.is_self_issued() {
            chain.push(last.clone());
        }
    }
    Some((chain, Some(last)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        algorithm::KeyAlgorithm,
        ca_profile::{CaSubject, intermediate_certificate, rcgen_issuer},
    };

    const VALIDITY: Duration = Duration::from_hours(24);

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000)
    }

    fn request(common_name: &str) -> CaRequest {
        let common_name = common_name.to_owned();
        let subject = CaSubject { common_name, organization: None, country: None };
        CaRequest { subject, extended_key_usages: vec![], validity: VALIDITY, now: now() }
    }

    #[test]
    fn a_later_certificate_of_the_key_in_use_names_it_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        ca.create_root(KeyAlgorithm::EcdsaP256, &request("Root")).unwrap();
        let first = ca.create_intermediate(KeyAlgorithm::EcdsaP256, &request("Issuing")).unwrap();
        let (root, key) = (ca.open_root().unwrap(), ca.keys.load(INTERMEDIATE_KEY).unwrap());
        let made = |name: &str| intermediate_certificate(&root, &key, &request(name)).unwrap();
        let otherwise_identified = {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, "Issuing");
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
            params.key_usages =
                vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
            params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![1; 20]);
            params.use_authority_key_identifier_extension = true;
            params.serial_number = Some(vec![1; 16].into());
            params.not_before = now().to_offset_date_time();
            params.not_after = now().plus(VALIDITY).to_offset_date_time();
            let issuer = rcgen_issuer(root.certificate(), root.key()).unwrap();
            params.signed_by(&key, &issuer).unwrap().der().to_vec()
        };
        for refused in [made("Renamed"), otherwise_identified] {
            let refused = ca.install(&encode(&[refused]), now());
            let Err(CaDirectoryError::OtherNames { key_identifier }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(key_identifier.len(), 40);
            assert_eq!(ca.open().unwrap().certificate(), first.certificate(), "it is as it was");
        }
        let renewed = made("Issuing");
        ca.install(&encode(std::slice::from_ref(&renewed)), now()).unwrap();
        assert_eq!(ca.open().unwrap().certificate().der(), renewed);
    }

    #[test]
    fn a_certificate_that_does_not_fit_is_not_installed() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ca = CaDirectory::new(here.path(), None);
        ca.request_intermediate(KeyAlgorithm::EcdsaP256, &request("Issuing")).unwrap();
        let other = CaDirectory::new(elsewhere.path(), None);
        other.create_root(KeyAlgorithm::EcdsaP256, &request("Root")).unwrap();
        other.create_intermediate(KeyAlgorithm::EcdsaP256, &request("Issuing")).unwrap();
        let bundle = std::fs::read_to_string(elsewhere.path().join(INTERMEDIATE_PEM)).unwrap();
        assert!(matches!(ca.install(&bundle, now()), Err(CaDirectoryError::OtherKey)));

        let root = other.open_root().unwrap();
        let key = ca.keys.load(INTERMEDIATE_KEY).unwrap();
        let certificate = intermediate_certificate(&root, &key, &request("Issuing")).unwrap();
        let alone = encode(std::slice::from_ref(&certificate));
        assert!(matches!(ca.install(&alone, now()), Err(CaDirectoryError::Authority(_))));
        let roots: Vec<Vec<u8>> = root.roots().map(<[u8]>::to_vec).collect();
        let bundle = encode(&[roots[0].clone(), certificate]);
        let late = now().plus(VALIDITY * 2);
        assert!(matches!(ca.install(&bundle, late), Err(CaDirectoryError::NotValid)));
        assert!(matches!(ca.open(), Err(CaDirectoryError::NotFound(_))));

        let installed = ca.install(&bundle, now()).unwrap();
        assert_eq!(installed.certificate(), ca.open().unwrap().certificate());
        assert_eq!(installed.roots().collect::<Vec<_>>(), roots);
    }
}
