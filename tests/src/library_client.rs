//! The instant-acme library as a client among others.

use std::path::Path;

use anyhow::Context as _;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, NewAccount, NewOrder, RetryPolicy,
    RevocationRequest,
};
use rustls::pki_types::CertificateDer;

use crate::{Chain, ChallengeServer, csr};

/// An account of instant-acme's.
pub struct LibraryClient(Account);

impl LibraryClient {
    /// Makes an account.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn register(directory: &str, root: &Path) -> anyhow::Result<Self> {
        let new = NewAccount {
            contact: &["mailto:admin@example.com"],
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = Account::builder_with_root(root)?;
        let (account, _) = builder.create(&new, directory.to_owned(), None).await?;
        Ok(Self(account))
    }

    /// Changes the account's key.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn change_key(&mut self) -> anyhow::Result<()> {
        // The credentials are for those who store them.
        self.0.update_key().await.map(drop)?;
        Ok(())
    }

    /// Issues a certificate for names by http-01.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn issue(&self, names: &[&str], web: &ChallengeServer) -> anyhow::Result<Chain> {
        let identifiers: Vec<_> =
            names.iter().map(|&name| Identifier::Dns(name.to_owned())).collect();
        let mut order = self.0.new_order(&NewOrder::new(&identifiers)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::Http01);
            let mut challenge = challenge.context("no http-01 challenge")?;
            web.answer(&challenge.token, challenge.key_authorization().as_str())?;
            challenge.set_ready().await?;
        }
        order.poll_ready(&RetryPolicy::default()).await?;
        let (_, csr) = csr(names)?;
        order.finalize_csr(&decode(&csr)?).await?;
        Chain::parse(&order.poll_certificate(&RetryPolicy::default()).await?)
    }

    /// Revokes a certificate of the account's.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn revoke(&self, chain: &Chain) -> anyhow::Result<()> {
        let certificate = CertificateDer::from(decode(&chain.leaf_base64url()?)?);
        let request = RevocationRequest { certificate: &certificate, reason: None };
        Ok(self.0.revoke(&request).await?)
    }
}

fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
    Ok(BASE64_URL_SAFE_NO_PAD.decode(text)?)
}
