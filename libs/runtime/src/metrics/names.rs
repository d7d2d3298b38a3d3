//! The names of all metrics, and what they tell: `docs/metrics.md` is made of this.
//!
//! Labels never hold what a client chose: only profiles, types and outcomes, which are few.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// What can be done with a metric's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are counted by size.
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What can be done with its values.
    pub kind: Kind,
    /// The labels of its series.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// Writes each metric's name, kind, labels and meaning once: for whoever records it, for Prometheus and for readers.
macro_rules! metrics {
    ($($kind:ident $name:ident = $text:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $name: &str = $text;)*

        /// All metrics that Certmill records.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help },)*
        ];
    };
}

metrics! {
    Counter HTTP_REQUESTS = "certmill_http_requests_total" ["resource", "status"]
        "Requests answered.";
    Histogram HTTP_REQUEST_SECONDS = "certmill_http_request_seconds" ["resource"]
        "Time from a request's arrival to its reply, held time included.";
    Gauge HTTP_CONNECTIONS = "certmill_http_connections" []
        "Connections that are open.";
    Gauge REPLIES_HELD = "certmill_replies_held" []
        "Replies that wait for work under way.";
    Counter PROBLEMS = "certmill_problems_total" ["type"]
        "Problem documents sent, by their type's URN.";
    Counter NONCES = "certmill_nonces_total" ["outcome"]
        "Nonces presented: redeemed, refused, or failed because their memory was out of reach.";
    Counter ACCOUNTS_CREATED = "certmill_accounts_created_total" ["profile"]
        "Accounts created.";
    Counter ORDERS_PLACED = "certmill_orders_placed_total" ["profile"]
        "Orders placed.";
    Histogram ORDER_READY_SECONDS = "certmill_order_ready_seconds" ["profile"]
        "Time from an order's placing until its last name was proven.";
    Counter VALIDATIONS = "certmill_validations_total" ["type", "outcome", "problem"]
        "Looks at challenges and at CAA: valid, or invalid with the problem's type.";
    Histogram VALIDATION_SECONDS = "certmill_validation_seconds" ["type"]
        "Time one look at a challenge took.";
    Gauge VALIDATIONS_RUNNING = "certmill_validations_running" []
        "Validations under way.";
    Counter CERTIFICATES_ISSUED = "certmill_certificates_issued_total" ["profile"]
        "Certificates issued.";
    Counter ISSUANCES_FAILED = "certmill_issuances_failed_total" ["profile"]
        "Issuances that failed for good.";
    Counter ISSUANCES_RETRIED = "certmill_issuances_retried_total" []
        "Issuances that could not be finished and are tried again.";
    Histogram ISSUANCE_SECONDS = "certmill_issuance_seconds" ["profile"]
        "Time from finalize to the recorded certificate.";
    Histogram SIGNING_SECONDS = "certmill_signing_seconds" ["what"]
        "Time a key of the CA took to sign: a certificate, CRL or OCSP response.";
    Histogram JOURNAL_SYNC_SECONDS = "certmill_journal_sync_seconds" []
        "Time until a reservation was on the journal's disk.";
    Counter CERTIFICATES_REVOKED = "certmill_certificates_revoked_total" ["reason"]
        "Certificates revoked.";
    Counter OCSP_RESPONSES = "certmill_ocsp_responses_total" []
        "OCSP responses signed.";
    Gauge CERTIFICATES_UNREPLACED = "certmill_certificates_unreplaced" ["profile"]
        "Certificates that end soon and are neither revoked nor followed by another for the same identifiers.";
    Gauge CRL_THIS_UPDATE = "certmill_crl_this_update_timestamp_seconds" ["issuer"]
        "When the oldest of the published CRLs was made, in seconds since 1970.";
    Gauge CRL_NEXT_UPDATE = "certmill_crl_next_update_timestamp_seconds" ["issuer"]
        "When the first of the published CRLs ends to be valid, in seconds since 1970.";
    Gauge CA_NOT_AFTER = "certmill_ca_not_after_timestamp_seconds" ["issuer"]
        "When the issuing CA's certificate ends, or one above it if that is sooner, in seconds since 1970.";
    Counter APPENDS = "certmill_appends_total" ["outcome"]
        "Appends to the log: stored, conflict, or failed.";
    Histogram APPEND_SECONDS = "certmill_append_seconds" []
        "Time an append took to be durable.";
    Gauge LOG_LAST_SEQUENCE = "certmill_log_last_sequence" ["stream"]
        "The last sequence of a stream of the log; it never falls.";
    Counter FEED_MESSAGES = "certmill_feed_messages_total" ["role"]
        "Messages taken from the log.";
    Counter FEED_REDELIVERIES = "certmill_feed_redeliveries_total" ["role"]
        "Messages that were given to a worker again.";
    Histogram FEED_LAG_SECONDS = "certmill_feed_lag_seconds" ["role"]
        "Time between an append and its first delivery to a worker.";
    Counter VIEW_READS = "certmill_view_reads_total" ["view", "outcome"]
        "Views that were asked for: hit, miss, or failed because the read model was out of reach.";
    Histogram READ_MODEL_SECONDS = "certmill_read_model_seconds" ["operation"]
        "Time the read model took to answer.";
    Histogram REDIS_COMMAND_SECONDS = "certmill_redis_command_seconds" ["command", "outcome"]
        "Time until Redis had answered a command, or failed to; waiting for a connection and a second try included.";
    Gauge TLS_NOT_AFTER = "certmill_tls_not_after_timestamp_seconds" []
        "When the certificate of the HTTPS listener ends, in seconds since 1970.";
    Gauge CLOCK = "certmill_clock_timestamp_seconds" []
        "What time it is by the clock of the process when it is asked, in seconds since 1970.";
    Gauge BUILD = "certmill_build_info" ["version"]
        "The release that runs; always 1.";
    Gauge PART_READY = "certmill_part_ready" ["part"]
        "Whether a part of the process can do its work: 1 or 0.";
}

/// Gives each metric its help text.
pub(super) fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.help),
        }
    }
}
