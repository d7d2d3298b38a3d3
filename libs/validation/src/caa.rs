//! CAA: whether the owner of a name lets this CA issue for it (RFC 8659, RFC 8657).
//!
//! It is asked for every name right after control was proven, and again before issuance when that is too long ago.
//! Whatever cannot be looked up or understood forbids issuance: who can disturb the lookup must not gain by it.

mod issue_value;
mod rules;

use domain::{CaaEvidence, ChallengeType, DnsName, Failure, FailureKind};

use self::rules::Issuance;
pub(crate) use self::rules::Property;
use crate::{observed::Observed, resolver::Resolver};

/// Who wants a certificate for a name, as CAA records may restrict it.
#[derive(Clone, Copy, Debug)]
pub struct CaaQuestion<'a> {
    /// The name, without a leading `*.`.
    pub name: &'a DnsName,
    /// Whether every name below it is asked for.
    pub wildcard: bool,
    /// How control was proven.
    pub challenge: ChallengeType,
    /// The URL of the account that asks.
    pub account_url: &'a str,
}

/// Climbs from the name towards the root until a name has CAA records, and checks that these permit issuance.
pub(crate) async fn check(
    resolver: &Resolver,
    identities: &[String],
    question: CaaQuestion<'_>,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let CaaQuestion { name, wildcard, challenge, account_url } = question;
    let issuance = Issuance { identities, wildcard, challenge, account_url };
    let mut owner = name.base().canonical();
    loop {
        let found = resolver.caa(&owner, observed).await?;
        if !found.properties.is_empty() {
            let permitted = rules::permitted(&found.properties, issuance);
            observed.caa(CaaEvidence {
                found_at: Some(owner.clone()),
                records: found.properties.iter().map(ToString::to_string).collect(),
                dnssec: found.dnssec,
            });
            return permitted.map_err(|forbidden| {
                let detail = format!("the CAA records of {owner} forbid issuance: {forbidden}");
                Failure::new(FailureKind::Caa, &detail)
            });
        }
        match owner.split_once('.') {
            Some((_, parent)) => owner = parent.to_owned(),
            // RFC 8659 §3: the root itself is not asked.
            None => break,
        }
    }
    observed.caa(CaaEvidence::default());
    Ok(())
}

/// The CAA records of one name.
pub(crate) struct Found {
    /// What they say.
    pub(crate) properties: Vec<Property>,
    /// Whether DNSSEC proved them; absent where that is not checked.
    pub(crate) dnssec: Option<String>,
}
