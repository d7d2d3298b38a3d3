//! What a pod may do: as little as Pod Security `restricted` allows, and less.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::chart::{Rendered, SETS, over, render, values};

fn sets() -> anyhow::Result<Vec<Rendered>> {
    SETS.iter().map(|set| render(&values(set)?)).collect()
}

#[test]
fn every_pod_is_restricted_and_has_no_token() -> anyhow::Result<()> {
    for set in sets()? {
        for (name, spec) in set.pods() {
            ensure!(spec["automountServiceAccountToken"] == false, "{name}");
            ensure!(spec["enableServiceLinks"] == false, "{name}");
            let pod = &spec["securityContext"];
            ensure!(pod["runAsNonRoot"] == true && pod["runAsUser"] != 0, "{name}");
            ensure!(pod["seccompProfile"]["type"] == "RuntimeDefault", "{name}");
            for host in ["hostNetwork", "hostPID", "hostIPC"] {
                ensure!(spec[host].is_null(), "{name}");
            }
            for container in spec["containers"].as_array().into_iter().flatten() {
                let own = &container["securityContext"];
                ensure!(own["allowPrivilegeEscalation"] == false, "{name}");
                ensure!(own["readOnlyRootFilesystem"] == true, "{name}");
                ensure!(own["capabilities"] == json!({ "drop": ["ALL"] }), "{name}");
                ensure!(own["privileged"].is_null(), "{name}");
                ensure!(container["resources"]["limits"]["memory"].is_string(), "{name}");
            }
            for volume in spec["volumes"].as_array().into_iter().flatten() {
                let limited =
                    volume["emptyDir"].is_null() || volume["emptyDir"]["sizeLimit"].is_string();
                ensure!(volume["hostPath"].is_null() && limited, "{name}: {volume}");
            }
        }
        for account in set.of_kind("ServiceAccount") {
            ensure!(account["automountServiceAccountToken"] == false);
        }
    }
    Ok(())
}

/// The names of the Secrets that a pod sees, in files or in its environment.
fn secrets(spec: &Value) -> Vec<&str> {
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let files = volumes.filter_map(|volume| volume["secret"]["secretName"].as_str());
    let variables = spec["containers"][0]["env"].as_array().into_iter().flatten();
    let variables =
        variables.filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str());
    let mut names: Vec<_> = files.chain(variables).collect();
    names.sort_unstable();
    names
}

#[test]
fn each_role_sees_its_own_secrets_and_only_the_signer_those_of_the_ca() -> anyhow::Result<()> {
    let rendered = render(&values("everything")?)?;
    let expected = [
        (
            "api",
            vec!["acme-tls", "external-accounts", "nats-api", "nats-ca", "redis-api", "redis-ca"],
        ),
        ("validator", vec!["nats-ca", "nats-validator", "redis-ca", "redis-validator"]),
        (
            "signer",
            vec![
                "hsm-pin",
                "issuing-ca",
                "issuing-ca-passphrase",
                "nats-ca",
                "nats-signer",
                "redis-ca",
                "redis-signer",
            ],
        ),
        ("projector", vec!["nats-ca", "nats-projector", "redis-ca", "redis-projector"]),
    ];
    let roles = rendered.roles();
    ensure!(roles.len() == expected.len());
    for (role, wanted) in expected {
        let found = roles.iter().find(|(name, _)| *name == role).map(|(_, spec)| secrets(spec));
        ensure!(found == Some(wanted), "{role}: {found:?}");
    }
    Ok(())
}

#[test]
fn the_cas_key_comes_from_a_csi_volume_to_the_signer_alone() -> anyhow::Result<()> {
    let csi =
        json!({ "ca": { "csi": { "driver": "secrets-store.csi.k8s.io", "readOnly": true } } });
    for (role, spec) in render(&over(values("cluster")?, &csi))?.roles() {
        let volumes = spec["volumes"].as_array().into_iter().flatten();
        let mounted = volumes.filter(|volume| !volume["csi"].is_null()).count();
        ensure!(mounted == usize::from(role == "signer"), "{role}");
    }
    Ok(())
}

#[test]
fn the_token_is_reached_by_the_signer_alone_and_its_secret_has_no_key() -> anyhow::Result<()> {
    let rendered = render(&values("everything")?)?;
    for (role, spec) in rendered.roles() {
        let text = spec.to_string();
        for part in ["hsm-pin", "hsm-module", "hsm.example.com", "HSM_SOCKET"] {
            ensure!(text.contains(part) == (role == "signer"), "{role}: {part}");
        }
        ensure!(!text.contains("intermediate.key"), "{role} gets a key beside the token");
        let policy = rendered.object("NetworkPolicy", &format!("certmill-{role}"))?.to_string();
        ensure!(policy.contains("10.30.0.7/32") == (role == "signer"), "{role}");
    }
    Ok(())
}

#[test]
fn the_journal_and_the_embedded_log_are_on_a_volume_that_outlives_the_pod() -> anyhow::Result<()> {
    for (set, name) in [("cluster", "certmill-signer"), ("embedded", "certmill-embedded")] {
        let rendered = render(&values(set)?)?;
        let workload = rendered.object("StatefulSet", name)?;
        ensure!(workload["spec"]["replicas"] == 1);
        ensure!(workload["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "data");
        let mounts = &workload["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
        let mounts = mounts.as_array().into_iter().flatten();
        let data = mounts.filter(|mount| mount["name"] == "data").map(|mount| &mount["mountPath"]);
        ensure!(data.collect::<Vec<_>>() == [&json!("/var/lib/certmill")]);
    }
    Ok(())
}

#[test]
fn a_pod_serves_on_until_nobody_is_sent_to_it_and_then_has_time_to_stop() -> anyhow::Result<()> {
    for (role, spec) in render(&values("cluster")?)?.roles() {
        let drain = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
        let grace = spec["terminationGracePeriodSeconds"].as_u64();
        ensure!(drain >= Some(5), "{role}");
        // The process promises to stop within 10 s.
        ensure!(grace.zip(drain).is_some_and(|(grace, drain)| grace >= drain + 10), "{role}");
    }
    Ok(())
}

#[test]
fn replicas_are_spread_and_at_most_one_is_away() -> anyhow::Result<()> {
    let rendered = render(&values("cluster")?)?;
    for (role, spec) in rendered.roles() {
        let spread = spec["topologySpreadConstraints"].as_array().map(Vec::len);
        ensure!(spread == Some(2), "{role}");
        let budget = rendered.object("PodDisruptionBudget", &format!("certmill-{role}"))?;
        ensure!(budget["spec"]["maxUnavailable"] == 1);
        ensure!(budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow");
    }
    Ok(())
}
