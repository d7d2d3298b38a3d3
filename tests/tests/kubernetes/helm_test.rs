//! `helm test`: the very command of the pod, with Kubernetes' part done here, gets a certificate from a live server.

use acceptance::{Chain, DnsServer, Setup, free_port, run, tool, verify};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::chart::{over, render, values};

const NAME: &str = "certmill-test";

/// A container's arguments or environment with each mount in the place of its path in the pod.
fn texts(container: &Value, files: &TempDir, pick: &str) -> anyhow::Result<Vec<String>> {
    let mounts = container["volumeMounts"].as_array().context("mounts")?;
    let items = container[pick].as_array().context("a list")?.iter();
    items
        .map(|item| {
            let text = item.as_str().or(item["value"].as_str()).context("a text")?;
            mounts.iter().try_fold(text.to_owned(), |text, mount| {
                let path = mount["mountPath"].as_str().context("a path")?;
                let here = files.path().join(mount["name"].as_str().context("a name")?);
                Ok(text.replace(&format!("{path}/"), &format!("{}/", here.display())))
            })
        })
        .collect()
}

#[tokio::test]
async fn the_test_pod_gets_a_certificate_from_a_live_server() -> anyhow::Result<()> {
    let (files, dns, http) = (TempDir::new()?, DnsServer::start().await?, free_port()?);
    let server = Setup::embedded()
        .set("validation.http01_port", http)
        .set("validation.dns_resolver", dns.address())
        .start()
        .await?;
    let base_url = format!("https://localhost:{}", server.port());
    let rendered = render(&over(values("embedded")?, &json!({ "baseUrl": base_url })))?;
    let spec = &rendered.object("Pod", NAME)?["spec"];
    let container = &spec["containers"][0];
    let image = container["image"].as_str().context("an image")?;
    ensure!(image.contains("/lego:v4."), "{image} is another program than the one that runs here");

    // What the ConfigMap mounts, and the port that the Service leads to.
    for mount in ["ca", "tmp"] {
        std::fs::create_dir(files.path().join(mount))?;
    }
    std::fs::copy(server.root(), files.path().join("ca/ca.crt"))?;
    let port = container["ports"][0]["containerPort"].as_u64().context("a port")?;
    let service = &rendered.object("Service", NAME)?["spec"]["ports"][0];
    ensure!(service["port"] == 80 && service["targetPort"] == container["ports"][0]["name"]);
    let arguments: Vec<String> = texts(container, &files, "args")?
        .iter()
        .map(|argument| argument.replace(&format!(":{port}"), &format!(":{http}")))
        .collect();
    let mut command = Command::new(tool("lego")?);
    command.args(&arguments);
    let names = container["env"].as_array().context("an environment")?.iter();
    for (variable, value) in names.zip(texts(container, &files, "env")?) {
        command.env(variable["name"].as_str().context("a name")?, value);
    }
    run(command, files.path()).await?.success()?;

    let host = format!("{NAME}.ca.svc.cluster.local");
    let issued = files.path().join(format!("tmp/lego/certificates/{host}.crt"));
    let chain = Chain::parse(&std::fs::read_to_string(issued)?)?;
    ensure!(chain.names()? == [host]);
    verify(&chain, &server.root()).await
}
