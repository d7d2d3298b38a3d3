//! The way of many orders from place to certificate while a seed lets everything go wrong that can: lost
//! acknowledgements, conflicts, duplicates, redelivery, delays, a read model that fails and forgets, and crashes.
//!
//! A seed decides the fate of the n-th use of each port by each process for each order, so a run can be repeated:
//! `CERTMILL_SEED=17 cargo nextest run -p signer simulation`. Threads of the store and the journal are the operating
//! system's, so a rare failure may need its seed more than once.

mod applicants;
mod seed;
mod validating;
mod world;

use std::time::Duration;

use ca::KeyAlgorithm;
use seed::Seed;
use tokio::time::timeout;
use world::{ORDER_SHARDS, World};

use crate::workshop::Workshop;

/// How many seeds are run each time, and by `make nightly`.
const SEEDS: u64 = 100;
const NIGHTLY_SEEDS: u64 = 3000;
/// Longer than any seed takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

async fn check(
    algorithm: KeyAlgorithm,
    signers: &[&'static str],
    seeds: impl Iterator<Item = u64>,
) {
    for number in seeds {
        let _shown = ShownWhenPanicking(number);
        let (mut workshop, seed) = (Workshop::new(algorithm), Seed::new(number));
        workshop.config.event_log.order_shards = ORDER_SHARDS;
        let world = World::new(&workshop, seed, signers);
        if timeout(PATIENCE, world.run()).await.is_err() {
            panic!("not at its end: {}", world.story().await);
        }
    }
}

/// All seeds, or the one of `CERTMILL_SEED`.
fn seeds() -> impl Iterator<Item = u64> {
    let only = std::env::var("CERTMILL_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let is_nightly = std::env::var("CERTMILL_NIGHTLY").is_ok_and(|nightly| nightly == "1");
    let all = 1..=if is_nightly { NIGHTLY_SEEDS } else { SEEDS };
    only.map_or(all, |only| only..=only)
}

/// Says how to repeat what failed.
struct ShownWhenPanicking(u64);

impl Drop for ShownWhenPanicking {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with CERTMILL_SEED={}", self.0);
        }
    }
}

#[tokio::test]
async fn whatever_fails_an_order_gets_one_certificate_of_an_ecdsa_ca() {
    check(KeyAlgorithm::EcdsaP256, &["signer"], seeds()).await;
}

#[tokio::test]
async fn whatever_fails_an_order_gets_one_certificate_of_an_ed25519_ca() {
    check(KeyAlgorithm::Ed25519, &["signer"], seeds()).await;
}

#[tokio::test]
async fn whatever_fails_an_order_gets_one_certificate_from_two_ecdsa_signers() {
    check(KeyAlgorithm::EcdsaP256, &["first", "second"], seeds()).await;
}

#[tokio::test]
async fn whatever_fails_an_order_gets_one_certificate_from_two_ed25519_signers() {
    check(KeyAlgorithm::Ed25519, &["first", "second"], seeds()).await;
}

/// Once, a reader that missed a view showed what it had folded although it could not write it, and the next reader
/// found the older view.
#[tokio::test]
async fn seed_4_shows_no_reader_what_it_could_not_write() {
    check(KeyAlgorithm::EcdsaP256, &["signer"], std::iter::once(4)).await;
    check(KeyAlgorithm::Ed25519, &["signer"], std::iter::once(4)).await;
}
