//! Redirects: where they may lead, and that every hop is resolved, checked and pinned like the first.

use std::net::Ipv4Addr;

use domain::FailureKind;

use crate::{
    dns_server::Zone,
    scene::{KEY_AUTHORIZATION, NAME, Scene, failure},
    web_server::{Reply, WebServer},
};

const OTHER: &str = "b.example";

fn zone() -> Zone {
    Zone::default().a(NAME, "127.0.0.1").a(OTHER, "127.0.0.1")
}

/// A server that redirects the challenge's path to a location and serves the key authorization elsewhere.
async fn redirecting_to(location: impl Into<String>) -> WebServer {
    let location = location.into();
    WebServer::start(move |path| match path {
        "/proof" => Reply::body(KEY_AUTHORIZATION),
        _ => Reply::redirect(&location),
    })
    .await
}

async fn refused(location: &str, expected: &str) {
    let web = redirecting_to(location).await;
    let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
    assert_eq!(failure.kind, FailureKind::Connection, "{location}");
    assert!(failure.detail.contains(expected), "{location}: {}", failure.detail);
    assert_eq!(web.requests().len(), 1, "{location}");
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed() {
    for status in [301, 302, 303, 307, 308] {
        let web = WebServer::start(move |path| match path {
            "/proof" => Reply::body(KEY_AUTHORIZATION),
            _ => Reply::status(status, "Location: /proof\r\n", ""),
        })
        .await;
        let evidence = Scene::new(zone()).await.port(web.port).http01().await.unwrap();
        let statuses: Vec<_> = evidence.hops.iter().filter_map(|hop| hop.status).collect();
        assert_eq!(statuses, [status, 200]);
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_at_an_allowed_port_is_followed() {
    let other = WebServer::start(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let web = redirecting_to(format!("http://{OTHER}:{}/x", other.port)).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.redirect_ports.push(other.port);
    let evidence = scene.http01().await.unwrap();
    assert_eq!(evidence.hops[1].url, format!("http://{OTHER}:{}/x", other.port));
    assert!(other.requests()[0].contains(&format!("host: {OTHER}:{}", other.port)));
}

#[tokio::test]
async fn the_port_of_http01_is_an_allowed_redirect_port() {
    let web = WebServer::start(|path| match path {
        "/proof" => Reply::body(KEY_AUTHORIZATION),
        _ => Reply::redirect("/proof"),
    })
    .await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.redirect_ports.clear();
    scene.http01().await.unwrap();
}

#[tokio::test]
async fn a_redirect_to_another_port_is_refused() {
    refused(&format!("http://{OTHER}:22/"), "port 22 is not allowed").await;
}

#[tokio::test]
async fn an_https_redirect_is_followed_whatever_the_certificate() {
    let tls = WebServer::start_tls(|_| Reply::body(KEY_AUTHORIZATION)).await;
    let web = redirecting_to(format!("https://{OTHER}:{}/x", tls.port)).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.redirect_ports.push(tls.port);
    scene.http01().await.unwrap();
}

#[tokio::test]
async fn an_https_redirect_to_a_server_without_tls_is_a_tls_failure() {
    let plain = WebServer::start_greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let web = redirecting_to(format!("https://{OTHER}:{}/x", plain.port)).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.redirect_ports.push(plain.port);
    let rejected = scene.http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Tls, "{}", rejected.failure.detail);
    assert_eq!(rejected.evidence.hops.len(), 2);
}

#[tokio::test]
async fn redirects_to_what_is_not_a_web_server_at_a_dns_name_are_refused() {
    refused("file:///etc/passwd", "neither http nor https").await;
    refused(&format!("http://user:secret@{OTHER}/"), "user name or password").await;
    refused("http://127.0.0.1/", "an IP address").await;
    refused("http://[::1]/", "an IP address").await;
    refused("http://0x7f.1/", "an IP address").await;
    refused("http://localhost/", "not a fully qualified DNS name").await;
    refused("http://", "not a URL").await;
}

#[tokio::test]
async fn a_redirect_to_a_name_of_a_metadata_service_is_refused() {
    for address in ["169.254.169.254", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"] {
        let web = redirecting_to("http://metadata.example/latest/").await;
        let scene = Scene::new(zone().a("metadata.example", address)).await.port(web.port);
        let rejected = scene.http01().await.unwrap_err();
        assert_eq!(rejected.failure.kind, FailureKind::Connection);
        assert!(
            rejected.failure.detail.contains("does not contact"),
            "{}",
            rejected.failure.detail
        );
        assert_eq!(rejected.evidence.hops.len(), 1);
    }
}

#[tokio::test]
async fn a_redirect_loop_ends_at_the_limit() {
    let web = WebServer::start(Reply::redirect).await;
    let mut scene = Scene::new(zone()).await.port(web.port);
    scene.settings.max_redirects = 3;
    let rejected = scene.http01().await.unwrap_err();
    assert_eq!(rejected.failure.kind, FailureKind::Connection);
    assert!(
        rejected.failure.detail.contains("more than 3 redirects"),
        "{}",
        rejected.failure.detail
    );
    assert_eq!(rejected.evidence.hops.len(), 4);
}

#[tokio::test]
async fn a_redirect_without_a_location_is_refused() {
    let web = WebServer::start(|_| Reply::status(302, "", "")).await;
    let failure = failure(Scene::new(zone()).await.port(web.port).http01().await);
    assert!(failure.detail.contains("no Location"), "{}", failure.detail);
}

#[tokio::test]
async fn each_hop_goes_to_the_address_of_its_own_lookup() {
    let other = Ipv4Addr::new(127, 0, 0, 2);
    let web = redirecting_to("/proof").await;
    // The name moves away between the two hops: the second one must not find the first one's server.
    let zone = Zone::default().a(NAME, "127.0.0.1").a(NAME, &other.to_string());
    let rejected = Scene::new(zone).await.port(web.port).http01().await.unwrap_err();
    let asked: Vec<_> = rejected.evidence.hops.iter().map(|hop| hop.address.as_str()).collect();
    assert_eq!(asked, [format!("127.0.0.1:{}", web.port), format!("{other}:{}", web.port)]);
    assert_eq!(web.requests().len(), 1);
}
