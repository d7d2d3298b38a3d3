//! One order is one trace, whichever processes its requests and its work are done in.

use acceptance::{Cluster, Collector, SentSpan};
use anyhow::Context as _;
use serde_json::Value;

use crate::town::Town;

/// An order's spans and events.
struct Trace {
    spans: Vec<SentSpan>,
    events: Vec<Value>,
}

impl Trace {
    /// Issues a certificate in a cluster that sends its traces by a protocol.
    async fn of_an_order(protocol: &str) -> anyhow::Result<Self> {
        let collector = Collector::start().await?;
        let url = match protocol {
            "grpc" => collector.grpc_url(),
            _ => collector.http_url(),
        };
        let mut town = Town::with(async |setup| {
            let setup = setup.set("telemetry.otlp_endpoint", url);
            Cluster::start(setup.set("telemetry.otlp_protocol", protocol)).await
        })
        .await?;
        town.at[0].issue(&["a.localhost"], &town.web).await?;
        let events = town.cluster.workers.events().await?;
        // The last spans are sent when a process stops.
        town.cluster.workers.stop().await?;
        for node in &mut town.cluster.api {
            node.stop().await?;
        }
        Ok(Self { spans: collector.spans()?, events })
    }

    /// Trace and span in which an event of a type was appended.
    fn cause_of(&self, kind: &str) -> anyhow::Result<(&str, &str)> {
        let event = self.events.iter().find(|event| event["type"] == kind);
        let event = event.with_context(|| format!("no {kind}"))?;
        let mut parts = event["traceparent"].as_str().context("no trace")?.split('-').skip(1);
        Ok((parts.next().context("no trace id")?, parts.next().context("no span id")?))
    }

    /// The span in which an event of a type was appended.
    fn span_of(&self, kind: &str) -> anyhow::Result<&SentSpan> {
        let (trace, id) = self.cause_of(kind)?;
        let sent = self.spans.iter().find(|span| span.trace == trace && span.id == id);
        sent.with_context(|| format!("the span of {kind} was not sent"))
    }
}

async fn one_order_is_one_tree(protocol: &str) -> anyhow::Result<()> {
    let trace = Trace::of_an_order(protocol).await?;
    let (id, _) = trace.cause_of("OrderPlaced")?;
    // Each fact, who found it in which span, and the fact that made him look.
    let story = [
        ("OrderPlaced", "api", "new-order", None),
        ("ChallengeReady", "api", "challenge", None),
        ("ChallengeValidated", "validator", "validate", Some("ChallengeReady")),
        ("OrderFinalized", "api", "finalize", None),
        ("CertificateReserved", "signer", "issue", Some("OrderFinalized")),
        ("CertificateIssued", "signer", "issue", Some("OrderFinalized")),
    ];
    for (kind, role, name, cause) in story {
        let span = trace.span_of(kind)?;
        assert_eq!((span.trace.as_str(), span.name.as_str()), (id, name), "{kind}");
        assert!(span.roles.split(',').any(|played| played == role), "{kind}: {span:?}");
        // A request's parent is the order itself: the first octets of the trace, which nobody sends as a span.
        let parent = match cause {
            Some(cause) => trace.cause_of(cause)?.1,
            None => &id[..16],
        };
        assert_eq!(span.parent, parent, "{kind}");
        let appended = trace.spans.iter().any(|one| one.name == "append" && one.parent == span.id);
        assert!(appended, "no append below {span:?}");
    }
    let stray = |span: &&SentSpan| {
        let known = |parent: &str| trace.spans.iter().any(|one| one.id == parent);
        span.trace == id && span.parent != id[..16] && !known(&span.parent)
    };
    assert_eq!(trace.spans.iter().find(stray), None, "every span has its parent");
    Ok(())
}

#[tokio::test]
async fn one_order_is_one_tree_of_spans_sent_over_http() -> anyhow::Result<()> {
    one_order_is_one_tree("http").await
}

#[tokio::test]
async fn one_order_is_one_tree_of_spans_sent_over_grpc() -> anyhow::Result<()> {
    one_order_is_one_tree("grpc").await
}
