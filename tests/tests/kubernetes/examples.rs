//! The examples: what they name of the chart and of Certmill is there.

use std::path::PathBuf;

use acceptance::{python, run, tool, workspace};
use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::chart::{over, render, run_python, values, yaml};

fn directory() -> PathBuf {
    workspace().join("k8s/examples")
}

fn documents(file: &str) -> anyhow::Result<Vec<Value>> {
    yaml(&std::fs::read_to_string(directory().join(file)).with_context(|| file.to_owned())?)
}

fn one(file: &str) -> anyhow::Result<Value> {
    documents(file)?.into_iter().next().with_context(|| format!("{file} is empty"))
}

#[test]
fn the_issuers_name_directories_and_challenges_that_the_example_values_offer() -> anyhow::Result<()>
{
    let offered = one("gitops/base/values.yaml")?;
    let profiles = offered["config"]["profile"].as_array().context("profiles")?;
    let find = |name: &str| profiles.iter().find(|profile| profile["name"] == name);
    for issuer in documents("cert-manager/issuer.yaml")? {
        ensure!(issuer["apiVersion"] == "cert-manager.io/v1" && issuer["kind"] == "ClusterIssuer");
        let acme = &issuer["spec"]["acme"];
        let path = acme["server"].as_str().and_then(|url| url.split("/acme/").nth(1));
        let named = match path.context("a directory")? {
            "directory" => offered["config"]["default_profile"].as_str(),
            path => path.strip_suffix("/directory"),
        };
        let profile = find(named.context("a profile")?).context("a profile that is offered")?;
        let asked = &acme["profile"];
        ensure!(asked.is_null(), "no directory shows {asked}, so that cert-manager orders nothing");
        for solver in acme["solvers"].as_array().context("solvers")? {
            let challenge = if solver["dns01"].is_null() { "http-01" } else { "dns-01" };
            let types = profile["challenge_types"].as_array();
            ensure!(types.is_none_or(|types| types.contains(&json!(challenge))), "{challenge}");
        }
        ensure!(acme["caBundle"].is_string() && acme["privateKeySecretRef"]["name"].is_string());
    }
    Ok(())
}

#[test]
fn the_certificates_name_issuers_that_are_there() -> anyhow::Result<()> {
    let issuers = documents("cert-manager/issuer.yaml")?;
    for certificate in documents("cert-manager/certificate.yaml")? {
        let issuer = &certificate["spec"]["issuerRef"]["name"];
        let found = issuers.iter().find(|found| found["metadata"]["name"] == *issuer);
        let solvers = &found.context("an issuer")?["spec"]["acme"]["solvers"];
        let names = certificate["spec"]["dnsNames"].to_string();
        ensure!(!names.contains('*') || !solvers[0]["dns01"].is_null(), "{names} needs dns-01");
    }
    Ok(())
}

#[test]
fn each_site_of_the_gitops_example_is_valid() -> anyhow::Result<()> {
    let base = one("gitops/base/values.yaml")?;
    let mut installed = documents("gitops/namespace.yaml")?;
    for site in ["staging", "production"] {
        let own = one(&format!("gitops/overlays/{site}/values.yaml"))?;
        installed.extend(render(&over(base.clone(), &own))?.documents);
        let kustomization = one(&format!("gitops/overlays/{site}/kustomization.yaml"))?;
        let chart = &kustomization["helmCharts"][0];
        let here = directory().join("gitops/overlays").join(site);
        let home = kustomization["helmGlobals"]["chartHome"].as_str().context("a home")?;
        ensure!(here.join(home).join(chart["name"].as_str().context("a name")?).is_dir());
        ensure!(here.join(chart["valuesFile"].as_str().context("values")?).is_file());
        ensure!(here.join(chart["additionalValuesFiles"][0].as_str().context("values")?).is_file());
    }
    let wrong = run_python("validate.py", &["3"], &json!(installed))?;
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}

#[tokio::test]
async fn kustomize_builds_each_site_of_the_gitops_example_as_helm_renders_it() -> anyhow::Result<()>
{
    use std::os::unix::fs::PermissionsExt as _;
    let files = TempDir::new()?;
    let (helm, script) =
        (files.path().join("helm"), workspace().join("tests/tests/kubernetes/helm.py"));
    let text = format!("#!/bin/sh\nexec {:?} {script:?} \"$@\"\n", python()?);
    std::fs::write(&helm, text)?;
    std::fs::set_permissions(&helm, std::fs::Permissions::from_mode(0o755))?;
    let base = one("gitops/base/values.yaml")?;
    for site in ["staging", "production"] {
        let mut command = Command::new(tool("kustomize")?);
        command.args(["build", "--enable-helm", "--load-restrictor", "LoadRestrictionsNone"]);
        command.arg("--helm-command").arg(&helm);
        command.arg(directory().join("gitops/overlays").join(site));
        let built = yaml(&run(command, files.path()).await?.success()?)?;
        let own = one(&format!("gitops/overlays/{site}/values.yaml"))?;
        let mut rendered = render(&over(base.clone(), &own))?.documents;
        for object in built {
            // kustomize puts no namespace into what a chart makes (its issue 6058).
            ensure!(object["metadata"]["namespace"] == "ca", "{site}: {object}");
            let same = rendered.iter().position(|other| *other == object);
            rendered.remove(same.with_context(|| format!("{site}: Helm renders no {object}"))?);
        }
        ensure!(rendered.is_empty(), "{site} lacks {rendered:?}");
    }
    Ok(())
}

#[test]
fn the_application_names_files_that_are_there() -> anyhow::Result<()> {
    let source = one("gitops/application.yaml")?["spec"]["source"].clone();
    let chart = workspace().join(source["path"].as_str().context("a path")?);
    for file in source["helm"]["valueFiles"].as_array().context("files")? {
        ensure!(chart.join(file.as_str().context("a file")?).is_file(), "{file}");
    }
    Ok(())
}

#[test]
fn the_namespace_takes_every_pod_of_the_chart() -> anyhow::Result<()> {
    let namespace = one("gitops/namespace.yaml")?;
    ensure!(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted");
    // `restricted` knows these kinds of volumes; of the others hardening.rs asks more.
    let known = ["configMap", "csi", "emptyDir", "secret", "persistentVolumeClaim", "projected"];
    for (name, spec) in render(&values("everything")?)?.pods() {
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            ensure!(known.iter().any(|kind| !volume[kind].is_null()), "{name}: {volume}");
        }
    }
    Ok(())
}
