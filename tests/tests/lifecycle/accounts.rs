//! Accounts (RFC 8555 §7.3).

use acceptance::{AccountKey, Scene, csr, verify};
use serde_json::json;

/// An account with this key issues a certificate.
async fn issues_with(scene: &Scene, key: AccountKey) -> anyhow::Result<()> {
    let client = scene.newcomer(key).await?.with_account().await?;
    let issued = client.issue(&["a.localhost"], &scene.web).await?;
    verify(&issued.chain, &scene.server.root()).await
}

#[tokio::test]
async fn accounts_with_every_kind_of_key_issue() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    issues_with(&scene, AccountKey::p256()?).await?;
    issues_with(&scene, AccountKey::p384()?).await?;
    issues_with(&scene, AccountKey::ed25519()?).await?;
    issues_with(&scene, AccountKey::rsa(2048).await?).await?;
    issues_with(&scene, AccountKey::rsa_pss(2048).await?).await
}

#[tokio::test]
async fn an_account_with_the_largest_rsa_key_issues() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    issues_with(&scene, AccountKey::rsa(4096).await?).await
}

#[tokio::test]
async fn a_key_makes_one_account_whatever_it_asks_later() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let client = scene.newcomer(AccountKey::p256()?).await?;
    let first = json!({ "contact": ["mailto:a@example.com"], "termsOfServiceAgreed": true });
    let made = client.post("newAccount", &first).await?.expect(201)?;
    assert_eq!(made.json()?["status"], "valid");
    assert_eq!(made.json()?["contact"], first["contact"]);

    let second = json!({ "contact": ["mailto:b@example.com"], "onlyReturnExisting": true });
    let found = client.post("newAccount", &second).await?.expect(200)?;
    assert_eq!(found.location()?, made.location()?);
    assert_eq!(found.json()?["contact"], first["contact"]);
    Ok(())
}

#[tokio::test]
async fn parallel_requests_of_one_key_make_one_account() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let client = scene.newcomer(AccountKey::p256()?).await?;
    let replies = (0..8).map(|_| client_makes_account(&client));
    let replies = futures::future::try_join_all(replies).await?;
    let made = replies.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(made, 1, "{replies:?}");
    assert!(replies.iter().all(|(_, url)| *url == replies[0].1), "{replies:?}");
    Ok(())
}

async fn client_makes_account(client: &acceptance::RawClient) -> anyhow::Result<(u16, String)> {
    let reply = client.post("newAccount", &json!({})).await?;
    Ok((reply.status, reply.location()?))
}

#[tokio::test]
async fn contacts_are_replaced_kept_and_removed() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let account = scene.client.account()?;
    let update = async |payload| {
        let reply = scene.client.post(account, &payload).await?.expect(200)?;
        // cert-manager and acmez take the account's URL from here, and forget it where it is missing.
        assert_eq!(reply.location()?, account);
        Ok::<_, anyhow::Error>(reply.json()?["contact"].clone())
    };
    let contact = json!(["mailto:a@example.com", "mailto:b@example.com"]);
    assert_eq!(update(json!({ "contact": contact })).await?, contact);
    assert_eq!(update(json!({})).await?, contact);
    let ignored = json!({ "status": "valid", "orders": "https://x", "unknown": { "a": 1 } });
    assert_eq!(update(ignored).await?, contact);
    assert_eq!(update(json!({ "contact": [] })).await?, json!([]));
    let read = scene.client.post_as_get(account).await?.expect(200)?.json()?;
    assert_eq!(read["status"], "valid");
    assert!(read.get("unknown").is_none(), "{read}");
    Ok(())
}

#[tokio::test]
async fn deactivating_an_account_is_answered_and_final() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let account = scene.client.account()?;
    let reply = scene.client.post(account, &json!({ "status": "deactivated" })).await?;
    assert_eq!(reply.expect(200)?.json()?["status"], "deactivated");
    scene.client.post_as_get(account).await?.refused((401, "unauthorized"))?;
    Ok(())
}

#[tokio::test]
async fn what_an_account_does_not_have_is_neither_taken_nor_shown() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let client = scene.newcomer(AccountKey::p256()?).await?;
    let asked = json!({
        "orders": "https://elsewhere.example/orders",
        "status": "deactivated",
        "createdAt": "2000-01-01T00:00:00Z",
        "unknown": { "a": [1] },
    });
    let made = client.post("newAccount", &asked).await?.expect(201)?;
    let shown = made.json()?;
    let orders = format!("{}/orders", made.location()?);
    assert_eq!(shown, json!({ "status": "valid", "contact": [], "orders": orders }));
    Ok(())
}

#[tokio::test]
async fn nothing_goes_on_for_a_deactivated_account_whose_certificates_stay_good()
-> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let ready = scene.client.ready_order(&["b.localhost"], &scene.web).await?;
    let account = scene.client.account()?;
    let deactivate = json!({ "status": "deactivated" });
    scene.client.post(account, &deactivate).await?.expect(200)?;

    let payload = json!({ "csr": csr(&["b.localhost"])?.1 });
    scene.client.post(&ready.finalize()?, &payload).await?.refused((401, "unauthorized"))?;
    let events = scene.server.events().await?;
    let serials: Vec<_> = events
        .iter()
        .filter(|event| event["type"] == "CertificateIssued" || event["type"] == "CertRevoked")
        .map(|event| (&event["type"], &event["data"]["serial"]))
        .collect();
    assert_eq!(serials, [(&json!("CertificateIssued"), &json!(issued.chain.serial()?))]);
    Ok(())
}

/// The pages of an account's orders, from the first to the last.
async fn pages(client: &acceptance::RawClient) -> anyhow::Result<Vec<Vec<String>>> {
    let account = client.post_as_get(client.account()?).await?.expect(200)?.json()?;
    let mut next = account["orders"].as_str().map(str::to_owned);
    let mut pages = Vec::new();
    while let Some(url) = next {
        let reply = client.post_as_get(&url).await?.expect(200)?;
        pages.push(serde_json::from_value(reply.json()?["orders"].clone())?);
        next = reply.links("next").pop();
    }
    Ok(pages)
}

#[tokio::test]
async fn an_account_lists_its_orders_in_pages_without_the_invalid_ones() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    assert_eq!(pages(&scene.client).await?, [Vec::<String>::new()]);
    let other = scene.stranger().await?;
    let mut placed = Vec::new();
    for number in 0..51 {
        placed.push(scene.client.place(&[&format!("a{number}.localhost")]).await?);
        if number % 20 == 0 {
            other.place(&["b.localhost"]).await?;
        }
    }
    let ended = placed.remove(7);
    let authorization = &ended.authorizations()[0];
    let deactivate = json!({ "status": "deactivated" });
    scene.client.post(authorization, &deactivate).await?.expect(200)?;

    let listed = pages(&scene.client).await?;
    assert_eq!(listed.iter().map(Vec::len).collect::<Vec<_>>(), [49, 1]);
    let urls: Vec<String> = placed.into_iter().map(|order| order.url).collect();
    assert_eq!(listed.concat(), urls);
    assert_eq!(pages(&other).await?.concat().len(), 3);
    Ok(())
}

#[tokio::test]
async fn lists_of_orders_survive_a_rebuild() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    scene.server.operate(&["rebuild"]).await?.success()?;
    assert_eq!(pages(&scene.client).await?.concat(), [order.url]);
    Ok(())
}
