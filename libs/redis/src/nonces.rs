//! Nonces: made here, without asking Redis; redeemed there.

use acme::{
    Nonces, NoncesUnavailable, Redeemed,
    nonce::{NonceParts, minute_of},
};
use async_trait::async_trait;
use domain::ProfileName;

use crate::{RedisStore, exchange::now, fault::Fault};

#[async_trait]
impl Nonces for RedisStore {
    async fn issue(&self, profile: &ProfileName) -> Result<String, NoncesUnavailable> {
        let epoch = self.epoch().await?;
        let (minute, counter) = self.counter.take(minute_of(now())).ok_or(Fault::Exhausted)?;
        let parts = NonceParts { epoch: epoch.id.0, node: self.node, minute, counter };
        epoch.sealer.seal(profile, &parts)
    }

    async fn redeem(
        &self,
        profile: &ProfileName,
        nonce: &str,
    ) -> Result<Redeemed, NoncesUnavailable> {
        Ok(self.exchange(Some((profile, nonce)), &[]).await?.nonce)
    }
}
