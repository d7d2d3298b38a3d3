//! Accounts that are bound to those of another system (RFC 8555 §7.3.4).

use std::time::Duration;

use acceptance::{
    AccountKey, Certmill, ChallengeServer, ExternalKey, OperatorKey, RawClient, Setup, eventually,
    verify,
};
use serde_json::{Value, json};

const REQUIRED: &str = r#"[{name="default", external_account_required=true}]"#;

/// A server whose accounts must be bound.
async fn server(operator: &OperatorKey, web: &ChallengeServer) -> anyhow::Result<Certmill> {
    let setup = operator.configure(Setup::embedded()).set("profile", REQUIRED);
    setup.set("validation.http01_port", web.port()).start().await
}

async fn newcomer(server: &Certmill) -> anyhow::Result<RawClient> {
    RawClient::connect(&server.directory_url(), &server.root(), AccountKey::p256()?).await
}

fn payload(client: &RawClient, key: &ExternalKey, algorithm: &str) -> anyhow::Result<Value> {
    let protected = key.protected(algorithm, &client.url("newAccount")?);
    Ok(json!({ "externalAccountBinding": key.bind(&protected, client.key())? }))
}

#[tokio::test]
async fn an_account_is_bound_by_every_mac_algorithm_and_shows_the_binding() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let server = server(&operator, &web).await?;
    let key = server.external_key(&["--reusable"]).await?;
    for algorithm in ["HS256", "HS384", "HS512"] {
        let client = newcomer(&server).await?;
        assert_eq!(client.directory()["meta"]["externalAccountRequired"], true);
        let payload = payload(&client, &key, algorithm)?;
        let made = client.post("newAccount", &payload).await?.expect(201)?;
        let shown = made.json()?["externalAccountBinding"].clone();
        assert_eq!(shown, payload["externalAccountBinding"], "{algorithm}");
        let client = client.with_account_at(made.location()?);
        let issued = client.issue(&["a.localhost"], &web).await?;
        verify(&issued.chain, &server.root()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_one_time_key_binds_one_account_which_is_found_again_with_it() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let mut server = server(&operator, &web).await?;
    let key = server.external_key(&[]).await?;
    let client = newcomer(&server).await?;
    let own = payload(&client, &key, "HS256")?;
    let made = client.post("newAccount", &own).await?.expect(201)?;

    let other = newcomer(&server).await?;
    let theirs = payload(&other, &key, "HS256")?;
    other.post("newAccount", &theirs).await?.refused((403, "unauthorized"))?;
    server.kill().await?;
    server.start().await?;
    other.forget_nonces();
    client.forget_nonces();
    other.post("newAccount", &theirs).await?.refused((403, "unauthorized"))?;

    // Whoever lost all but the account's key comes again with what it has.
    for payload in [own, json!({})] {
        let found = client.post("newAccount", &payload).await?.expect(200)?;
        assert_eq!(found.location()?, made.location()?);
        assert_eq!(found.json()?["externalAccountBinding"], made.json()?["externalAccountBinding"]);
    }
    Ok(())
}

#[tokio::test]
async fn of_many_accounts_that_want_a_one_time_key_one_gets_it() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let server = server(&operator, &web).await?;
    let key = server.external_key(&[]).await?;
    let attempts = (0..8).map(async |_| {
        let client = newcomer(&server).await?;
        let payload = payload(&client, &key, "HS256")?;
        Ok::<_, anyhow::Error>(client.post("newAccount", &payload).await?.status)
    });
    let mut statuses = futures::future::try_join_all(attempts).await?;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403, 403, 403, 403, 403, 403, 403]);
    Ok(())
}

#[tokio::test]
async fn a_key_may_limit_the_names_its_accounts_order() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let server = server(&operator, &web).await?;
    let names = ["--name", ".team.localhost", "--name", "www.localhost"];
    let key = server.external_key(&names).await?;
    let client = newcomer(&server).await?;
    let payload = payload(&client, &key, "HS256")?;
    let made = client.post("newAccount", &payload).await?.expect(201)?;
    let client = client.with_account_at(made.location()?);
    client.place(&["a.team.localhost", "www.localhost", "*.b.team.localhost"]).await?;
    for name in ["team.localhost", "a.localhost", "evilteam.localhost"] {
        let order = json!({ "identifiers": [{ "type": "dns", "value": name }] });
        client.post("newOrder", &order).await?.refused((400, "rejectedIdentifier"))?;
    }
    Ok(())
}

#[tokio::test]
async fn keys_are_listed_without_secrets_and_disabled() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let server = server(&operator, &web).await?;
    let key = server.external_key(&["--reusable", "--expires", "30d"]).await?;
    let client = newcomer(&server).await?;
    client.post("newAccount", &payload(&client, &key, "HS256")?).await?.expect(201)?;
    server.operate(&["eab", "disable", &key.kid]).await?.success()?;
    let other = newcomer(&server).await?;
    let reply = other.post("newAccount", &payload(&other, &key, "HS256")?).await?;
    reply.refused((403, "unauthorized"))?;

    let listed = server.operate(&["eab", "list", "--json"]).await?.success()?;
    let listed: Value = serde_json::from_str(&listed)?;
    assert_eq!((&listed["kid"], &listed["status"]), (&json!(key.kid), &json!("disabled")));
    let stored = serde_json::to_string(&server.events().await?)?;
    for seen in [listed.to_string(), stored] {
        assert!(!seen.contains(&key.hmac_key), "the secret is there in clear");
    }
    let again = server.operate(&["eab", "disable", &key.kid]).await?;
    assert!(again.success().is_err());
    Ok(())
}

#[tokio::test]
async fn a_key_is_for_its_profile_until_it_ends() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let profiles = r#"[{name="default"}, {name="bound", external_account_required=true}]"#;
    let setup = Setup::embedded().set("profile", profiles).set("default_profile", "default");
    let server = operator.configure(setup).start().await?;
    let directory = server.profile_url("bound");
    let newcomer =
        async || RawClient::connect(&directory, &server.root(), AccountKey::p256()?).await;

    let elsewhere = server.external_key(&[]).await?;
    let client = newcomer().await?;
    let reply = client.post("newAccount", &payload(&client, &elsewhere, "HS256")?).await?;
    reply.refused((403, "unauthorized"))?;
    let key = server.external_key(&["--profile", "bound"]).await?;
    client.post("newAccount", &payload(&client, &key, "HS256")?).await?.expect(201)?;

    let short = server.external_key(&["--profile", "bound", "--expires", "1s"]).await?;
    eventually("the key has ended", Duration::from_secs(20), async || {
        let listed = server.operate(&["eab", "list"]).await?.success()?;
        let line = listed.lines().find(|line| line.starts_with(&short.kid));
        Ok(line.is_some_and(|line| line.contains(" expired ")).then_some(()))
    })
    .await?;
    let late = newcomer().await?;
    let reply = late.post("newAccount", &payload(&late, &short, "HS256")?).await?;
    reply.refused((403, "unauthorized")).map(drop)
}

#[tokio::test]
async fn bindings_are_welcome_where_none_is_required() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let server = operator.configure(Setup::embedded()).start().await?;
    let plain = RawClient::register(&server.directory_url(), &server.root()).await?;
    let shown = plain.post_as_get(plain.account()?).await?.expect(200)?.json()?;
    assert!(shown.get("externalAccountBinding").is_none(), "{shown}");
    assert!(plain.directory()["meta"].get("externalAccountRequired").is_none());
    let key = server.external_key(&[]).await?;
    let client = newcomer(&server).await?;
    let made = client.post("newAccount", &payload(&client, &key, "HS256")?).await?.expect(201)?;
    assert!(made.json()?["externalAccountBinding"].is_object());
    Ok(())
}

#[tokio::test]
async fn a_server_that_requires_bindings_does_not_start_without_the_operators_key()
-> anyhow::Result<()> {
    let without = Setup::embedded().set("profile", REQUIRED).prepare("certmill")?;
    let refused = without.start_in_vain().await?.success().unwrap_err().to_string();
    assert!(refused.contains("external_accounts.key_file"), "{refused}");
    let no_key = without.files().join("key");
    std::fs::write(&no_key, "hunter2")?;
    let setup = Setup::embedded().set("profile", REQUIRED);
    let wrong = setup.set("external_accounts.key_file", no_key.display()).prepare("certmill")?;
    let refused = wrong.start_in_vain().await?.success().unwrap_err().to_string();
    assert!(refused.contains("openssl rand -base64 32"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn keys_stay_good_when_the_operators_key_is_changed() -> anyhow::Result<()> {
    let (old, new) = (OperatorKey::new()?, OperatorKey::new()?);
    let mut server = server(&old, &ChallengeServer::start().await?).await?;
    let before = server.external_key(&["--reusable"]).await?;
    let binds = async |server: &Certmill, key: &ExternalKey| {
        let client = newcomer(server).await?;
        client.post("newAccount", &payload(&client, key, "HS256")?).await
    };
    binds(&server, &before).await?.expect(201)?;

    server.stop().await?;
    server.configure("external_accounts.key_file", new.path().display());
    server.configure("external_accounts.former_key_files", format!("[{:?}]", old.path()));
    server.start().await?;
    let after = server.external_key(&["--reusable"]).await?;
    binds(&server, &before).await?.expect(201)?;
    binds(&server, &after).await?.expect(201)?;

    // What was made after the change needs the new key alone; what was made before has ended.
    server.stop().await?;
    server.configure("external_accounts.former_key_files", "[]");
    server.start().await?;
    binds(&server, &after).await?.expect(201)?;
    let problem = binds(&server, &before).await?.refused((403, "unauthorized"))?;
    let told = "the external account binding is not accepted: ask for a new key";
    assert_eq!(problem["detail"], told);
    Ok(())
}

#[tokio::test]
async fn bindings_are_ignored_where_there_can_be_no_key() -> anyhow::Result<()> {
    let server = Setup::embedded().start().await?;
    let client = newcomer(&server).await?;
    let payload = json!({ "externalAccountBinding": { "protected": "x" } });
    let made = client.post("newAccount", &payload).await?.expect(201)?.json()?;
    assert!(made.get("externalAccountBinding").is_none(), "{made}");
    Ok(())
}
