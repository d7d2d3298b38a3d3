//! The Helm chart, its alerts and its examples: what Kubernetes, Prometheus and Certmill itself say of them.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod chart;
#[cfg(test)]
mod checkov;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hardening;
#[cfg(test)]
mod helm_test;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod network;
#[cfg(test)]
mod permissions;
#[cfg(test)]
mod references;
#[cfg(test)]
mod rendering;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod stores;
