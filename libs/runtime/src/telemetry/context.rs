//! The W3C trace context, as it is carried in the envelope of an event from one role to the next.

use std::{collections::HashMap, sync::OnceLock};

use opentelemetry::{
    Context,
    propagation::TextMapPropagator as _,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The name of the field (W3C Trace Context §3.2).
const TRACEPARENT: &str = "traceparent";

/// The `traceparent` of the current span; none where nothing is traced.
pub fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    let flags = span.trace_flags().to_u8();
    span.is_valid().then(|| format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()))
}

/// The share of traces that this process samples; set when telemetry starts.
pub(super) static SAMPLING_RATIO: OnceLock<f64> = OnceLock::new();

/// Makes the span part of the trace of an order, whose id are the order's own random bits: whatever request or worker
/// touches the order joins the same trace without being told. To be called before the span is entered.
pub fn set_order_trace(span: &Span, random_bits: [u8; 16]) {
    let [a, b, c, d, e, f, g, h, ..] = random_bits;
    // The root of the trace is the order itself, which no process sends as a span.
    let root = SpanId::from_bytes([a, b, c, d, e, f, g, h]);
    let ratio = SAMPLING_RATIO.get().copied().unwrap_or(0.0);
    let is_sampled = is_sampled(random_bits, ratio);
    let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    let trace = TraceId::from_bytes(random_bits);
    let parent = SpanContext::new(trace, root, flags, true, TraceState::default());
    if parent.is_valid() {
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Decides by the trace's id alone, so that every process decides alike and an order is sampled whole or not at all.
fn is_sampled(trace: [u8; 16], ratio: f64) -> bool {
    let [.., a, b, c, d] = trace;
    f64::from(u32::from_be_bytes([a, b, c, d])) < ratio * f64::from(u32::MAX) || ratio >= 1.0
}

/// Makes the span continue the trace of a `traceparent` that we wrote; to be called before the span is entered.
///
/// A text that is not a `traceparent`, and a span that is not traced, are left as they are: a trace is never worth
/// failing for.
pub fn set_parent(span: &Span, traceparent: &str) {
    let context = context_of(traceparent);
    if context.span().span_context().is_valid() {
        let _ = span.set_parent(context);
    }
}

/// Links the span with the one that a client's `traceparent` names. It does not become the parent: a client would decide
/// then what is sampled, and an order would be in as many traces as its client has.
pub fn link_to(span: &Span, traceparent: &str) {
    let theirs = context_of(traceparent).span().span_context().clone();
    if theirs.is_valid() {
        span.add_link(theirs);
    }
}

fn context_of(traceparent: &str) -> Context {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    TraceContextPropagator::new().extract(&carrier)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trace id whose bits are spread as random ones are.
    fn trace(number: u128) -> [u8; 16] {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
    }

    #[test]
    fn the_share_that_is_sampled_is_the_one_configured() {
        for (ratio, expected) in [(0.0, 0..=0), (0.25, 2_300..=2_700), (1.0, 10_000..=10_000)] {
            let sampled = (1..=10_000).filter(|number| is_sampled(trace(*number), ratio)).count();
            assert!(expected.contains(&sampled), "{sampled} of 10000 at {ratio}");
        }
    }

    #[test]
    fn what_a_small_share_samples_a_larger_one_does_too() {
        let mut fewer = (1..=10_000).map(trace).filter(|trace| is_sampled(*trace, 0.1));
        assert!(fewer.all(|trace| is_sampled(trace, 0.2)));
    }
}
