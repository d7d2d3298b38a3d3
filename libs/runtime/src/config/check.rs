//! Rules about values whose form is right: ranges, and settings that need each other.

mod issuers;
mod pkcs11;
mod profile;

use std::{collections::BTreeSet, time::Duration};

use domain::ProfileName;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    BindingForm, Ca, Config, ConfigError, EventLogKind, Key, ORDER_GRACE, Problem, Profile, Role,
    external_accounts::MAX_FORMER_KEYS, least_order_max_age,
};
pub(super) use issuers::roots;

/// A held reply must be over before clients and proxies give up, which some do after 30 s.
const MAX_HOLD: Duration = Duration::from_secs(25);
/// One client takes more than ten minutes for a refusal (acme.sh).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// What was found wrong so far.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    fn require(&mut self, holds: bool, key: impl Into<Key>, message: impl Into<String>) {
        if !holds {
            self.0.push(Problem { key: key.into(), message: message.into(), origin: None });
        }
    }
}

/// Turns problems, if there are any, into the error that lists them.
pub(super) fn refuse(problems: Problems) -> Result<(), ConfigError> {
    if problems.0.is_empty() { Ok(()) } else { Err(ConfigError::Rules(problems.0)) }
}

/// Finds the profile of `/acme/directory`: the one that is chosen, the one named `default`, or the only one.
pub(super) fn default_profile(
    named: Option<ProfileName>,
    profiles: &[Profile],
) -> Result<ProfileName, ConfigError> {
    let names: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
    match (named, profiles) {
        (Some(named), _) if names.contains(&named.as_str()) => Ok(named),
        (None, [only]) => Ok(only.name.clone()),
        (None, _) if names.contains(&ProfileName::default().as_str()) => Ok(ProfileName::default()),
        _ => Err(ConfigError::Rules(vec![Problem {
            key: "default_profile".into(),
            message: format!("must be the name of a profile: {}", names.join(", ")),
            origin: None,
        }])),
    }
}

/// Checks everything that does not depend on the roles.
pub(super) fn values(config: &Config) -> Problems {
    let mut problems = Problems::default();
    problems.require(
        !config.data_dir.as_os_str().is_empty(),
        "data_dir",
        "must not be empty; \".\" is the directory the command is run in",
    );
    check_api(config, &mut problems);
    check_event_log(config, &mut problems);
    check_validation(config, &mut problems);
    check_ca(config, &mut problems);
    check_external_accounts(config, &mut problems);
    issuers::check(config, &mut problems);
    pkcs11::check(config, &mut problems);
    check_telemetry(config, &mut problems);
    let mut names = BTreeSet::new();
    for profile in &config.profiles {
        let unique = names.insert(&profile.name);
        problems.require(unique, Key::of(&profile.name, "name"), "is used twice");
        profile::check(config, profile, &mut problems);
    }
    problems
}

/// Checks what the roles of a process need.
pub(super) fn roles(config: &Config, roles: &BTreeSet<Role>) -> Problems {
    let mut problems = Problems::default();
    let own_certificate = config.api.tls_certificate.is_some() || roles.contains(&Role::Signer);
    problems.require(
        own_certificate || !roles.contains(&Role::Api),
        "api.tls_certificate",
        "required, with api.tls_key, unless a signer in the same process issues the server's certificate",
    );
    problems.require(
        config.event_log.kind != EventLogKind::Embedded || roles.len() == Role::ALL.len(),
        "event_log.kind",
        "must be \"jetstream\" to run only some roles: the embedded log serves one process",
    );
    let required = config.profiles.iter().any(|profile| {
        profile.external_account_required
            && profile.external_account_compatibility == BindingForm::None
    });
    problems.require(
        config.external_accounts.key_file.is_some() || !required || !roles.contains(&Role::Api),
        "external_accounts.key_file",
        "required where a profile has external_account_required",
    );
    problems
}

fn check_api(config: &Config, problems: &mut Problems) {
    let api = &config.api;
    problems.require(
        api.tls_certificate.is_some() == api.tls_key.is_some(),
        "api.tls_certificate, api.tls_key",
        "must both be set, or neither",
    );
    between(problems, "api.hold", api.hold.get(), Duration::ZERO..=MAX_HOLD);
    between(problems, "api.retry_after", api.retry_after.get(), SECOND..=MAX_RETRY_AFTER);
    problems.require(
        api.retry_after.get().subsec_millis() == 0,
        "api.retry_after",
        "must be whole seconds",
    );
    between(problems, "api.nonce_validity", api.nonce_validity.get(), MINUTE..=60 * MINUTE);
    problems.require(
        api.nonce_validity.get().as_millis().is_multiple_of(60_000),
        "api.nonce_validity",
        "must be whole minutes",
    );
    between(problems, "api.request_timeout", api.request_timeout.get(), SECOND..=10 * MINUTE);
    problems.require(
        api.request_timeout > api.hold,
        "api.request_timeout",
        "must be longer than api.hold",
    );
    problems.require(api.max_connections > 0, "api.max_connections", "must be at least 1");
    problems.require(
        (8 * 1024..=1024 * 1024).contains(&api.max_body_bytes),
        "api.max_body_bytes",
        "must be from 8192 to 1048576",
    );
    problems.require(
        api.listen != config.ops.listen || api.listen.port() == 0,
        "ops.listen",
        "must differ from api.listen",
    );
}

fn check_external_accounts(config: &Config, problems: &mut Problems) {
    let external = &config.external_accounts;
    problems.require(
        external.former_key_files.is_empty() || external.key_file.is_some(),
        "external_accounts.former_key_files",
        "must be empty unless key_file is set",
    );
    problems.require(
        external.former_key_files.len() <= MAX_FORMER_KEYS,
        "external_accounts.former_key_files",
        format!("must be at most {MAX_FORMER_KEYS} files"),
    );
}

fn check_event_log(config: &Config, problems: &mut Problems) {
    let log = &config.event_log;
    match log.kind {
        EventLogKind::Embedded => return,
        EventLogKind::Jetstream => {}
    }
    problems.require(
        !log.servers.is_empty(),
        "event_log.servers",
        "required with kind \"jetstream\", such as [\"nats://nats-0.nats:4222\"]",
    );
    problems.require(
        log.client_certificate.is_some() == log.client_key.is_some(),
        "event_log.client_certificate, event_log.client_key",
        "must both be set, or neither",
    );
    problems.require(
        matches!(log.replicas, 3 | 5) || (log.replicas == 1 && log.allow_unsafe_dev),
        "event_log.replicas",
        "must be 3 or 5; 1 loses certificates and needs event_log.allow_unsafe_dev = true",
    );
    problems.require(
        (1..=domain::OrderId::MAX_SHARDS).contains(&log.order_shards),
        "event_log.order_shards",
        format!("must be from 1 to {}", domain::OrderId::MAX_SHARDS),
    );
    let least = least_order_max_age(&config.profiles);
    problems.require(
        config.order_max_age() >= least,
        "event_log.order_max_age",
        format!(
            "must be at least the longest order_validity of a profile plus {}h, {} hours here",
            ORDER_GRACE.as_secs() / (60 * 60),
            least.as_secs().div_ceil(60 * 60)
        ),
    );
    let redis = config.redis.url.as_ref().map(super::Secret::expose);
    problems.require(
        redis.is_some_and(|url| url.starts_with("redis://") || url.starts_with("rediss://")),
        "redis.url",
        "required with event_log.kind \"jetstream\" and must start with redis:// or rediss://",
    );
    problems.require(
        config.redis.root_certificates.is_none()
            || redis.is_some_and(|url| url.starts_with("rediss://")),
        "redis.root_certificates",
        "needs a redis.url that starts with rediss://",
    );
}

fn check_validation(config: &Config, problems: &mut Problems) {
    let validation = &config.validation;
    problems.require(
        !validation.allowed_redirect_ports().contains(&0),
        "validation.http01_port, validation.redirect_ports",
        "must be from 1 to 65535",
    );
    problems.require(
        validation.tls_alpn01_port != 0,
        "validation.tls_alpn01_port",
        "must be from 1 to 65535",
    );
    problems.require(
        (1..=10).contains(&validation.attempts),
        "validation.attempts",
        "must be from 1 to 10",
    );
    let retry_wait = validation.retry_wait.get();
    between(problems, "validation.retry_wait", retry_wait, SECOND..=10 * MINUTE);
    problems.require(
        (1..=10_000).contains(&validation.concurrency),
        "validation.concurrency",
        "must be from 1 to 10000",
    );
    between(problems, "validation.timeout", validation.timeout.get(), SECOND..=MINUTE);
    check_caa_identities(problems, &"validation.caa_identities".into(), &validation.caa_identities);
    problems.require(
        !validation.dnssec_required || validation.trust_anchor.is_some(),
        "validation.dnssec_required",
        "must be false unless trust_anchor is set: nothing could be proven",
    );
}

/// A CAA identity is a domain name (RFC 8659 §4.2); one in another form would match no record and refuse everyone.
fn check_caa_identities(problems: &mut Problems, key: &Key, identities: &[String]) {
    let is_label = |text: &str| {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-';
        !text.is_empty() && text.bytes().all(allowed) && text.trim_matches('-') == text
    };
    for identity in identities {
        problems.require(
            identity.split('.').all(is_label),
            key.clone(),
            "must be domain names without a dot at the end, such as [\"ca.example.com\"]",
        );
    }
}

fn check_ca(config: &Config, problems: &mut Problems) {
    let ca = &config.ca;
    problems.require(
        ca.passphrase.is_none() || ca.passphrase_file.is_none(),
        "ca.passphrase, ca.passphrase_file",
        "must not both be set",
    );
    // Encrypted with an empty one, keys look protected and are not.
    problems.require(
        ca.passphrase.as_ref().is_none_or(|passphrase| !passphrase.expose().is_empty()),
        "ca.passphrase",
        "must not be empty",
    );
    for (key, name) in
        [("ca.root_name", &ca.root_name), ("ca.intermediate_name", &ca.intermediate_name)]
    {
        // RFC 5280, ub-common-name.
        problems.require(
            (1..=64).contains(&name.chars().count()),
            key,
            "must have 1 to 64 characters",
        );
    }
    between(problems, "ca.root_validity", ca.root_validity.get(), Ca::VALIDITY);
    between(problems, "ca.intermediate_validity", ca.intermediate_validity.get(), Ca::VALIDITY);
    problems.require(
        ca.intermediate_validity <= ca.root_validity,
        "ca.intermediate_validity",
        "must not be longer than ca.root_validity",
    );
    between(problems, "ca.ocsp_validity", ca.ocsp_validity.get(), MINUTE..=10 * DAY);
    between(problems, "ca.crl_validity", ca.crl_validity.get(), 10 * MINUTE..=YEAR);
    problems.require(
        ca.crl_refresh.get() >= MINUTE && ca.crl_refresh < ca.crl_validity,
        "ca.crl_refresh",
        "must be at least 1m and less than ca.crl_validity",
    );
}

fn check_telemetry(config: &Config, problems: &mut Problems) {
    let telemetry = &config.telemetry;
    problems.require(
        (0.0..=1.0).contains(&telemetry.sampling_ratio),
        "telemetry.sampling_ratio",
        "must be from 0 to 1",
    );
    let unreplaced = telemetry.unreplaced_within.get();
    between(problems, "telemetry.unreplaced_within", unreplaced, Duration::ZERO..=90 * DAY);
    problems.require(
        telemetry.otlp_endpoint.as_ref().is_none_or(|url| matches!(url.scheme(), "http" | "https")),
        "telemetry.otlp_endpoint",
        "must begin with http:// or https://, also for gRPC",
    );
    problems.require(
        is_log_filter(&telemetry.log_filter),
        "telemetry.log_filter",
        "must be a level (error, warn, info, debug, trace) or targets with levels, such as \"info,signer=debug\"",
    );
}

/// A word alone that is no level would be taken for a target, and a mistyped `wran` silence all others.
fn is_log_filter(text: &str) -> bool {
    let is_word = |part: &&str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let mut words = text.split(',').filter(is_word);
    words.all(|word| word.parse::<LevelFilter>().is_ok()) && EnvFilter::try_new(text).is_ok()
}

fn between(
    problems: &mut Problems,
    key: impl Into<Key>,
    value: Duration,
    allowed: std::ops::RangeInclusive<Duration>,
) {
    let holds = allowed.contains(&value);
    let (least, most) = (seconds(*allowed.start()), seconds(*allowed.end()));
    problems.require(holds, key, format!("must be from {least} to {most}"));
}

fn seconds(duration: Duration) -> super::HumanDuration {
    super::HumanDuration::seconds(duration.as_secs())
}
