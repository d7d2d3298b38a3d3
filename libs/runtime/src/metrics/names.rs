//! The names of all metrics, and what they tell.
//!
//! Labels never hold what a client chose: only profiles, types and outcomes, which are few.

use metrics::{describe_counter, describe_gauge, describe_histogram};

/// Requests answered; labels `resource`, `status`.
pub const HTTP_REQUESTS: &str = "certmill_http_requests_total";
/// Time from a request's arrival to its reply, held time included; label `resource`.
pub const HTTP_REQUEST_SECONDS: &str = "certmill_http_request_seconds";
/// Connections that are open.
pub const HTTP_CONNECTIONS: &str = "certmill_http_connections";
/// Replies that wait for work under way.
pub const REPLIES_HELD: &str = "certmill_replies_held";
/// Problem documents sent; label `type`.
pub const PROBLEMS: &str = "certmill_problems_total";
/// Appends to the log; label `outcome`: `stored`, `conflict`, `failed`.
pub const APPENDS: &str = "certmill_appends_total";
/// Time an append took to be durable.
pub const APPEND_SECONDS: &str = "certmill_append_seconds";
/// Reads of views; label `outcome`: `hit`, `folded`, `failed`.
pub const VIEW_READS: &str = "certmill_view_reads_total";
/// Nonces that were presented; label `outcome`: `redeemed`, `refused`, `failed`.
pub const NONCES: &str = "certmill_nonces_total";
/// Accounts created; label `profile`.
pub const ACCOUNTS_CREATED: &str = "certmill_accounts_created_total";
/// Orders placed; label `profile`.
pub const ORDERS_PLACED: &str = "certmill_orders_placed_total";
/// Validations finished; labels `type`, `outcome`: `valid`, `invalid`.
pub const VALIDATIONS: &str = "certmill_validations_total";
/// Time a validation took; label `type`.
pub const VALIDATION_SECONDS: &str = "certmill_validation_seconds";
/// Validations under way.
pub const VALIDATIONS_RUNNING: &str = "certmill_validations_running";
/// Certificates issued; label `profile`.
pub const CERTIFICATES_ISSUED: &str = "certmill_certificates_issued_total";
/// Issuances that failed; label `profile`.
pub const ISSUANCES_FAILED: &str = "certmill_issuances_failed_total";
/// Time from finalize to the recorded certificate.
pub const ISSUANCE_SECONDS: &str = "certmill_issuance_seconds";
/// Time a CA key took to sign.
pub const SIGNING_SECONDS: &str = "certmill_signing_seconds";
/// Certificates revoked; label `reason`.
pub const CERTIFICATES_REVOKED: &str = "certmill_certificates_revoked_total";
/// OCSP responses signed.
pub const OCSP_RESPONSES: &str = "certmill_ocsp_responses_total";
/// When the first of an issuer's published CRLs ends to be valid, in seconds since 1970; label `issuer`.
pub const CRL_NEXT_UPDATE: &str = "certmill_crl_next_update_timestamp_seconds";
/// Messages taken from the log; label `role`.
pub const FEED_MESSAGES: &str = "certmill_feed_messages_total";
/// Messages that were given to a worker again; label `role`.
pub const FEED_REDELIVERIES: &str = "certmill_feed_redeliveries_total";
/// Age of the last message taken from the log when it was taken, in seconds; label `role`.
pub const FEED_LAG_SECONDS: &str = "certmill_feed_lag_seconds";

/// Gives each metric its help text.
pub(super) fn describe() {
    describe_counter!(HTTP_REQUESTS, "Requests answered, by resource and status.");
    describe_histogram!(HTTP_REQUEST_SECONDS, "Seconds from a request's arrival to its reply.");
    describe_gauge!(HTTP_CONNECTIONS, "Connections that are open.");
    describe_gauge!(REPLIES_HELD, "Replies that wait for work under way.");
    describe_counter!(PROBLEMS, "Problem documents sent, by ACME error type.");
    describe_counter!(APPENDS, "Appends to the log, by outcome.");
    describe_histogram!(APPEND_SECONDS, "Seconds an append took to be durable.");
    describe_counter!(VIEW_READS, "Reads of views, by outcome.");
    describe_counter!(NONCES, "Nonces presented, by outcome.");
    describe_counter!(ACCOUNTS_CREATED, "Accounts created, by profile.");
    describe_counter!(ORDERS_PLACED, "Orders placed, by profile.");
    describe_counter!(VALIDATIONS, "Validations finished, by challenge type and outcome.");
    describe_histogram!(VALIDATION_SECONDS, "Seconds a validation took, by challenge type.");
    describe_gauge!(VALIDATIONS_RUNNING, "Validations under way.");
    describe_counter!(CERTIFICATES_ISSUED, "Certificates issued, by profile.");
    describe_counter!(ISSUANCES_FAILED, "Issuances that failed, by profile.");
    describe_histogram!(ISSUANCE_SECONDS, "Seconds from finalize to the recorded certificate.");
    describe_histogram!(SIGNING_SECONDS, "Seconds a CA key took to sign.");
    describe_counter!(CERTIFICATES_REVOKED, "Certificates revoked, by reason.");
    describe_counter!(OCSP_RESPONSES, "OCSP responses signed.");
    describe_gauge!(
        CRL_NEXT_UPDATE,
        "End of validity of the published CRL that ends first, in seconds since 1970."
    );
    describe_counter!(FEED_MESSAGES, "Messages taken from the log, by role.");
    describe_counter!(FEED_REDELIVERIES, "Messages given to a worker again, by role.");
    describe_histogram!(FEED_LAG_SECONDS, "Seconds between an append and its delivery, by role.");
}
