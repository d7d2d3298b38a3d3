//! Who may talk to whom: the exact edges, and nothing beside them.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::chart::{Rendered, over, render, values};

/// The ports of a role's rules in one direction.
fn ports(rendered: &Rendered, role: &str, direction: &str) -> anyhow::Result<BTreeSet<String>> {
    let policy = rendered.object("NetworkPolicy", &format!("certmill-{role}"))?;
    let rules = policy["spec"][direction].as_array().into_iter().flatten();
    let ports = rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten());
    Ok(ports.map(|port| port["port"].to_string().replace('"', "")).collect())
}

fn set(ports: &[&str]) -> BTreeSet<String> {
    ports.iter().map(|port| (*port).to_owned()).collect()
}

#[test]
fn everything_is_denied_that_no_role_needs() -> anyhow::Result<()> {
    let rendered = render(&values("cluster")?)?;
    let deny = &rendered.object("NetworkPolicy", "certmill-default-deny")?["spec"];
    ensure!(deny["policyTypes"] == json!(["Ingress", "Egress"]));
    ensure!(deny["ingress"].is_null() && deny["egress"].is_null());
    let labels = deny["podSelector"]["matchLabels"].as_object().context("labels")?;
    for workload in rendered.of_kind("Deployment").chain(rendered.of_kind("StatefulSet")) {
        let own =
            workload["spec"]["template"]["metadata"]["labels"].as_object().context("labels")?;
        ensure!(labels.iter().all(|(key, value)| own.get(key) == Some(value)), "{own:?}");
    }
    Ok(())
}

#[test]
fn each_role_has_its_edges_and_no_others() -> anyhow::Result<()> {
    let rendered = render(&values("cluster")?)?;
    let stores = ["53", "4222", "8222", "6379"];
    for (role, ingress, egress) in [
        ("api", &["https", "ops"][..], set(&stores)),
        ("validator", &["ops"], &set(&stores) | &set(&["80", "443"])),
        ("signer", &["ops"], set(&stores)),
        ("projector", &["ops"], set(&stores)),
    ] {
        ensure!(ports(&rendered, role, "ingress")? == set(ingress), "{role}");
        ensure!(ports(&rendered, role, "egress")? == egress, "{role}");
    }
    let embedded = render(&values("embedded")?)?;
    ensure!(ports(&embedded, "embedded", "egress")? == set(&["53", "80", "443"]));
    Ok(())
}

/// The rule that lets a validator out.
fn applicants(rendered: &Rendered) -> anyhow::Result<Value> {
    let policy = rendered.object("NetworkPolicy", "certmill-validator")?;
    let rules = policy["spec"]["egress"].as_array().context("rules")?;
    rules.iter().find(|rule| !rule["to"][0]["ipBlock"].is_null()).cloned().context("no way out")
}

#[test]
fn a_validator_reaches_the_world_but_neither_the_site_nor_metadata() -> anyhow::Result<()> {
    let rule = applicants(&render(&values("cluster")?)?)?;
    let except = rule["to"][0]["ipBlock"]["except"].as_array().context("exceptions")?;
    for network in
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"]
    {
        ensure!(except.contains(&json!(network)), "{network}");
    }
    // fd00:ec2::254, where a cloud answers with credentials, is in fc00::/7.
    let except = rule["to"][1]["ipBlock"]["except"].as_array().context("exceptions")?;
    ensure!(except.contains(&json!("fc00::/7")) && except.contains(&json!("fe80::/10")));
    ensure!(rule["to"].as_array().map(Vec::len) == Some(2));
    Ok(())
}

#[test]
fn a_network_of_the_site_is_reached_once_it_is_allowed() -> anyhow::Result<()> {
    let allow = json!({ "networkPolicy": { "validator": { "allow": ["10.20.0.0/16"] } } });
    let rule = applicants(&render(&over(values("cluster")?, &allow))?)?;
    ensure!(rule["to"][2] == json!({ "ipBlock": { "cidr": "10.20.0.0/16" } }));
    Ok(())
}

/// Kubernetes takes an empty list for everybody.
#[test]
fn a_list_that_is_emptied_lets_nobody_in_or_out() -> anyhow::Result<()> {
    let emptied = json!({ "networkPolicy": {
        "monitoring": [], "dns": [], "nats": { "peers": [] }, "redis": { "ports": [] },
        "hsm": { "ports": [] }, "traces": { "peers": [] },
    } });
    let rendered = render(&over(values("everything")?, &emptied))?;
    for role in ["signer", "projector"] {
        ensure!(ports(&rendered, role, "ingress")?.is_empty(), "{role}");
        ensure!(ports(&rendered, role, "egress")?.is_empty(), "{role}");
    }
    for policy in rendered.of_kind("NetworkPolicy") {
        let spec = &policy["spec"];
        let both = [(&spec["ingress"], "from"), (&spec["egress"], "to")];
        for (rules, peers) in both {
            for rule in rules.as_array().into_iter().flatten() {
                ensure!(rule[peers] != json!([]) && !rule["ports"].is_null(), "{policy}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_collector_is_reached_where_traces_are_sent() -> anyhow::Result<()> {
    let rendered = render(&values("everything")?)?;
    for role in ["api", "validator", "signer", "projector"] {
        ensure!(ports(&rendered, role, "egress")?.contains("4318"), "{role}");
    }
    Ok(())
}
