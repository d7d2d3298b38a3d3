//! Nonces: made here, without asking Redis; redeemed there.

use acme::{
    Nonces, NoncesUnavailable, Redeemed,
    nonce::{NonceParts, minute_of},
};
use async_trait::async_trait;

use crate::{RedisStore, exchange::now, fault::Fault};

#[async_trait]
impl Nonces for RedisStore {
    async fn issue(&self) -> Result<String, NoncesUnavailable> {
        let epoch = self.last_seen.epoch(&self.link, &self.scripts).await?;
        let (minute, counter) = self.counter.take(minute_of(now())).ok_or(Fault::Exhausted)?;
        epoch.sealer.seal(&NonceParts { epoch: epoch.id.0, node: self.node, minute, counter })
    }

    async fn redeem(&self, nonce: &str) -> Result<Redeemed, NoncesUnavailable> {
        Ok(self.exchange(Some(nonce), &[]).await?.nonce)
    }
}
