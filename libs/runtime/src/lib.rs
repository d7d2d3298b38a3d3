//! What every role needs around its work: configuration, telemetry, metrics, health and a graceful stop.

pub mod config;
pub mod health;
pub mod http;
mod log_throttle;
pub mod metrics;
mod open_files;
pub mod ops;
mod places;
pub mod service_manager;
pub mod stop;
pub mod telemetry;

pub use config::{Config, ConfigError, Role, config_schema};
pub use health::{Check, Health};
pub use log_throttle::LogThrottle;
pub use metrics::{Metrics, MetricsError};
pub use open_files::allow_open_files;
pub use places::Places;
pub use stop::{Process, Stop, StopError, Stopper};
pub use telemetry::{Telemetry, TelemetryError};
