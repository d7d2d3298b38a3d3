//! Resolvers that do not answer about IPv6 addresses, or late: what is known of IPv4 is gone on with, and nothing is lost.

use std::time::{Duration, Instant};

use domain::FailureKind;
use hickory_resolver::proto::rr::{RData, RecordType};
use validation::NetworkPolicy;

use crate::{
    dns_server::{Answer, Zone, issue},
    scene::{KEY_AUTHORIZATION, NAME, Scene, failure},
    tls_server::{Shown, TlsServer},
    web_server::{Reply, WebServer},
};

const NO_ANSWER: &str = "a.example. AAAA (no answer within 1 s)";

/// What has an IPv4 address and no answer about IPv6.
fn silent() -> Zone {
    Zone::default().a(NAME, "127.0.0.1").answer(NAME, RecordType::AAAA, Answer::Silence)
}

/// What answers about IPv6 after a time.
fn late(after: Duration) -> Zone {
    let records = Answer::Records(vec![RData::AAAA("::1".parse().unwrap())]);
    let late = Answer::Late(Instant::now() + after, Box::new(records));
    Zone::default().a(NAME, "127.0.0.1").answer(NAME, RecordType::AAAA, late)
}

/// A scene in which a question is repeated after a time.
async fn scene(zone: Zone, port: u16, dns_timeout: Duration) -> Scene {
    let mut scene = Scene::new(zone).await.port(port);
    scene.settings.dns_timeout = dns_timeout;
    scene.settings.total_timeout = Duration::from_secs(10);
    scene.settings.policy =
        NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    scene
}

#[tokio::test]
async fn an_answer_about_ipv6_that_never_comes_is_not_waited_for_at_each_hop() {
    let web = WebServer::start(|path| match path {
        "/there" => Reply::body(KEY_AUTHORIZATION),
        _ => Reply::redirect("/there"),
    })
    .await;
    let started = Instant::now();
    let scene = scene(silent(), web.port, Duration::from_secs(3)).await;
    let evidence = scene.http01().await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(evidence.records[..2], ["a.example. A 127.0.0.1", NO_ANSWER]);

    let server = TlsServer::start(Shown::default()).await;
    let scene = self::scene(silent(), server.port, Duration::from_secs(3)).await;
    let evidence = scene.tls_alpn01().await.unwrap();
    assert!(evidence.records.contains(&NO_ANSWER.to_owned()), "{:?}", evidence.records);
}

#[tokio::test]
async fn ipv6_is_preferred_also_where_its_address_comes_a_moment_later() {
    let web = WebServer::start_on_v6(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let scene = scene(late(Duration::from_millis(200)), web.port, Duration::from_secs(3)).await;
    let evidence = scene.http01().await.unwrap();
    assert_eq!(evidence.hops.len(), 1);
    assert_eq!(evidence.hops[0].address, format!("[::1]:{}", web.port));
}

#[tokio::test]
async fn an_ipv6_address_that_comes_late_is_tried_once_ipv4_was_not_connected_to() {
    let web = WebServer::start_on_v6(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let scene = scene(late(Duration::from_millis(1500)), web.port, Duration::from_secs(2)).await;
    let evidence = scene.http01().await.unwrap();
    let asked: Vec<&str> = evidence.hops.iter().map(|hop| hop.address.as_str()).collect();
    assert_eq!(asked, [format!("127.0.0.1:{}", web.port), format!("[::1]:{}", web.port)]);
    assert!(evidence.records.contains(&"a.example. AAAA ::1".to_owned()), "{:?}", evidence.records);
}

#[tokio::test]
async fn an_ipv6_address_that_comes_late_is_tried_where_that_of_ipv4_may_not_be_contacted() {
    let web = WebServer::start_on_v6(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let mut scene =
        scene(late(Duration::from_millis(1500)), web.port, Duration::from_secs(2)).await;
    scene.settings.policy = NetworkPolicy::allowing(vec!["::1/128".parse().unwrap()]);
    let evidence = scene.http01().await.unwrap();
    assert_eq!(evidence.hops.len(), 1);

    scene.settings.policy = NetworkPolicy::allowing(vec![]);
    let failure = failure(scene.http01().await);
    assert!(failure.detail.contains("does not contact"), "{}", failure.detail);
}

#[tokio::test]
async fn an_answer_about_caa_that_never_comes_forbids_however_long_it_takes() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let zone = Zone::default()
        .a(NAME, "127.0.0.1")
        .answer(NAME, RecordType::CAA, Answer::Silence)
        .answer("example", RecordType::CAA, Answer::Records(vec![issue("ca.example")]));
    let mut scene = scene(zone, web.port, Duration::from_millis(1100)).await;
    scene.settings.caa_identities = vec!["ca.example".to_owned()];
    let failure = failure(scene.http01().await);
    assert_eq!(failure.kind, FailureKind::Dns);
    assert!(failure.detail.contains("CAA records for a.example failed"), "{}", failure.detail);
}
