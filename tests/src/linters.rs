//! zlint and pkilint as judges of certificates, CRLs and OCSP responses.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{Chain, run, tool, tools::workspace};

/// A finding that is accepted, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waiver {
    lint: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Waivers {
    waiver: Vec<Waiver>,
}

/// Lints the certificate of a TLS server, by RFC 5280 and by the Baseline Requirements.
///
/// # Errors
/// When a linter finds something that tests/lint-waivers.toml does not waive.
pub async fn lint(chain: &Chain) -> anyhow::Result<()> {
    lint_by(chain, "lint_cabf_serverauth_cert", &["--detect"]).await
}

/// Lints a certificate that the Baseline Requirements do not concern, by RFC 5280.
///
/// # Errors
/// When a linter finds something that tests/lint-waivers.toml does not waive.
pub async fn lint_pkix(chain: &Chain) -> anyhow::Result<()> {
    lint_by(chain, "lint_pkix_cert", &[]).await
}

async fn lint_by(chain: &Chain, linter: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let leaf = files.path().join("leaf.pem");
    std::fs::write(&leaf, chain.leaf_pem())?;
    let mut found = zlint(&leaf, files.path()).await?;
    found.extend(pkilint(linter, arguments, &leaf).await?);
    judge(found).with_context(|| format!("in\n{}", chain.leaf_pem()))
}

/// Lints a DER CRL, by RFC 5280 and by the Baseline Requirements.
///
/// # Errors
/// When a linter finds something that tests/lint-waivers.toml does not waive.
pub async fn lint_crl(der: &[u8]) -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let file = files.path().join("list.crl");
    std::fs::write(&file, pem::encode(&pem::Pem::new("X509 CRL", der)))?;
    let mut found = zlint(&file, files.path()).await?;
    for profile in ["PKIX", "BR"] {
        found.extend(pkilint("lint_crl", &["-t", "CRL", "-p", profile], &file).await?);
    }
    judge(found)
}

/// Lints a DER OCSP response.
///
/// # Errors
/// When the linter finds something that tests/lint-waivers.toml does not waive.
pub async fn lint_ocsp_response(der: &[u8]) -> anyhow::Result<()> {
    let files = TempDir::new()?;
    let file = files.path().join("response.der");
    std::fs::write(&file, der)?;
    judge(pkilint("lint_ocsp_response", &["--document-format", "DER"], &file).await?)
}

fn judge(mut found: Vec<String>) -> anyhow::Result<()> {
    let waivers = waivers()?;
    found.retain(|lint| !waivers.iter().any(|waiver| waiver.lint == *lint));
    ensure!(found.is_empty(), "the linters find {found:?}");
    Ok(())
}

fn waivers() -> anyhow::Result<Vec<Waiver>> {
    let text = std::fs::read_to_string(workspace().join("tests/lint-waivers.toml"))?;
    let waivers: Waivers = toml::from_str(&text)?;
    let reasoned = waivers.waiver.iter().all(|waiver| !waiver.reason.trim().is_empty());
    ensure!(reasoned, "every waiver needs a reason");
    Ok(waivers.waiver)
}

/// The lints that do not pass, all severities included.
async fn zlint(file: &Path, directory: &Path) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(tool("zlint")?);
    command.arg(file);
    let printed = run(command, directory).await?.success()?;
    let results: Value = serde_json::from_str(&printed).context("zlint prints JSON")?;
    let results = results.as_object().context("zlint prints an object")?;
    let findings = results.iter().filter(|(_, result)| {
        let result = result["result"].as_str().unwrap_or_default();
        !["pass", "NA", "NE"].contains(&result)
    });
    Ok(findings.map(|(lint, _)| lint.clone()).collect())
}

/// The findings of at least a warning.
async fn pkilint(linter: &str, arguments: &[&str], file: &Path) -> anyhow::Result<Vec<String>> {
    let mut command = Command::new(tool(linter)?);
    command.arg("lint").args(arguments).args(["--severity", "WARNING", "--format", "JSON"]);
    command.arg(file);
    let directory = file.parent().context("a file in a directory")?;
    // It ends with the number of findings.
    let output = run(command, directory).await?;
    let printed: Value = serde_json::from_str(&output.stdout)
        .with_context(|| format!("pkilint prints no JSON: {} {}", output.stdout, output.stderr))?;
    let results = printed["results"].as_array().context("pkilint prints results")?;
    let findings = results.iter().flat_map(|result| result["finding_descriptions"].as_array());
    let codes = findings.flatten().filter_map(|finding| finding["code"].as_str());
    Ok(codes.map(str::to_owned).collect())
}
