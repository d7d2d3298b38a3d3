//! Requests that are no JWS, or not the kind of JWS that RFC 8555 §6.2 allows.

use acceptance::{AccountKey, RawClient, Reply, Scene};
use serde_json::{Value, json};

use crate::MALFORMED;

/// A good request for an order, to be spoiled.
async fn good(client: &RawClient) -> anyhow::Result<(String, Value, Value)> {
    let url = client.url("newOrder")?;
    let protected = client.protected(&url).await?;
    let jws = client.key().sign(&protected, &payload())?;
    Ok((url, protected, jws))
}

fn payload() -> Vec<u8> {
    json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] }).to_string().into_bytes()
}

/// Sends a good JWS after it was changed from outside.
async fn send_changed(client: &RawClient, change: impl Fn(&mut Value)) -> anyhow::Result<Reply> {
    let (url, _, mut jws) = good(client).await?;
    change(&mut jws);
    client.send_jws(&url, &jws).await
}

/// Sends a JWS that is signed over another protected header.
async fn send_signed(client: &RawClient, change: impl Fn(&mut Value)) -> anyhow::Result<Reply> {
    let (url, mut protected, _) = good(client).await?;
    change(&mut protected);
    client.send_jws(&url, &client.key().sign(&protected, &payload())?).await
}

#[tokio::test]
async fn a_body_that_is_no_flattened_jws_is_malformed() -> anyhow::Result<()> {
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\"text\"".to_vec(),
        b"{}".to_vec(),
        b"{\"protected\":\"e30\",\"payload\":\"\"".to_vec(),
        b"{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"\"} trailing".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"eyJhbGciOiJFUzI1NiJ9.e30.c2ln".to_vec(),
        b"{\"protected\":{},\"payload\":\"\",\"signature\":\"\"}".to_vec(),
        b"{\"protected\":\"e30\",\"payload\":null,\"signature\":\"\"}".to_vec(),
        b"{\"protected\":\"e30\",\"signature\":\"\"}".to_vec(),
        [vec![b'['; 30_000], vec![b']'; 30_000]].concat(),
        [b"{\"a\":".repeat(8_000), b"1".to_vec(), b"}".repeat(8_000)].concat(),
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let url = scene.client.url("newOrder")?;
            for body in bodies {
                scene.client.send_body(&url, body).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn unprotected_headers_and_several_signatures_are_malformed() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let header = |jws: &mut Value| jws["header"] = json!({ "kid": "x" });
            send_changed(client, header).await?.refused(MALFORMED)?;
            let empty_header = |jws: &mut Value| jws["header"] = json!({});
            send_changed(client, empty_header).await?.refused(MALFORMED)?;
            let several = |jws: &mut Value| {
                let signature =
                    json!({ "protected": jws["protected"], "signature": jws["signature"] });
                jws["signatures"] = json!([signature]);
            };
            send_changed(client, several).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn padded_and_other_base64_is_malformed() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for member in ["protected", "payload", "signature"] {
                for spoiled in ["=", "\n", " ", "+", "."] {
                    let append = |jws: &mut Value| {
                        let text = jws[member].as_str().unwrap_or_default();
                        jws[member] = json!(format!("{text}{spoiled}"));
                    };
                    send_changed(&scene.client, append).await?.refused(MALFORMED)?;
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_member_that_stands_twice_is_malformed() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let (url, protected, jws) = good(&scene.client).await?;
            let twice = jws.to_string().replacen('{', "{\"payload\":\"e30\",", 1);
            scene.client.send_body(&url, twice.into_bytes()).await?.refused(MALFORMED)?;

            // The same inside of the protected header: two readers might choose different ones.
            let twice = protected.to_string().replacen('{', "{\"url\":\"https://x\",", 1);
            let jws = scene.client.key().sign_text(&twice, &payload())?;
            scene.client.send_jws(&url, &jws).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn critical_extensions_and_unencoded_payloads_are_malformed() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let changes: [fn(&mut Value); 4] = [
                |protected| protected["crit"] = json!(["exp"]),
                |protected| protected["crit"] = json!([]),
                |protected| protected["b64"] = json!(false),
                |protected| {
                    protected["b64"] = json!(false);
                    protected["crit"] = json!(["b64"]);
                },
            ];
            for change in changes {
                send_signed(&scene.client, change).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_request_has_either_kid_or_jwk() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let jwk = scene.client.key().jwk().clone();
            let both = |protected: &mut Value| protected["jwk"] = jwk.clone();
            send_signed(&scene.client, both).await?.refused(MALFORMED)?;
            let neither = |protected: &mut Value| {
                protected.as_object_mut().map(|members| members.remove("kid"));
            };
            send_signed(&scene.client, neither).await?.refused(MALFORMED)?;
            for other in [json!(null), json!(7), json!(["x"]), json!({})] {
                let change = |protected: &mut Value| protected["kid"] = other.clone();
                send_signed(&scene.client, change).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn each_resource_wants_its_own_of_kid_and_jwk() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let by_key = |protected: &mut Value| {
                protected.as_object_mut().map(|members| members.remove("kid"));
                protected["jwk"] = client.key().jwk().clone();
            };
            let problem = send_signed(client, by_key).await?.refused(MALFORMED)?;
            // So ask clients that found no account, such as cert-manager's, whose users see nothing but this.
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(
                detail.contains("not jwk: a key without an account has to be registered"),
                "{detail}"
            );

            let url = client.url("newAccount")?;
            let mut protected = client.protected(&url).await?;
            protected.as_object_mut().map(|members| members.remove("jwk"));
            protected["kid"] = json!(client.account()?);
            let jws = client.key().sign(&protected, b"{}")?;
            client.send_jws(&url, &jws).await?.refused(MALFORMED)?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_kid_that_is_no_account_url_names_no_account() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let account = scene.client.account()?.to_owned();
            let id = account.rsplit('/').next().unwrap_or_default().to_owned();
            let kids = [
                format!("{account}/"),
                format!("{account}?x"),
                account.replace("https://", "HTTPS://"),
                account.replace("localhost", "127.0.0.1"),
                account.replace("/account/", "/order/"),
                format!("{account}A"),
                id,
                "1".to_owned(),
                String::new(),
            ];
            for kid in kids {
                let change = |protected: &mut Value| protected["kid"] = json!(kid);
                let reply = send_signed(&scene.client, change).await?;
                reply.refused((400, "accountDoesNotExist"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn algorithms_that_are_not_offered_are_refused_with_those_that_are() -> anyhow::Result<()> {
    let algorithms =
        ["none", "HS256", "HS512", "RS1", "RS384", "ES512", "es256", "ES256K", "", "ES256 "];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for algorithm in algorithms {
                let change = |protected: &mut Value| protected["alg"] = json!(algorithm);
                let reply = send_signed(&scene.client, change).await?;
                let problem = reply.refused((400, "badSignatureAlgorithm"))?;
                let offered = json!(["ES256", "ES384", "RS256", "PS256", "EdDSA"]);
                assert_eq!(problem["algorithms"], offered);
            }
            for no_text in [json!(null), json!(256), json!(["ES256"])] {
                let change = |protected: &mut Value| protected["alg"] = no_text.clone();
                send_signed(&scene.client, change).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_algorithm_of_another_kind_of_key_is_refused() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for algorithm in ["ES384", "RS256", "PS256", "EdDSA"] {
                let change = |protected: &mut Value| protected["alg"] = json!(algorithm);
                let reply = send_signed(&scene.client, change).await?;
                let problem = reply.refused((400, "badSignatureAlgorithm"))?;
                assert!(problem["algorithms"].is_array(), "{problem}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_signature_over_something_else_is_unauthorized() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let (url, protected, jws) = good(client).await?;
            let mut other_payload = jws.clone();
            other_payload["payload"] = json!("e30");
            client.send_jws(&url, &other_payload).await?.refused((400, "unauthorized"))?;

            let stranger = AccountKey::p256()?;
            let mut forged = protected.clone();
            forged["nonce"] = json!(client.nonce().await?);
            let jws = stranger.sign(&forged, &payload())?;
            client.send_jws(&url, &jws).await?.refused((400, "unauthorized"))?;

            for signature in ["", "AAAA", &"A".repeat(86)] {
                let change = |jws: &mut Value| jws["signature"] = json!(signature);
                send_changed(client, change).await?.refused((400, "unauthorized"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_signed_url_must_be_the_requested_one_to_the_letter() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let good = scene.client.url("newOrder")?;
            let others = [
                scene.client.url("newAccount")?,
                format!("{good}/"),
                format!("{good}?"),
                format!("{good}#x"),
                good.replace("https://", "http://"),
                good.replace("localhost", "LOCALHOST"),
                good.replace("new-order", "new%2Dorder"),
                "new-order".to_owned(),
                String::new(),
            ];
            for other in others {
                let change = |protected: &mut Value| protected["url"] = json!(other);
                send_signed(&scene.client, change).await?.refused((403, "unauthorized"))?;
            }
            for no_text in [json!(null), json!(1), json!([good])] {
                let change = |protected: &mut Value| protected["url"] = no_text.clone();
                send_signed(&scene.client, change).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_query_of_the_requested_url_is_signed_as_well() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let orders = format!("{}/orders", scene.client.account()?);
            let [one, other] = ["1", "2"].map(|cursor| format!("{orders}?cursor={cursor}"));
            for (requested, signed) in [(&one, &other), (&one, &orders), (&orders, &one)] {
                let protected = scene.client.protected(signed).await?;
                let jws = scene.client.key().sign(&protected, b"")?;
                let reply = scene.client.send_jws(requested, &jws).await?;
                reply.refused((403, "unauthorized"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn members_that_are_too_long_are_malformed() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let long = "A".repeat(40_000);
            for member in ["protected", "signature"] {
                let change = |jws: &mut Value| jws[member] = json!(long);
                send_changed(client, change).await?.refused(MALFORMED)?;
            }
            let url = format!("https://localhost/{}", "a".repeat(4_000));
            for member in ["url", "kid"] {
                let change = |protected: &mut Value| protected[member] = json!(url);
                send_signed(client, change).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}
