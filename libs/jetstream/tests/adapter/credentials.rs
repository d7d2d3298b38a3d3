//! Users who log in by a credentials file, whose JWT ends and is renewed.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use eventstore::{Expected, contract::fresh_account};
use jetstream::{ConnectError, JetStream, Options};
use nkeys::KeyPair;
use serde_json::{Value, json};

use super::{append, development, eventually, nats::Nats};

/// Whoever may say who logs in: an operator with one account.
struct Authority {
    operator: KeyPair,
    account: KeyPair,
}

impl Authority {
    fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    /// What the server's configuration says of it.
    fn blocks(&self) -> String {
        let (operator, account) = (self.operator.public_key(), self.account.public_key());
        let system = KeyPair::new_account().public_key();
        let plain = json!({ "subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1 });
        let mut claims = json!({ "type": "account", "version": 2, "limits": plain });
        let system_jwt = jwt(&self.operator, &system, &claims, None);
        // The system's account may have no JetStream.
        for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
            claims["limits"][limit] = json!(-1);
        }
        let account_jwt = jwt(&self.operator, &account, &claims, None);
        let claims = json!({ "type": "operator", "version": 2, "system_account": system });
        let operator_jwt = jwt(&self.operator, &operator, &claims, None);
        format!(
            "operator: {operator_jwt}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {account_jwt}, {system}: {system_jwt} }}"
        )
    }

    /// Writes the credentials of a new user, who may log in until some second since 1970.
    fn write(&self, file: &Path, end: Option<u64>) {
        let user = KeyPair::new_user();
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {},
        });
        let (jwt, seed) =
            (jwt(&self.account, &user.public_key(), &claims, end), user.seed().unwrap());
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        fs::write(file, text).unwrap();
    }
}

fn jwt(issuer: &KeyPair, subject: &str, claims: &Value, end: Option<u64>) -> String {
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let mut body = json!({
        "jti": subject, "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject, "nats": claims,
    });
    if let Some(end) = end {
        body["exp"] = json!(end);
    }
    let signed = format!("{}.{}", encode(header), encode(body));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(issuer.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn credentials_that_were_renewed_are_used_when_the_old_ones_have_ended() {
    let (authority, files) = (Authority::new(), tempfile::tempdir().unwrap());
    let file = files.path().join("user.creds");
    let server = Nats::start_with_blocks(&authority.blocks()).await;
    let end = seconds_since_1970() + 2;
    authority.write(&file, Some(end));
    let options = Options { credentials: Some(file.clone()), ..development(vec![server.url()]) };
    let log = JetStream::connect(options).await.unwrap();
    let (_, subject) = fresh_account();
    append(&log, &subject, Expected::Anything, "a").await.unwrap();

    authority.write(&file, None);
    eventually("an append after the end of the old credentials", async || {
        let has_ended = seconds_since_1970() > end + 1;
        let appended = append(&log, &subject, Expected::Anything, "b").await;
        appended.map_err(|error| error.to_string())?;
        has_ended.then_some(()).ok_or_else(|| "they have not ended".to_owned())
    })
    .await;
}

#[tokio::test]
async fn a_password_in_a_url_may_hold_any_character() {
    let password = r#"4b+/c= @:#?%"ä"#;
    let login = json!({ "user": "o'p", "password": password });
    let server = Nats::start_with_blocks(&format!("authorization: {login}")).await;
    let address = server.url().replace("nats://", "");
    // As it is, where the URL can be read, and in the form that holds it in any case.
    let encoded = "o'p:4b%2B%2Fc%3D%20%40%3A%23%3F%25%22%C3%A4";
    JetStream::connect(development(vec![format!("nats://{encoded}@{address}")])).await.unwrap();
    let base64 = json!({ "user": "certmill", "password": "sfZxNeh4B+qO3g==" });
    let server = Nats::start_with_blocks(&format!("authorization: {base64}")).await;
    let url = server.url().replace("nats://", "nats://certmill:sfZxNeh4B+qO3g==@");
    JetStream::connect(development(vec![url])).await.unwrap();
}

#[tokio::test]
async fn a_token_is_what_stands_alone_before_the_host() {
    let blocks = format!("authorization: {}", json!({ "token": "sfZxNeh4B+qO3g==" }));
    let server = Nats::start_with_blocks(&blocks).await;
    let url = server.url().replace("nats://", "nats://sfZxNeh4B+qO3g==@");
    JetStream::connect(development(vec![url])).await.unwrap();
}

#[tokio::test]
async fn a_file_that_holds_no_credentials_is_refused() {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("user.creds");
    let url = "nats://127.0.0.1:1".to_owned();
    let options = Options {
        credentials: Some(file.clone()),
        connect_timeout: Duration::from_secs(1),
        ..development(vec![url])
    };
    for text in
        [None, Some(""), Some("-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------\n")]
    {
        if let Some(text) = text {
            fs::write(&file, text).unwrap();
        }
        let refusal = JetStream::connect(options.clone()).await.err();
        assert!(matches!(refusal, Some(ConnectError::Credentials(_))), "{text:?}: {refusal:?}");
    }
}
