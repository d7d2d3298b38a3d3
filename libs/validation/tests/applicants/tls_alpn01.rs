//! tls-alpn-01: which certificates fulfil the challenge, and which nearly do.

use domain::{FailureKind, Handshake};
use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType};
use tokio::net::TcpListener;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use validation::NetworkPolicy;

use crate::{
    dns_server::Zone,
    scene::{KEY_AUTHORIZATION, NAME, Scene, failure},
    tls_server::{Shown, TlsServer, acme_identifier, digest_octets},
    web_server::{Reply, WebServer},
};

async fn scene(server: &TlsServer) -> Scene {
    Scene::new(Zone::default().a(NAME, "127.0.0.1")).await.port(server.port)
}

async fn refused(shown: Shown, kind: FailureKind, expected: &str) {
    let server = TlsServer::start(shown).await;
    let failure = failure(scene(&server).await.tls_alpn01().await);
    assert_eq!(failure.kind, kind, "{}", failure.detail);
    assert!(failure.detail.contains(expected), "{}", failure.detail);
}

async fn wrong(shown: Shown, expected: &str) {
    refused(shown, FailureKind::IncorrectResponse, expected).await;
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[tokio::test]
async fn the_challenges_certificate_is_accepted_with_evidence() {
    for (version, name) in [(&TLS12, "TLSv1_2"), (&TLS13, "TLSv1_3")] {
        let server = TlsServer::start(Shown { versions: vec![version], ..Shown::default() }).await;
        let evidence = scene(&server).await.tls_alpn01().await.unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &server.certificate);
        let hex = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let handshake = Handshake {
            server_name: NAME.to_owned(),
            address: format!("127.0.0.1:{}", server.port),
            version: Some(name.to_owned()),
            certificate_sha256: Some(hex),
        };
        assert_eq!(evidence.handshakes, [handshake]);
        assert_eq!(server.asked_for().await, [NAME]);
    }
}

#[tokio::test]
async fn keys_of_every_kind_are_accepted() {
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        for version in [&TLS12, &TLS13] {
            let shown = Shown { algorithm, versions: vec![version], ..Shown::default() };
            let server = TlsServer::start(shown).await;
            scene(&server).await.tls_alpn01().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_case_of_the_name_does_not_matter() {
    let server =
        TlsServer::start(Shown { names: vec![dns("A.Example")], ..Shown::default() }).await;
    scene(&server).await.tls_alpn01().await.unwrap();
}

#[tokio::test]
async fn a_certificate_must_name_exactly_the_identifier() {
    let several = vec![dns(NAME), dns("b.example")];
    let twice = vec![dns(NAME), dns(NAME)];
    let address = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
    for names in [several, twice, address, vec![dns("b.example")], vec![dns("*.a.example")]] {
        wrong(Shown { names, ..Shown::default() }, "names something else").await;
    }
    wrong(Shown { names: vec![], ..Shown::default() }, "exactly one subjectAltName").await;
}

#[tokio::test]
async fn the_extension_must_be_there_once_and_critical() {
    let with = |extensions| Shown { extensions, ..Shown::default() };
    let right = || acme_identifier(&[31], digest_octets(), true);
    wrong(with(vec![]), "exactly one acmeIdentifier").await;
    wrong(with(vec![right(), right()]), "").await;
    let lax = acme_identifier(&[31], digest_octets(), false);
    wrong(with(vec![lax]), "not critical").await;
}

#[tokio::test]
async fn the_object_identifier_of_the_drafts_is_not_accepted() {
    let draft = acme_identifier(&[30, 1], digest_octets(), true);
    wrong(Shown { extensions: vec![draft], ..Shown::default() }, "exactly one acmeId").await;
}

#[tokio::test]
async fn the_extension_must_hold_the_digest_of_the_key_authorization() {
    let mut other = digest_octets();
    other[33] ^= 1;
    let bare = digest_octets()[2..].to_vec();
    let long = [digest_octets(), vec![0]].concat();
    let text = KEY_AUTHORIZATION.as_bytes().to_vec();
    for content in [other, bare, long, text, vec![], vec![4, 0]] {
        let extensions = vec![acme_identifier(&[31], content, true)];
        wrong(Shown { extensions, ..Shown::default() }, "does not hold the digest").await;
    }
}

#[tokio::test]
async fn the_server_must_choose_the_protocol() {
    for protocols in [vec![], vec![&b"h2"[..], b"http/1.1"]] {
        let shown = Shown { protocols, ..Shown::default() };
        refused(shown, FailureKind::Tls, "did not choose the protocol acme-tls/1").await;
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    for version in [&TLS12, &TLS13] {
        let shown = Shown { stolen: true, versions: vec![version], ..Shown::default() };
        refused(shown, FailureKind::Tls, "the TLS handshake failed").await;
    }
}

#[tokio::test]
async fn loopback_is_denied_unless_configured() {
    let server = TlsServer::start(Shown::default()).await;
    let mut scene = scene(&server).await;
    scene.settings.policy = NetworkPolicy::default();
    let rejected = scene.tls_alpn01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Connection);
    assert!(rejected.evidence.handshakes.is_empty());
}

#[tokio::test]
async fn a_server_without_tls_a_silent_one_and_none_are_told_apart() {
    let plain = WebServer::start_greeting(b"HTTP/1.1 400 X\r\n\r\n").await;
    let silent = WebServer::start(|_| Reply::Hang).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (port, kind, text) in [
        (plain.port, FailureKind::Tls, "the TLS handshake failed"),
        (silent.port, FailureKind::Connection, "took too long"),
        (closed, FailureKind::Connection, "the connection was refused"),
    ] {
        let mut scene = Scene::new(Zone::default().a(NAME, "127.0.0.1")).await.port(port);
        scene.settings.request_timeout = std::time::Duration::from_millis(300);
        let failure = failure(scene.tls_alpn01().await);
        assert_eq!(failure.kind, kind, "{}", failure.detail);
        assert!(failure.detail.contains(text), "{}", failure.detail);
    }
}
