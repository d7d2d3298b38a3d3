//! What the chart names of the binary is there: flags, ports, probes, configuration keys.

use std::{collections::BTreeSet, process::Command};

use acceptance::{Setup, server_under_test, workspace};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chart::{Rendered, SETS, over, render, values};

/// The container of each role's pods.
fn containers(rendered: &Rendered) -> Vec<(String, Value)> {
    let roles = rendered.roles().into_iter();
    roles.map(|(role, spec)| (role.to_owned(), spec["containers"][0].clone())).collect()
}

fn texts(array: &Value) -> Vec<String> {
    array.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The configuration that is installed.
fn configuration(rendered: &Rendered) -> anyhow::Result<String> {
    let map = rendered.object("ConfigMap", "certmill")?;
    Ok(map["data"]["certmill.toml"].as_str().context("a configuration")?.to_owned())
}

#[test]
fn the_arguments_are_the_binarys_own_and_the_configuration_suits_the_role() -> anyhow::Result<()> {
    for set in SETS {
        let rendered = render(&values(set)?)?;
        let files = TempDir::new()?;
        let file = files.path().join("certmill.toml");
        std::fs::write(&file, configuration(&rendered)?)?;
        for (role, container) in containers(&rendered) {
            let arguments = texts(&container["args"]);
            ensure!(arguments.first().map(String::as_str) == Some("serve"), "{role}");
            let mut command = Command::new(server_under_test()?);
            command.arg("check-config").env_clear();
            for argument in &arguments[1..] {
                let mounted = "--config=/etc/certmill/config/certmill.toml";
                let local = format!("--config={}", file.display());
                command.arg(if argument == mounted { &local } else { argument });
            }
            for variable in container["env"].as_array().into_iter().flatten() {
                let name = variable["name"].as_str().context("a variable's name")?;
                let value = match variable["value"].as_str() {
                    Some(value) => value,
                    None if name.ends_with("SERVERS") => r#"["nats://api:secret@nats:4222"]"#,
                    None => "rediss://user:secret@redis:6379/0",
                };
                command.env(name, value);
            }
            let checked = command.output()?;
            let said = String::from_utf8_lossy(&checked.stderr).into_owned();
            ensure!(checked.status.success(), "{set}, {role}: {said}");
        }
    }
    Ok(())
}

/// What is no log line of a pod is among them all the same.
#[test]
fn a_pod_whose_log_is_json_says_everything_in_json() -> anyhow::Result<()> {
    for log_format in ["json", "text"] {
        let config = json!({ "config": { "telemetry": { "log_format": log_format } } });
        for (role, container) in containers(&render(&over(values("cluster")?, &config))?) {
            let told = texts(&container["args"]).contains(&"--json".to_owned());
            ensure!(told == (log_format == "json"), "{role}: {container}");
        }
    }
    Ok(())
}

#[test]
fn pods_listen_on_ipv6_too() -> anyhow::Result<()> {
    for (address, wanted) in [("::", "[::]:14000"), ("[::]", "[::]:14000"), ("::1", "[::1]:14000")]
    {
        let pods = json!({ "pods": { "listenAddress": address } });
        let rendered = render(&over(values("cluster")?, &pods))?;
        let config: toml::Table = configuration(&rendered)?.parse()?;
        ensure!(config["api"]["listen"].as_str() == Some(wanted), "{}", config["api"]);
    }
    Ok(())
}

#[test]
fn every_file_of_the_configuration_is_mounted_where_it_is_read() -> anyhow::Result<()> {
    let rendered = render(&values("everything")?)?;
    let config: toml::Table = configuration(&rendered)?.parse()?;
    let readers = [
        ("api", "tls_certificate", "api"),
        ("api", "tls_key", "api"),
        ("ca", "passphrase_file", "signer"),
        ("external_accounts", "key_file", "api"),
        ("event_log", "root_certificates", "projector"),
        ("redis", "root_certificates", "validator"),
    ];
    let containers = containers(&rendered);
    for (table, key, role) in readers {
        let file = config[table][key].as_str().context("a path")?;
        let (_, container) = containers.iter().find(|(name, _)| name == role).context("a role")?;
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        let mut paths = mounts.filter_map(|mount| mount["mountPath"].as_str());
        ensure!(paths.any(|path| file.starts_with(&format!("{path}/"))), "{file} for {role}");
    }
    Ok(())
}

#[test]
fn the_keys_that_an_operators_key_replaced_are_mounted_where_they_are_read() -> anyhow::Result<()> {
    let keys = json!({ "externalAccounts": {
        "key": "2027", "formerKeys": ["2026", "2025"], "secretName": "operator-keys",
    } });
    let rendered = render(&over(values("cluster")?, &keys))?;
    let config: toml::Table = configuration(&rendered)?.parse()?;
    let table = &config["external_accounts"];
    let former = table["former_key_files"].as_array().context("former keys")?;
    let read: Vec<_> = [&table["key_file"]].into_iter().chain(former).collect();
    let roles = rendered.roles();
    let (_, api) = roles.iter().find(|(role, _)| *role == "api").context("the api")?;
    let mut volumes = api["volumes"].as_array().context("volumes")?.iter();
    let volume = volumes.find(|volume| volume["name"] == "external-accounts").context("keys")?;
    let items = volume["secret"]["items"].as_array().context("items")?;
    ensure!(items.len() == read.len());
    for ((item, file), key) in items.iter().zip(read).zip(["2027", "2026", "2025"]) {
        let path = item["path"].as_str().context("a path")?;
        let mounted = format!("/etc/certmill/external-accounts/{path}");
        ensure!(item["key"] == key && file.as_str() == Some(&mounted), "{item}: {file}");
    }
    Ok(())
}

#[test]
fn the_ports_are_those_that_are_listened_on() -> anyhow::Result<()> {
    for set in SETS {
        let rendered = render(&values(set)?)?;
        let config: toml::Table = configuration(&rendered)?.parse()?;
        let port = |table: &str| {
            let listen =
                config[table]["listen"].as_str().and_then(|listen| listen.rsplit(':').next());
            listen.and_then(|port| port.parse::<u64>().ok())
        };
        let (api, ops) = (port("api"), port("ops"));
        for (role, container) in containers(&rendered) {
            for opened in container["ports"].as_array().context("ports")? {
                let wanted = if opened["name"] == "https" { api } else { ops };
                ensure!(opened["containerPort"].as_u64() == wanted, "{set}, {role}: {opened}");
            }
        }
        for service in rendered.of_kind("Service") {
            for port in service["spec"]["ports"].as_array().context("ports")? {
                let target = port["targetPort"].as_str().context("a named port")?;
                ensure!(["https", "ops", "http"].contains(&target), "{set}: {port}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_probes_and_the_monitor_ask_for_what_is_answered() -> anyhow::Result<()> {
    let rendered = render(&values("everything")?)?;
    let mut paths = BTreeSet::new();
    for (_, container) in containers(&rendered) {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let asked = &container[probe]["httpGet"];
            ensure!(asked["port"] == "ops");
            paths.insert(asked["path"].as_str().context("a path")?.to_owned());
        }
    }
    let monitor = rendered.object("ServiceMonitor", "certmill")?;
    ensure!(monitor["spec"]["endpoints"][0]["port"] == "ops");
    paths.insert(monitor["spec"]["endpoints"][0]["path"].as_str().context("a path")?.to_owned());
    let server = Setup::embedded().start().await?;
    for path in paths {
        ensure!(server.ops(&path).await?.is_success(), "{path}");
    }
    Ok(())
}

#[test]
fn the_consumers_that_are_counted_are_those_that_validators_share() -> anyhow::Result<()> {
    let rendered = render(&values("everything")?)?;
    let config: toml::Table = configuration(&rendered)?.parse()?;
    let scaled = rendered.object("ScaledObject", "certmill-validator")?;
    let triggers = scaled["spec"]["triggers"].as_array().context("triggers")?;
    let shards = config["event_log"]["order_shards"].as_integer();
    ensure!(shards == i64::try_from(triggers.len()).ok());
    let worker = std::fs::read_to_string(workspace().join("services/validator/src/worker.rs"))?;
    for (shard, trigger) in triggers.iter().enumerate() {
        let asked = &trigger["metadata"];
        ensure!(asked["stream"] == format!("certmill-orders-{shard:02}"));
        let consumer = asked["consumer"].as_str().context("a consumer")?;
        ensure!(worker.contains(&format!("const CONSUMER: &str = \"{consumer}\";")));
    }
    Ok(())
}
