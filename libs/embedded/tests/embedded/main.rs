//! The embedded store as a whole: its promises, its speed, and what it makes of crashes and damage.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod backup;
mod contract;
mod crash;
mod damage;
mod directory;
mod feeds;
mod full_disk;
mod group_commit;
mod prune;
mod rebuild;
mod samples;
mod search;
mod unknown_keys;
mod views;
