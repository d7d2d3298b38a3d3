//! What an operator does: start, stop, ask.

use std::{
    convert::Infallible,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::Arc,
    time::Duration,
};

use acceptance::{Certmill, Scene, Setup, eventually};
use anyhow::{Context as _, ensure};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

#[tokio::test]
async fn an_idle_server_stops_in_time_and_starts_again_with_all_it_knew() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let took = scene.server.stop().await?;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    scene.server.start().await?;
    scene.client.forget_nonces();
    let order = scene.client.read(&issued.order.url).await?;
    assert_eq!(order.status(), "valid");
    let chain = scene.client.download(&order).await?;
    assert_eq!(chain.pem(), issued.chain.pem());
    Ok(())
}

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A TLS connection of a client that agrees to these protocols.
fn connect(server: &Certmill, protocols: &[&[u8]]) -> anyhow::Result<Tls> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(server.root())? {
        roots.add(root?)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let tls = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
    Ok(StreamOwned::new(tls, TcpStream::connect(("127.0.0.1", server.port()))?))
}

/// Begins a connection of HTTP/2 and is heard of no more, as a client whose machine sleeps.
fn silent_client(server: &Certmill) -> anyhow::Result<Tls> {
    let mut connection = connect(server, &[b"h2"])?;
    connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")?;
    connection.flush()?;
    Ok(connection)
}

#[tokio::test]
async fn a_client_that_is_heard_of_no_more_does_not_spoil_the_stop() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let silent = silent_client(&scene.server)?;
    // Another client is answered after it, so that the server has seen it.
    scene.client.place(&["a.localhost"]).await?;
    scene.server.stop().await?;
    drop(silent);
    Ok(())
}

/// Sends the head of a request, and none of the body that the server asks for.
fn half_a_request(server: &Certmill) -> anyhow::Result<Tls> {
    let mut connection = connect(server, &[])?;
    let head = "POST /acme/default/new-order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100";
    write!(connection, "{head}\r\nExpect: 100-continue\r\n\r\n")?;
    let mut go_on = [0; 12];
    connection.read_exact(&mut go_on)?;
    assert_eq!(&go_on, b"HTTP/1.1 100");
    Ok(connection)
}

#[tokio::test]
async fn who_is_slow_to_ask_does_not_spoil_the_stop() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let _silent = TcpStream::connect(("127.0.0.1", scene.server.port()))?;
    assert!(scene.server.stop().await? < Duration::from_secs(3), "it waited for a handshake");

    scene.server.start().await?;
    let _half = half_a_request(&scene.server)?;
    let took = scene.server.stop().await?;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    Ok(())
}

/// Whether nobody listens there; a full queue only takes long.
fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(50))
        .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// Asks for the directory once nobody can connect any more, and returns the answer.
fn ask_after_the_stop(mut connection: Tls) -> anyhow::Result<String> {
    let address = connection.sock.peer_addr()?;
    while !is_refused(address) {}
    write!(connection, "GET /acme/directory HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn who_had_connected_before_the_stop_is_answered() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    // Hands are shaken with the first octet that is sent.
    let connection = connect(&scene.server, &[])?;
    let asking = tokio::task::spawn_blocking(move || ask_after_the_stop(connection));
    let (stopped, answer) = tokio::join!(scene.server.stop(), asking);
    let answer = answer??;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    stopped.map(drop)
}

#[tokio::test]
async fn a_start_that_takes_long_is_given_up_when_asked_to() -> anyhow::Result<()> {
    let mut server = Setup::embedded().prepare("waiting")?;
    // Nobody writes into it; a token that does not answer keeps a start waiting in the same way.
    let passphrase = server.files().join("passphrase");
    anyhow::ensure!(Command::new("mkfifo").arg(&passphrase).status()?.success(), "no mkfifo");
    server.configure("ca.passphrase_file", passphrase.display());
    server.begin()?;
    eventually("the server is starting", Duration::from_secs(20), async || {
        Ok(server.ops("/healthz").await.is_ok_and(|status| status.is_success()).then_some(()))
    })
    .await?;
    assert!(!server.ops("/readyz").await?.is_success());
    server.stop().await.map(drop)
}

#[tokio::test]
async fn a_second_server_on_the_same_directory_is_refused() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let second = Setup::embedded().set("data_dir", scene.server.data_dir().display());
    let refused = second.prepare("second")?.start_in_vain().await?;
    assert!(!refused.status.success(), "a second server ran: {}", refused.stdout);
    assert!(!refused.stderr.contains("panicked"), "{}", refused.stderr);
    Ok(())
}

#[tokio::test]
async fn the_story_of_a_certificate_is_told_beside_the_running_server() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let story = scene.server.operate(&["why", &issued.chain.serial()?]).await?.success()?;
    let order = issued.order.url.rsplit('/').next().unwrap_or_default();
    let account = scene.client.account()?.rsplit('/').next().unwrap_or_default();
    for told in ["a.localhost", "http-01", "127.0.0.1", order, account] {
        assert!(story.contains(told), "{told} is not told in\n{story}");
    }
    Ok(())
}

#[tokio::test]
async fn the_events_of_an_order_are_listed_in_their_order() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let order = issued.order.url.rsplit('/').next().unwrap_or_default();
    let printed = scene.server.operate(&["events", "--json", "--aggregate", order]).await?;
    let printed = printed.success()?;
    let kinds: Vec<Value> = printed
        .lines()
        .map(|line| Ok(serde_json::from_str::<Value>(line)?["type"].clone()))
        .collect::<anyhow::Result<_>>()?;
    let expected = [
        "OrderPlaced",
        "ChallengeReady",
        "ChallengeValidated",
        "OrderFinalized",
        "CertificateReserved",
        "CertificateIssued",
    ];
    assert_eq!(kinds, expected);
    Ok(())
}

#[tokio::test]
async fn events_are_listed_from_a_time_on() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    for name in ["a.localhost", "b.localhost"] {
        scene.client.issue(&[name], &scene.web).await?;
    }
    scene.server.lists_events_from_each_time_on().await?;
    assert!(scene.server.events_since("2100-01-01").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn who_follows_the_events_may_stop_reading_before_the_next_one() -> anyhow::Result<()> {
    let server = Setup::embedded().start().await?;
    let mut follower = server.follow_events()?;
    let output = follower.stdout.take().context("the follower has a standard output")?;
    let mut lines = BufReader::new(output).lines();
    for _ in server.events().await? {
        assert!(lines.next_line().await?.is_some());
    }
    drop(lines);
    let ended = timeout(Duration::from_secs(20), follower.wait()).await;
    assert!(ended.context("it waits for an event that never comes")??.success());
    Ok(())
}

#[tokio::test]
async fn the_read_model_is_rebuilt_while_traffic_goes_on() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let (rebuilt, meanwhile) = tokio::join!(
        scene.server.operate(&["rebuild"]),
        scene.client.issue(&["b.localhost"], &scene.web)
    );
    rebuilt?.success()?;
    for order in [&issued.order, &meanwhile?.order] {
        assert_eq!(scene.client.read(&order.url).await?.status(), "valid");
    }
    // The index by serial as well.
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    scene.client.post("revokeCert", &payload).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn an_operator_lists_shows_and_deactivates_accounts() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let account = scene.client.account()?.to_owned();
    let id = account.rsplit('/').next().unwrap_or_default();
    let list = scene.server.operate(&["account", "list"]).await?.success()?;
    assert!(list.contains(id), "{list}");
    let shown = scene.server.operate(&["account", "show", id]).await?.success()?;
    assert!(shown.contains("valid"), "{shown}");
    scene.server.operate(&["account", "deactivate", id]).await?.success()?;
    scene.client.post_as_get(&account).await?.refused((401, "unauthorized"))?;
    for command in [["account", "list", "--json"].as_slice(), &["account", "show", id, "--json"]] {
        let shown: Value = serde_json::from_str(&scene.server.operate(command).await?.success()?)?;
        assert_eq!((&shown["id"], &shown["status"]), (&json!(id), &json!("deactivated")));
    }
    Ok(())
}

#[tokio::test]
async fn a_backup_of_a_running_server_can_be_served() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let place = TempDir::new()?;
    let copy = place.path().join("copy");
    let target = copy.display().to_string();
    scene.server.operate(&["backup", &target]).await?.success()?;

    let restored = Setup::embedded().set("data_dir", &target).start_as("restored").await?;
    let serial = issued.chain.serial()?;
    let story = restored.operate(&["why", &serial]).await?.success()?;
    assert!(story.contains("a.localhost"), "{story}");
    restored.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn everything_that_was_stored_can_be_verified() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene.client.issue(&["a.localhost"], &scene.web).await?;
    scene.server.operate(&["audit", "verify"]).await?.success()?;
    scene.server.stop().await?;
    scene.server.operate(&["audit", "verify"]).await?.success()?;
    Ok(())
}

/// Verifies what is stored again and again, until something is found.
async fn verify_without_end(server: &Certmill) -> anyhow::Result<Infallible> {
    loop {
        let verified = server.operate(&["audit", "verify"]).await?;
        ensure!(verified.stderr.is_empty(), "{}", verified.stderr);
        verified.success()?;
    }
}

#[tokio::test]
async fn what_is_being_written_can_be_verified() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issuing = async {
        for _ in 0..100 {
            scene.client.issue(&["a.localhost"], &scene.web).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        issued = issuing => issued,
        found = verify_without_end(&scene.server) => found.map(|never| match never {}),
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_with_the_key_to_change() -> anyhow::Result<()>
{
    for (key, value) in [("api.hold", "1y"), ("api.no_such_key", "1"), ("default_profile", "none")]
    {
        let server = Setup::embedded().set(key, value).prepare("refused")?;
        for command in ["check-config", "serve"] {
            let refused = server.operate(&[command]).await?;
            assert!(!refused.status.success(), "{command} accepted {key}");
            let named = key.rsplit('.').next().unwrap_or_default();
            assert!(refused.stderr.contains(named), "{command}: {}", refused.stderr);
        }
    }
    Setup::embedded().prepare("good")?.operate(&["check-config"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_before_anything_works() -> anyhow::Result<()> {
    for (key, value) in [
        ("key_block_lists", r#"["nowhere"]"#),
        ("external_accounts.key_file", "nowhere"),
        ("validation.trust_anchor", "nowhere"),
    ] {
        let server = Setup::embedded().set(key, value).prepare("refused")?;
        let refused = server.start_in_vain().await?;
        assert!(refused.stderr.contains("nowhere"), "{key}: {}", refused.stderr);
        let told = refused.stdout + &refused.stderr;
        for more in ["ready", " WARN ", " ERROR "] {
            assert!(!told.contains(more), "{key}: {told}");
        }
        assert!(!server.data_dir().join("ca").exists(), "{key}: a CA was made");
    }
    Ok(())
}
