//! The addresses of a name: IPv6 and IPv4 at once, and no long wait for an answer about IPv6 that may never come.
//!
//! Some servers drop questions for AAAA. The name has an IPv4 address then and perhaps an IPv6 one: it is gone on with the former
//! (RFC 8305 §3), and the latter is still tried where that leads nowhere.

use std::{
    net::{IpAddr, Ipv4Addr},
    pin::pin,
    time::Duration,
};

use domain::{DnsName, Failure};
use futures::future::{BoxFuture, Either, FutureExt as _, select};
use hickory_resolver::proto::rr::RecordType;
use tokio::time::timeout;

use super::{Resolver, answer::Answer, failure::LookupError};
use crate::observed::Observed;

/// How many addresses of one answer are looked at.
const MAX_ADDRESSES: usize = 32;
/// For how long an answer about IPv6 is waited for after that about IPv4. RFC 8305 has 50 ms for who may choose either; IPv6 is
/// preferred here, and the resolver has the time to ask the zone's servers a second time.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// Where a name is.
pub(crate) struct Addresses<'a> {
    /// The addresses that are known, IPv6 first; at least one.
    pub(crate) known: Vec<IpAddr>,
    /// The IPv6 addresses, where no answer about them came in time.
    pub(crate) late: Option<LateAddresses<'a>>,
}

/// A lookup that goes on.
pub(crate) struct LateAddresses<'a>(BoxFuture<'a, Result<Answer, LookupError>>);

impl Resolver {
    /// Looks up the addresses of a name.
    pub(crate) async fn addresses(
        &self,
        name: &DnsName,
        observed: &mut Observed,
    ) -> Result<Addresses<'_>, Failure> {
        let owner = name.canonical();
        if self.answers_itself(&owner) {
            return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)].into());
        }
        let asked = owner.clone();
        let v6 = async move { self.lookup(&asked, RecordType::AAAA).await }.boxed();
        let (v6, v4) = match select(v6, pin!(self.lookup(&owner, RecordType::A))).await {
            Either::Left((v6, v4)) => (v6, v4.await),
            Either::Right((Ok(v4), mut v6)) if !self.validates(&owner) => {
                match timeout(LATE_AFTER, &mut v6).await {
                    Ok(v6) => (v6, Ok(v4)),
                    Err(_) => {
                        let known = addresses(&v4, observed);
                        observed.unanswered(&owner, RecordType::AAAA, LATE_AFTER);
                        return Ok(Addresses { known, late: Some(LateAddresses(v6)) });
                    }
                }
            }
            // Nothing to go on with; or the answer may be one that fails DNSSEC.
            Either::Right((v4, v6)) => (v6.await, v4),
        };
        let found = [&v6, &v4].into_iter().flatten();
        let known: Vec<IpAddr> = found.flat_map(|answer| addresses(answer, observed)).collect();
        // Where those that are known lead nowhere, one that could not be asked for may have led to the applicant.
        for error in [&v6, &v4].into_iter().filter_map(|answer| answer.as_ref().err()) {
            error.note(observed);
        }
        match LookupError::of_both(v6.err(), v4.err()) {
            // An answer that fails DNSSEC is an attack or a fault of the zone: the other family must not hide it.
            Some(error) if error.is_untrusted() => Err(error.failure("address", &owner, observed)),
            _ if known.is_empty() && self.is_loopback(&owner) => {
                Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)].into())
            }
            Some(error) if known.is_empty() => Err(error.failure("address", &owner, observed)),
            None if known.is_empty() => {
                Err(LookupError::NoRecords.failure("address", &owner, observed))
            }
            _ => Ok(known.into()),
        }
    }
}

impl LateAddresses<'_> {
    /// Waits for the end of the lookup: no answer, or none that can be used, is no address.
    pub(crate) async fn wait(self, observed: &mut Observed) -> Vec<IpAddr> {
        match self.0.await {
            Ok(answer) => addresses(&answer, observed),
            Err(error) => {
                error.note(observed);
                Vec::new()
            }
        }
    }
}

impl From<Vec<IpAddr>> for Addresses<'_> {
    fn from(known: Vec<IpAddr>) -> Self {
        Self { known, late: None }
    }
}

/// The addresses of an answer, which is noted.
fn addresses(answer: &Answer, observed: &mut Observed) -> Vec<IpAddr> {
    answer.observe(observed);
    let all = answer.records.iter().filter_map(|record| record.data.ip_addr());
    all.take(MAX_ADDRESSES).collect()
}
