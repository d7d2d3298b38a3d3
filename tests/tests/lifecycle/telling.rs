//! What logs and spans tell, and what they never do.

use acceptance::{
    AccountKey, Certmill, ChallengeServer, Collector, ExternalKey, OperatorKey, RawClient, Scene,
    Secrets, Setup, run, tool,
};
use anyhow::Context as _;
use serde_json::{Value, json};
use tokio::process::Command;

const PASSPHRASE: &str = "correct-horse-battery-staple";
const BOUND: &str = r#"[{name="default", external_account_required=true}]"#;

async fn register(
    server: &Certmill,
    key: &ExternalKey,
    secrets: &mut Secrets,
) -> anyhow::Result<RawClient> {
    let client =
        RawClient::connect(&server.directory_url(), &server.root(), AccountKey::p256()?).await?;
    let protected = key.protected("HS256", &client.url("newAccount")?);
    let binding = key.bind(&protected, client.key())?;
    secrets.add("binding's signature", binding["signature"].as_str().unwrap_or_default());
    let made = client.post("newAccount", &json!({ "externalAccountBinding": binding })).await?;
    Ok(match made.status {
        201 => client.with_account_at(made.location()?),
        _ => {
            made.refused((403, "unauthorized"))?;
            client
        }
    })
}

/// Keys as they are behind the passphrase.
async fn add_keys(server: &Certmill, secrets: &mut Secrets) -> anyhow::Result<()> {
    for name in ["root.key", "intermediate.key"] {
        let file = server.data_dir().join("ca/keys").join(name);
        secrets.add_key_file(&file)?;
        let mut command = Command::new(tool("openssl")?);
        command.args(["pkey", "-passin", &format!("pass:{PASSPHRASE}"), "-in"]).arg(&file);
        secrets.add_pem(&run(command, server.files()).await?.success()?);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_is_secret_is_in_a_log_line_or_in_a_span() -> anyhow::Result<()> {
    let (operator, web) = (OperatorKey::new()?, ChallengeServer::start().await?);
    let (collector, mut secrets) = (Collector::start().await?, Secrets::default());
    let setup = operator.configure(Setup::embedded()).set("profile", BOUND);
    let mut server = setup
        .set("validation.http01_port", web.port())
        .set("ca.passphrase", PASSPHRASE)
        .set("validation.attempts", 1)
        .set("telemetry.log_filter", "trace")
        .set("telemetry.otlp_endpoint", collector.http_url())
        .start()
        .await?;
    let key = server.external_key(&["--reusable"]).await?;
    let client = register(&server, &key, &mut secrets).await?;
    let foreign = ExternalKey { kid: key.kid.clone(), hmac_key: "A".repeat(43) };
    let refused = register(&server, &foreign, &mut secrets).await?;

    let first = client.issue(&["a.localhost"], &web).await?;
    // Nobody answers for this one.
    let order = client.place(&["b.localhost"]).await?;
    let challenge = client.challenge(&order.authorizations()[0], "http-01").await?;
    secrets.add("token", challenge["token"].as_str().unwrap_or_default());
    let url = challenge["url"].as_str().unwrap_or_default();
    client.post(url, &json!({})).await?.expect(200)?;
    client.expect_status(&order.url, "invalid").await?;
    let replayed = client.protected(&order.url).await?;
    let jws = client.key().sign(&replayed, b"")?;
    client.send_jws(&order.url, &jws).await?.expect(200)?;
    client.send_jws(&order.url, &jws).await?.refused((400, "badNonce"))?;

    let client = client.change_key(AccountKey::p256()?).await?;
    let revoke = json!({ "certificate": first.chain.leaf_base64url()? });
    client.post("revokeCert", &revoke).await?.expect(200)?;
    let account = client.account()?.to_owned();
    client.post(&account, &json!({ "status": "deactivated" })).await?.expect(200)?;
    server.stop().await?;

    secrets.add_client(&client);
    secrets.add_client(&refused);
    secrets.add_challenges(&web)?;
    secrets.add_base64("MAC key", &key.hmac_key)?;
    secrets.add_base64("operator's key", &std::fs::read_to_string(operator.path())?)?;
    secrets.add("passphrase", PASSPHRASE);
    add_keys(&server, &mut secrets).await?;
    for (kind, least) in [("nonce", 10), ("token", 2), ("private key", 6), ("signature", 10)] {
        assert!(secrets.count(kind) >= least, "too few of {kind}: {}", secrets.count(kind));
    }
    let log = server.log()?;
    assert!(log.contains("TRACE") && log.contains("trace_id="), "the log is not verbose");
    let leaked = secrets.found_in(&log);
    assert!(leaked.is_empty(), "{leaked:#?}");
    let spans = format!("{:?}", collector.spans()?);
    assert!(spans.contains("finalize"), "{spans}");
    let leaked = secrets.found_in(&spans);
    assert!(leaked.is_empty(), "{leaked:#?}");
    Ok(())
}

/// The id of the trace in which an event of a type was appended.
fn trace_of(events: &[Value], kind: &str) -> anyhow::Result<String> {
    let event = events.iter().find(|event| event["type"] == kind);
    let trace = event.and_then(|event| event["traceparent"].as_str()?.split('-').nth(1));
    Ok(trace.with_context(|| format!("no trace of {kind}"))?.to_owned())
}

#[tokio::test]
async fn lines_of_a_request_and_of_the_work_for_it_name_the_trace_of_the_order()
-> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let mut scene = Scene::with(|setup| {
        setup
            .set("telemetry.log_format", "json")
            .set("telemetry.log_filter", "info,api=debug")
            .set("telemetry.otlp_endpoint", collector.http_url())
            // What is not sampled is found by its trace all the same.
            .set("telemetry.sampling_ratio", 0.0)
    })
    .await?;
    let order = scene.client.place(&["a.localhost"]).await?;
    let early = json!({ "csr": "AAAA" });
    scene.client.post(&order.finalize()?, &early).await?.expect(400)?;
    scene.client.prove(&order, &scene.web).await?;
    scene.client.finalize(&order, &["a.localhost"]).await?;
    let events = scene.server.events().await?;
    scene.server.stop().await?;

    let log = scene.server.log()?;
    let lines: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let trace = trace_of(&events, "OrderPlaced")?;
    for said in ["request refused", "challenge validated", "certificate issued"] {
        let line = lines.iter().find(|line| line["message"] == said);
        let line = line.with_context(|| format!("nobody said: {said}"))?;
        assert_eq!(line["trace_id"], json!(trace), "{line}");
    }
    let outside = lines.iter().find(|line| line["message"] == "stopping");
    assert_eq!(outside.context("it did not stop")?.get("trace_id"), None);
    assert_eq!(collector.spans()?, []);
    Ok(())
}
