//! Random ids and tokens.

use acme::base64url;
use domain::{OrderId, PreAuthorizationId};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::problem::Refusal;

/// A challenge token of 256 random bits; RFC 8555 §8.1 asks for 128.
pub(crate) fn token() -> Result<String, Refusal> {
    random::<32>().map(|bytes| base64url::encode(&bytes))
}

/// A new order's id in a random shard.
pub(crate) fn order_id(shards: u8) -> Result<OrderId, Refusal> {
    let [shard] = random::<1>()?;
    Ok(OrderId::new(shard % shards.max(1), &random()?))
}

/// A new pre-authorization's id.
pub(crate) fn pre_authorization_id() -> Result<PreAuthorizationId, Refusal> {
    random().map(|bytes| PreAuthorizationId::from_random(&bytes))
}

/// An id by which a request is found in the logs and the event log.
pub(crate) fn request_id() -> Result<String, Refusal> {
    random::<12>().map(|bytes| base64url::encode(&bytes))
}

fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Refusal::Internal("no random numbers".into()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every bit is sometimes set and sometimes not.
    fn is_random<const N: usize>(make: impl Fn() -> [u8; N]) -> bool {
        let made: Vec<[u8; N]> = (0..100).map(|_| make()).collect();
        let joined = |join: fn(u8, u8) -> u8, first| {
            let octets = (0..N).map(|at| made.iter().map(|it| it[at]).fold(first, join));
            octets.collect::<Vec<_>>()
        };
        joined(|a, b| a | b, 0) == [0xff; N] && joined(|a, b| a & b, 0xff) == [0; N]
    }

    #[test]
    fn every_bit_of_tokens_and_ids_is_random() {
        assert!(is_random::<32>(|| base64url::decode(&token().unwrap())
            .unwrap()
            .try_into()
            .unwrap()));
        assert!(is_random(|| order_id(1).unwrap().random_bits()));
        let pre_authorization = || pre_authorization_id().unwrap().to_string();
        assert!(is_random::<16>(|| {
            base64url::decode(&pre_authorization()).unwrap().try_into().unwrap()
        }));
    }

    #[test]
    fn new_orders_are_spread_over_all_shards() {
        let shards: BTreeSet<String> =
            (0..500).map(|_| order_id(3).unwrap().as_str()[..2].to_owned()).collect();
        assert_eq!(shards.into_iter().collect::<Vec<_>>(), ["00", "01", "02"]);
    }
}
