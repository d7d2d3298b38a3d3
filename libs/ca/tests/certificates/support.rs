//! A CA in a directory of its own, and openssl beside it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use ca::{
    Authority, CaDirectory, CaRequest, CaSubject, CertificateProfile, KeyAlgorithm, LeafRequest,
    SubjectName, plan,
};
use domain::{Serial, Timestamp};
use tempfile::TempDir;

/// The day of all tests, in seconds since 1970.
pub(crate) const NOW: i64 = 1_790_000_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix_seconds(NOW)
}

pub(crate) const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// A root and an intermediate with keys of one kind.
pub(crate) struct TestCa {
    pub(crate) dir: TempDir,
    pub(crate) authority: Authority,
}

impl TestCa {
    pub(crate) fn new(algorithm: KeyAlgorithm) -> Self {
        Self::with_validity(algorithm, 5 * YEAR)
    }

    /// An intermediate that is valid for so long.
    pub(crate) fn with_validity(algorithm: KeyAlgorithm, validity: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = CaDirectory::new(dir.path(), None);
        if algorithm == KeyAlgorithm::Rsa {
            ca.import_root_key(&private_key(algorithm)).unwrap();
            ca.import_intermediate_key(&private_key(algorithm)).unwrap();
        }
        let root = request("Test Root", 20 * YEAR);
        ca.create_root(algorithm, &root).unwrap();
        let authority =
            ca.create_intermediate(algorithm, &request("Test Issuing CA", validity)).unwrap();
        Self { dir, authority }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// Plans and signs a certificate, and returns its DER form.
    pub(crate) fn issue(&self, names: &[&str], public_key: &[u8], serial: u8) -> Vec<u8> {
        let names = names.iter().map(|name| dns(name)).collect::<Vec<_>>();
        self.issue_as(&profile(), &names, (public_key, serial))
    }

    /// As [`issue`](Self::issue), by the rules of a profile.
    pub(crate) fn issue_as(
        &self,
        profile: &CertificateProfile,
        names: &[SubjectName],
        (public_key, serial): (&[u8], u8),
    ) -> Vec<u8> {
        let serial = Serial::from_random(&[serial; 16]);
        let request = leaf_request(names, public_key, &serial);
        let planned = plan(&self.authority, profile, &request).unwrap();
        self.authority.issue(&planned.tbs).unwrap()
    }

    /// Runs `openssl verify` on a DER certificate with more arguments, at the time of the tests.
    pub(crate) fn verify(&self, certificate: &[u8], more: &[&str]) -> Output {
        let leaf = self.path("leaf.pem");
        std::fs::write(&leaf, pem_of("CERTIFICATE", certificate)).unwrap();
        let mut command = Command::new("openssl");
        command
            .args(["verify", "-x509_strict", "-purpose", "sslserver", "-attime", &NOW.to_string()])
            .arg("-CAfile")
            .arg(self.path("root.pem"))
            .arg("-untrusted")
            .arg(self.path("intermediate.pem"))
            .args(more)
            .arg(leaf);
        command.output().unwrap()
    }
}

pub(crate) fn request(common_name: &str, validity: Duration) -> CaRequest {
    let subject = CaSubject {
        common_name: common_name.to_owned(),
        organization: Some("Example".to_owned()),
        country: Some("DE".to_owned()),
    };
    CaRequest { subject, extended_key_usages: vec![], validity, now: now() }
}

pub(crate) fn profile() -> CertificateProfile {
    CertificateProfile {
        crl_base_url: Some("http://ca.example/crl".parse().unwrap()),
        ca_issuers_url: Some("http://ca.example/issuer.crt".parse().unwrap()),
        ..CertificateProfile::default()
    }
}

pub(crate) fn leaf_request<'a>(
    names: &'a [SubjectName],
    public_key: &'a [u8],
    serial: &'a Serial,
) -> LeafRequest<'a> {
    LeafRequest {
        names,
        common_name: None,
        public_key,
        not_before: None,
        not_after: None,
        asked_at: now(),
        now: now(),
        serial,
    }
}

pub(crate) fn dns(name: &str) -> SubjectName {
    SubjectName::from(&domain::Identifier::Dns(name.parse().unwrap()))
}

/// A new private key made by openssl, as PKCS#8 PEM.
pub(crate) fn private_key(algorithm: KeyAlgorithm) -> String {
    let arguments: &[&str] = match algorithm {
        KeyAlgorithm::EcdsaP256 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        KeyAlgorithm::EcdsaP384 => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        KeyAlgorithm::Ed25519 => &["-algorithm", "ED25519"],
        KeyAlgorithm::Rsa => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    };
    openssl(&[&["genpkey"], arguments].concat())
}

/// The DER SubjectPublicKeyInfo of a new key made by openssl.
pub(crate) fn public_key(algorithm: KeyAlgorithm) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = (dir.path().join("private.pem"), dir.path().join("public.der"));
    std::fs::write(&private, private_key(algorithm)).unwrap();
    openssl(&["pkey", "-in", text(&private), "-pubout", "-outform", "DER", "-out", text(&public)]);
    std::fs::read(public).unwrap()
}

/// What openssl prints; the test fails when it fails.
pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert_success(&output);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn assert_success(output: &Output) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}{}", String::from_utf8_lossy(&output.stdout));
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn pem_of(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}
