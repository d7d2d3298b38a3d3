//! What the directory, nonces and headers look like to clients (RFC 8555 §6, §7.1, §7.2).

use acceptance::Scene;
use anyhow::Context as _;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn the_directory_advertises_what_is_there_and_nothing_else() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let directory = scene.client.directory();
    let mut members: Vec<&String> =
        directory.as_object().into_iter().flat_map(|it| it.keys()).collect();
    members.sort();
    let expected = ["keyChange", "meta", "newAccount", "newNonce", "newOrder", "revokeCert"];
    assert_eq!(members, expected);
    let by_post = scene.client.post_as_get(&scene.server.directory_url()).await?.expect(200)?;
    assert_eq!(by_post.json()?, *directory);
    assert!(by_post.links("index").is_empty());
    Ok(())
}

#[tokio::test]
async fn nonces_are_given_to_head_get_and_post() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let url = scene.client.url("newNonce")?;
    let head = scene.client.request(Method::HEAD, &url, None).await?.expect(200)?;
    let get = scene.client.request(Method::GET, &url, None).await?.expect(204)?;
    let post = scene.client.post_as_get(&url).await?;
    assert!([200, 204].contains(&post.status), "{}", post.status);
    let replies = [head, get, post];
    for reply in &replies {
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.links("index").len(), 1);
    }
    let mut nonces: Vec<_> = replies.iter().filter_map(|it| it.header("replay-nonce")).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 3, "each nonce is another one");
    Ok(())
}

#[tokio::test]
async fn a_nonce_is_given_only_where_one_can_be_used() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let url = scene.client.url("newNonce")?;
    let directory = scene.server.directory_url();
    let ocsp = directory.replace("/acme/directory", "/ocsp/0000000000000000");
    for (method, url) in [
        (Method::GET, &directory),
        (Method::OPTIONS, &url),
        (Method::DELETE, &url),
        (Method::POST, &ocsp),
    ] {
        let reply = scene.client.request(method.clone(), url, None).await?;
        assert_eq!(reply.header("replay-nonce"), None, "{method} {url}");
    }
    let reply = scene.client.request(Method::POST, &ocsp, None).await?;
    assert!(reply.links("index").is_empty(), "{:?}", reply.headers);
    Ok(())
}

#[tokio::test]
async fn the_media_type_of_a_request_is_read_without_its_case_and_parameters() -> anyhow::Result<()>
{
    let scene = Scene::start().await?;
    let url = scene.client.account()?;
    for kind in ["Application/JOSE+JSON", "application/jose+json; charset=utf-8"] {
        let jws = scene.client.key().sign(&scene.client.protected(url).await?, b"")?;
        let body = Some((kind, jws.to_string().into_bytes()));
        scene.client.request(Method::POST, url, body).await?.expect(200)?;
    }
    Ok(())
}

#[tokio::test]
async fn every_reply_to_a_post_has_a_nonce_and_the_way_back() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let order = &issued.order;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    let challenge = challenge["url"].as_str().unwrap_or_default();
    let urls = [
        scene.client.account()?,
        &order.url,
        &order.authorizations()[0],
        challenge,
        &order.certificate()?,
    ];
    for url in urls {
        let reply = scene.client.post_as_get(url).await?.expect(200)?;
        assert!(reply.header("replay-nonce").is_some(), "{url}");
        assert_eq!(reply.links("index").len(), 1, "{url}");
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn a_challenge_leads_up_to_its_authorization() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    let authorization = &order.authorizations()[0];
    let challenge = scene.client.challenge(authorization, "http-01").await?;
    let url = challenge["url"].as_str().unwrap_or_default();
    for reply in [scene.client.post_as_get(url).await?, scene.client.post(url, &json!({})).await?] {
        let reply = reply.expect(200)?;
        assert_eq!(reply.links("up"), std::slice::from_ref(authorization));
        let body = reply.json()?;
        assert_eq!(body["url"], url);
        let token = body["token"].as_str().unwrap_or_default();
        assert!(token.len() >= 22, "128 bits of base64url: {token}");
    }
    Ok(())
}

#[tokio::test]
async fn scripts_of_any_origin_may_ask() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let url = scene.client.url("newOrder")?;
    let reply = scene.client.request(Method::OPTIONS, &url, None).await?.expect(204)?;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(reply.header("access-control-max-age"), Some("86400"));
    // The media type of a JWS is none that browsers send without asking.
    assert_eq!(reply.header("access-control-allow-headers"), Some("Content-Type"));
    assert_eq!(reply.header("access-control-expose-headers"), Some("*"));
    Ok(())
}

/// getssl, a shell script, takes the second word of each header line with "location" in it.
#[tokio::test]
async fn no_header_but_location_speaks_of_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let order = json!({ "identifiers": [{ "type": "dns", "value": "a.localhost" }] });
    let url = scene.client.url("newOrder")?;
    let reply = scene.client.post(&url, &order).await?.expect(201)?;
    let mut speaking = Vec::new();
    for (name, value) in &reply.headers {
        let line = format!("{name}: {}", value.to_str()?);
        if line.to_ascii_lowercase().contains("location") {
            speaking.push(line);
        }
    }
    assert_eq!(speaking, [format!("location: {}", reply.location()?)]);
    Ok(())
}

#[tokio::test]
async fn every_resource_says_which_methods_it_takes() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let client = &mut scene.client;
    let order = client.issue(&["a.localhost"], &scene.web).await?.order;
    let authorization = order.authorizations()[0].clone();
    let challenge = client.challenge(&authorization, "http-01").await?;
    let directory = scene.server.directory_url();
    let origin = directory.replace("/acme/directory", "");
    let (read, read_or_post) = ("GET, HEAD, OPTIONS", "GET, HEAD, POST, OPTIONS");
    let mut expected = vec![
        (directory, read_or_post),
        (client.url("newNonce")?, read_or_post),
        (format!("{origin}/crl/0000000000000000.crl"), read),
        (format!("{origin}/ocsp/0000000000000000/AAAA"), read),
    ];
    let account = client.account()?;
    let mut posted = vec![
        account.to_owned(),
        format!("{account}/orders"),
        order.url.clone(),
        order.finalize()?,
        order.certificate()?,
        authorization,
        challenge["url"].as_str().context("no URL")?.to_owned(),
        format!("{origin}/ocsp/0000000000000000"),
    ];
    for resource in ["newAccount", "newOrder", "revokeCert", "keyChange"] {
        posted.push(client.url(resource)?);
    }
    expected.extend(posted.into_iter().map(|url| (url, "POST, OPTIONS")));
    for (url, methods) in expected {
        let reply = client.request(Method::OPTIONS, &url, None).await?.expect(204)?;
        for header in ["allow", "access-control-allow-methods"] {
            assert_eq!(reply.header(header), Some(methods), "{url}");
        }
        let reply = client.request(Method::DELETE, &url, None).await?.expect(405)?;
        assert_eq!(reply.header("allow"), Some(methods), "{url}");
    }
    Ok(())
}

#[tokio::test]
async fn a_get_with_an_odd_content_type_is_answered() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let body = Some(("application/jose+json", Vec::new()));
    let url = scene.server.directory_url();
    scene.client.request(Method::GET, &url, body.clone()).await?.expect(200)?;
    scene.client.request(Method::HEAD, &scene.client.url("newNonce")?, body).await?.expect(200)?;
    Ok(())
}
