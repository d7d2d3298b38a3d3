//! `values.schema.json`: a typo fails at install, also one in Certmill's own configuration.

use acceptance::workspace;
use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart::{directory, over, refusal, render, renew, values};

/// Makes the configuration's own references end inside it.
const CONFIG_ID: &str = "https://certmill.invalid/config.schema.json";

#[test]
fn the_schema_holds_that_of_the_configuration() -> anyhow::Result<()> {
    let file = directory().join("values.schema.json");
    let mut schema: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    let config = workspace().join("schemas/config/certmill.schema.json");
    let mut config: Value = serde_json::from_str(&std::fs::read_to_string(config)?)?;
    config["$id"] = json!(CONFIG_ID);
    if renew() {
        schema["$defs"]["config"] = config.clone();
        std::fs::write(&file, serde_json::to_string_pretty(&schema)? + "\n")?;
    }
    ensure!(schema["$defs"]["config"] == config, "the configuration changed: run `make golden`");
    Ok(())
}

#[test]
fn a_typo_is_refused_wherever_it_is() -> anyhow::Result<()> {
    let typos = [
        (json!({ "mod": "cluster" }), "mod"),
        // One journal, one signer.
        (json!({ "signer": { "replicas": 2 } }), "replicas"),
        (json!({ "validator": { "autoscalling": {} } }), "autoscalling"),
        (json!({ "config": { "api": { "hodl": "2s" } } }), "hodl"),
        (json!({ "config": { "profile": [{ "name": "a", "wildcards": true }] } }), "wildcards"),
        (json!({ "nats": { "credentials": { "api2": "x" } } }), "api2"),
        (json!({ "networkPolicy": { "validator": { "excpet": [] } } }), "excpet"),
    ];
    for (typo, named) in typos {
        let error = refusal(&over(values("cluster")?, &typo))?;
        ensure!(error.contains(named), "{typo}: {error}");
    }
    Ok(())
}

#[test]
fn a_value_of_another_form_is_refused() -> anyhow::Result<()> {
    let wrong = [
        (json!({ "mode": "clustered" }), "mode"),
        (json!({ "baseUrl": "http://acme.example.com" }), "baseUrl"),
        (json!({ "image": { "digest": "latest" } }), "digest"),
        (json!({ "pods": { "runAsUser": 0 } }), "runAsUser"),
        (json!({ "ca": { "pkcs11": { "module": "m.so" } } }), "module"),
        (
            json!({ "ca": { "pkcs11": { "volumes": [
                { "name": "x", "mountPath": "/x", "source": { "hostPath": { "path": "/" } } },
            ] } } }),
            "source",
        ),
        // A password in a URL would be in a ConfigMap for all to read.
        (json!({ "nats": { "servers": ["nats://user:password@nats:4222"] } }), "servers"),
    ];
    for (values, named) in wrong {
        let error = refusal(&values)?;
        ensure!(error.contains(named), "{values}: {error}");
    }
    Ok(())
}

#[test]
fn what_a_cluster_needs_is_asked_for_by_name() -> anyhow::Result<()> {
    let lacking = [
        (json!({ "tls": { "secretName": "" } }), "tls.secretName"),
        (json!({ "nats": { "servers": [] } }), "nats.servers"),
        (json!({ "redis": { "urls": { "signer": "" } } }), "redis.urls.signer"),
        (json!({ "gateway": { "enabled": true } }), "gateway.parentRefs"),
        (json!({ "ca": { "pkcs11": { "module": "/m.so" } } }), "ca.pkcs11.token"),
    ];
    for (lacking, named) in lacking {
        let error = refusal(&over(values("cluster")?, &lacking))?;
        ensure!(error.contains(named), "{lacking}: {error}");
    }
    Ok(())
}

#[test]
fn the_embedded_mode_needs_nothing() -> anyhow::Result<()> {
    render(&json!({})).map(drop)
}
