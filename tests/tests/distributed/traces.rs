//! One order is one trace, whichever processes its requests and its work are done in.

use acceptance::{Cluster, Collector};
use anyhow::Context as _;
use serde_json::Value;

use crate::town::Town;

/// The id of the trace that an event of a type is part of.
fn trace_of(events: &[Value], kind: &str) -> anyhow::Result<String> {
    let event = events.iter().find(|event| event["type"] == kind);
    let event = event.with_context(|| format!("no {kind}"))?;
    let traceparent = event["traceparent"].as_str();
    let traceparent = traceparent.with_context(|| format!("no trace in {event}"))?;
    Ok(traceparent.split('-').nth(1).context("no trace id")?.to_owned())
}

#[tokio::test]
async fn one_order_is_one_trace_across_api_validator_and_signer() -> anyhow::Result<()> {
    let collector = Collector::start().await?;
    let url = collector.url();
    let mut town =
        Town::with(async |setup| Cluster::start(setup.set("telemetry.otlp_endpoint", url)).await)
            .await?;
    town.at[0].issue(&["a.localhost"], &town.web).await?;
    let events = town.cluster.workers.events().await?;
    // The last spans are sent when a process stops.
    town.cluster.workers.stop().await?;
    for node in &mut town.cluster.api {
        node.stop().await?;
    }
    let trace = trace_of(&events, "OrderPlaced")?;
    for kind in [
        "ChallengeReady",
        "ChallengeValidated",
        "OrderFinalized",
        "CertificateReserved",
        "CertificateIssued",
    ] {
        assert_eq!(trace_of(&events, kind)?, trace, "{kind}");
    }
    for role in ["api", "validator", "signer"] {
        assert!(collector.has(role, &trace), "no span of the {role}");
    }
    Ok(())
}
