//! IP addresses as identifiers (RFC 8738): asked where they are, with DNS for nothing.

use domain::{ChallengeType, FailureKind};
use rcgen::SanType;
use validation::NetworkPolicy;

use crate::{
    dns_server::Zone,
    scene::{KEY_AUTHORIZATION, Scene, TOKEN, failure},
    tls_server::{Shown, TlsServer},
    web_server::{Reply, WebServer},
};

const V4: &str = "127.0.0.1";
const V6: &str = "::1";
const REVERSE_V6: &str = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";

/// A scene that may contact both loopback addresses and asks CAA, which is about names only.
async fn scene(port: u16) -> Scene {
    let mut scene = Scene::new(Zone::default()).await.port(port);
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    scene.settings.policy =
        NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    scene
}

fn shown(address: &str) -> Shown {
    Shown { names: vec![SanType::IpAddress(address.parse().unwrap())], ..Shown::default() }
}

#[tokio::test]
async fn http01_asks_the_address_itself() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let evidence = scene(web.port).await.validate(ChallengeType::Http01, V4).await.unwrap();
    let url = format!("http://{V4}:{}/.well-known/acme-challenge/{TOKEN}", web.port);
    assert_eq!(evidence.hops[0].url, url);
    assert_eq!(evidence.hops[0].address, format!("{V4}:{}", web.port));
    assert!(evidence.records.is_empty() && evidence.caa.is_none());
    let head = web.requests().pop().unwrap().to_ascii_lowercase();
    assert!(head.contains(&format!("host: {V4}:{}", web.port)), "{head}");
}

#[tokio::test]
async fn http01_of_an_ipv6_address_has_brackets_in_its_url() {
    let web = WebServer::start_on_v6(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let evidence = scene(web.port).await.validate(ChallengeType::Http01, V6).await.unwrap();
    assert!(evidence.hops[0].url.starts_with(&format!("http://[::1]:{}/", web.port)));
    assert_eq!(evidence.hops[0].address, format!("[::1]:{}", web.port));
}

#[tokio::test]
async fn tls_alpn01_asks_for_the_reverse_name_and_wants_the_address_in_the_certificate() {
    for (address, reverse) in [(V4, "1.0.0.127.in-addr.arpa"), (V6, REVERSE_V6)] {
        let server = TlsServer::start_at(address, shown(address)).await;
        let scene = scene(server.port).await;
        let evidence = scene.validate(ChallengeType::TlsAlpn01, address).await.unwrap();
        assert_eq!(evidence.handshakes[0].server_name, reverse);
        assert_eq!(server.asked_for().await, [reverse]);
    }
}

#[tokio::test]
async fn tls_alpn01_refuses_a_certificate_that_names_the_address_as_text() {
    let text = SanType::DnsName("1.0.0.127.in-addr.arpa".try_into().unwrap());
    for names in [vec![text], vec![SanType::IpAddress("127.0.0.2".parse().unwrap())]] {
        let server = TlsServer::start(Shown { names, ..Shown::default() }).await;
        let scene = scene(server.port).await;
        let failure = failure(scene.validate(ChallengeType::TlsAlpn01, V4).await);
        assert_eq!(failure.kind, FailureKind::IncorrectResponse);
    }
}

#[tokio::test]
async fn an_address_that_may_not_be_contacted_is_not() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let mut scene = scene(web.port).await;
    scene.settings.policy = NetworkPolicy::default();
    for challenge in [ChallengeType::Http01, ChallengeType::TlsAlpn01] {
        for address in [V4, V6, "169.254.169.254", "::7f00:1", "64:ff9b::7f00:1"] {
            let failure = failure(scene.validate(challenge, address).await);
            assert_eq!(failure.kind, FailureKind::Connection);
            assert!(failure.detail.contains("does not contact"), "{}", failure.detail);
        }
    }
    assert!(web.requests().is_empty());
}

#[tokio::test]
async fn dns01_proves_no_address() {
    let failure = failure(scene(1).await.validate(ChallengeType::Dns01, V4).await);
    assert_eq!(failure.kind, FailureKind::RejectedIdentifier);
}

#[tokio::test]
async fn a_redirect_from_an_address_to_another_is_refused() {
    let web = WebServer::start(|_| Reply::redirect("http://127.0.0.9/")).await;
    let failure = failure(scene(web.port).await.validate(ChallengeType::Http01, V4).await);
    assert!(failure.detail.contains("its host is an IP address"), "{}", failure.detail);
}
