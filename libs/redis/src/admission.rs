//! Admission: the one round trip of a request.

use acme::NoncesUnavailable;
use async_trait::async_trait;
use domain::{AccountId, OrderId, ProfileName};
use readmodel::{Admission, Admitted};

use crate::{
    RedisStore,
    views::{read_account, read_order, wanted_order},
};

#[async_trait]
impl Admission for RedisStore {
    async fn admit(
        &self,
        nonce: (&ProfileName, &str),
        account: Option<&AccountId>,
        order: Option<&OrderId>,
    ) -> Result<Admitted, NoncesUnavailable> {
        let wanted = account.map(|id| self.wanted_account(id)).into_iter();
        let wanted: Vec<_> = wanted.chain(order.map(wanted_order)).collect();
        let answer = self.exchange(Some(nonce), &wanted).await?;
        let mut values = answer.values.iter();
        let mut next = || values.next().and_then(Option::as_ref);
        Ok(Admitted {
            nonce: answer.nonce,
            account: account.and_then(|_| read_account(&answer.epoch, next())),
            order: order.and_then(|_| read_order(&answer.epoch, next())),
        })
    }
}
