//! At which addresses a host is contacted: resolved once, checked against the policy, pinned from then on.

use std::{fmt, net::IpAddr, vec};

use domain::{DnsName, Failure, FailureKind, Identifier};

use crate::{
    NetworkPolicy, Validator,
    observed::Observed,
    resolver::{Addresses, LateAddresses},
};

/// Where an applicant's server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// At the addresses of a name.
    Name(DnsName),
    /// At an address that is itself to be proven (RFC 8738).
    Address(IpAddr),
}

/// The addresses to try, at least one: the first IPv6 and the first IPv4 address that may be contacted, in this order unless the
/// answer about IPv6 is late.
pub(crate) struct Candidates<'a> {
    policy: &'a NetworkPolicy,
    known: vec::IntoIter<IpAddr>,
    /// Waited for when none of the known ones could be connected to.
    late: Option<LateAddresses<'a>>,
}

impl<'a> Candidates<'a> {
    /// Looks a host up.
    pub(crate) async fn of(
        validator: &'a Validator,
        host: &Host,
        observed: &mut Observed,
    ) -> Result<Self, Failure> {
        let Addresses { known: mut resolved, mut late } = match host {
            Host::Name(name) => validator.resolver.addresses(name, observed).await?,
            Host::Address(address) => vec![*address].into(),
        };
        let policy = &validator.settings.policy;
        let mut candidates = permitted(policy, &resolved);
        if candidates.is_empty()
            && let Some(late) = late.take()
        {
            resolved.extend(late.wait(observed).await);
            candidates = permitted(policy, &resolved);
        }
        if candidates.is_empty() {
            return Err(denied(host, &resolved));
        }
        Ok(Self { policy, known: candidates.into_iter(), late })
    }

    /// The next address, to be tried when the one before could not be connected to.
    pub(crate) async fn next(&mut self, observed: &mut Observed) -> Option<IpAddr> {
        if let Some(known) = self.known.next() {
            return Some(known);
        }
        let late = self.late.take()?.wait(observed).await;
        permitted(self.policy, &late).into_iter().next()
    }
}

/// The first IPv6 address and the first IPv4 address that may be contacted.
fn permitted(policy: &NetworkPolicy, resolved: &[IpAddr]) -> Vec<IpAddr> {
    let canonical = resolved.iter().map(IpAddr::to_canonical);
    let mut permitted = canonical.filter(|address| policy.permits(*address));
    let v6 = permitted.clone().find(IpAddr::is_ipv6);
    let v4 = permitted.find(IpAddr::is_ipv4);
    v6.into_iter().chain(v4).collect()
}

fn denied(host: &Host, resolved: &[IpAddr]) -> Failure {
    /// Enough to recognise the mistake, too few to fill the detail.
    const MAX_SHOWN: usize = 4;
    let shown: Vec<String> = resolved.iter().take(MAX_SHOWN).map(IpAddr::to_string).collect();
    let detail = match host {
        Host::Name(name) => format!(
            "{name} has only addresses that this server does not contact: {}",
            shown.join(", ")
        ),
        Host::Address(address) => format!("this server does not contact {address}"),
    };
    Failure::new(FailureKind::Connection, &detail)
}

impl From<&Identifier> for Host {
    fn from(identifier: &Identifier) -> Self {
        match identifier {
            Identifier::Dns(name) => Self::Name(name.base()),
            Identifier::Ip(address) => Self::Address(address.address()),
        }
    }
}

/// The host as it stands in a URL.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}
