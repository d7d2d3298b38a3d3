//! dns-01: a TXT record proves control of a zone (RFC 8555 §8.4).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use domain::{DnsName, Failure, FailureKind};
use ring::digest::{SHA256, digest};

use crate::{observed::Observed, resolver::Resolver};

/// The label under which the record stands.
const CHALLENGE_LABEL: &str = "_acme-challenge";

/// Checks that one of the TXT records is the digest of the key authorization.
pub(crate) async fn validate(
    resolver: &Resolver,
    name: &DnsName,
    key_authorization: &str,
    observed: &mut Observed,
) -> Result<(), Failure> {
    let owner = format!("{CHALLENGE_LABEL}.{}", name.base().canonical());
    let expected = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, key_authorization.as_bytes()));
    let found = resolver.txt(&owner, expected.as_bytes(), observed).await?;
    if found.iter().any(|value| value == expected.as_bytes()) {
        return Ok(());
    }
    let seen = match found.len() {
        0 => format!("no TXT record was found at {owner}"),
        1 => {
            format!("1 TXT record was found at {owner}; it is not the one this challenge asks for")
        }
        n => format!(
            "{n} TXT records were found at {owner}; none is the one this challenge asks for"
        ),
    };
    Err(Failure::new(FailureKind::IncorrectResponse, &seen))
}
