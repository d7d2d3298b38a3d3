//! Certificates that are asked for, downloaded and revoked (RFC 8555 §7.4, §7.6).

use acceptance::{AccountKey, CertificateKey, Chain, RawClient, csr};
use serde_json::{Value, json};

use super::{Script, absent};

const NAME: &str = "certificate.example.com";

impl Script<'_> {
    pub(super) async fn certificates(&mut self) -> anyhow::Result<()> {
        let stranger = self.stranger().await?;
        let pending = self.client.place(&["pending.example.com"]).await?;
        let payload = json!({ "csr": csr(&["pending.example.com"])?.1 });
        let reply = self.client.post(&pending.finalize()?, &payload).await;
        self.note("finalize of an order that is pending", reply)?;

        let order = self.client.ready_order(&[NAME], self.web).await?;
        let finalize = order.finalize()?;
        for (name, payload) in [
            ("finalize without a CSR", json!({})),
            ("finalize with padded base64", json!({ "csr": csr(&[NAME])?.1 + "=" })),
            ("finalize with what is no CSR", json!({ "csr": "AAAA" })),
            ("finalize with another name", json!({ "csr": csr(&["other.example.com"])?.1 })),
            ("finalize with one more name", json!({ "csr": csr(&[NAME, "x.example.com"])?.1 })),
            ("finalize without a name", json!({ "csr": csr(&[])?.1 })),
        ] {
            let reply = self.client.post(&finalize, &payload).await;
            self.note(name, reply)?;
        }
        let payload = json!({ "csr": csr(&[NAME])?.1 });
        let reply = stranger.post(&finalize, &payload).await;
        self.note("finalize of an order of somebody else", reply)?;
        let reply = self.client.post(&finalize, &payload).await;
        self.note_head("finalize", reply)?;
        let order = self.client.expect_status(&order.url, "valid").await?;
        let reply = self.client.post_as_get(&order.url).await;
        self.note("an order that is valid", reply)?;
        let reply = self.client.post(&finalize, &payload).await;
        self.note("finalize again", reply)?;

        let certificate = order.certificate()?;
        let reply = self.client.post_as_get(&certificate).await;
        let chain = Chain::parse(&strict(&self.note("a certificate", reply)?.text()))?;
        let reply = self.client.post_as_get_accepting(&certificate, "application/pkix-cert").await;
        self.note("a certificate as DER", reply)?;
        let reply = stranger.post_as_get(&certificate).await;
        self.note("a certificate of somebody else", reply)?;
        let reply = self.client.post_as_get(&absent(&certificate)).await;
        self.note("a certificate of nobody", reply)?;
        self.revocations(&stranger, &chain).await
    }

    async fn revocations(&mut self, stranger: &RawClient, chain: &Chain) -> anyhow::Result<()> {
        let certificate = chain.leaf_base64url()?;
        let foreign = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let foreign = Chain::parse(&(foreign.cert.pem() + chain.leaf_pem()))?;
        for (name, payload) in [
            ("revokeCert of nothing", json!({})),
            ("revokeCert of what is no certificate", json!({ "certificate": "AAAA" })),
            ("revokeCert of padded base64", json!({ "certificate": format!("{certificate}=") })),
            ("revokeCert of a foreign one", json!({ "certificate": foreign.leaf_base64url()? })),
            ("revokeCert for reason 7", revocation(&certificate, 7)),
            ("revokeCert for reason 99", revocation(&certificate, 99)),
        ] {
            let reply = self.client.post("revokeCert", &payload).await;
            self.note(name, reply)?;
        }
        let good = revocation(&certificate, 4);
        let reply = stranger.post("revokeCert", &good).await;
        self.note("revokeCert by somebody else", reply)?;
        let key = AccountKey::p256()?;
        let outsider = RawClient::connect(&self.directory, &self.trust, key).await?;
        let reply = outsider.post("revokeCert", &good).await;
        self.note("revokeCert by a key of nothing", reply)?;
        let reply = self.client.post("revokeCert", &good).await;
        self.note("revokeCert", reply)?;
        let reply = self.client.post("revokeCert", &good).await;
        self.note("revokeCert again", reply)?;

        let (_, other) = self.obtain("reason.example.com").await?;
        let reply = self.client.post_as_get(&other).await?.text();
        let payload = revocation(&Chain::parse(&strict(&reply))?.leaf_base64url()?, 2);
        let reply = self.client.post("revokeCert", &payload).await;
        self.note("revokeCert for reason 2", reply)?;
        self.revocation_by_key().await
    }

    /// A certificate's key and URL.
    async fn obtain(&self, name: &str) -> anyhow::Result<(CertificateKey, String)> {
        let order = self.client.ready_order(&[name], self.web).await?;
        let (key, csr) = csr(&[name])?;
        self.client.post(&order.finalize()?, &json!({ "csr": csr })).await?.expect(200)?;
        let order = self.client.expect_status(&order.url, "valid").await?;
        Ok((key, order.certificate()?))
    }

    async fn revocation_by_key(&mut self) -> anyhow::Result<()> {
        let (key, url) = self.obtain("by-key.example.com").await?;
        let chain = Chain::parse(&strict(&self.client.post_as_get(&url).await?.text()))?;
        let key = AccountKey::try_from(&key)?;
        let by_key = RawClient::connect(&self.directory, &self.trust, key).await?;
        let reply = by_key.post("revokeCert", &revocation(&chain.leaf_base64url()?, 1)).await;
        self.note("revokeCert by the certificate's key", reply)?;
        let reply = self.client.post_as_get(&url).await;
        self.note("a certificate that is revoked", reply)?;
        Ok(())
    }
}

fn revocation(certificate: &str, reason: u8) -> Value {
    json!({ "certificate": certificate, "reason": reason })
}

/// A chain as we would send it; the line between certificates that RFC 8555 §9.1 allows is none of ours.
fn strict(pem: &str) -> String {
    pem.replace("\n\n", "\n")
}
