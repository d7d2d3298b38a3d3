//! The work for a request belongs to the trace of the request, in whichever process it is done.

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
async fn a_validation_and_an_issuance_are_in_the_traces_of_their_requests() -> anyhow::Result<()> {
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
    for (request, work, role) in [
        ("ChallengeReady", "ChallengeValidated", "validator"),
        ("OrderFinalized", "CertificateIssued", "signer"),
    ] {
        let trace = trace_of(&events, request)?;
        assert_eq!(trace_of(&events, work)?, trace, "{work}");
        assert!(collector.has("api", &trace), "no span of the api for {request}");
        assert!(collector.has(role, &trace), "no span of the {role} for {request}");
    }
    Ok(())
}
