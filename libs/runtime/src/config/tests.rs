//! What a configuration file, the environment and `--set` may say, and what is refused.

mod layers;
mod refusals;

use std::io::Write as _;

use super::*;

fn load(text: &str, environment: &[(&str, &str)], sets: &[&str]) -> Result<Config, ConfigError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load(Some(file.path()), environment, &sets)
}

fn message(result: Result<Config, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

#[test]
fn without_any_source_there_is_an_embedded_server_with_one_profile() {
    let config = Config::load(None, [], &[]).unwrap();
    assert_eq!(config.event_log.kind, EventLogKind::Embedded);
    assert_eq!(config.default_profile.as_str(), "default");
    assert_eq!(config.profiles, [Profile::default()]);
    assert_eq!(config.validation.http01_port, 80);
    assert!(config.validation.allow_networks.is_empty());
    config.check_for(&Role::ALL.into()).unwrap();
}

#[test]
fn values_that_do_not_fit_together_are_all_named() {
    let sets = [
        "event_log.kind=jetstream",
        "event_log.replicas=1",
        "event_log.order_shards=101",
        "event_log.order_max_age=80h",
        "event_log.client_key=client.pem",
        "redis.root_certificates=roots.pem",
        "api.tls_key=key.pem",
        "api.hold=1h",
        "validation.http01_port=0",
        "validation.tls_alpn01_port=0",
        "validation.attempts=0",
        "validation.retry_wait=0",
        "validation.dnssec_required=true",
        "ca.crl_refresh=8d",
        "ca.issuer=[{name=\"x\"}, {name=\"x\", intermediate_name=\"\", intermediate_validity=\"1h\"}]",
        "telemetry.sampling_ratio=2.0",
        "telemetry.otlp_endpoint=grpc://collector:4317",
        "profile=[{max_identifiers=0, challenge_types=[]}, {terms_required=true, terms_approval_required=true},
            {name=\"a\", identifier_types=[]}, {name=\"b\", ip_challenge_types=[\"dns-01\"]},
            {name=\"c\", challenge_types=[\"http-01\"], validation={redirect_ports=[0]}},
            {name=\"d\", validation={dnssec_required=true, caa_identities=[\"\"]}},
            {name=\"e\", identifier_types=[\"ip\"], ip_challenge_types=[], issuer=\"y\"},
            {name=\"f\", pre_authorization_validity=\"800d\"}]",
        "default_profile=default",
    ];
    let message = message(load("", &[], &sets));
    for key in [
        "event_log.servers: required",
        "event_log.replicas: must be 3 or 5",
        "event_log.order_shards: must be from 1 to 100",
        "event_log.order_max_age: must be at least",
        "redis.url: required",
        "event_log.client_certificate, event_log.client_key: must both be set",
        "redis.root_certificates: needs a redis.url",
        "api.tls_certificate, api.tls_key: must both be set",
        "api.hold: must be from 0 to 25s",
        "validation.http01_port",
        "validation.tls_alpn01_port: must be from 1",
        "validation.attempts: must be from 1 to 10",
        "validation.retry_wait: must be from 1s to 10m",
        "validation.dnssec_required: must be false unless trust_anchor",
        "profile a: identifier_types: must have at least one of",
        "profile b: ip_challenge_types: must have at least one of",
        "profile c: wildcard_allowed: must be false",
        "profile c: validation.redirect_ports",
        "profile d: validation.dnssec_required",
        "profile d: validation.caa_identities",
        "profile e: ip_challenge_types: must have",
        "profile f: pre_authorization_validity: must be from 1s to",
        "ca.crl_refresh",
        "ca.issuer x: name: is used twice",
        "profile e: issuer: must be the name of a [[ca.issuer]]: x",
        "telemetry.sampling_ratio",
        "telemetry.otlp_endpoint",
        "profile default: name: is used twice",
        "profile default: challenge_types",
        "profile default: max_identifiers",
        "profile default: terms_required",
        "profile default: terms_approval_required",
    ] {
        assert!(message.contains(key), "{key} is not in: {message}");
    }
}

#[test]
fn crls_are_divided_by_a_power_of_two() {
    for shards in ["0", "3", "512", "-1"] {
        let refused = message(load("", &[], &[&format!("ca.crl_shards={shards}")]));
        assert!(refused.contains("crl_shards"), "{refused}");
    }
    assert!(load("", &[], &["ca.crl_shards=256"]).is_ok());
}

#[test]
fn an_issuer_differs_from_the_ca_in_what_it_says() {
    let issuer = "ca.issuer=[{name=\"x\", ocsp=true, intermediate_name=\"Y\"}, {name=\"z\"}]";
    let config = load("", &[], &[issuer, "ca.key_type=p384"]).unwrap();
    let of = |name: &str| config.ca.of(Some(&name.parse().unwrap()));
    assert_eq!((of("x").ocsp, of("x").intermediate_name.as_str()), (true, "Y"));
    assert_eq!((of("z").ocsp, of("z").key_type), (false, config.ca.key_type));
    assert_eq!(of("z").intermediate_name, "Certmill Intermediate z");
    assert_eq!(config.ca.of(None), config.ca);
    assert!(config.answers_ocsp());
}

#[test]
fn several_profiles_need_a_default_that_is_one_of_them_or_named_so() {
    let profiles = "[[profile]]\nname = \"a\"\n[[profile]]\nname = \"b\"\n";
    let expected = "default_profile: must be the name of a profile: a, b";
    assert_eq!(message(load(profiles, &[], &[])), expected);
    let from_set = message(load(profiles, &[], &["default_profile=c"]));
    assert_eq!(from_set, format!("--set default_profile: {expected}"));
    assert!(load(profiles, &[], &["default_profile=b"]).is_ok());
    let with_default = format!("{profiles}[[profile]]\nname = \"default\"\n");
    let config = load(&with_default, &[], &[]).unwrap();
    assert_eq!(config.default_profile.as_str(), "default");
}

#[test]
fn roles_in_processes_of_their_own_need_a_cluster_and_a_certificate() {
    let api = BTreeSet::from([Role::Api]);
    let message = load("", &[], &[]).unwrap().check_for(&api).unwrap_err().to_string();
    assert!(message.contains("event_log.kind: must be \"jetstream\""), "{message}");
    assert!(message.contains("api.tls_certificate: required"), "{message}");
}

#[test]
fn what_only_roles_and_files_tell_to_be_wrong_is_refused_with_its_line() {
    let file =
        "[event_log]\nkind = \"embedded\"\n[[profile]]\nname = \"a\"\npreferred_root = \"R\"\n";
    let config = load(file, &[], &[]).unwrap();
    let refused = config.check_for(&BTreeSet::from([Role::Validator])).unwrap_err().to_string();
    assert!(refused.contains("line 2 (kind): event_log.kind: must be"), "{refused}");
    let roots = |there: &str| config.check_roots(None, &[there.to_owned()]);
    let refused = roots("Other").unwrap_err().to_string();
    let expected = "line 5 (preferred_root): profile a: preferred_root: must be the common name of \
                    a root that the chains lead to: Other";
    assert!(refused.ends_with(expected), "{refused}");
    roots("R").unwrap();
    config.check_roots(Some(&"x".parse().unwrap()), &[]).unwrap();
    let refused = config.refused("event_log.kind", "is odd").to_string();
    assert!(refused.ends_with("line 2 (kind): event_log.kind: is odd"), "{refused}");
}

#[test]
fn an_api_whose_profile_requires_external_accounts_needs_the_key_they_are_kept_under() {
    let sets = ["profile=[{name=\"default\"}, {name=\"a\", external_account_required=true}]"];
    let config = load("", &[], &sets).unwrap();
    let message = config.check_for(&Role::ALL.into()).unwrap_err().to_string();
    assert!(message.contains("external_accounts.key_file: required"), "{message}");
    let with_key = [sets[0], "external_accounts.key_file=key"];
    load("", &[], &with_key).unwrap().check_for(&Role::ALL.into()).unwrap();
    let registered =
        ["profile=[{external_account_required=true, external_account_compatibility=\"ejbca\"}]"];
    load("", &[], &registered).unwrap().check_for(&Role::ALL.into()).unwrap();
}

#[test]
fn every_sample_is_a_configuration() {
    let mut seen = 0;
    for entry in std::fs::read_dir(samples()).unwrap() {
        let path = entry.unwrap().path();
        Config::load(Some(&path), [], &[]).unwrap_or_else(|error| panic!("{error}"));
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn the_development_sample_reaches_loopback_and_leaves_validation_to_the_command_line() {
    let config = Config::load(Some(&samples().join("dev.toml")), [], &[]).unwrap();
    config.check_for(&Role::ALL.into()).unwrap();
    assert_eq!(config.api.base_url.as_str(), "https://localhost:14000");
    assert!(config.validation.localhost_to_loopback);
    assert_eq!(config.validation.allow_networks.len(), 2);
    assert!(config.validation.trust_anchor.is_none());
    assert!(config.validation.caa_identities.is_empty());
    for profile in &config.profiles {
        assert!(profile.wildcard_allowed);
        assert_eq!(config.validation_of(profile), config.validation);
    }
}

#[test]
fn the_schema_knows_the_names_that_no_profile_can_have() {
    let reserved = config_schema()["$defs"]["Profile"]["properties"]["name"]["not"]["enum"].clone();
    assert_eq!(reserved, serde_json::json!(["directory", "raProfile"]));
    for name in reserved.as_array().into_iter().flatten() {
        let profile = format!("profile=[{{name={name}}}]");
        assert!(Config::load(None, [], &[profile]).is_err(), "{name}");
    }
}

#[test]
fn the_schema_knows_every_key_its_description_and_its_default() {
    let schema = config_schema();
    assert_eq!(schema["additionalProperties"], false);
    let hold = &schema["$defs"]["Api"]["properties"]["hold"];
    assert_eq!(hold["default"], "2s");
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        for (key, property) in definition["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{name}.{key} has no description");
        }
    }
}

#[test]
fn a_printed_configuration_shows_no_secret() {
    let sets = ["ca.passphrase=hunter2", "redis.url=redis://:hunter2@localhost"];
    let config = load("", &[], &sets).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
}

#[test]
fn an_identity_that_no_caa_record_can_name_is_refused() {
    load("", &[], &[r#"validation.caa_identities=["CA.Example.com", "ca", "1-2.example"]"#])
        .unwrap();
    for identity in [
        "ca.example.com.",
        ".example.com",
        "ca..example",
        "-ca.example",
        "ca-.example",
        "cä.example",
    ] {
        let set = format!("validation.caa_identities=[\"{identity}\"]");
        let message = message(load("", &[], &[&set]));
        assert!(message.contains("must be domain names without a dot at the end"), "{message}");
    }
}
