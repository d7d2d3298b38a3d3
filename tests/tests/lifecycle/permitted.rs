//! Which identifiers a profile issues for: what is allowed and what is denied.

use acceptance::{Order, Reply, Scene, Setup, csr};
use domain::Timestamp;
use serde_json::{Value, json};

const REJECTED: acceptance::Refused = (400, "rejectedIdentifier");

async fn scene(rules: &str) -> anyhow::Result<Scene> {
    Scene::with(|setup| setup.set("profile", profile(rules))).await
}

fn profile(rules: &str) -> String {
    format!(r#"[{{name="default", identifier_types=["dns", "ip"], {rules}}}]"#)
}

async fn order(scene: &Scene, identifiers: &[(&str, &str)]) -> anyhow::Result<Reply> {
    let identifiers: Vec<Value> =
        identifiers.iter().map(|(kind, value)| json!({ "type": kind, "value": value })).collect();
    scene.client.post("newOrder", &json!({ "identifiers": identifiers })).await
}

#[tokio::test]
async fn only_allowed_names_are_ordered_and_a_denial_wins() -> anyhow::Result<()> {
    let mut scene = scene(
        r#"allowed_names=["www.localhost", ".below.localhost", '/web-[0-9]+\.localhost/'],
            denied_names=["secret.below.localhost", '/.*-test\..*/']"#,
    )
    .await?;
    for name in ["www.localhost", "a.b.below.localhost", "WEB-7.localhost", "*.a.below.localhost"] {
        order(&scene, &[("dns", name)]).await?.expect(201)?;
    }
    let rejected = [
        "localhost.localhost",
        "a.www.localhost",
        "below.localhost",
        "web-x.localhost",
        "web-7.localhost.example.com",
        "a.web-7.localhost",
        "secret.below.localhost",
        // It would be good for the secret name too.
        "*.below.localhost",
        "x-test.below.localhost",
    ];
    scene
        .unimpressed(async |scene| {
            for name in rejected {
                order(scene, &[("dns", name)]).await?.refused(REJECTED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn only_addresses_of_allowed_networks_are_ordered_and_a_denial_wins() -> anyhow::Result<()> {
    let mut scene = scene(
        r#"allowed_networks=["10.0.0.0/8", "2001:db8::/32"], denied_networks=["10.1.0.0/16"]"#,
    )
    .await?;
    for address in ["10.2.0.1", "2001:db8::1"] {
        order(&scene, &[("ip", address)]).await?.expect(201)?;
    }
    // Networks say nothing about names.
    order(&scene, &[("dns", "a.localhost")]).await?.expect(201)?;
    scene
        .unimpressed(async |scene| {
            for address in ["192.0.2.1", "10.1.0.1", "2001:db9::1"] {
                order(scene, &[("ip", address)]).await?.refused(REJECTED)?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn each_identifier_that_is_not_permitted_is_named() -> anyhow::Result<()> {
    let mut scene =
        scene(r#"denied_names=[".no.localhost"], denied_networks=["192.0.2.0/24"]"#).await?;
    scene
        .unimpressed(async |scene| {
            let identifiers =
                [("dns", "a.localhost"), ("dns", "a.no.localhost"), ("ip", "192.0.2.1")];
            let problem = order(scene, &identifiers).await?.refused(REJECTED)?;
            let named: Vec<&Value> = problem["subproblems"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|subproblem| &subproblem["identifier"]["value"])
                .collect();
            assert_eq!(named, ["a.no.localhost", "192.0.2.1"], "{problem}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn an_order_is_not_finalized_for_a_name_that_was_denied_meanwhile() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let waiting = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let done = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let issued = scene.client.finalize(&done, &["a.localhost"]).await?;
    scene.server.stop().await?;
    scene.server.configure("profile", profile(r#"denied_names=["a.localhost"]"#));
    scene.server.start().await?;
    scene.client.forget_nonces();

    let payload = json!({ "csr": csr(&["a.localhost"])?.1 });
    let problem = scene.client.post(&waiting.finalize()?, &payload).await?.refused(REJECTED)?;
    assert_eq!(problem["subproblems"][0]["identifier"]["value"], "a.localhost", "{problem}");
    assert_eq!(scene.client.read(&waiting.url).await?.status(), "ready");
    // What was issued before is still there.
    scene.client.download(&issued.order).await?;

    // The operator thinks again.
    scene.server.stop().await?;
    scene.server.configure("profile", profile(""));
    scene.server.start().await?;
    scene.client.forget_nonces();
    scene.client.finalize(&waiting, &["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn an_order_is_not_finalized_for_what_the_profile_gave_up_meanwhile() -> anyhow::Result<()> {
    let mut scene = scene("wildcard_http01_allowed=true").await?;
    let names = ["*.a.localhost", "127.0.0.1", "b.localhost"];
    let mut waiting = Vec::new();
    for name in names {
        waiting.push((name, scene.client.ready_order(&[name], &scene.web).await?));
    }
    let gave_up = r#"[{name="default", wildcard_allowed=false, challenge_types=["dns-01"]}]"#;
    configure(&mut scene, gave_up).await?;
    let refusals = [
        ("rejectedIdentifier", "wildcards are not allowed"),
        ("unsupportedIdentifier", "no identifiers of type ip"),
        ("rejectedIdentifier", "it was proven in a way that this profile no longer offers"),
    ];
    for ((name, order), (kind, why)) in waiting.iter().zip(refusals) {
        let payload = json!({ "csr": csr(&[name])?.1 });
        let problem = scene.client.post(&order.finalize()?, &payload).await?;
        let problem = problem.refused((400, kind))?;
        assert!(problem["detail"].as_str().is_some_and(|it| it.contains(why)), "{problem}");
        assert_eq!(scene.client.read(&order.url).await?.status(), "ready");
    }

    // The operator thinks again.
    configure(&mut scene, &profile("wildcard_http01_allowed=true")).await?;
    for (name, order) in &waiting {
        scene.client.finalize(order, &[name]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_order_is_not_finalized_for_dates_that_the_profile_grants_no_longer()
-> anyhow::Result<()> {
    let mut scene = scene("requested_validity_allowed=true").await?;
    let names = json!([{ "type": "dns", "value": "a.localhost" }]);
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let end = Timestamp::from_unix_seconds(today.cast_signed() + 86_400);
    let mut waiting = Vec::new();
    for payload in
        [json!({ "identifiers": names, "notAfter": end }), json!({ "identifiers": names })]
    {
        let reply = scene.client.post("newOrder", &payload).await?.expect(201)?;
        let order = Order { url: reply.location()?, body: reply.json()? };
        waiting.push(scene.client.prove(&order, &scene.web).await?);
    }
    configure(&mut scene, &profile("requested_validity_allowed=false")).await?;
    let payload = json!({ "csr": csr(&["a.localhost"])?.1 });
    let problem = scene.client.post(&waiting[0].finalize()?, &payload).await?;
    let problem = problem.refused((400, "malformed"))?;
    let why = "this profile does not let orders ask for notBefore or notAfter";
    assert_eq!(problem["detail"], why);
    assert_eq!(scene.client.read(&waiting[0].url).await?.status(), "ready");
    scene.client.finalize(&waiting[1], &["a.localhost"]).await?;

    // The operator thinks again.
    configure(&mut scene, &profile("requested_validity_allowed=true")).await?;
    scene.client.finalize(&waiting[0], &["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn an_order_is_not_finalized_for_longer_than_the_profile_grants_by_now() -> anyhow::Result<()>
{
    let mut scene = scene(r#"certificate_validity="30d""#).await?;
    let today = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let end = Timestamp::from_unix_seconds(today.cast_signed() + 20 * 86_400);
    let names = json!([{ "type": "dns", "value": "a.localhost" }]);
    let payload = json!({ "identifiers": names, "notAfter": end });
    let reply = scene.client.post("newOrder", &payload).await?.expect(201)?;
    let order = Order { url: reply.location()?, body: reply.json()? };
    let order = scene.client.prove(&order, &scene.web).await?;
    configure(&mut scene, &profile(r#"certificate_validity="10d""#)).await?;
    let payload = json!({ "csr": csr(&["a.localhost"])?.1 });
    let problem = scene.client.post(&order.finalize()?, &payload).await?;
    let problem = problem.refused((400, "malformed"))?;
    let why = "notAfter is later than this profile allows, which is ";
    assert!(problem["detail"].as_str().is_some_and(|it| it.starts_with(why)), "{problem}");
    assert_eq!(scene.client.read(&order.url).await?.status(), "ready");

    // The operator thinks again.
    configure(&mut scene, &profile(r#"certificate_validity="30d""#)).await?;
    scene.client.finalize(&order, &["a.localhost"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_finalize_that_is_repeated_is_answered_though_its_key_is_accepted_no_longer()
-> anyhow::Result<()> {
    let mut scene = scene("").await?;
    let order = scene.client.ready_order(&["a.localhost"], &scene.web).await?;
    let payload = json!({ "csr": csr(&["a.localhost"])?.1 });
    scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    configure(&mut scene, &profile(r#"certificate_keys={types=["rsa"]}"#)).await?;

    // The answer was lost with the server that stopped.
    let repeated = scene.client.post(&order.finalize()?, &payload).await?.expect(200)?;
    let repeated = Order { url: order.url.clone(), body: repeated.json()? };
    scene.client.download(&repeated).await?;
    let other = json!({ "csr": csr(&["a.localhost"])?.1 });
    let refused = scene.client.post(&order.finalize()?, &other).await?;
    refused.refused((403, "orderNotReady"))?;
    Ok(())
}

async fn configure(scene: &mut Scene, profile: &str) -> anyhow::Result<()> {
    scene.server.stop().await?;
    scene.server.configure("profile", profile);
    scene.server.start().await?;
    scene.client.forget_nonces();
    Ok(())
}

#[tokio::test]
async fn a_rule_that_is_none_is_refused_at_the_start() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("certmill.toml");
    for rule in ["'/(/'", "'/unended'", "'*'", "'a b'", "'/(a{1000}){1000}/'"] {
        std::fs::write(&file, format!("[[profile]]\nallowed_names = [\n  {rule},\n]\n"))?;
        let server = Setup::embedded().configuration(file.clone()).prepare("certmill")?;
        let refused = server.operate(&["check-config"]).await?;
        assert!(!refused.status.success(), "{rule}: {}", refused.stdout);
        for told in ["line 2", "expected a name", "or a regular expression"] {
            assert!(refused.stderr.contains(told), "{rule}: {told}: {}", refused.stderr);
        }
    }
    Ok(())
}
