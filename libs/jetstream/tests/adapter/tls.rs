//! Servers that speak TLS and want to know who connects.

use std::{fs, path::Path};

use eventstore::{Expected, Sequence, contract::fresh_account};
use jetstream::{ClientCertificate, ConnectError, JetStream, Options};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::{append, development, nats::Nats};

/// A CA, with certificates for the server and its client, as files in a directory.
fn write_certificates(directory: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(directory.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let uses = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    for (name, usage) in ["server", "client"].into_iter().zip(uses) {
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        leaf.extended_key_usages = vec![usage];
        let certificate = leaf.signed_by(&key, &issuer).unwrap();
        fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn a_server_is_verified_and_a_client_shows_its_certificate() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name);
    write_certificates(files.path());
    let tls = format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let server = Nats::start_with_blocks(&tls).await;
    let url = server.url().replace("nats://127.0.0.1", "tls://localhost");
    let connect = async |options: Options| JetStream::connect(options).await;

    let unknown = development(vec![url.clone()]);
    let refused = connect(unknown).await.err();
    assert!(matches!(refused, Some(ConnectError::Unreachable(_))), "who signed it is unknown");

    let trusting = Options { root_certificates: Some(file("ca.pem")), ..development(vec![url]) };
    let refused = connect(trusting.clone()).await.err();
    assert!(refused.is_some(), "the server wants a certificate");

    let own = ClientCertificate { chain: file("client.pem"), key: file("client.key") };
    let known = Options { client_certificate: Some(own), ..trusting };
    let log = connect(known).await.unwrap();
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Last(Sequence::NONE), "a").await.unwrap();
}
