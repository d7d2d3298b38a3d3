//! The read model: views of the current epoch, and by delegation indexes and CRLs.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    AccountId, CrlName, OrderId, PreAuthorizationId, Serial, account, order, pre_authorization,
};
use eventstore::{Sequence, Stream};
use readmodel::{
    CertificateEntry, Crl, Lookup, OrderEntry, OrdersPage, OrdersQuery, ReadModel, Unavailable,
    View, view,
};

use crate::{
    RedisStore,
    epoch::Epoch,
    exchange::{Record, Wanted, now},
    fault::Fault,
    key,
    stamp::{Stamped, Tag, Version},
};

#[async_trait]
impl ReadModel for RedisStore {
    async fn account(&self, id: &AccountId) -> Result<Option<View<account::State>>, Unavailable> {
        // It is kept for longer only when the account itself comes.
        let wanted = Wanted { key: key::account(id), keep: None };
        let answer = self.exchange(None, &[wanted]).await?;
        let value = answer.values.first().and_then(Option::as_ref);
        Ok(read_account(&answer.epoch, value))
    }

    async fn put_account(&self, account: &View<account::State>) -> Result<(), Unavailable> {
        let body = view::encode_account(&account.state).map_err(Fault::Encode)?;
        let key = key::account(&account.state.id);
        self.put_view(key, account.sequence, body, self.options.keep_account).await
    }

    async fn order(&self, id: &OrderId) -> Result<Option<View<order::State>>, Unavailable> {
        let answer = self.exchange(None, &[wanted_order(id)]).await?;
        let value = answer.values.first().and_then(Option::as_ref);
        Ok(read_order(&answer.epoch, value))
    }

    fn recent_order(&self, id: &OrderId, at_least: Sequence) -> Option<View<order::State>> {
        self.recent.find(id, at_least)
    }

    async fn put_order(&self, order: &View<order::State>) -> Result<(), Unavailable> {
        let body = view::encode_order(&order.state).map_err(Fault::Encode)?;
        let open = match order.state.progress {
            order::Progress::Open | order::Progress::Processing(_) => {
                now().until(order.state.expires_at)
            }
            order::Progress::Valid { .. } | order::Progress::Invalid { .. } => Duration::ZERO,
        };
        let key = key::order(&order.state.id);
        self.recent.keep(order);
        let put = self.put_view(key, order.sequence, body, open + self.options.keep_order).await;
        if put.is_err() {
            // Who is asked to write it again must not think that it is there.
            self.recent.forget(&order.state.id);
        }
        put
    }

    async fn pre_authorization(
        &self,
        id: &PreAuthorizationId,
    ) -> Result<Option<View<pre_authorization::State>>, Unavailable> {
        let wanted = Wanted { key: key::pre_authorization(id), keep: None };
        let answer = self.exchange(None, &[wanted]).await?;
        let value = answer.values.first().and_then(Option::as_ref);
        let decode = view::decode_pre_authorization;
        Ok(value.and_then(|value| read_view(&answer.epoch, value, decode)))
    }

    async fn put_pre_authorization(
        &self,
        view: &View<pre_authorization::State>,
    ) -> Result<(), Unavailable> {
        let body = view::encode_pre_authorization(&view.state).map_err(Fault::Encode)?;
        let keep = now().until(view.state.expires_at) + self.options.keep_order;
        let key = key::pre_authorization(&view.state.id);
        self.put_view(key, view.sequence, body, keep).await
    }

    async fn certificate(&self, serial: &Serial) -> Result<Lookup<CertificateEntry>, Unavailable> {
        Ok(self.find_certificate(serial).await?)
    }

    async fn put_certificates(&self, entries: &[CertificateEntry]) -> Result<(), Unavailable> {
        Ok(self.index_certificates(entries).await?)
    }

    async fn orders_page(&self, query: &OrdersQuery<'_>) -> Result<OrdersPage, Unavailable> {
        Ok(self.list_orders(query).await?)
    }

    async fn put_order_entries(&self, entries: &[OrderEntry]) -> Result<(), Unavailable> {
        Ok(self.index_orders(entries).await?)
    }

    async fn complete_to(&self, stream: Stream) -> Result<Sequence, Unavailable> {
        Ok(self.read_marker(stream).await?)
    }

    async fn mark_complete(&self, stream: Stream, sequence: Sequence) -> Result<(), Unavailable> {
        Ok(self.write_marker(stream, sequence).await?)
    }

    async fn crl(&self, name: &CrlName) -> Result<Option<Arc<Crl>>, Unavailable> {
        let value = self.read(key::crl(name)).await?;
        Ok(value.as_deref().and_then(read_crl).map(Arc::new))
    }

    async fn put_crl(&self, name: &CrlName, crl: &Crl) -> Result<(), Unavailable> {
        let body = [&crl.next_update.unix_millis().to_be_bytes(), crl.der.as_slice()].concat();
        let version = Version { sequence: crl.number, schema: CRL_SCHEMA };
        let record = Record { key: key::crl(name), version, body, keep: None };
        Ok(self.write_timeless(record).await?)
    }

    async fn clear(&self) -> Result<(), Unavailable> {
        Ok(self.start_over().await?)
    }
}

/// The form a CRL is kept in: when the next is due, in milliseconds as 8 octets, then the DER.
const CRL_SCHEMA: u16 = 1;

fn read_crl(value: &[u8]) -> Option<Crl> {
    let stamped = Stamped::read(value)?;
    let (next_update, der) = stamped.body.split_first_chunk()?;
    let next_update = domain::Timestamp::from_unix_millis(i64::from_be_bytes(*next_update));
    let known = stamped.version.schema == CRL_SCHEMA;
    known.then(|| Crl { der: der.to_vec(), number: stamped.version.sequence, next_update })
}

impl RedisStore {
    pub(crate) fn wanted_account(&self, id: &AccountId) -> Wanted {
        Wanted { key: key::account(id), keep: Some(self.options.keep_account) }
    }

    async fn put_view(
        &self,
        key: String,
        sequence: Sequence,
        body: Vec<u8>,
        keep: Duration,
    ) -> Result<(), Unavailable> {
        let version = Version { sequence: sequence.0, schema: view::SCHEMA };
        Ok(self.write_view(Record { key, version, body, keep: Some(keep) }).await?)
    }
}

pub(crate) fn wanted_order(id: &OrderId) -> Wanted {
    Wanted { key: key::order(id), keep: None }
}

pub(crate) fn read_account(epoch: &Epoch, value: Option<&Vec<u8>>) -> Option<View<account::State>> {
    read_view(epoch, value?, view::decode_account)
}

pub(crate) fn read_order(epoch: &Epoch, value: Option<&Vec<u8>>) -> Option<View<order::State>> {
    read_view(epoch, value?, view::decode_order)
}

/// A view of this epoch; one of an earlier epoch is a miss, since a newer one may have been lost with that epoch.
fn read_view<S>(
    epoch: &Epoch,
    value: &[u8],
    decode: impl Fn(&[u8]) -> Option<S>,
) -> Option<View<S>> {
    let stamped = Stamped::read(value).filter(|stamped| stamped.tag == Tag::Epoch(epoch.id))?;
    let state = Arc::new(decode(stamped.body)?);
    Some(View { state, sequence: Sequence(stamped.version.sequence) })
}
