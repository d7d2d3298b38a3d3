//! Orders that cannot be placed (RFC 8555 §7.4).

use acceptance::Scene;
use serde_json::{Value, json};

use crate::MALFORMED;

fn order_for(kind: &str, value: &str) -> Value {
    json!({ "identifiers": [{ "type": kind, "value": value }] })
}

#[tokio::test]
async fn names_that_are_no_host_names_are_refused() -> anyhow::Result<()> {
    let long = format!("{}.example", "a".repeat(64));
    let longer = vec!["a"; 130].join(".");
    let names = [
        "",
        ".",
        "localhost",
        "example.com.",
        "a..example",
        "-a.example",
        "a_b.example",
        "192.0.2.1",
        "127.0.0.0x1",
        "::1",
        "a.example:80",
        "user@a.example",
        "http://a.example",
        "a.example/path",
        "a.*.example",
        "*.*.example",
        "*",
        "bücher.example",
        "xn--a.example",
        "a b.example",
        "a.example\r\nX: y",
        "<script>.example",
        "a\u{0}.example",
        &long,
        &longer,
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for name in names {
                let reply = scene.client.post("newOrder", &order_for("dns", name)).await?;
                reply.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn identifiers_of_other_types_are_unsupported() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for kind in ["ip", "email", "DNS", "", "TNAuthList"] {
                let reply = scene.client.post("newOrder", &order_for(kind, "192.0.2.1")).await?;
                reply.refused((400, "unsupportedIdentifier"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn every_refused_identifier_is_named_in_a_subproblem() -> anyhow::Result<()> {
    let identifiers = json!([
        { "type": "dns", "value": "good.localhost" },
        { "type": "dns", "value": "bad_name.localhost" },
        { "type": "ip", "value": "192.0.2.1" },
    ]);
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let order = json!({ "identifiers": identifiers });
            let reply = scene.client.post("newOrder", &order).await?;
            let problem = reply.refused((400, "compound"))?;
            assert!(problem.get("identifier").is_none(), "{problem}");
            let subproblems = problem["subproblems"].as_array().cloned().unwrap_or_default();
            let named: Vec<&Value> = subproblems.iter().map(|it| &it["identifier"]).collect();
            assert_eq!(named, [&identifiers[1], &identifiers[2]]);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn orders_without_or_with_too_many_or_equal_identifiers_are_malformed() -> anyhow::Result<()>
{
    let many: Vec<Value> =
        (0..101).map(|n| json!({ "type": "dns", "value": format!("n{n}.localhost") })).collect();
    let twice = json!([
        { "type": "dns", "value": "a.localhost" },
        { "type": "dns", "value": "A.LocalHost" },
    ]);
    let orders = [
        json!({}),
        json!({ "identifiers": [] }),
        json!({ "identifiers": {} }),
        json!({ "identifiers": [7] }),
        json!({ "identifiers": [{ "type": "dns" }] }),
        json!({ "identifiers": [{ "value": "a.localhost" }] }),
        json!({ "identifiers": [{ "type": "dns", "value": ["a.localhost"] }] }),
        json!({ "identifiers": many }),
        json!({ "identifiers": twice }),
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for order in orders {
                scene.client.post("newOrder", &order).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn validities_that_the_profile_does_not_grant_are_malformed() -> anyhow::Result<()> {
    let validities = [
        json!({ "notBefore": "yesterday" }),
        json!({ "notBefore": "2001-01-01T00:00:00Z" }),
        json!({ "notBefore": "2999-01-01T00:00:00Z" }),
        json!({ "notAfter": "2001-01-01T00:00:00Z" }),
        json!({ "notAfter": "2999-01-01T00:00:00Z" }),
        json!({ "notAfter": 1_700_000_000 }),
    ];
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            for mut order in validities {
                order["identifiers"] = json!([{ "type": "dns", "value": "a.localhost" }]);
                scene.client.post("newOrder", &order).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn wildcards_alone_are_refused_where_the_profile_has_none() -> anyhow::Result<()> {
    let profile = r#"[{name="default", wildcard_allowed=false}]"#;
    let mut scene = Scene::with(|setup| setup.set("profile", profile)).await?;
    scene
        .unimpressed(async |scene| {
            let reply = scene.client.post("newOrder", &order_for("dns", "*.a.localhost")).await?;
            reply.refused((400, "rejectedIdentifier"))?;
            Ok(())
        })
        .await?;
    scene.client.place(&["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn an_authorization_can_only_be_deactivated() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    scene
        .unimpressed(async |scene| {
            let url = &order.authorizations()[0];
            for update in [json!({}), json!({ "status": "valid" }), json!({ "status": 7 })] {
                scene.client.post(url, &update).await?.refused(MALFORMED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_authorization_whose_certificate_is_issued_is_not_given_up() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    scene
        .unimpressed(async |scene| {
            let url = &issued.order.authorizations()[0];
            let reply = scene.client.post(url, &json!({ "status": "deactivated" })).await?;
            let problem = reply.refused(MALFORMED)?;
            assert_eq!(problem["detail"], "the authorization can no longer be deactivated");
            assert_eq!(scene.client.read(&issued.order.url).await?.status(), "valid");
            Ok(())
        })
        .await
}
