//! CRLs as the signer published them (RFC 5280 §5), over the same listener.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use domain::CrlName;
use eventstore::{CallError, Calls, CrlAnswer, Service};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use http::{StatusCode, header};
use readmodel::{Crl, ReadModel, Unavailable};

use crate::{Api, Ports, problem::Refusal, reply::Reply};

/// Short, so that a revocation is seen soon; the CRL itself says how long it is valid.
const MAX_AGE: &str = "public, max-age=300";
/// For how long a CRL that was read is sent without reading it again.
const KEPT_FOR: Duration = Duration::from_secs(1);
/// How many are kept; names that no CRL has are dropped first.
const MAX_KEPT: usize = 4096;

/// The CRLs that were read a moment ago, or are being read. Each may have many megabytes, all requests share one connection to
/// Redis, and anybody may ask as often as they like.
#[derive(Default)]
pub(crate) struct Kept(Mutex<HashMap<CrlName, (Instant, Reading)>>);

/// A read that all who want the CRL wait for; `None` when no CRL of that name is published.
type Reading = Shared<BoxFuture<'static, Result<Option<Arc<Crl>>, Arc<Missed>>>>;

/// Why it is not known now whether there is a CRL of the name, or what it is.
#[derive(Debug, thiserror::Error)]
enum Missed {
    #[error("the read model failed")]
    View(#[source] Unavailable),
    #[error("nobody says whether there is such a CRL")]
    Call(#[source] CallError),
    #[error("the signer's answer is none")]
    Answer,
    #[error("the read model lost the CRL, and the signer puts it back")]
    Lost,
}

pub(crate) async fn read(api: &Api, name: &CrlName) -> Result<Reply, Refusal> {
    let reading = api.kept_crls.reading(&api.ports, name, Instant::now());
    let crl = reading.await.map_err(|error| Refusal::Unavailable(error.into()))?;
    let der = octets(crl.ok_or(Refusal::NotFound)?);
    Ok(Reply::body(StatusCode::OK, "application/pkix-crl", der)
        .with(header::CACHE_CONTROL, MAX_AGE))
}

impl Kept {
    fn reading(&self, ports: &Ports, name: &CrlName, now: Instant) -> Reading {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |(begun, reading): &(Instant, Reading)| {
            now.duration_since(*begun) < KEPT_FOR && !matches!(reading.peek(), Some(Err(_)))
        };
        if let Some((_, reading)) = kept.get(name).filter(|found| is_good(found)) {
            return reading.clone();
        }
        let (views, calls) = (Arc::clone(&ports.aggregates.views), Arc::clone(&ports.calls));
        let wanted = name.clone();
        let reading = async move { find(&*views, &*calls, &wanted).await.map_err(Arc::new) };
        let reading = reading.boxed().shared();
        if kept.len() >= MAX_KEPT {
            kept.retain(|_, found| is_good(found) && !matches!(found.1.peek(), Some(Ok(None))));
        }
        if kept.len() < MAX_KEPT {
            kept.insert(name.clone(), (now, reading.clone()));
        }
        reading
    }
}

/// The CRL; if it is not in the read model, which may have lost it, the signer knows whether there is one.
async fn find(
    views: &dyn ReadModel,
    calls: &dyn Calls,
    name: &CrlName,
) -> Result<Option<Arc<Crl>>, Missed> {
    if let Some(crl) = views.crl(name).await.map_err(Missed::View)? {
        return Ok(Some(crl));
    }
    let answered = calls.call(Service::Crl, name.to_string().into_bytes()).await;
    match CrlAnswer::from_octets(&answered.map_err(Missed::Call)?) {
        Some(CrlAnswer::Published) => Err(Missed::Lost),
        Some(CrlAnswer::Unknown) => Ok(None),
        None => Err(Missed::Answer),
    }
}

/// A CRL's octets, shared by all who read them: clients that read slowly have no copies of their own.
fn octets(crl: Arc<Crl>) -> Bytes {
    struct Der(Arc<Crl>);
    impl AsRef<[u8]> for Der {
        fn as_ref(&self) -> &[u8] {
            &self.0.der
        }
    }
    Bytes::from_owner(Der(crl))
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;

    use super::*;

    #[test]
    fn the_octets_of_a_crl_are_there_once() {
        let next_update = Timestamp::from_unix_seconds(1);
        let crl = Arc::new(Crl { der: vec![1; 100], number: 1, next_update });
        assert_eq!(octets(Arc::clone(&crl)).as_ptr(), crl.der.as_ptr());
    }
}
