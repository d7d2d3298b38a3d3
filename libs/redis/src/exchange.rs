//! The two round trips everything is made of: read, perhaps redeeming a nonce; and write, guarded.

use std::{sync::Arc, time::Duration};

use acme::{
    Redeemed,
    nonce::{NonceParts, SPENT_LIFETIME, minute_of},
};
use domain::{ProfileName, Timestamp};
use redis::Value;
use time::OffsetDateTime;

use crate::{
    RedisStore,
    epoch::{Epoch, EpochId},
    fault::Fault,
    key,
    stamp::{Stamped, Tag, Version},
};

/// How often an epoch may end while one call is under way.
pub(crate) const MAX_EPOCHS: usize = 3;

/// A value to read.
pub(crate) struct Wanted {
    pub(crate) key: String,
    /// How long it is kept from now on; `None` leaves that as it is.
    pub(crate) keep: Option<Duration>,
}

/// What a round trip brought.
pub(crate) struct Answer {
    /// The epoch in which it was read.
    pub(crate) epoch: Arc<Epoch>,
    pub(crate) nonce: Redeemed,
    /// In the order they were asked for.
    pub(crate) values: Vec<Option<Vec<u8>>>,
}

/// A value to write.
pub(crate) struct Record {
    pub(crate) key: String,
    pub(crate) version: Version,
    pub(crate) body: Vec<u8>,
    /// How long it is kept; `None` for ever.
    pub(crate) keep: Option<Duration>,
}

pub(crate) fn now() -> Timestamp {
    OffsetDateTime::now_utc().into()
}

impl RedisStore {
    /// Reads values, and redeems a nonce in the same round trip.
    ///
    /// If the epoch has ended meanwhile, fetches the new one and asks again: nonces that other nodes issued in it are
    /// good, and the nonce that goes out with the reply belongs to it.
    pub(crate) async fn exchange(
        &self,
        nonce: Option<(&ProfileName, &str)>,
        wanted: &[Wanted],
    ) -> Result<Answer, Fault> {
        for _ in 0..MAX_EPOCHS {
            let epoch = self.epoch().await?;
            let lifetime = self.options.nonce_lifetime;
            let parts = nonce.and_then(|nonce| epoch.open(nonce, minute_of(now()), lifetime));
            let mut answer = self.ask(epoch.id, parts.as_ref(), wanted).await?.into_iter();
            let nonce = match answer.next() {
                Some(Value::Int(-1)) => {
                    self.last_seen.forget(epoch.id);
                    continue;
                }
                Some(Value::Int(0)) => Redeemed::Fresh,
                Some(Value::Int(1)) => Redeemed::Replayed,
                Some(Value::Int(2)) => Redeemed::Unknown,
                Some(_) | None => return Err(Fault::Answer),
            };
            let values = answer.map(octets).collect::<Result<Vec<_>, Fault>>()?;
            if values.len() != wanted.len() {
                return Err(Fault::Answer);
            }
            return Ok(Answer { epoch, nonce, values });
        }
        Err(Fault::Unsettled)
    }

    async fn ask(
        &self,
        epoch: EpochId,
        nonce: Option<&NonceParts>,
        wanted: &[Wanted],
    ) -> Result<Vec<Value>, Fault> {
        let (node, minute) = nonce.map_or((0, 0), |parts| (parts.node, parts.minute));
        let mut call = self.scripts.exchange.key(key::EPOCH);
        call.key(key::spent(&epoch, node, minute)).arg(epoch.to_string());
        call.arg(nonce.map_or(String::new(), |parts| parts.counter.to_string()));
        call.arg(milliseconds(Some(SPENT_LIFETIME)));
        for value in wanted {
            call.key(value.key.as_str()).arg(milliseconds(value.keep));
        }
        // A request's nonce and views come together; whatever else is read comes alone.
        let name = if nonce.is_some() { "admit" } else { "read" };
        self.link.invoke(name, &call).await
    }

    /// Reads one value.
    pub(crate) async fn read(&self, key: String) -> Result<Option<Vec<u8>>, Fault> {
        let answer = self.exchange(None, &[Wanted { key, keep: None }]).await?;
        Ok(answer.values.into_iter().next().flatten())
    }

    /// Writes a view, unless the epoch that was last seen has ended: a newer view may have been lost with it, so this
    /// one has to be folded again first.
    pub(crate) async fn write_view(&self, view: Record) -> Result<(), Fault> {
        let epoch = self.epoch().await?.id;
        let lasts = self.write_if(epoch, Tag::Epoch(epoch), &[view]).await?;
        if lasts { Ok(()) } else { Err(Fault::MemoryLost) }
    }

    /// Writes facts that are forgotten with the current epoch.
    pub(crate) async fn write_in_epoch(&self, facts: &[Record]) -> Result<(), Fault> {
        self.write_whenever(facts, Tag::Epoch).await
    }

    /// Writes a value that is true in every epoch.
    pub(crate) async fn write_timeless(&self, value: Record) -> Result<(), Fault> {
        self.write_whenever(&[value], |_| Tag::Timeless).await
    }

    async fn write_whenever(
        &self,
        records: &[Record],
        tag: impl Fn(EpochId) -> Tag,
    ) -> Result<(), Fault> {
        for _ in 0..MAX_EPOCHS {
            let epoch = self.epoch().await?.id;
            if self.write_if(epoch, tag(epoch), records).await? {
                return Ok(());
            }
        }
        Err(Fault::Unsettled)
    }

    /// Writes values only while an epoch lasts; says whether it does.
    pub(crate) async fn write_if(
        &self,
        epoch: EpochId,
        tag: Tag,
        records: &[Record],
    ) -> Result<bool, Fault> {
        let mut call = self.scripts.write.key(key::EPOCH);
        call.arg(epoch.to_string());
        for record in records {
            let value = Stamped { tag, version: record.version, body: &record.body }.write();
            call.key(record.key.as_str()).arg(value).arg(milliseconds(record.keep));
        }
        let lasts: bool = self.link.invoke("write", &call).await?;
        if !lasts {
            self.last_seen.forget(epoch);
        }
        Ok(lasts)
    }
}

/// A duration as the scripts take it; nothing stands for "as it is" or "for ever".
pub(crate) fn milliseconds(keep: Option<Duration>) -> String {
    keep.map_or(String::new(), |keep| keep.as_millis().max(1).to_string())
}

pub(crate) fn octets(value: Value) -> Result<Option<Vec<u8>>, Fault> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(octets) => Ok(Some(octets)),
        _ => Err(Fault::Answer),
    }
}
