//! Servers that speak TLS and want to know who connects.

use std::{fs, path::Path, sync::Arc};

use eventstore::{Expected, Sequence, contract::fresh_account};
use jetstream::{ClientCertificate, ConnectError, JetStream, Options};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use super::{append, development, eventually, nats::Nats};

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

#[tokio::test]
async fn a_server_whose_new_certificate_is_not_trusted_is_told_of_and_used_when_it_is() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let told = tempfile::NamedTempFile::new().unwrap();
    let lines = tracing_subscriber::fmt().with_writer(Arc::new(told.reopen().unwrap()));
    let _guard = tracing::subscriber::set_default(lines.with_ansi(false).finish());
    let files = tempfile::tempdir().unwrap();
    let file = |name: &str| files.path().join(name);
    write_certificates(files.path());
    fs::copy(file("ca.pem"), file("trusted.pem")).unwrap();
    let (chain, key) = (file("server.pem"), file("server.key"));
    let tls = format!("tls {{ cert_file: {chain:?}, key_file: {key:?} }}");
    let mut server = Nats::start_with_blocks(&tls).await;
    let url = server.url().replace("nats://127.0.0.1", "tls://localhost");
    let trusting =
        Options { root_certificates: Some(file("trusted.pem")), ..development(vec![url]) };
    let log = JetStream::connect(trusting).await.unwrap();

    write_certificates(files.path());
    server.stop();
    server.restart().await;
    let cause = "invalid peer certificate";
    eventually("the log names the cause", async || {
        let lines = fs::read_to_string(told.path()).unwrap();
        let line = lines.lines().find(|line| line.contains(cause)).ok_or(())?;
        assert!(line.contains("there is no connection to NATS"), "{line}");
        Ok::<_, ()>(())
    })
    .await;
    fs::copy(file("ca.pem"), file("trusted.pem")).unwrap();
    let (_, subject) = fresh_account();
    eventually("messages are stored", async || {
        append(&log, &subject, Expected::Last(Sequence::NONE), "a").await
    })
    .await;
}
