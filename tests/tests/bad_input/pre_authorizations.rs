//! Identifiers that cannot be proven before an order (RFC 8555 §7.4.1), and pre-authorizations of others.

use acceptance::{AccountKey, ChallengeServer, OperatorKey, RawClient, Scene, Setup};
use serde_json::{Value, json};

use crate::MALFORMED;

const ALLOWED: &str = r#"[{name="default", pre_authorization_allowed=true}]"#;

async fn scene() -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("profile", ALLOWED)).await
}

fn wanted(kind: &str, value: &str) -> Value {
    json!({ "identifier": { "type": kind, "value": value } })
}

#[tokio::test]
async fn where_it_is_not_allowed_there_is_nothing_to_ask() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            assert!(scene.client.url("newAuthz").is_err());
            let url = scene.client.url("newOrder")?.replace("new-order", "new-authz");
            let reply = scene.client.post(&url, &wanted("dns", "a.localhost")).await?;
            assert_eq!((reply.status, reply.problem_type()?.as_str()), (404, "malformed"));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_is_no_identifier_is_malformed() -> anyhow::Result<()> {
    let payloads = [
        json!({}),
        json!({ "identifier": [] }),
        json!({ "identifier": { "type": "dns" } }),
        json!({ "identifier": { "type": "dns", "value": ["a.localhost"] } }),
        json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] }),
        wanted("dns", ""),
        wanted("dns", "localhost"),
        wanted("dns", "a_b.localhost"),
        wanted("dns", "xn--a.localhost"),
        wanted("dns", "192.0.2.1"),
    ];
    scene()
        .await?
        .unimpressed(async |scene| {
            for payload in payloads {
                scene.client.post("newAuthz", &payload).await?.refused(MALFORMED)?;
            }
            scene.client.post_as_get("newAuthz").await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn what_the_server_is_not_willing_to_certify_is_forbidden() -> anyhow::Result<()> {
    scene()
        .await?
        .unimpressed(async |scene| {
            for (payload, kind) in [
                (wanted("dns", "*.a.localhost"), "rejectedIdentifier"),
                (wanted("ip", "192.0.2.1"), "unsupportedIdentifier"),
                (wanted("email", "a@b.c"), "unsupportedIdentifier"),
            ] {
                let reply = scene.client.post("newAuthz", &payload).await?;
                reply.refused((403, kind))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_name_that_the_accounts_key_does_not_allow_is_forbidden() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let setup = operator.configure(Setup::embedded()).set("profile", ALLOWED);
    let server = setup.set("validation.http01_port", web.port()).start().await?;
    let key = server.external_key(&["--name", ".team.localhost"]).await?;
    let account_key = AccountKey::p256()?;
    let client = RawClient::connect(&server.directory_url(), &server.root(), account_key).await?;
    let protected = key.protected("HS256", &client.url("newAccount")?);
    let binding = json!({ "externalAccountBinding": key.bind(&protected, client.key())? });
    let made = client.post("newAccount", &binding).await?.expect(201)?;
    let client = client.with_account_at(made.location()?);
    client.post("newAuthz", &wanted("dns", "a.team.localhost")).await?.expect(201)?;
    let reply = client.post("newAuthz", &wanted("dns", "a.localhost")).await?;
    reply.refused((403, "rejectedIdentifier"))?;
    Ok(())
}

#[tokio::test]
async fn an_account_that_agreed_to_other_terms_proves_nothing_before_an_order() -> anyhow::Result<()>
{
    let terms = |number: u8| {
        let rules = "terms_required=true, terms_approval_required=true";
        let terms = format!(r#"terms_of_service="https://ca.example.com/{number}", {rules}}}]"#);
        ALLOWED.replace("}]", &format!(", {terms}"))
    };
    let mut scene = Scene::with(|setup| setup.set("profile", terms(1))).await?;
    scene.server.stop().await?;
    scene.server.configure("profile", terms(2));
    scene.server.start().await?;
    scene.client.forget_nonces();
    let reply = scene.client.post("newAuthz", &wanted("dns", "a.localhost")).await?;
    reply.refused((403, "userActionRequired"))?;
    Ok(())
}

#[tokio::test]
async fn a_strangers_pre_authorization_looks_as_if_it_did_not_exist() -> anyhow::Result<()> {
    let mut scene = scene().await?;
    let existing = scene.client.pre_authorize("a.localhost").await?;
    let (before, id) = existing.rsplit_once('/').unwrap_or_default();
    let absent = format!("{before}/{}", id.chars().rev().collect::<String>());
    let stranger = scene.stranger().await?;
    scene
        .unimpressed(async |_| {
            for payload in ["", "{}", r#"{"status":"deactivated"}"#] {
                let mut problems = Vec::new();
                for url in [&existing, &absent] {
                    let challenge = url.replace("/authorization/", "/challenge/") + "/http-01";
                    for url in [url, &challenge] {
                        let reply = stranger.post_bytes(url, payload.as_bytes()).await?;
                        problems.push(reply.refused((404, "malformed"))?);
                    }
                }
                assert!(problems.windows(2).all(|pair| pair[0] == pair[1]), "{problems:?}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_pre_authorization_can_only_be_deactivated_and_only_once_ended_it_cannot()
-> anyhow::Result<()> {
    let mut scene =
        Scene::with(|setup| setup.set("profile", ALLOWED).set("validation.attempts", 1)).await?;
    let lost = scene.client.pre_authorize("lost.localhost").await?;
    let challenge = scene.client.challenge(&lost, "http-01").await?;
    assert!(scene.client.respond(&lost, &challenge).await.is_err(), "nobody answers");
    let pending = scene.client.pre_authorize("a.localhost").await?;
    scene
        .unimpressed(async |scene| {
            for update in [json!({}), json!({ "status": "valid" }), json!({ "status": 7 })] {
                scene.client.post(&pending, &update).await?.refused(MALFORMED)?;
            }
            let deactivation = json!({ "status": "deactivated" });
            scene.client.post(&lost, &deactivation).await?.refused(MALFORMED)?;
            let other = lost.replace("/authorization/", "/challenge/");
            scene.client.post(&(other + "/dns-01"), &json!({})).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_challenge_is_read_without_a_response_and_responded_to_with_an_object()
-> anyhow::Result<()> {
    let mut scene = scene().await?;
    let authorization = scene.client.pre_authorize("a.localhost").await?;
    let challenge = authorization.replace("/authorization/", "/challenge/") + "/http-01";
    scene
        .unimpressed(async |scene| {
            for payload in ["[]", "null", "{"] {
                let reply = scene.client.post_bytes(&challenge, payload.as_bytes()).await?;
                reply.refused(MALFORMED)?;
            }
            let shown = scene.client.post_as_get(&challenge).await?.expect(200)?.json()?;
            assert_eq!(shown["status"], "pending", "{shown}");
            Ok(())
        })
        .await
}
