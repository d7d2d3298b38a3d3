//! What hostile requests cost: whoever sends them must not keep a server busy.

use std::time::Duration;

use acceptance::{AccountKey, Certmill, RawClient, Reply, Scene, workspace};
use anyhow::{Context as _, ensure};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::timeout};
use x509_parser::{
    certification_request::X509CertificationRequest, prelude::FromDer as _, public_key::PublicKey,
};

/// The processor time that any request may cost.
const LIMIT: Duration = Duration::from_millis(10);
/// So many requests are measured together, because the system counts in hundredths of a second.
const TOGETHER: u32 = 12;
/// The median of so many measurements counts, so that what else the server does is not told of one of them.
const MEASUREMENTS: usize = 3;
/// So many orders of 100 names each has an account that is a burden.
const ORDERS: usize = 100;
/// So many orders of 100 names each has an account whose validations hang: more than a feed once delivered.
const HANGING_ORDERS: usize = 14;
/// So often was an account changed that is a burden.
const UPDATES: usize = 4000;
/// How much the server may grow by with each thousand requests, in KiB.
const GROWTH_LIMIT: u64 = 1024;
/// So many thousand requests are sent: the allocator's own ups and downs are a few MiB.
const THOUSANDS: u64 = 8;
/// So many requests of each kind fill caches and pools.
const WARM_UP: u64 = 120;
/// As much as a request may hold.
const BODY_BYTES: usize = 60_000;

enum Hostile {
    /// Octets in place of a JWS.
    Body(Vec<u8>),
    /// A payload, well signed.
    Signed(String, Value),
    /// A key that asks for an account, with a signature of its length.
    Key(Value),
}

impl Hostile {
    /// Who sends it, so that what is refused is what it says.
    fn sender<'a>(&self, client: &'a RawClient, newcomer: &'a RawClient) -> &'a RawClient {
        match self {
            Self::Signed(resource, _) if resource == "newAccount" => newcomer,
            Self::Signed(..) | Self::Body(_) | Self::Key(_) => client,
        }
    }

    async fn send(&self, client: &RawClient) -> anyhow::Result<Reply> {
        match self {
            Self::Body(body) => client.send_body(&client.url("newOrder")?, body.clone()).await,
            Self::Signed(resource, payload) => client.post(resource, payload).await,
            Self::Key(jwk) => {
                let url = client.url("newAccount")?;
                let nonce = client.nonce().await?;
                let protected = json!({ "alg": "RS256", "nonce": nonce, "url": url, "jwk": jwk });
                let mut jws = client.key().sign(&protected, b"{}")?;
                jws["signature"] = json!(octets(0x7f, 512));
                client.send_jws(&url, &jws).await
            }
        }
    }
}

fn octets(octet: u8, length: usize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(vec![octet; length])
}

fn signed(resource: &str, payload: Value) -> Hostile {
    Hostile::Signed(resource.to_owned(), payload)
}

fn rsa(modulus: &str, exponent_bytes: usize) -> Hostile {
    Hostile::Key(json!({ "kty": "RSA", "n": modulus, "e": octets(0xff, exponent_bytes) }))
}

/// The modulus of an RSA key of 4096 bits.
fn longest_modulus() -> anyhow::Result<String> {
    let file = workspace().join("libs/acme/tests/data/rsa4096.csr.der");
    let der = std::fs::read(file)?;
    let (_, csr) = X509CertificationRequest::from_der(&der)?;
    match csr.certification_request_info.subject_pki.parsed()? {
        PublicKey::RSA(key) => {
            let modulus = key.modulus.strip_prefix(&[0]).unwrap_or(key.modulus);
            Ok(BASE64_URL_SAFE_NO_PAD.encode(modulus))
        }
        other => anyhow::bail!("{other:?} is no RSA key"),
    }
}

/// Names that are as long as names get, and whose labels have to be decoded.
fn names() -> Value {
    let label = format!("xn--{}-kva", "bcher".repeat(10));
    let name = |number| format!("n{number}.{label}.{label}.{label}.example");
    let identifiers = (0..100).map(|number| json!({ "type": "dns", "value": name(number) }));
    json!({ "identifiers": identifiers.collect::<Vec<_>>() })
}

/// DER whose every octet opens another level, as far as it goes.
fn nested_der() -> String {
    let mut nested = vec![];
    while nested.len() < 30_000 {
        let length = u16::try_from(nested.len()).unwrap_or(u16::MAX).to_be_bytes();
        nested.splice(0..0, [0x30, 0x82, length[0], length[1]]);
    }
    BASE64_URL_SAFE_NO_PAD.encode(nested)
}

fn hostile(finalize: &str) -> anyhow::Result<Vec<(&'static str, Hostile)>> {
    let many: Vec<String> = (0..300).map(|number| format!("n{number}.example.com")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let inner = json!({ "protected": octets(b'[', 6_000), "payload": octets(b'[', 30_000), "signature": octets(0, 512) });
    Ok(vec![
        ("open brackets", Hostile::Body(b"[".repeat(BODY_BYTES))),
        ("open objects", Hostile::Body(b"{\"a\":".repeat(BODY_BYTES / 5))),
        ("backslashes", Hostile::Body([b"\"", &*b"\\u0041".repeat(BODY_BYTES / 6)].concat())),
        ("a number without end", Hostile::Body(b"9".repeat(BODY_BYTES))),
        (
            "many members",
            Hostile::Body([b"{".to_vec(), b"\"a\":1,".repeat(BODY_BYTES / 6)].concat()),
        ),
        ("the longest key", rsa(&longest_modulus()?, 4)),
        ("a modulus that is too long", rsa(&octets(0xff, 2_500), 3)),
        ("an exponent that is too long", rsa(&longest_modulus()?, 2_000)),
        ("names to be decoded", signed("newOrder", names())),
        (
            "identifiers without end",
            signed("newOrder", json!({ "identifiers": vec![json!({}); 9_000] })),
        ),
        (
            "deep JSON",
            signed("newOrder", serde_json::from_str(&("[".repeat(100) + &"]".repeat(100)))?),
        ),
        ("a CSR for many names", signed(finalize, json!({ "csr": acceptance::csr(&many)?.1 }))),
        ("a CSR that is nested", signed(finalize, json!({ "csr": nested_der() }))),
        ("base64 without end", signed(finalize, json!({ "csr": "A".repeat(40_000) }))),
        (
            "a certificate that is nested",
            signed("revokeCert", json!({ "certificate": nested_der() })),
        ),
        ("a long inner JWS", signed("keyChange", inner)),
        (
            "contacts without end",
            signed("newAccount", json!({ "contact": vec!["mailto:a@b.example"; 1_500] })),
        ),
    ])
}

/// What a request costs that is refused.
async fn cost(
    server: &mut Certmill,
    request: impl AsyncFn() -> anyhow::Result<Reply>,
) -> anyhow::Result<Duration> {
    let mut costs = Vec::new();
    for _ in 0..MEASUREMENTS {
        let before = server.process()?.cpu_time()?;
        for _ in 0..TOGETHER {
            let reply = request().await?;
            let refused = (400..500).contains(&reply.status);
            ensure!(refused, "{} {}", reply.status, reply.text());
        }
        costs.push((server.process()?.cpu_time()? - before) / TOGETHER);
    }
    costs.sort_unstable();
    Ok(costs[MEASUREMENTS / 2])
}

#[tokio::test]
async fn no_hostile_request_costs_more_than_ten_milliseconds() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let newcomer = scene.newcomer(AccountKey::p256()?).await?;
    for (name, request) in hostile(&order.finalize()?)? {
        let client = request.sender(&scene.client, &newcomer);
        let cost = cost(&mut scene.server, async || request.send(client).await);
        let cost = cost.await.with_context(|| name)?;
        assert!(cost <= LIMIT, "{name} costs {cost:?}");
    }
    Ok(())
}

#[tokio::test]
async fn hostile_requests_leave_nothing_in_memory() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let newcomer = scene.newcomer(AccountKey::p256()?).await?;
    let requests = hostile(&order.finalize()?)?;
    let each_once = async || {
        for (_, request) in &requests {
            request.send(request.sender(&scene.client, &newcomer)).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    for _ in 0..WARM_UP {
        each_once().await?;
    }
    let before = scene.server.process()?.resident_kib()?;
    for _ in 0..(THOUSANDS * 1000).div_ceil(u64::try_from(requests.len())?) {
        each_once().await?;
    }
    let grown = scene.server.process()?.resident_kib()?.saturating_sub(before);
    assert!(grown <= THOUSANDS * GROWTH_LIMIT, "grown by {grown} KiB");
    Ok(())
}

#[tokio::test]
async fn a_stranger_with_many_orders_costs_no_more_when_it_revokes() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "certificate": issued.chain.leaf_base64url()? });
    let stranger = scene.stranger().await?;
    let names: Vec<String> = (0..100).map(|number| format!("n{number}.localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..ORDERS {
        stranger.place(&names).await?;
    }
    let revoke = async || stranger.post("revokeCert", &payload).await;
    let cost = cost(&mut scene.server, revoke).await?;
    assert!(cost <= LIMIT, "it costs {cost:?}");
    Ok(())
}

#[tokio::test]
async fn a_stranger_whose_validations_hang_keeps_nobody_waiting() -> anyhow::Result<()> {
    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let silent_port = silent.local_addr()?.port();
    let scene = Scene::with(|setup| {
        setup
            .set("validation.tls_alpn01_port", silent_port)
            .set("validation.concurrency", 8)
            .set("api.hold", "0s")
    })
    .await?;
    let stranger = scene.stranger().await?;
    let names: Vec<String> = (0..100).map(|number| format!("n{number}.localhost")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..HANGING_ORDERS {
        let order = stranger.place(&names).await?;
        for authorization in order.authorizations() {
            let url = authorization.replace("/authorization/", "/challenge/") + "/tls-alpn-01";
            stranger.post(&url, &json!({})).await?.expect(200)?;
        }
    }
    let issuing = scene.client.issue(&["a.localhost"], &scene.web);
    timeout(Duration::from_secs(30), issuing).await.context("it waits for the stranger")??;
    Ok(())
}

#[tokio::test]
async fn an_account_with_a_long_history_costs_no_more() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let client = scene.client.change_key(AccountKey::p256()?).await?;
    for number in 0..UPDATES {
        let update = json!({ "contact": [format!("mailto:n{number}@example.com")] });
        client.post(client.account()?, &update).await?.expect(200)?;
    }
    let forger = client.with_key(AccountKey::p256()?);
    let forged = cost(&mut scene.server, async || forger.post_as_get(client.account()?).await);
    let forged = forged.await?;
    assert!(forged <= LIMIT, "a forged signature costs {forged:?}");
    // Looks whose the key is: the account's that changed to it.
    let in_use = client.key_change(client.key())?;
    let found = cost(&mut scene.server, async || client.post("keyChange", &in_use).await).await?;
    assert!(found <= LIMIT, "a key that was changed costs {found:?}");
    Ok(())
}
