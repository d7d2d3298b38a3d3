//! What must be true of every log: no serial twice, no order with two certificates, nothing signed that was not reserved.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use serde_json::Value;

/// Checks all events of a log.
pub(crate) fn check(events: &[Value]) -> anyhow::Result<()> {
    let mut reserved = BTreeSet::new();
    let mut signed = BTreeSet::new();
    let mut certificates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in events {
        let data = &event["data"];
        let serial = data["serial"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str() {
            Some("SerialReserved") => {
                ensure!(reserved.insert(serial), "a serial was reserved twice: {event}");
            }
            Some("CertificateSigned") => {
                ensure!(reserved.contains(&serial), "a serial was not reserved: {event}");
                // The same certificate may be recorded again after a crash.
                signed.insert((serial, data["certificate"].to_string()));
            }
            Some("CertificateIssued") => {
                let order = event["subject"].to_string();
                certificates.entry(order).or_default().insert(serial);
            }
            _ => {}
        }
    }
    let serials: BTreeSet<&String> = signed.iter().map(|(serial, _)| serial).collect();
    ensure!(serials.len() == signed.len(), "one serial is on two certificates");
    let two = certificates.iter().find(|(_, serials)| serials.len() > 1);
    ensure!(two.is_none(), "an order has two certificates: {two:?}");
    Ok(())
}

/// Checks that each order was told of its certificate once. The ledger may say a thing again, byte for byte the same,
/// when it was asked to while its server stopped.
pub(crate) fn check_told_once(events: &[Value]) -> anyhow::Result<()> {
    let mut told = BTreeSet::new();
    for event in events.iter().filter(|event| event["type"] == "CertificateIssued") {
        ensure!(told.insert(event["subject"].to_string()), "told twice: {event}");
    }
    Ok(())
}
