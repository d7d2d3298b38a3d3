//! Every variant of a certificate that profiles, keys and issuers make, before zlint and pkilint.

use acceptance::{CertificateKey, Chain, ChallengeServer, DnsServer, RawClient, Setup, csr_from};
use acceptance::{Certmill, lint, lint_pkix, run, tool};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use tempfile::TempDir;
use tokio::process::Command;

/// What the Baseline Requirements are about.
const OF_SERVERS: &str = r#"[
    {name="plain"}, {name="first", subject="first-name"}, {name="asked", subject="as-requested"},
    {name="both", extended_key_usages=["serverAuth", "clientAuth"]},
    {name="ip", identifier_types=["dns", "ip"]}, {name="ip-first", identifier_types=["dns", "ip"], subject="first-name"},
    {name="short", certificate_validity="6d"}, {name="long", certificate_validity="199d"},
    {name="p384", issuer="p384"}, {name="ed25519", issuer="ed25519"}]"#;
/// What they are not about.
const OF_OTHERS: &str = r#"[
    {name="client", extended_key_usages=["clientAuth"]}, {name="code", extended_key_usages=["codeSigning"]},
    {name="mail", extended_key_usages=["emailProtection"]}, {name="ipsec", extended_key_usages=["ipsecIKE"]},
    {name="all", extended_key_usages=["serverAuth", "clientAuth", "codeSigning", "emailProtection", "ipsecIKE"]},
    {name="years", certificate_validity="2y", extended_key_usages=["clientAuth"]}]"#;
const ISSUERS: &str = r#"[
    {name="p384", key_type="p384", ocsp=true, issuer_url="http://crl.example.com/p384.cer"},
    {name="ed25519", key_type="ed25519", issuer_url="http://crl.example.com/ed25519.cer"}]"#;
const NAMES: [&str; 2] = ["www.example.com", "example.com"];

/// A server whose applicants have names that linters know nothing against.
struct Variants {
    server: Certmill,
    web: ChallengeServer,
    _dns: DnsServer,
}

impl Variants {
    async fn of(profiles: &str, default: &str) -> anyhow::Result<Self> {
        let (web, dns) = (ChallengeServer::start_on_both().await?, DnsServer::start().await?);
        let server = Setup::embedded()
            .set("validation.http01_port", web.port())
            .set("validation.dns_resolver", dns.address())
            .set("ca.crl_base_url", "http://crl.example.com/crl")
            .set("ca.ocsp_base_url", "http://ocsp.example.com/ocsp")
            .set("ca.issuer_url", "http://crl.example.com/issuer.cer")
            .set("ca.issuer", ISSUERS)
            .set("profile", profiles)
            .set("default_profile", default)
            .start()
            .await?;
        Ok(Self { server, web, _dns: dns })
    }

    /// A certificate of a profile.
    async fn issue(
        &self,
        profile: &str,
        names: &[&str],
        key: CertificateKey,
    ) -> anyhow::Result<Chain> {
        let url = self.server.profile_url(profile);
        let client = RawClient::register(&url, &self.server.root()).await?;
        let order = client.ready_order(names, &self.web).await?;
        let csr = csr_from(&key, names)?;
        Ok(client.finalize_with(&order, (key, csr)).await?.chain)
    }
}

/// ring makes no RSA keys.
async fn rsa(bits: u16) -> anyhow::Result<CertificateKey> {
    let files = TempDir::new()?;
    let mut command = Command::new(tool("openssl")?);
    let bits = format!("rsa_keygen_bits:{bits}");
    command.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", &bits]);
    Ok(KeyPair::from_pem(&run(command, files.path()).await?.success()?)?)
}

/// What linters found, by variant.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn take(&mut self, variant: &str, linted: anyhow::Result<()>) {
        self.0.extend(linted.err().map(|error| format!("{variant}: {:#}", error.root_cause())));
    }

    fn are_none(self) {
        assert!(self.0.is_empty(), "{}", self.0.join("\n"));
    }
}

#[tokio::test]
async fn certificates_of_servers_please_the_linters_whatever_their_profile() -> anyhow::Result<()> {
    let variants = Variants::of(OF_SERVERS, "plain").await?;
    let mut found = Findings::default();
    for profile in ["plain", "first", "asked", "both", "short", "long", "p384", "ed25519"] {
        let chain = variants.issue(profile, &NAMES, KeyPair::generate()?).await?;
        found.take(profile, lint(&chain).await);
    }
    for profile in ["ip", "ip-first"] {
        for names in [
            &["127.0.0.1"][..],
            &["::1"],
            &["127.0.0.1", "www.example.com"],
            &["::1", "127.0.0.1", "www.example.com"],
        ] {
            let chain = variants.issue(profile, names, KeyPair::generate()?).await?;
            found.take(profile, lint(&chain).await);
        }
    }
    found.are_none();
    Ok(())
}

#[tokio::test]
async fn certificates_for_every_kind_of_key_please_the_linters() -> anyhow::Result<()> {
    let variants = Variants::of(OF_SERVERS, "plain").await?;
    let mut found = Findings::default();
    for (kind, key) in [
        ("p256", KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?),
        ("p384", KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?),
        ("rsa 2048", rsa(2048).await?),
        ("rsa 3072", rsa(3072).await?),
        ("rsa 4096", rsa(4096).await?),
    ] {
        found.take(kind, lint(&variants.issue("plain", &NAMES, key).await?).await);
    }
    // The Baseline Requirements have no Ed25519.
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    found.take("ed25519", lint_pkix(&variants.issue("plain", &NAMES, key).await?).await);
    found.are_none();
    Ok(())
}

#[tokio::test]
async fn certificates_for_other_purposes_please_the_linters() -> anyhow::Result<()> {
    let variants = Variants::of(OF_OTHERS, "client").await?;
    let mut found = Findings::default();
    for profile in ["client", "code", "mail", "ipsec", "all", "years"] {
        let chain = variants.issue(profile, &NAMES, KeyPair::generate()?).await?;
        found.take(profile, lint_pkix(&chain).await);
    }
    found.are_none();
    Ok(())
}
