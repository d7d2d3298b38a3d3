//! Applicants that attack: bounded in bytes and time, never a way to another address, never echoed.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use domain::FailureKind;
use hickory_resolver::proto::rr::RecordType;
use validation::NetworkPolicy;

use crate::{
    dns_server::{Answer, Zone},
    scene::{KEY_AUTHORIZATION, NAME, Scene, failure},
    web_server::{Reply, WebServer},
};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

fn zone() -> Zone {
    Zone::default().a(NAME, "127.0.0.1")
}

/// A scene in which a request may take half a second.
async fn hasty(web: &WebServer) -> Scene {
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.request_timeout = Duration::from_millis(500);
    scene
}

#[tokio::test]
async fn a_name_that_is_rebound_after_the_check_is_still_asked_at_the_checked_address() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let inside = WebServer::start_at(Ipv4Addr::new(127, 0, 0, 9), |_| Reply::body("secret")).await;
    let zone = zone().a(NAME, "127.0.0.9");
    let mut scene = Scene::new(zone).await.port(web.port);
    scene.settings.policy = NetworkPolicy::allowing(vec!["127.0.0.1/32".parse().unwrap()]);
    let evidence = scene.http01().await.unwrap();
    assert_eq!(evidence.hops[0].address, format!("127.0.0.1:{}", web.port));
    // The second lookup gets the other address, which the policy denies.
    scene.http01().await.unwrap_err();
    assert!(inside.requests().is_empty());
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let web = WebServer::start(|_| Reply::Endless(OK.to_vec(), vec![b'x'; 65536])).await;
    let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
    assert_eq!(failure.kind, FailureKind::IncorrectResponse);
    assert!(failure.detail.contains("more than 1152 bytes"), "{}", failure.detail);
}

#[tokio::test]
async fn endless_whitespace_after_the_right_body_is_cut_off() {
    let head = [OK, KEY_AUTHORIZATION.as_bytes()].concat();
    let web = WebServer::start(move |_| Reply::Endless(head.clone(), vec![b'\n'; 512])).await;
    let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
    assert_eq!(failure.kind, FailureKind::IncorrectResponse);
}

#[tokio::test]
async fn a_body_that_drips_ends_with_the_time_of_its_request() {
    let web = WebServer::start(|_| Reply::Drip(OK.to_vec())).await;
    let started = Instant::now();
    let failure = failure(hasty(&web).await.http01().await);
    assert_eq!(failure.kind, FailureKind::Connection);
    assert!(failure.detail.contains("too long"), "{}", failure.detail);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn headers_that_drip_end_with_the_time_of_their_request() {
    let web = WebServer::start(|_| Reply::Drip(b"HTTP/1.1 200 OK\r\nX: ".to_vec())).await;
    let failure = failure(hasty(&web).await.http01().await);
    assert!(failure.detail.contains("too long"), "{}", failure.detail);
}

#[tokio::test]
async fn a_server_that_hangs_ends_with_the_time_of_its_request() {
    let web = WebServer::start(|_| Reply::Hang).await;
    let rejected = hasty(&web).await.http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Connection);
    assert!(rejected.failure.detail.contains("too long"), "{}", rejected.failure.detail);
    assert_eq!(rejected.evidence.hops[0].status, None);
    assert!(rejected.evidence.duration_millis >= 500);
}

#[tokio::test]
async fn a_chain_of_slow_hops_ends_with_the_time_of_the_validation() {
    let web = WebServer::start(|_| Reply::Hang).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.total_timeout = Duration::from_millis(300);
    let rejected = scene.http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Connection);
    let expected =
        format!("the validation did not end within 0.3 s: 127.0.0.1:{} did not answer", web.port);
    assert_eq!(rejected.failure.detail, expected);
    assert_eq!(rejected.evidence.hops.len(), 1);
}

#[tokio::test]
async fn who_keeps_a_validation_beyond_its_time_is_named_whatever_the_challenge() {
    let web = WebServer::start(|_| Reply::Drip(OK.to_vec())).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.total_timeout = Duration::from_millis(300);
    let failed = failure(scene.http01().await);
    let began = format!(": 127.0.0.1:{} began to answer with status 200", web.port);
    assert!(failed.detail.ends_with(&began), "{}", failed.detail);
    let failed = failure(scene.tls_alpn01().await);
    let shaking = format!(": 127.0.0.1:{} did not finish the TLS handshake", web.port);
    assert!(failed.detail.ends_with(&shaking), "{}", failed.detail);
    let silent = zone().answer("_acme-challenge.a.example", RecordType::TXT, Answer::Silence);
    let mut scene = Scene::new(silent).await;
    scene.settings.total_timeout = Duration::from_millis(300);
    let failed = failure(scene.dns01().await);
    assert_eq!(failed.detail, "the validation did not end within 0.3 s");
}

#[tokio::test]
async fn a_bomb_of_headers_is_refused() {
    let head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    let long = WebServer::start(move |_| Reply::Endless(head.clone(), vec![b'x'; 65536])).await;
    let many = WebServer::start(|_| {
        Reply::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(64))
    })
    .await;
    for web in [long, many] {
        let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
        assert_eq!(failure.kind, FailureKind::Connection);
        assert!(failure.detail.contains("headers are too large"), "{}", failure.detail);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_speak_http_is_refused_without_being_repeated() {
    for octets in [
        &b"SSH-2.0-secret\r\n"[..],
        b"",
        b"\0\xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nsecret",
    ] {
        let web = WebServer::start(move |_| Reply::Octets(octets.to_vec())).await;
        let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
        assert_eq!(failure.kind, FailureKind::Connection);
        assert!(!failure.detail.contains("secret"));
    }
}

#[tokio::test]
async fn what_a_redirect_says_is_never_repeated() {
    let web =
        WebServer::start(|_| Reply::redirect("http://user:<b>evil</b>@evil.example/evil")).await;
    let rejected = Scene::new(zone()).await.port(web.port).http01().await.unwrap_err();
    assert!(!rejected.failure.detail.contains("evil"), "{}", rejected.failure.detail);
}
