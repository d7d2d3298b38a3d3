//! The chart in every mode, with each optional part on and off: Helm renders it, its linter and Kubernetes take it.

use std::collections::BTreeMap;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart::{Outcome, Rendered, SETS, over, render, render_all, run_python, values};

/// How many minor versions of Kubernetes must take the chart.
const VERSIONS: &str = "3";
/// The linter's severity of a hint.
const HINT: u64 = 1;

/// Each optional part, switched the other way than the chart's own values have it.
fn switches() -> Vec<(&'static str, Value)> {
    let secrets = json!({ "api": "a", "validator": "v", "signer": "s", "projector": "p" });
    vec![
        ("no-network-policy", json!({ "networkPolicy": { "enabled": false } })),
        ("no-disruption-budgets", json!({ "podDisruptionBudgets": false })),
        ("no-test", json!({ "test": { "enabled": false } })),
        ("no-api-scaling", json!({ "api": { "autoscaling": { "enabled": false } } })),
        ("validator-scaling", json!({ "validator": { "autoscaling": { "enabled": true } } })),
        ("ingress", json!({ "ingress": { "enabled": true } })),
        ("gateway", json!({ "gateway": { "enabled": true, "parentRefs": [{ "name": "edge" }] } })),
        ("monitor", json!({ "serviceMonitor": { "enabled": true } })),
        ("rules", json!({ "prometheusRule": { "enabled": true } })),
        ("dashboard", json!({ "dashboard": { "enabled": true } })),
        ("ca-secret", json!({ "ca": { "secretName": "ca" } })),
        (
            "ca-csi",
            json!({ "ca": { "csi": { "driver": "secrets-store.csi.k8s.io", "readOnly": true } } }),
        ),
        ("passphrase", json!({ "ca": { "passphrase": { "secretName": "p" } } })),
        (
            "pkcs11",
            json!({ "ca": { "pkcs11": {
                "module": "/opt/m.so", "token": "t", "pin": { "secretName": "pin" },
            } } }),
        ),
        ("external-accounts", json!({ "externalAccounts": { "secretName": "e" } })),
        ("tls", json!({ "tls": { "secretName": "t" } })),
        ("nats-credentials", json!({ "nats": { "credentials": secrets } })),
        ("nats-urls", json!({ "nats": { "urls": secrets } })),
        (
            "traces",
            json!({ "config": { "telemetry": { "otlp_endpoint": "http://c:4318/v1/traces" } } }),
        ),
        ("user-namespaces", json!({ "pods": { "userNamespaces": true } })),
        ("load-balancer", json!({ "service": { "type": "LoadBalancer" } })),
    ]
}

fn cases() -> anyhow::Result<BTreeMap<String, Value>> {
    let mut cases = BTreeMap::new();
    for set in SETS {
        cases.insert(set.to_owned(), values(set)?);
    }
    for mode in ["embedded", "cluster"] {
        let base = values(mode)?;
        for (switch, switched) in switches() {
            cases.insert(format!("{mode} with {switch}"), over(base.clone(), &switched));
        }
    }
    Ok(cases)
}

#[test]
fn every_mode_and_part_renders_lints_and_is_valid_kubernetes() -> anyhow::Result<()> {
    let mut documents = Vec::new();
    for (case, outcome) in render_all(&cases()?)? {
        let rendered = match outcome {
            Outcome::Rendered(rendered) => rendered,
            Outcome::Refused { error } => anyhow::bail!("{case}: {error}"),
        };
        let found: Vec<_> = rendered
            .lint
            .iter()
            .filter(|message| message["severity"].as_u64().is_none_or(|severity| severity > HINT))
            .collect();
        ensure!(found.is_empty(), "{case}: the linter says {found:?}");
        for document in rendered.documents {
            // Most parts change few objects: the others need no second look.
            if !documents.contains(&document) {
                documents.push(document);
            }
        }
    }
    let wrong = run_python("validate.py", &[VERSIONS], &json!(documents))?;
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

#[test]
fn an_object_that_kubernetes_does_not_know_is_noticed() -> anyhow::Result<()> {
    let mut pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" },
        "spec": { "containers": [{ "name": "a", "imagee": "b" }] } });
    ensure!(run_python("validate.py", &[VERSIONS], &json!([pod]))?.lines().count() == 3);
    pod["spec"]["containers"][0] = json!({ "name": "a" });
    ensure!(run_python("validate.py", &[VERSIONS], &json!([pod]))?.is_empty());
    Ok(())
}

#[test]
fn each_part_is_there_when_it_is_asked_for_and_only_then() -> anyhow::Result<()> {
    let (least, most) = (render(&values("cluster")?)?, render(&values("everything")?)?);
    let count = |rendered: &Rendered, kind: &str| rendered.of_kind(kind).count();
    for kind in ["Ingress", "TLSRoute", "ServiceMonitor", "PrometheusRule", "ScaledObject"] {
        ensure!((count(&least, kind), count(&most, kind)) == (0, 1), "{kind}");
    }
    for (kind, number) in [("Deployment", 3), ("StatefulSet", 1), ("PodDisruptionBudget", 4)] {
        ensure!(count(&least, kind) == number, "{kind}");
    }
    let embedded = render(&values("embedded")?)?;
    for (kind, number) in [("Deployment", 0), ("StatefulSet", 1), ("PodDisruptionBudget", 1)] {
        ensure!(count(&embedded, kind) == number, "{kind}");
    }
    Ok(())
}
