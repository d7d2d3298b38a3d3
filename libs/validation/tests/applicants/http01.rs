//! http-01 with applicants that mean well, or have made a mistake.

use std::net::Ipv4Addr;

use domain::{ChallengeType, FailureKind, Hop};
use hickory_resolver::proto::{
    op::ResponseCode,
    rr::{RData, RecordType, rdata::A},
};
use validation::{NetworkPolicy, ResolverChoice, Settings, SettingsError, Validator};

use crate::{
    dns_server::{Answer, Sections, Zone, record},
    scene::{KEY_AUTHORIZATION, NAME, Scene, TOKEN, failure},
    web_server::{Reply, WebServer},
};

fn zone() -> Zone {
    Zone::default().a(NAME, "127.0.0.1")
}

async fn check(reply: fn(&str) -> Reply) -> validation::Outcome {
    let web = WebServer::start(reply).await;
    Scene::new(zone()).await.port(web.port).http01().await
}

#[tokio::test]
async fn a_served_key_authorization_is_accepted_with_evidence() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let evidence = Scene::new(zone()).await.port(web.port).http01().await.unwrap();
    let hop = Hop {
        url: format!("http://{NAME}:{}/.well-known/acme-challenge/{TOKEN}", web.port),
        address: format!("127.0.0.1:{}", web.port),
        status: Some(200),
    };
    assert_eq!(evidence.hops, [hop]);
    assert_eq!(evidence.records, ["a.example. A 127.0.0.1"]);
    assert_eq!(evidence.dnssec, None);
}

#[tokio::test]
async fn the_request_names_host_and_software_and_carries_no_state() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    Scene::new(zone()).await.port(web.port).http01().await.unwrap();
    let head = web.requests().pop().unwrap().to_ascii_lowercase();
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
    let first = format!("get /.well-known/acme-challenge/{} http/1.1", TOKEN.to_ascii_lowercase());
    assert_eq!(lines.remove(0), first);
    lines.sort_unstable();
    let host = format!("host: {NAME}:{}", web.port);
    let agent = concat!("user-agent: certmill-validation/", env!("CARGO_PKG_VERSION"));
    assert_eq!(lines, ["accept: */*", "connection: close", &host, agent]);
}

#[tokio::test]
async fn whitespace_after_the_key_authorization_is_ignored() {
    check(|_| Reply::body(&format!("{KEY_AUTHORIZATION}\r\n\t \n"))).await.unwrap();
}

#[tokio::test]
async fn a_wrong_body_is_refused_without_being_repeated() {
    for body in
        ["<script>evil</script>", "", &format!(" {KEY_AUTHORIZATION}"), &KEY_AUTHORIZATION[1..]]
    {
        let served = body.to_owned();
        let web = WebServer::start(move |_| Reply::body(&served)).await;
        let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
        assert_eq!(failure.kind, FailureKind::IncorrectResponse);
        assert!(failure.detail.contains(&format!("{} bytes", body.len())), "{}", failure.detail);
        assert!(!failure.detail.contains("evil") && !failure.detail.contains(TOKEN));
    }
}

#[tokio::test]
async fn any_status_but_200_is_refused_whatever_the_body() {
    for status in [201, 204, 304, 403, 404, 500] {
        let reply = move |_: &str| {
            Reply::status(
                status,
                "",
                if status == 204 || status == 304 { "" } else { KEY_AUTHORIZATION },
            )
        };
        let web = WebServer::start(reply).await;
        let rejected = Scene::new(zone()).await.port(web.port).http01().await.unwrap_err();
        assert_eq!(rejected.failure.kind, FailureKind::IncorrectResponse);
        assert!(
            rejected.failure.detail.contains(&status.to_string()),
            "{}",
            rejected.failure.detail
        );
        assert_eq!(rejected.evidence.hops[0].status, Some(status));
    }
}

#[tokio::test]
async fn loopback_is_denied_unless_configured() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.policy = NetworkPolicy::default();
    let rejected = scene.http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Connection);
    assert!(rejected.failure.detail.contains("does not contact: 127.0.0.1"));
    assert!(rejected.evidence.hops.is_empty() && web.requests().is_empty());
}

#[tokio::test]
async fn ipv4_is_tried_when_ipv6_cannot_be_connected() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let mut scene = Scene::new(zone().a(NAME, "::1")).await.port(web.port);
    scene.settings.policy =
        NetworkPolicy::allowing(vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]);
    let evidence = scene.http01().await.unwrap();
    let asked: Vec<_> =
        evidence.hops.iter().map(|hop| (hop.address.as_str(), hop.status)).collect();
    let (v6, v4) = (format!("[::1]:{}", web.port), format!("127.0.0.1:{}", web.port));
    assert_eq!(asked, [(v6.as_str(), None), (v4.as_str(), Some(200))]);
}

#[tokio::test]
async fn a_denied_ipv6_address_does_not_hide_a_permitted_ipv4_address() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let scene = Scene::new(zone().a(NAME, "::ffff:0:169.254.169.254")).await.port(web.port);
    assert_eq!(scene.http01().await.unwrap().hops.len(), 1);
}

#[tokio::test]
async fn cnames_are_followed_to_an_address() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let zone = Zone::default().cname(NAME, "b.example.").a("b.example", "127.0.0.1");
    let evidence = Scene::new(zone).await.port(web.port).http01().await.unwrap();
    assert!(evidence.records.iter().any(|record| record.contains("CNAME b.example")));
}

#[tokio::test]
async fn an_address_of_another_name_in_the_answer_is_not_asked() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let others = vec![record("b.example", RData::A(A::new(127, 0, 0, 1)))];
    let answer = Answer::Mixed(Sections { others, ..Sections::default() });
    let zone = Zone::default().answer(NAME, RecordType::A, answer);
    let failure = failure(Scene::new(zone).await.port(web.port).http01().await);
    assert_eq!(failure.detail, "DNS has no address records for a.example");
    assert!(web.requests().is_empty());
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let port = WebServer::start_at(Ipv4Addr::LOCALHOST, |_| Reply::Hang).await.port;
    let rejected = Scene::new(zone()).await.port(port).http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Connection);
    assert!(rejected.failure.detail.contains("refused"), "{}", rejected.failure.detail);
    assert_eq!(rejected.evidence.hops[0].status, None);
}

#[tokio::test]
async fn each_dns_failure_is_told_apart() {
    let silent = Zone::default().answer(NAME, RecordType::A, Answer::Silence).answer(
        NAME,
        RecordType::AAAA,
        Answer::Silence,
    );
    let failing = |code| {
        Zone::default().answer(NAME, RecordType::A, Answer::Code(code)).answer(
            NAME,
            RecordType::AAAA,
            Answer::Code(code),
        )
    };
    for (zone, text) in [
        (Zone::default(), "no name a.example (NXDOMAIN)"),
        (Zone::default().txt(NAME, &[&["x"]]), "no address records for a.example"),
        (failing(ResponseCode::ServFail), "SERVFAIL"),
        (failing(ResponseCode::Refused), "REFUSED"),
        (silent, "no answer came in time"),
    ] {
        let failure = failure(Scene::new(zone).await.http01().await);
        assert_eq!(failure.kind, FailureKind::Dns);
        assert!(failure.detail.contains(text), "{} should contain {text}", failure.detail);
    }
}

#[tokio::test]
async fn localhost_names_are_loopback_when_development_says_so() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let mut scene = Scene::new(Zone::default()).await.port(web.port);
    scene.settings.resolver = ResolverChoice::System;
    scene.settings.localhost_to_loopback = true;
    let evidence = scene.validate(ChallengeType::Http01, "H.localhost").await.unwrap();
    assert_eq!(evidence.resolver, "system");
    assert_eq!(evidence.hops.len(), 1);
}

#[tokio::test]
async fn localhost_names_are_where_a_resolver_that_is_set_says_and_loopback_if_it_does_not_know() {
    let web = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let zone = Zone::default().a("a.localhost", "192.0.2.1");
    let mut scene = Scene::new(zone).await.port(web.port);
    scene.settings.localhost_to_loopback = true;
    let rejected = scene.validate(ChallengeType::Http01, "a.localhost").await.unwrap_err();
    assert_eq!(rejected.evidence.records, ["a.localhost. A 192.0.2.1"]);
    let evidence = scene.validate(ChallengeType::Http01, "b.localhost").await.unwrap();
    assert!(evidence.records.is_empty(), "nobody said {:?}", evidence.records);
    scene.settings.localhost_to_loopback = false;
    failure(scene.validate(ChallengeType::Http01, "b.localhost").await);
}

#[test]
fn the_default_settings_are_those_of_the_rfc() {
    let settings = Settings::default();
    assert_eq!(settings.http01_port, 80);
    assert_eq!(settings.redirect_ports, [80, 443]);
    assert_eq!(settings.tls_alpn01_port, 443);
    assert!(!settings.localhost_to_loopback);
}

#[tokio::test]
async fn a_broken_trust_anchor_stops_the_start() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = Settings {
        resolver: ResolverChoice::Address("127.0.0.1:53".parse().unwrap()),
        trust_anchor: Some("example. IN A 192.0.2.1".to_owned()),
        ..Settings::default()
    };
    assert!(matches!(Validator::new(settings), Err(SettingsError::TrustAnchor(_))));
}
