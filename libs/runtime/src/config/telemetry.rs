//! What the process tells about itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::HumanDuration;

/// `[telemetry]`: logs and traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// How logs are written.
    pub log_format: LogFormat,
    /// Which logs are written, such as `info` or `warn,signer=debug`.
    pub log_filter: String,
    /// The collector that traces are sent to, such as `http://collector:4318/v1/traces`, or `http://collector:4317`
    /// with gRPC; without it, nothing is traced. `https` trusts the system's root certificates.
    #[schemars(with = "Option<String>")]
    #[serde(deserialize_with = "super::form::optional")]
    pub otlp_endpoint: Option<Url>,
    /// How traces are sent to the collector.
    pub otlp_protocol: OtlpProtocol,
    /// The share of traces that is sent, from 0 to 1.
    pub sampling_ratio: f64,
    /// How long before its end, from 0 to 90d, a certificate should have been replaced; or in the last quarter of its
    /// validity, if that begins later. From then until it ends or is revoked, `certmill_certificates_unreplaced` counts
    /// it unless a later certificate has the same identifiers. 0 switches this off.
    pub unreplaced_within: HumanDuration,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Text,
}

/// How traces are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OtlpProtocol {
    /// OTLP over HTTP, as protobuf.
    Http,
    /// OTLP over gRPC.
    Grpc,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            otlp_endpoint: None,
            otlp_protocol: OtlpProtocol::Http,
            sampling_ratio: 1.0,
            unreplaced_within: HumanDuration::days(7),
        }
    }
}
