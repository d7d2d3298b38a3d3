//! Changes of account keys (RFC 8555 §7.3.5).

use acceptance::{AccountKey, RawClient, Scene, verify};
use acme::PublicJwk;
use domain::{
    AccountId, Thumbprint, Timestamp,
    account::{AccountKeyClaimed, Event},
};
use embedded::{Embedded, Options};
use eventstore::{Actor, Context, Envelope, EventStore as _, Expected, MessageId, Subject};
use serde_json::json;
use time::{Duration, OffsetDateTime};

/// The same key twice: once to sign with, once to change to.
fn twins() -> anyhow::Result<[AccountKey; 2]> {
    let key = rcgen::KeyPair::generate()?;
    Ok([AccountKey::try_from(&key)?, AccountKey::try_from(&key)?])
}

#[tokio::test]
async fn the_new_key_takes_over_all_that_the_account_has() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    let renewed = scene.client.change_key(AccountKey::p384()?).await?;
    assert_eq!(renewed.read(&order.url).await?.body, order.body);
    renewed.prove(&order, &scene.web).await?;
    let issued = renewed.finalize(&order, &["a.localhost"]).await?;
    verify(&issued.chain, &scene.server.root()).await
}

#[tokio::test]
async fn the_former_key_neither_signs_nor_finds_nor_makes_an_account() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    let account = scene.client.account()?.to_owned();
    scene.client.change_key(AccountKey::p256()?).await?;
    scene
        .unimpressed(async |scene| {
            let former = &scene.client;
            let wrong = (400, "unauthorized");
            former.post_as_get(&account).await?.refused(wrong)?;
            former.post_as_get(&order.url).await?.refused(wrong)?;
            former.post(&account, &json!({ "status": "deactivated" })).await?.refused(wrong)?;
            let change = former.key_change(&AccountKey::p256()?)?;
            former.post("keyChange", &change).await?.refused(wrong)?;
            let make = json!({ "termsOfServiceAgreed": true });
            former.post("newAccount", &make).await?.refused((400, "badPublicKey"))?;
            let find = json!({ "onlyReturnExisting": true });
            former.post("newAccount", &find).await?.refused((400, "accountDoesNotExist"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_account_is_found_by_its_present_key() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let second = scene.client.change_key(AccountKey::ed25519()?).await?;
    let third = second.change_key(AccountKey::rsa(2048).await?).await?;
    for payload in [json!({ "onlyReturnExisting": true }), json!({})] {
        let found = third.post("newAccount", &payload).await?.expect(200)?;
        assert_eq!(found.location()?, scene.client.account()?);
        assert_eq!(found.json()?["status"], "valid");
        second.post("newAccount", &payload).await?.expect(400)?;
    }
    Ok(())
}

#[tokio::test]
async fn a_change_survives_a_power_cut_and_all_former_keys_are_kept() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let second = scene.client.change_key(AccountKey::p256()?).await?;
    let third = second.change_key(AccountKey::p256()?).await?;
    scene.server.kill().await?;
    scene.server.start().await?;
    let account = scene.client.account()?;
    third.post_as_get(account).await?.expect(200)?;
    scene.client.forget_nonces();
    second.forget_nonces();
    scene.client.post_as_get(account).await?.expect(400)?;
    second.post_as_get(account).await?.expect(400)?;

    let id = account.rsplit('/').next().unwrap_or_default();
    let shown = scene.server.operate(&["account", "show", id, "--json"]).await?.success()?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    let thumbprint = |client: &RawClient| -> anyhow::Result<String> {
        Ok(thumbprint(client.key())?.as_str().to_owned())
    };
    assert_eq!(shown["key_thumbprint"], thumbprint(&third)?);
    let former = json!([thumbprint(&scene.client)?, thumbprint(&second)?]);
    assert_eq!(shown["former_key_thumbprints"], former);
    Ok(())
}

#[tokio::test]
async fn two_accounts_that_want_one_key_do_not_both_get_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let other = scene.stranger().await?;
    for _ in 0..5 {
        let [key, same] = twins()?;
        let (one, two) = (scene.client.key_change(&key)?, other.key_change(&same)?);
        let both =
            tokio::join!(scene.client.post("keyChange", &one), other.post("keyChange", &two));
        let statuses = [both.0?.status, both.1?.status];
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        if statuses[0] == 200 {
            // The next round starts from the new key.
            let again = scene.client.with_key(key);
            return again.post_as_get(again.account()?).await?.expect(200).map(drop);
        }
    }
    Ok(())
}

fn thumbprint(key: &AccountKey) -> anyhow::Result<Thumbprint> {
    Ok(PublicJwk::parse(&key.jwk().to_string())?.thumbprint().clone())
}

/// Leaves a claim behind as a server does that ends before the change it is for.
async fn leave_claim(
    scene: &mut Scene,
    (account, key): (&str, &AccountKey),
    age: Duration,
) -> anyhow::Result<()> {
    scene.server.stop().await?;
    let at = Timestamp::from(OffsetDateTime::now_utc() - age);
    let key = thumbprint(key)?;
    let place = acme::account_id(&"default".parse()?, &key);
    let account: AccountId = account.rsplit('/').next().unwrap_or_default().parse()?;
    let claim = Event::AccountKeyClaimed(AccountKeyClaimed { account: account.clone(), key, at });
    let actor = Actor::Account { id: account };
    let context = Context { actor, request_id: None, traceparent: None, at };
    let log = Embedded::open(&scene.server.data_dir(), &Options::default())?;
    let envelope = Envelope::new(MessageId::random(), &context, &[claim])?;
    log.append(&Subject::account(&place), Expected::Anything, &envelope).await?;
    log.close().await;
    drop(log);
    scene.client.forget_nonces();
    scene.server.start().await
}

#[tokio::test]
async fn an_interrupted_change_is_completed_by_the_same_account() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let account = scene.client.account()?.to_owned();
    let [claimed, key] = twins()?;
    leave_claim(&mut scene, (&account, &claimed), Duration::minutes(2)).await?;
    let renewed = scene.client.change_key(key).await?;
    renewed.post_as_get(&account).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_key_that_was_claimed_a_moment_ago_is_nobody_elses_yet() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let other = scene.stranger().await?;
    let account = other.account()?.to_owned();
    let [claimed, key] = twins()?;
    leave_claim(&mut scene, (&account, &claimed), Duration::minutes(4)).await?;
    let reply =
        scene.client.post("keyChange", &scene.client.key_change(&key)?).await?.expect(503)?;
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
    let newcomer = scene.newcomer(key).await?;
    newcomer.post("newAccount", &json!({})).await?.expect(503)?;
    Ok(())
}

#[tokio::test]
async fn a_claim_that_no_change_followed_is_taken_over_after_five_minutes() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let other = scene.stranger().await?;
    let account = other.account()?.to_owned();
    let [claimed, key] = twins()?;
    leave_claim(&mut scene, (&account, &claimed), Duration::minutes(6)).await?;
    let renewed = scene.client.change_key(key).await?;
    renewed.post_as_get(renewed.account()?).await?.expect(200)?;

    let [claimed, key] = twins()?;
    leave_claim(&mut scene, (&account, &claimed), Duration::minutes(6)).await?;
    let newcomer = scene.newcomer(key).await?;
    let find = json!({ "onlyReturnExisting": true });
    newcomer.post("newAccount", &find).await?.expect(400)?;
    newcomer.post("newAccount", &json!({})).await?.expect(201)?;
    newcomer.post("newAccount", &find).await?.expect(200)?;
    Ok(())
}

#[tokio::test]
async fn a_claim_that_a_change_followed_is_never_taken_over() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let other = scene.stranger().await?;
    let account = other.account()?.to_owned();
    let [claimed, key] = twins()?;
    other.change_key(key).await?;
    // However old its claim is.
    leave_claim(&mut scene, (&account, &claimed), Duration::minutes(60)).await?;
    let reply = scene.client.post("keyChange", &scene.client.key_change(&claimed)?).await?;
    assert_eq!(reply.expect(409)?.location()?, account);
    Ok(())
}
