//! What belongs to someone else, in this profile or another, answers exactly like what does not exist.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use acceptance::{AccountKey, Issued, RawClient, Reply, Scene, csr};
use serde_json::{Value, json};

const NAME: &str = "a.localhost";
/// How often it is measured how long each of two replies takes before they are compared.
const MEASUREMENTS: usize = 60;
/// After how many of them the replies must be alike. A busy machine needs more to tell what a reply takes.
const LAST: usize = 15 * MEASUREMENTS;
/// How much longer one of two replies may take than the other, in hundredths.
const ALIKE: RangeInclusive<u128> = 80..=120;
/// What is another one in every reply.
const OF_THE_MOMENT: [&str; 2] = ["replay-nonce", "date"];

/// All that a stranger could learn from a reply: its status, headers and body.
fn shown(reply: &Reply) -> (u16, Vec<(String, String)>, String) {
    let headers = reply.headers.iter().filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), format!("{value:?}")));
    (reply.status, headers.collect(), reply.text())
}

/// The URL of something that does not exist, with an id like the real one.
fn absent(url: &str) -> String {
    let id = url.split('/').max_by_key(|part| part.len()).unwrap_or_default();
    let flip = |(at, letter): (usize, char)| {
        // The beginning of an order's id is its shard, the end may have bits to spare.
        let is_random = (4..id.len() - 2).contains(&at) && letter.is_ascii_alphanumeric();
        match letter {
            _ if !is_random => letter,
            '1' => '2',
            'a' => 'b',
            digit if digit.is_ascii_digit() => '1',
            _ => 'a',
        }
    };
    url.replace(id, &id.char_indices().map(flip).collect::<String>())
}

/// Every request about an order and its certificate, as its owner would make it.
fn requests(issued: &Issued) -> anyhow::Result<Vec<(String, Option<Value>)>> {
    let order = issued.order.url.clone();
    let authorization = issued.order.authorizations().remove(0);
    let challenge = order.replace("/order/", "/challenge/") + "/0/http-01";
    Ok(vec![
        (order, None),
        (issued.order.finalize()?, Some(json!({ "csr": csr(&[NAME])?.1 }))),
        (authorization.clone(), None),
        (authorization, Some(json!({ "status": "deactivated" }))),
        (challenge.clone(), None),
        (challenge, Some(json!({}))),
        (issued.order.certificate()?, None),
    ])
}

/// An account that asks, with the nonces of a client that may belong to another profile.
#[derive(Clone, Copy)]
struct Stranger<'a> {
    account: &'a RawClient,
    nonces: &'a RawClient,
}

impl<'a> Stranger<'a> {
    fn of(account: &'a RawClient) -> Self {
        Self { account, nonces: account }
    }

    async fn ask(self, url: &str, payload: Option<&Value>) -> anyhow::Result<Reply> {
        self.nonces.send_jws(url, &self.sign(url, payload).await?).await
    }

    /// How long the reply takes.
    async fn time(self, url: &str, payload: Option<&Value>) -> anyhow::Result<Duration> {
        let jws = self.sign(url, payload).await?;
        let began = Instant::now();
        self.nonces.send_jws(url, &jws).await?.problem()?;
        Ok(began.elapsed())
    }

    async fn sign(self, url: &str, payload: Option<&Value>) -> anyhow::Result<Value> {
        let mut protected = self.account.protected(url).await?;
        protected["nonce"] = json!(self.nonces.nonce().await?);
        let payload = payload.map(Value::to_string).unwrap_or_default();
        self.account.key().sign(&protected, payload.as_bytes())
    }
}

/// Asks for what exists and for what does not, and returns the status of both.
async fn asked_in_vain(
    stranger: Stranger<'_>,
    (url, payload): (&str, Option<&Value>),
) -> anyhow::Result<u16> {
    let existing = stranger.ask(url, payload).await?;
    let nothing = stranger.ask(&absent(url), payload).await?;
    assert_eq!(shown(&existing), shown(&nothing), "{url}");
    existing.problem()?;
    Ok(existing.status)
}

#[tokio::test]
async fn a_strangers_resources_look_as_if_they_did_not_exist() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&[NAME], &scene.web).await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |_| {
            for (url, payload) in requests(&issued)? {
                let asked = (url.as_str(), payload.as_ref());
                assert_eq!(asked_in_vain(Stranger::of(&stranger), asked).await?, 404);
            }
            Ok(())
        })
        .await
}

/// What a reply takes when nothing else is to do: the fastest tenth take no longer.
fn undisturbed(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 10]
}

#[tokio::test]
async fn the_time_a_reply_takes_tells_a_stranger_nothing() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&[NAME], &scene.web).await?;
    let account = scene.stranger().await?;
    let stranger = Stranger::of(&account);
    let own = (scene.client.account()?.to_owned(), None);
    for (url, payload) in requests(&issued)?.into_iter().chain([own]) {
        let (mut existing, mut nothing) = (Vec::new(), Vec::new());
        loop {
            // In turns, so that whatever else the machine does meanwhile slows down both.
            for _ in 0..MEASUREMENTS {
                existing.push(stranger.time(&url, payload.as_ref()).await?);
                nothing.push(stranger.time(&absent(&url), payload.as_ref()).await?);
            }
            let (known, unknown) = (undisturbed(&mut existing), undisturbed(&mut nothing));
            if ALIKE.contains(&(known.as_nanos() * 100 / unknown.as_nanos())) {
                break;
            }
            assert!(existing.len() < LAST, "{url}: {known:?}, absent {unknown:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_strangers_certificate_looks_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&[NAME], &scene.web).await?;
    let stranger = scene.stranger().await?;
    let newcomer = scene.newcomer(AccountKey::p256()?).await?;
    let foreign = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
    scene
        .unimpressed(async |_| {
            let url = issued.order.certificate()?;
            let (before, _) = url.rsplit_once('/').unwrap_or_default();
            let existing = shown(&stranger.post_as_get(&url).await?);
            for url in [
                format!("{before}/999999-{}", "01".repeat(17)),
                url.replace("/certificate/", "/certificate/9"),
            ] {
                assert_eq!(existing, shown(&stranger.post_as_get(&url).await?), "{url}");
            }

            use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
            let ours = json!({ "certificate": issued.chain.leaf_base64url()? });
            let foreign = BASE64_URL_SAFE_NO_PAD.encode(foreign.cert.der());
            let foreign = json!({ "certificate": foreign });
            for client in [&stranger, &newcomer] {
                let existing = client.post("revokeCert", &ours).await?;
                let nothing = client.post("revokeCert", &foreign).await?;
                assert_eq!(shown(&existing), shown(&nothing));
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_strangers_account_looks_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |scene| {
            let url = scene.client.account()?.to_owned();
            let update = json!({ "contact": ["mailto:a@example.com"] });
            let orders = format!("{url}/orders");
            for request in [(url.as_str(), None), (&url, Some(&update)), (&orders, None)] {
                assert_eq!(asked_in_vain(Stranger::of(&stranger), request).await?, 403);
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_belongs_to_another_profile_looks_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let profiles = r#"[{name="default"}, {name="other"}]"#;
    let mut scene =
        Scene::with(|setup| setup.set("profile", profiles).set("default_profile", "default"))
            .await?;
    let issued = scene.client.issue(&[NAME], &scene.web).await?;
    let other = scene.server.profile_url("other");
    let outsider = RawClient::register(&other, &scene.server.root()).await?;
    scene
        .unimpressed(async |scene| {
            let outsider = Stranger::of(&outsider);
            let inside = Stranger { nonces: &scene.client, ..outsider };
            let elsewhere = |url: &str| url.replace("/acme/default/", "/acme/other/");
            for (url, payload) in requests(&issued)? {
                // Under its own URL, and under that of the outsider's profile.
                let own = asked_in_vain(inside, (&url, payload.as_ref())).await?;
                let moved = asked_in_vain(outsider, (&elsewhere(&url), payload.as_ref())).await?;
                assert_eq!((own, moved), (400, 404), "{url}");
            }
            let account = scene.client.account()?.to_owned();
            assert_eq!(asked_in_vain(outsider, (&elsewhere(&account), None)).await?, 403);
            assert_eq!(asked_in_vain(inside, (&account, None)).await?, 400);

            // The profile in the URL does not make an account one of that profile.
            let url = outsider.account.url("newOrder")?;
            let mut protected = outsider.account.protected(&url).await?;
            protected["kid"] = json!(elsewhere(&account));
            let jws = scene.client.key().sign(&protected, b"{}")?;
            let reply = outsider.nonces.send_jws(&url, &jws).await?;
            reply.refused((400, "accountDoesNotExist"))?;
            Ok(())
        })
        .await
}
