//! Why a lookup gave no records, in words an applicant can act on.

use domain::{Failure, FailureKind};
use hickory_resolver::{
    net::{DnsError, NetError, NoRecords},
    proto::{
        op::ResponseCode,
        rr::{Name, RecordType},
    },
};

use crate::{Exhausted, observed::Observed};

/// Why a lookup gave no records; ordered by how much it says, the most telling last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LookupError {
    /// The name exists, but has no such records.
    NoRecords,
    /// The name does not exist.
    NoSuchName,
    /// The answer could not be understood.
    Malformed,
    /// The resolver names servers that may know, as one that does not ask for others does.
    Referral,
    /// There are more records than are looked at.
    TooMany,
    /// Its CNAMEs lead further than they are followed.
    TooManyAliases,
    /// Nobody answered the connection attempt.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The resolver does not answer such queries.
    Refused,
    /// The resolver failed, most often because the zone's servers do.
    ServerFailure,
    /// The name is no valid DNS name once the label of the challenge stands before it.
    NameTooLong,
    /// This machine had nothing left to ask with.
    Exhausted(Exhausted),
    /// The answer is not proven by DNSSEC where it has to be.
    Unproven,
    /// The answer fails DNSSEC validation.
    Bogus,
}

impl LookupError {
    /// Whether the answer itself is not to be trusted, so that no other answer may stand in for it.
    pub(super) fn is_untrusted(self) -> bool {
        matches!(self, Self::Unproven | Self::Bogus)
    }

    /// The error that explains best why two lookups failed; absent when neither did.
    pub(super) fn of_both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        one.max(other)
    }

    /// Notes what this machine had none left of, if that is why.
    pub(super) fn note(self, observed: &mut Observed) {
        if let Self::Exhausted(exhausted) = self {
            observed.note_exhausted(exhausted);
        }
    }

    /// Tells the applicant, and the caller where the applicant is not meant.
    pub(super) fn failure(self, records: &str, owner: &str, observed: &mut Observed) -> Failure {
        self.note(observed);
        let reason = match self {
            Self::NoRecords => return dns(&format!("DNS has no {records} records for {owner}")),
            Self::NoSuchName => return dns(&format!("DNS has no name {owner} (NXDOMAIN)")),
            Self::Referral => "the resolver only refers to other servers",
            Self::TooMany => "there are too many of them",
            Self::TooManyAliases => "too many CNAMEs lead there, or they lead in a circle",
            Self::Malformed => "the answer could not be understood",
            Self::Unreachable | Self::Exhausted(_) => "the resolver could not be reached",
            Self::Timeout => "no answer came in time",
            Self::Refused => "the resolver answered REFUSED",
            Self::ServerFailure => {
                "the resolver answered SERVFAIL; the zone's servers may be at fault"
            }
            Self::NameTooLong => "the name is too long",
            Self::Unproven => "the answer is not proven by DNSSEC, which is required here",
            Self::Bogus => "the answer fails DNSSEC validation",
        };
        dns(&format!("the lookup of {records} records for {owner} failed: {reason}"))
    }
}

fn dns(detail: &str) -> Failure {
    Failure::new(FailureKind::Dns, detail)
}

impl From<&NetError> for LookupError {
    fn from(error: &NetError) -> Self {
        match error {
            NetError::Dns(error) => error.into(),
            NetError::Timeout => Self::Timeout,
            NetError::Io(error) => Exhausted::of(error).map_or(Self::Unreachable, Self::Exhausted),
            NetError::NoConnections | NetError::Busy => Self::Unreachable,
            _ => Self::Malformed,
        }
    }
}

impl From<&DnsError> for LookupError {
    fn from(error: &DnsError) -> Self {
        match error {
            DnsError::NoRecordsFound(none) if is_referral(none) => Self::Referral,
            DnsError::NoRecordsFound(none) => Self::denial(none.response_code),
            DnsError::Nsec { response, proof, .. } if !proof.is_bogus() => {
                Self::denial(response.response_code)
            }
            DnsError::Nsec { .. } | DnsError::DnssecBogus => Self::Bogus,
            DnsError::ResponseCode(ResponseCode::NXDomain) => Self::NoSuchName,
            DnsError::ResponseCode(ResponseCode::ServFail) => Self::ServerFailure,
            DnsError::ResponseCode(ResponseCode::Refused) => Self::Refused,
            _ => Self::Malformed,
        }
    }
}

impl LookupError {
    /// Why a lookup that was checked against a trust anchor gave no records. The library takes a denial for proven when
    /// all records that came with it are of an unsigned zone, whichever that is.
    pub(super) fn of_validated(error: &NetError) -> Self {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) if !is_denied_by_its_zone(none) => {
                Self::Bogus
            }
            error => error.into(),
        }
    }

    fn denial(code: ResponseCode) -> Self {
        match code {
            ResponseCode::NXDomain => Self::NoSuchName,
            ResponseCode::ServFail => Self::ServerFailure,
            ResponseCode::Refused => Self::Refused,
            ResponseCode::NoError => Self::NoRecords,
            _ => Self::Malformed,
        }
    }
}

/// The name that is said to have no records, without a word of its zone (RFC 2308 §2.2).
pub(super) fn unproven_end(error: &NetError) -> Option<&Name> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if none.response_code == ResponseCode::NoError && none.soa.is_none() =>
        {
            Some(none.query.name())
        }
        _ => None,
    }
}

/// Whether servers are named in place of records (RFC 2308 §2.2.1): what they would say nobody knows.
fn is_referral(none: &NoRecords) -> bool {
    none.response_code == ResponseCode::NoError && none.soa.is_none() && none.ns.is_some()
}

/// Whether what denies records is proven, or the start of a zone that the name is in (RFC 2308 §2): one that is not signed,
/// because an unsigned record of a signed zone is bogus.
fn is_denied_by_its_zone(none: &NoRecords) -> bool {
    let holds_it = |zone: &Name| zone.zone_of(none.query.name());
    let mut records = none.authorities.iter().flat_map(|records| records.iter());
    none.soa.as_ref().is_some_and(|start| holds_it(&start.name))
        || records.any(|record| match record.record_type() {
            RecordType::SOA => holds_it(&record.name),
            RecordType::NSEC | RecordType::NSEC3 => record.proof.is_secure(),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_telling_of_two_errors_is_reported() {
        let both = LookupError::of_both(Some(LookupError::NoRecords), Some(LookupError::Timeout));
        assert_eq!(both, Some(LookupError::Timeout));
        assert_eq!(LookupError::of_both(None, Some(LookupError::Bogus)), Some(LookupError::Bogus));
        assert_eq!(LookupError::of_both(None, None), None);
    }

    #[test]
    fn each_error_tells_name_and_reason() {
        let mut observed = Observed::new("primary", "system");
        let owner = "_acme-challenge.a.example";
        let failure = LookupError::ServerFailure.failure("TXT", owner, &mut observed);
        assert_eq!(failure.kind, FailureKind::Dns);
        assert!(failure.detail.contains("TXT records for _acme-challenge.a.example"));
        assert!(failure.detail.contains("SERVFAIL"));
    }
}
