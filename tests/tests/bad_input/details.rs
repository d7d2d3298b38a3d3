//! What a refusal tells a person: the value at fault, because most clients show the detail and nothing else.

use acceptance::{Refused, Reply, Scene, csr};
use serde_json::{Value, json};

use crate::MALFORMED;

/// The refusal that is expected tells exactly this.
#[track_caller]
fn check(reply: &Reply, refused: Refused, expected: &str) -> anyhow::Result<()> {
    assert_eq!(reply.refused(refused)?["detail"], expected);
    Ok(())
}

fn order(names: &[&str]) -> Value {
    let identifier = |name: &&str| json!({ "type": "dns", "value": name });
    json!({ "identifiers": names.iter().map(identifier).collect::<Vec<_>>() })
}

#[tokio::test]
async fn refused_identifiers_are_named() -> anyhow::Result<()> {
    let characters = "the name has characters other than letters, digits and hyphens";
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for (names, expected) in [
                (&["a.localhost", "b_.localhost"][..], format!("b_.localhost: {characters}")),
                (&["$(id).localhost"], format!("??id?.localhost: {characters}")),
                (&[""], "the name or one of its labels is empty or too long".to_owned()),
                (
                    &["b_.localhost", "a.localhost", "c_.localhost"],
                    "refused are b_.localhost, c_.localhost; see the subproblems".to_owned(),
                ),
                (
                    &["_.a", "_.b", "_.c", "_.d", "_.e"],
                    "refused are _.a, _.b, _.c and 2 more; see the subproblems".to_owned(),
                ),
            ] {
                let reply = scene.client.post("newOrder", &order(names)).await?;
                check(&reply, MALFORMED, &expected)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_names_in_which_a_csr_differs_are_told() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.ready_order(&["a.localhost", "B.localhost"], &scene.web).await?;
    scene
        .unimpressed(async |scene| {
            for (names, difference) in [
                (&["a.localhost"][..], "lacks b.localhost"),
                (
                    &["a.localhost", "b.localhost", "c.localhost", "127.0.0.1"],
                    "asks for 127.0.0.1, c.localhost as well",
                ),
                (&["c.localhost"], "lacks a.localhost, b.localhost and asks for c.localhost"),
            ] {
                let finalize = json!({ "csr": csr(names)?.1 });
                let reply = scene.client.post(&order.finalize()?, &finalize).await?;
                let expected =
                    format!("the CSR must ask for exactly the order's identifiers; it {difference}");
                check(&reply, (400, "badCSR"), &expected)?;
            }
            let finalize = json!({ "csr": csr(&["my server"])?.1 });
            let reply = scene.client.post(&order.finalize()?, &finalize).await?;
            let expected = "a name in the CSR is not a DNS name we issue for: the name has characters other than \
                            letters, digits and hyphens";
            check(&reply, (400, "badCSR"), expected)
        })
        .await
}

#[tokio::test]
async fn what_is_wrong_in_a_payload_is_told_with_its_place() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for (resource, payload, expected) in [
                ("newOrder", "{}", "missing field identifiers at line 1 column 2"),
                (
                    "newAccount",
                    r#"{"contact":"mailto:<a>@b.example"}"#,
                    "invalid type: string mailto:ab.example, expected a sequence at line 1 column 33",
                ),
                ("revokeCert", "{", "EOF while parsing an object at line 1 column 1"),
            ] {
                let reply = scene.client.post_bytes(resource, payload.as_bytes()).await?;
                let general = "the payload is not the JSON object that this resource takes";
                check(&reply, MALFORMED, &format!("{general}: {expected}"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn who_signs_for_another_url_is_told_what_those_of_the_server_begin_with()
-> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            let mut protected = client.protected(&url).await?;
            protected["url"] = json!("https://proxy.example/acme/default/new-order");
            let reply = client.send_jws(&url, &client.key().sign(&protected, b"{}")?).await?;
            let expected = format!(
                "the url in the protected header is not the requested one; those of this server begin with \
                 https://localhost:{}/",
                scene.server.port()
            );
            check(&reply, (403, "unauthorized"), &expected)
        })
        .await
}

#[tokio::test]
async fn which_jws_is_refused_and_which_of_its_members_is_told() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let reply = scene.client.post("keyChange", &json!({ "protected": "e30" })).await?;
            let expected = "the inner JWS: the JWS has no payload, which may be an empty text, or it is no text or too \
                            long";
            check(&reply, MALFORMED, expected)
        })
        .await
}
