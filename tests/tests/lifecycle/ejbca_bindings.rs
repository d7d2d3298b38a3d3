//! Accounts that are bound in EJBCA's form: a key that the operator registered signs the account's.

use std::time::Duration;

use acceptance::{
    AccountKey, Certmill, ChallengeServer, OperatorKey, RawClient, RegisteredKey, Setup, eventually,
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};
use time::OffsetDateTime;

const REQUIRED: &str =
    r#"[{name="default", external_account_required=true, external_account_compatibility="ejbca"}]"#;
/// Longer than a certificate of this test and a start of the command take.
const EXPIRY_LIMIT: Duration = Duration::from_secs(30);

async fn server() -> anyhow::Result<(Certmill, ChallengeServer)> {
    let web = ChallengeServer::start().await?;
    let setup = Setup::embedded().set("profile", REQUIRED);
    Ok((setup.set("validation.http01_port", web.port()).start().await?, web))
}

async fn newcomer(server: &Certmill, key: AccountKey) -> anyhow::Result<RawClient> {
    RawClient::connect(&server.directory_url(), &server.root(), key).await
}

fn payload(client: &RawClient, key: &RegisteredKey) -> anyhow::Result<Value> {
    let binding = key.bind(&client.url("newAccount")?, client.key())?;
    Ok(json!({ "externalAccountBinding": binding }))
}

#[tokio::test]
async fn accounts_with_every_kind_of_key_are_bound_by_every_kind_of_registered_key()
-> anyhow::Result<()> {
    let (server, web) = server().await?;
    let account_keys = [AccountKey::p256()?, AccountKey::p384()?, AccountKey::rsa(2048).await?];
    let kinds = [&PKCS_ED25519, &PKCS_ECDSA_P384_SHA384, &PKCS_ECDSA_P256_SHA256];
    for (account_key, kind) in account_keys.into_iter().zip(kinds) {
        let pair = KeyPair::generate_for(kind)?;
        let names = ["--name", ".team.localhost"];
        let key = RegisteredKey::public(&server, pair, &names).await?;
        let client = newcomer(&server, account_key).await?;
        let payload = payload(&client, &key)?;
        let made = client.post("newAccount", &payload).await?.expect(201)?;
        let shown = made.json()?["externalAccountBinding"].clone();
        assert_eq!(shown, payload["externalAccountBinding"]);
        let client = client.with_account_at(made.location()?);
        client.issue(&["a.team.localhost"], &web).await?;
        let order = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
        client.post("newOrder", &order).await?.refused((400, "rejectedIdentifier"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_registered_key_binds_one_account_unless_it_is_reusable_and_is_disabled_and_registered_again()
-> anyhow::Result<()> {
    let (server, _web) = server().await?;
    let mut key = RegisteredKey::public(&server, KeyPair::generate()?, &[]).await?;
    let asks = async |key: &RegisteredKey| {
        let client = newcomer(&server, AccountKey::p256()?).await?;
        client.post("newAccount", &payload(&client, key)?).await
    };
    asks(&key).await?.expect(201)?;
    asks(&key).await?.refused((403, "unauthorized"))?;
    let too_early = key.register_again(&server, &["--reusable"]).await;
    assert!(too_early.is_err(), "a key that has not ended was registered again");

    server.operate(&["eab", "disable", key.kid()?]).await?.success()?;
    asks(&key).await?.refused((403, "unauthorized"))?;
    let listed = server.operate(&["eab", "list", "--json"]).await?.success()?;
    let listed: Value = serde_json::from_str(&listed)?;
    assert_eq!(listed["status"], "disabled");
    assert_eq!(listed["fingerprint"], key.printed["fingerprint"]);

    key.register_again(&server, &["--reusable"]).await?;
    asks(&key).await?.expect(201)?;
    asks(&key).await?.expect(201)?;
    Ok(())
}

#[tokio::test]
async fn the_key_of_a_certificate_binds_until_the_certificate_ends() -> anyhow::Result<()> {
    let (server, _web) = server().await?;
    let ends = OffsetDateTime::now_utc() + time::Duration::seconds(5);
    let key = RegisteredKey::certificate(&server, KeyPair::generate()?, ends).await?;
    let asks = async || {
        let client = newcomer(&server, AccountKey::p256()?).await?;
        client.post("newAccount", &payload(&client, &key)?).await
    };
    asks().await?.expect(201)?;
    eventually("the certificate has ended", EXPIRY_LIMIT, async || {
        let reply = asks().await?;
        if reply.status == 201 {
            return Ok(None);
        }
        reply.refused((403, "unauthorized"))?;
        Ok(Some(()))
    })
    .await?;
    assert!(OffsetDateTime::now_utc() >= ends.replace_nanosecond(0)?, "it ended too early");
    let refused = RegisteredKey::certificate(&server, KeyPair::generate()?, ends).await;
    assert!(refused.is_err_and(|error| format!("{error:#}").contains("expired")));
    Ok(())
}

#[tokio::test]
async fn both_forms_of_bindings_are_taken_where_the_switch_is_on() -> anyhow::Result<()> {
    let operator = OperatorKey::new()?;
    let server = operator.configure(Setup::embedded()).set("profile", REQUIRED).start().await?;
    let mac_key = server.external_key(&[]).await?;
    let client = newcomer(&server, AccountKey::p256()?).await?;
    let protected = mac_key.protected("HS256", &client.url("newAccount")?);
    let binding = mac_key.bind(&protected, client.key())?;
    let payload_of_mac = json!({ "externalAccountBinding": binding });
    client.post("newAccount", &payload_of_mac).await?.expect(201)?;
    let key = RegisteredKey::public(&server, KeyPair::generate()?, &[]).await?;
    let other = newcomer(&server, AccountKey::ed25519()?).await?;
    other.post("newAccount", &payload(&other, &key)?).await?.expect(201)?;
    Ok(())
}
