//! Requests that never become a JWS: wrong method, media type, path or size.

use acceptance::{Scene, Setup, run, tool};
use http::Method;
use tokio::process::Command;

use crate::MALFORMED;

const JOSE: &str = "application/jose+json";

#[tokio::test]
async fn resources_are_not_read_by_get() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let mut urls = order.authorizations();
            urls.extend([order.url.clone(), order.finalize()?, client.account()?.to_owned()]);
            urls.extend([client.url("newAccount")?, client.url("newOrder")?]);
            urls.push(client.url("revokeCert")?);
            for url in urls {
                for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
                    let reply = client.request(method, &url, None).await?;
                    assert_eq!((reply.status, reply.problem_type()?), (405, "malformed".into()));
                    assert_eq!(reply.header("allow"), Some("POST, OPTIONS"), "{url}");
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn head_is_answered_as_get_without_a_body() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let crl = scene.client.issue(&["a.localhost"], &scene.web).await?.chain.crl_url()?;
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let directory = scene.server.directory_url();
            for (url, status) in [(directory, 200), (crl, 200), (client.url("newOrder")?, 405)] {
                let reply = client.request(Method::HEAD, &url, None).await?;
                assert_eq!((reply.status, reply.body.len()), (status, 0), "{url}");
                let get = client.request(Method::GET, &url, None).await?;
                assert_eq!(reply.header("content-length"), Some(&*get.body.len().to_string()));
                for name in ["content-type", "cache-control", "link", "allow"] {
                    assert_eq!(reply.header(name), get.header(name), "{name} of {url}");
                }
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn nobody_is_given_a_tunnel() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let host = format!("localhost:{}", scene.server.port());
            for version in ["--http1.0", "--http1.1"] {
                let mut curl = Command::new(tool("curl")?);
                curl.args(["--silent", version, "--request", "CONNECT", "--request-target", &host])
                    .args(["--write-out", "%{http_code}", "--output", "/dev/null", "--cacert"])
                    .arg(scene.server.root())
                    .arg(format!("https://{host}"));
                let status = run(curl, scene.server.files()).await?.success()?;
                assert_eq!(status, "404", "{version}");
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn another_media_type_than_jose_is_refused() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            for kind in
                ["application/json", "text/plain", "application/jose", "application/jose+jsonx"]
            {
                let jws = client.key().sign(&client.protected(&url).await?, b"{}")?;
                let body = Some((kind, jws.to_string().into_bytes()));
                let reply = client.request(Method::POST, &url, body).await?;
                reply.refused((415, "malformed"))?;
            }
            let reply = client.request(Method::POST, &url, None).await?;
            reply.refused((415, "malformed"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_body_with_a_content_coding_is_refused() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            for coding in ["gzip", "br", "identity, gzip"] {
                let jws = client.key().sign(&client.protected(&url).await?, b"{}")?;
                let reply = client.send_coded(&url, coding, &jws).await?;
                reply.refused((415, "malformed"))?;
                assert_eq!(reply.header("accept-encoding"), Some("identity"), "{coding}");
            }
            let jws = client.key().sign(&client.protected(&url).await?, b"{}")?;
            client.send_coded(&url, "Identity", &jws).await?.refused((400, "malformed"))?;
            Ok(())
        })
        .await
}

#[tokio::test]
async fn paths_that_name_nothing_are_not_found() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let origin = scene.server.directory_url().replace("/acme/directory", "");
            let paths = [
                "/",
                "/acme",
                "/acme/",
                "/acme/default",
                "/acme/default/",
                "/acme/default/new-order/",
                "/acme/default//new-order",
                "/acme/DEFAULT/directory",
                "/acme/unknown/directory",
                "/acme/raProfile/directory",
                "/acme/directory/",
                "/acme/directory?configurationId=unknown",
                "/acme/default/order/x",
                "/acme/default/order/%2e%2e/account",
                "/crl/x",
                "/crl/0000000000000000.crl",
                "/crl/..%2f..%2fetc%2fpasswd",
                "/.env",
            ];
            for path in paths {
                let url = format!("{origin}{path}");
                let reply = client.request(Method::GET, &url, None).await?;
                assert_eq!(
                    (reply.status, reply.problem_type()?),
                    (404, "malformed".into()),
                    "{path}"
                );
                let reply = client.send_body(&url, b"{}".to_vec()).await?;
                assert!([404, 405].contains(&reply.status), "{path}: {}", reply.status);
            }
            let long = format!("{origin}/acme/default/{}", "a".repeat(3_000));
            assert_eq!(client.request(Method::GET, &long, None).await?.status, 404);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() -> anyhow::Result<()> {
    Scene::start()
        .await?
        .unimpressed(async |scene| {
            let client = &scene.client;
            let url = client.url("newOrder")?;
            let body = Some((JOSE, vec![b'a'; 65 * 1024]));
            client.request(Method::POST, &url, body).await?.refused((413, "malformed"))?;
            let body = Some((JOSE, vec![b'a'; 8 * 1024 * 1024]));
            // The server may hang up before it has read all of it.
            if let Ok(reply) = client.request(Method::POST, &url, body).await {
                reply.refused((413, "malformed"))?;
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_client_that_sends_all_of_a_body_that_is_too_large_sees_why() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let root = reqwest::Certificate::from_pem(&std::fs::read(scene.server.root())?)?;
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]).http1_only();
    let (client, url) = (client.build()?, scene.client.url("newOrder")?);
    for kilobytes in [100, 200, 500, 1000] {
        for _ in 0..10 {
            let sent = client.post(&url).header("content-type", JOSE);
            let reply = sent.body(vec![b'a'; kilobytes * 1024]).send().await?;
            assert_eq!(reply.status(), 413, "{kilobytes} KiB");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_given_up() -> anyhow::Result<()> {
    let brief = |setup: Setup| setup.set("api.hold", "0").set("api.request_timeout", "1s");
    let mut scene = Scene::with(brief).await?;
    scene
        .unimpressed(async |scene| {
            let mut curl = Command::new(tool("curl")?);
            curl.args(["--silent", "--http1.1", "--max-time", "15", "--data", "{"])
                .args(["--header", "Content-Type: application/jose+json"])
                .args(["--header", "Content-Length: 100"])
                .args(["--write-out", "%{http_code}", "--output", "/dev/null", "--cacert"])
                .arg(scene.server.root())
                .arg(scene.client.url("newOrder")?);
            let status = run(curl, scene.server.files()).await?.success()?;
            assert_eq!(status, "408");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_payload_where_a_resource_can_only_be_read_is_malformed() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    scene
        .unimpressed(async |scene| {
            let order = &issued.order;
            for url in [order.url.clone(), order.certificate()?] {
                scene.client.post_bytes(&url, b"{}").await?.refused(MALFORMED)?;
            }
            let directory = scene.server.directory_url();
            let reply = scene.client.post_bytes(&directory, b"{}").await?;
            assert_eq!((reply.status, reply.problem_type()?), (400, "malformed".into()));
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_payload_that_is_no_object_is_malformed() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    let challenge = scene.client.challenge(&order.authorizations()[0], "http-01").await?;
    let challenge = challenge["url"].as_str().unwrap_or_default().to_owned();
    scene
        .unimpressed(async |scene| {
            let client = &scene.client;
            let urls = [
                client.url("newAccount")?,
                client.url("newOrder")?,
                client.url("revokeCert")?,
                client.account()?.to_owned(),
                order.finalize()?,
                order.authorizations()[0].clone(),
                challenge.clone(),
            ];
            for url in urls {
                for payload in
                    ["[]", "null", "7", "\"x\"", "{", "{}}", "{\"a\":\u{1}}", "\u{feff}{}"]
                {
                    let reply = client.post_bytes(&url, payload.as_bytes()).await?;
                    reply.refused(MALFORMED)?;
                }
            }
            Ok(())
        })
        .await
}
