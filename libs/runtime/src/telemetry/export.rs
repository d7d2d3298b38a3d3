//! Sends spans by OTLP, over HTTP or gRPC.

use std::{collections::BTreeSet, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
    tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use rustls::crypto::ring;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use url::Url;

use super::{DETAIL, TelemetryError};
use crate::config::{self, OtlpProtocol, Role};

/// The service's name in traces.
pub(super) const SERVICE: &str = "certmill";
/// How long the collector may take to accept a batch.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Crates whose spans would trace the sending of spans.
const EXPORTER_TARGETS: [&str; 7] =
    ["hyper", "h2", "reqwest", "tonic", "tower", "opentelemetry", "rustls"];

/// Makes the provider that batches spans and sends them to the collector; within the async runtime, which sends them.
pub(super) fn provider(
    endpoint: &Url,
    config: &config::Telemetry,
    roles: &BTreeSet<Role>,
) -> Result<SdkTracerProvider, TelemetryError> {
    // The exporter's HTTP client panics where TLS has no provider yet; an installed one stays.
    let _ = ring::default_provider().install_default();
    let exporter = match config.otlp_protocol {
        OtlpProtocol::Http => over_http(endpoint),
        OtlpProtocol::Grpc => over_grpc(endpoint),
    };
    let exporter = exporter.map_err(TelemetryError::Exporter)?;
    let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
    let resource = Resource::builder()
        .with_service_name(SERVICE)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("certmill.roles", roles.join(",")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            config.sampling_ratio,
        ))))
        .with_batch_exporter(exporter)
        .build())
}

/// The blocking client, because the batch processor runs on a thread without an async runtime: with the async client it
/// panics and every span is lost.
fn over_http(endpoint: &Url) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint.as_str())
        .with_timeout(EXPORT_TIMEOUT)
        .build()
}

fn over_grpc(endpoint: &Url) -> Result<SpanExporter, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .with_timeout(EXPORT_TIMEOUT);
    match endpoint.scheme() {
        "https" => exporter.with_tls_config(ClientTlsConfig::new().with_enabled_roots()).build(),
        _ => exporter.build(),
    }
}

/// Keeps spans of interest to an operator, whatever the log filter says.
pub(super) fn spans_of_interest() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|metadata: &Metadata<'_>| {
        let exporter = EXPORTER_TARGETS.iter().any(|target| metadata.target().starts_with(target));
        (*metadata.level() <= Level::INFO || metadata.target() == DETAIL) && !exporter
    })
    .with_max_level_hint(LevelFilter::DEBUG)
}
