//! Logs on standard error and, where a collector is configured, traces that span processes.

mod context;
mod export;
mod lines;

use std::{collections::BTreeSet, io, io::IsTerminal as _, time::Duration};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::{Subscriber, warn};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, ParseError},
    fmt::MakeWriter,
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use self::lines::WithTrace;

pub use self::context::{current_traceparent, link_to, set_order_trace, set_parent};
use crate::config::{self, LogFormat, Role};

/// The target of spans that only traces are interested in: where nothing is traced they are not made, and so cost nothing.
pub const DETAIL: &str = "certmill::detail";

/// How long the collector may take to accept the last traces when the process stops.
const FLUSH_PATIENCE: Duration = Duration::from_millis(1500);

/// Logs and traces that are being written; [`Telemetry::stop`] sends the last ones.
#[derive(Debug)]
#[must_use = "the last traces are lost unless it is stopped"]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Logs or traces cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of the configuration is not one.
    #[error("telemetry.log_filter is not a filter")]
    Filter(#[source] ParseError),
    /// The exporter of traces cannot be made.
    #[error("cannot send traces to telemetry.otlp_endpoint")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
    /// Something else in the process writes logs already.
    #[error("cannot install the log subscriber")]
    Subscriber(#[source] tracing_subscriber::util::TryInitError),
}

impl Telemetry {
    /// Starts to write the logs and traces of the whole process.
    ///
    /// # Errors
    /// When the configuration cannot be used or logs are being written already.
    pub fn start(
        config: &config::Telemetry,
        roles: &BTreeSet<Role>,
    ) -> Result<Self, TelemetryError> {
        let (subscriber, telemetry) = subscriber(config, roles)?;
        subscriber.try_init().map_err(TelemetryError::Subscriber)?;
        Ok(telemetry)
    }

    /// Sends what has not been sent; to be called after everything else has stopped.
    pub async fn stop(self) {
        let Some(traces) = self.traces else { return };
        // The exporter's client blocks and must not be waited for on a thread of the async runtime.
        let flushed =
            tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH_PATIENCE)).await;
        match flushed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "the last traces were not sent"),
            Err(error) => warn!(%error, "the last traces were not sent"),
        }
    }
}

fn subscriber(
    config: &config::Telemetry,
    roles: &BTreeSet<Role>,
) -> Result<(impl Subscriber + Send + Sync + use<>, Telemetry), TelemetryError> {
    context::SAMPLING_RATIO.get_or_init(|| config.sampling_ratio);
    let traces = match &config.otlp_endpoint {
        Some(endpoint) => Some(export::provider(endpoint, config, roles)?),
        None => None,
    };
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(export::SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(export::spans_of_interest())
    });
    let subscriber = tracing_subscriber::registry().with(logs(config, io::stderr)?).with(spans);
    Ok((subscriber, Telemetry { traces }))
}

fn logs<W>(
    config: &config::Telemetry,
    writer: W,
) -> Result<Box<dyn Layer<Registry> + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.log_filter).map_err(TelemetryError::Filter)?;
    let filter = filter.and(lines::discreet());
    // A full or closed standard error must not take the process down.
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).log_internal_errors(false);
    let ansi = io::stderr().is_terminal();
    Ok(match config.log_format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .map_event_format(WithTrace::json)
            .with_filter(filter)
            .boxed(),
        LogFormat::Text => lines
            .with_ansi(ansi)
            .map_event_format(|format| WithTrace::text(format, ansi))
            .with_filter(filter)
            .boxed(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::net::TcpListener;
    use tracing::{info_span, subscriber::with_default};
    use tracing_subscriber::filter::LevelFilter;
    use warp::Filter as _;

    use super::*;
    use crate::config::OtlpProtocol;

    fn config(endpoint: Option<String>) -> config::Telemetry {
        let otlp_endpoint = endpoint.map(|endpoint| endpoint.parse().unwrap());
        config::Telemetry { otlp_endpoint, ..config::Telemetry::default() }
    }

    fn contains(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|window| window == part)
    }

    /// Answers like a collector and keeps what was posted.
    async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let routes = warp::path!("v1" / "traces")
            .and(warp::post())
            .and(warp::body::content_length_limit(1 << 20))
            .and(warp::body::aggregate())
            .map(move |mut body| {
                let mut kept = kept.lock().unwrap();
                while warp::Buf::has_remaining(&body) {
                    let chunk = warp::Buf::chunk(&body).to_vec();
                    warp::Buf::advance(&mut body, chunk.len());
                    kept.extend(chunk);
                }
                warp::reply()
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        tokio::spawn(warp::serve(routes).incoming(listener).run());
        (endpoint, received)
    }

    #[tokio::test]
    async fn spans_reach_the_collector_as_one_trace() {
        const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (endpoint, received) = collector().await;
        let (subscriber, telemetry) =
            subscriber(&config(Some(endpoint)), &Role::ALL.into()).unwrap();
        let handed_on = with_default(subscriber, || {
            let span = info_span!("sign certificate", order = "07x");
            set_parent(&span, PARENT);
            span.in_scope(current_traceparent)
        });
        telemetry.stop().await;
        let handed_on = handed_on.unwrap();
        assert_eq!(handed_on[..36], PARENT[..36]);
        assert_ne!(handed_on, PARENT);
        let body = received.lock().unwrap().clone();
        assert!(contains(&body, b"sign certificate"));
        assert!(contains(&body, &0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes()));
        assert!(contains(&body, b"api,validator,signer,projector"));
    }

    #[tokio::test]
    async fn a_client_s_trace_is_a_link_and_does_not_decide_what_is_sampled() {
        const THEIRS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let (endpoint, received) = collector().await;
        let (subscriber, telemetry) =
            subscriber(&config(Some(endpoint)), &Role::ALL.into()).unwrap();
        let handed_on = with_default(subscriber, || {
            let span = info_span!("place order");
            set_order_trace(&span, [7; 16]);
            link_to(&span, THEIRS);
            span.in_scope(current_traceparent)
        });
        telemetry.stop().await;
        assert!(handed_on.unwrap().starts_with("00-07070707070707070707070707070707-"));
        let body = received.lock().unwrap().clone();
        assert!(contains(&body, b"place order"));
        assert!(contains(&body, &0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes()));
    }

    #[tokio::test]
    async fn a_collector_behind_tls_can_be_used_by_either_protocol() {
        for otlp_protocol in [OtlpProtocol::Http, OtlpProtocol::Grpc] {
            let endpoint = Some("https://collector.invalid:4317".to_owned());
            let config = config::Telemetry { otlp_protocol, ..config(endpoint) };
            assert!(subscriber(&config, &Role::ALL.into()).is_ok(), "{otlp_protocol:?}");
        }
    }

    #[tokio::test]
    async fn a_trace_that_is_not_sampled_is_handed_on_but_not_sent() {
        let (endpoint, received) = collector().await;
        let none = config::Telemetry { sampling_ratio: 0.0, ..config(Some(endpoint)) };
        let (subscriber, telemetry) = subscriber(&none, &Role::ALL.into()).unwrap();
        let handed_on =
            with_default(subscriber, || info_span!("place order").in_scope(current_traceparent));
        telemetry.stop().await;
        assert!(handed_on.unwrap().ends_with("-00"));
        assert!(received.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_neither_logged_nor_traced_is_not_made() {
        let (endpoint, _) = collector().await;
        for (endpoint, most) in [(None, LevelFilter::INFO), (Some(endpoint), LevelFilter::DEBUG)] {
            let (subscriber, telemetry) = subscriber(&config(endpoint), &Role::ALL.into()).unwrap();
            assert_eq!(subscriber.max_level_hint(), Some(most));
            telemetry.stop().await;
        }
    }

    #[tokio::test]
    async fn without_a_collector_there_is_no_trace() {
        let (subscriber, telemetry) = subscriber(&config(None), &Role::ALL.into()).unwrap();
        with_default(subscriber, || {
            let span = info_span!("place order");
            set_parent(&span, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            assert_eq!(span.in_scope(current_traceparent), None);
        });
        assert!(telemetry.traces.is_none());
        telemetry.stop().await;
    }

    #[tokio::test]
    async fn a_traceparent_that_is_not_one_begins_a_trace() {
        let (endpoint, _) = collector().await;
        let (subscriber, telemetry) =
            subscriber(&config(Some(endpoint)), &Role::ALL.into()).unwrap();
        with_default(subscriber, || {
            let span = info_span!("place order");
            set_parent(&span, "00-nonsense");
            assert!(span.in_scope(current_traceparent).is_some());
        });
        telemetry.stop().await;
    }

    #[tokio::test]
    async fn a_collector_that_never_answers_does_not_hold_up_the_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (subscriber, telemetry) =
            subscriber(&config(Some(endpoint)), &Role::ALL.into()).unwrap();
        with_default(subscriber, || info_span!("place order").in_scope(|| ()));
        tokio::time::timeout(2 * FLUSH_PATIENCE, telemetry.stop()).await.unwrap();
    }
}
