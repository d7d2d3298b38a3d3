//! The OpenAPI document shows the listener as it is. That replies are as it says is looked at wherever a test has a client
//! of its own: see `tests/src/openapi.rs`.

use std::collections::BTreeMap;

use acceptance::{Scene, openapi};
use anyhow::Context as _;
use http::Method;
use serde_json::Value;

/// An account's or pre-authorization's id that nobody has.
const NOBODY: &str = "AAAAAAAAAAAAAAAAAAAAAA";
/// What GET does, HEAD does, and OPTIONS is for all; neither stands in the document for each path.
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];

fn last_segment(url: &str) -> anyhow::Result<String> {
    Ok(url.rsplit('/').next().context("a URL without a path")?.to_owned())
}

/// A path of the document with values for its parameters.
fn filled(template: &str, values: &BTreeMap<&str, String>) -> String {
    let fill = |path: String, (name, value): (&&str, &String)| path.replace(name, value);
    values.iter().fold(template.to_owned(), fill)
}

#[tokio::test]
async fn what_is_described_is_answered_and_nothing_else_is() -> anyhow::Result<()> {
    let scene = Scene::with(|setup| {
        let profile = r#"[{name="default", pre_authorization_allowed=true}]"#;
        setup.set("profile", profile).set("ca.ocsp", true)
    });
    let scene = scene.await?;
    let issued = scene.client.issue(&["a.localhost"], &scene.web).await?;
    let crl = last_segment(&issued.chain.crl_url()?)?;
    let responder = issued.chain.ocsp_url()?.context("the certificate names no OCSP responder")?;
    let values = BTreeMap::from([
        ("{profile}", "default".to_owned()),
        ("{account}", NOBODY.to_owned()),
        ("{order}", format!("00{NOBODY}")),
        ("{index}", "0".to_owned()),
        ("{preAuthorization}", NOBODY.to_owned()),
        ("{type}", "http-01".to_owned()),
        ("{certificate}", last_segment(&issued.order.certificate()?)?),
        ("{chain}", "1".to_owned()),
        ("{crl}.crl", crl),
        ("{issuer}", last_segment(&responder)?),
        ("{request}", "MAA%3D".to_owned()),
    ]);
    let directory = scene.server.directory_url();
    let (base, _) = directory.split_once("/acme/").context("the directory is elsewhere")?;
    let document = openapi()?;
    let paths = document["paths"].as_object().context("the document has no paths")?;
    for (template, item) in paths {
        let path = filled(template, &values);
        assert!(!path.contains('{'), "{template} has a parameter that this test does not know");
        let url = format!("{base}{path}");
        for method in METHODS {
            let body = (method != Method::GET).then(|| ("application/jose+json", b"{}".to_vec()));
            let reply = scene.client.request(method.clone(), &url, body).await?;
            let described = item.get(method.as_str().to_ascii_lowercase()).is_some();
            let answered = ![404, 405].contains(&reply.status);
            assert_eq!(answered, described, "{method} {path}: {}", reply.status);
        }
    }
    Ok(())
}

#[test]
fn operations_have_names_of_their_own_and_no_words_of_the_code() -> anyhow::Result<()> {
    let document = openapi()?;
    let items = document["paths"].as_object().context("the document has no paths")?.values();
    let operations = items.flat_map(|item| item.as_object().into_iter().flatten());
    let names: Vec<&str> = operations.filter_map(|(_, it)| it["operationId"].as_str()).collect();
    let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert!(names.len() > 20 && distinct.len() == names.len(), "{names:?}");
    let text = document.to_string();
    assert!(!text.contains("[`"), "a description has a link that only rustdoc understands");
    Ok(())
}

#[test]
fn what_is_referred_to_is_there() -> anyhow::Result<()> {
    fn look(document: &Value, value: &Value) {
        if let Some(place) = value["$ref"].as_str() {
            let found = place.strip_prefix('#').and_then(|it| document.pointer(it));
            assert!(found.is_some(), "{place}");
        }
        let members = value.as_object().into_iter().flat_map(|it| it.values());
        members.chain(value.as_array().into_iter().flatten()).for_each(|it| look(document, it));
    }
    let document = openapi()?;
    look(&document, &document);
    Ok(())
}
