//! CAA and DNSSEC with real zones: knot signs them, unbound resolves them (RFC 8659, RFC 8657, RFC 4035).

use acceptance::{Order, RawClient, Scene, Zones, verify};
use serde_json::{Value, json};

/// What is asked of each profile's DNS: unbound alone judges, unbound and this server, this server alone.
fn profiles(zones: &Zones) -> String {
    let anchor = zones.anchor().display().to_string();
    let (resolver, authority) = (zones.resolver(), zones.authority());
    format!(
        r#"[{{name="default"}},
        {{name="proven", validation={{dns_resolver="{resolver}", trust_anchor="{anchor}"}}}},
        {{name="required", validation={{dns_resolver="{resolver}", trust_anchor="{anchor}", dnssec_required=true}}}},
        {{name="alone", validation={{dns_resolver="{authority}", trust_anchor="{anchor}"}}}}]"#
    )
}

async fn scene(zones: &Zones) -> anyhow::Result<Scene> {
    Scene::with(|setup| {
        setup
            .set("validation.dns_resolver", zones.resolver())
            .set("validation.caa_identities", r#"["ca.example.net"]"#)
            .set("validation.attempts", 1)
            .set("profile", profiles(zones))
            .set("default_profile", "default")
    })
    .await
}

/// The type of the problem that ends an order, or `issued` with its certificate.
async fn outcome(
    scene: &Scene,
    client: &RawClient,
    order: &Order,
    challenge: &Value,
) -> anyhow::Result<String> {
    client.post(text(&challenge["url"]), &json!({})).await?.expect(200)?;
    let decided = client.read(&order.url).await?;
    if decided.status() != "ready" {
        let kind = text(&decided.body["error"]["type"]);
        return Ok(kind.rsplit(':').next().unwrap_or_default().to_owned());
    }
    let name = text(&order.body["identifiers"][0]["value"]);
    let issued = client.finalize(&decided, &[name]).await?;
    verify(&issued.chain, &scene.server.root()).await?;
    Ok("issued".to_owned())
}

/// Asks for a certificate by http-01, whose proof is there.
async fn by_http(scene: &Scene, client: &RawClient, name: &str) -> anyhow::Result<String> {
    let order = client.place(&[name]).await?;
    let challenge = client.challenge(&order.authorizations()[0], "http-01").await?;
    let token = text(&challenge["token"]);
    scene.web.answer(token, &client.key().key_authorization(token))?;
    outcome(scene, client, &order, &challenge).await
}

/// Asks for a certificate by dns-01, whose proof knot signs.
async fn by_dns(scene: &Scene, zones: &Zones, name: &str) -> anyhow::Result<String> {
    let client = &scene.client;
    let order = client.place(&[name]).await?;
    let challenge = client.challenge(&order.authorizations()[0], "dns-01").await?;
    let value = client.key().txt_value(text(&challenge["token"]));
    let owner = format!("_acme-challenge.{}.", name.trim_start_matches("*."));
    zones.add("signed.example", (&owner, "TXT", &value)).await?;
    outcome(scene, client, &order, &challenge).await
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Names of each kind; what stands in no record is not restricted.
const RECORDS: &str = r#"www 0 A 127.0.0.1
allowed 0 A 127.0.0.1
allowed 0 CAA 0 issue "ca.example.net"
forbidden 0 A 127.0.0.1
forbidden 0 CAA 0 issue "other.example.net"
a.b.forbidden 0 A 127.0.0.1
below.allowed 0 A 127.0.0.1
allowed.forbidden 0 A 127.0.0.1
allowed.forbidden 0 CAA 0 issue "ca.example.net"
nobody 0 A 127.0.0.1
nobody 0 CAA 0 issue ";"
critical 0 A 127.0.0.1
critical 0 CAA 0 issue "ca.example.net"
critical 0 CAA 128 unheard "of"
unknown 0 A 127.0.0.1
unknown 0 CAA 0 issue "ca.example.net"
unknown 0 CAA 0 unheard "of"
wild 0 A 127.0.0.1
wild 0 CAA 0 issue ";"
wild 0 CAA 0 issuewild "ca.example.net"
tame 0 A 127.0.0.1
tame 0 CAA 0 issue "ca.example.net"
tame 0 CAA 0 issuewild ";"
method 0 A 127.0.0.1
method 0 CAA 0 issue "ca.example.net; validationmethods=dns-01"
mine 0 A 127.0.0.1
theirs 0 A 127.0.0.1
"#;

#[tokio::test]
async fn caa_records_of_signed_zones_decide_who_issues() -> anyhow::Result<()> {
    let zones = Zones::start(RECORDS).await?;
    let scene = scene(&zones).await?;
    let (account, stranger) = (scene.client.account()?, scene.stranger().await?);
    for (name, account) in [("mine", account), ("theirs", stranger.account()?)] {
        let issue = format!(r#"0 issue "ca.example.net; accounturi={account}""#);
        let owner = format!("{name}.signed.example.");
        zones.add("signed.example", (&owner, "CAA", &issue)).await?;
    }
    for (name, expected) in [
        ("www", "issued"),
        ("allowed", "issued"),
        ("below.allowed", "issued"),
        ("forbidden", "caa"),
        ("a.b.forbidden", "caa"),
        ("allowed.forbidden", "issued"),
        ("nobody", "caa"),
        ("critical", "caa"),
        ("unknown", "issued"),
        ("wild", "caa"),
        ("tame", "issued"),
        ("method", "caa"),
        ("mine", "issued"),
        ("theirs", "caa"),
    ] {
        let name = format!("{name}.signed.example");
        assert_eq!(by_http(&scene, &scene.client, &name).await?, expected, "{name}");
    }
    for (name, expected) in [("*.wild", "issued"), ("*.tame", "caa"), ("method", "issued")] {
        let name = format!("{name}.signed.example");
        assert_eq!(by_dns(&scene, &zones, &name).await?, expected, "{name} by dns-01");
    }
    Ok(())
}

#[tokio::test]
async fn signed_zones_are_proven_and_bogus_ones_refused_whoever_validates() -> anyhow::Result<()> {
    let zones = Zones::start(RECORDS).await?;
    let scene = scene(&zones).await?;
    for (profile, signed, unsigned, bogus) in [
        ("default", "issued", "issued", "dns"),
        ("proven", "issued", "issued", "dns"),
        ("required", "issued", "dns", "dns"),
        ("alone", "issued", "issued", "dns"),
    ] {
        let directory = scene.server.profile_url(profile);
        let client = RawClient::register(&directory, &scene.server.root()).await?;
        for (zone, expected) in [("signed", signed), ("unsigned", unsigned), ("bogus", bogus)] {
            let name = format!("www.{zone}.example");
            let outcome = by_http(&scene, &client, &name).await?;
            assert_eq!(outcome, expected, "{profile}: {name}");
        }
    }
    Ok(())
}
