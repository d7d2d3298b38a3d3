//! Each key with a value that is refused: where it stands, what is allowed, and whether the reference says the same.

use std::{collections::BTreeSet, time::Duration};

use super::{load, message};
use crate::config::{config_schema, external_accounts::MAX_FORMER_KEYS};

/// A key of a profile, a value that it must not have, and what the refusal says of the allowed ones.
const OF_A_PROFILE: &[(&str, &str, &str)] = &[
    ("name", r#""a b""#, "expected 1 to 250 of A-Z a-z 0-9 - _, not directory or raProfile"),
    ("enabled", "1", "expected a boolean"),
    ("website", r#""ca""#, "expected a URL, such as"),
    ("terms_of_service", r#""terms""#, "expected a URL, such as"),
    ("terms_required", "true", "must be false unless terms_of_service is given"),
    ("identifier_types", r#"["email"]"#, "expected `dns` or `ip`"),
    ("terms_change_url", r#""changed""#, "expected a URL, such as"),
    ("terms_approval_required", "true", "must not be set unless terms_of_service is given"),
    ("terms_agreed_by_account", "true", "must not be set unless terms_of_service is given"),
    ("external_account_required", "1", "expected a boolean"),
    ("external_account_compatibility", r#""boulder""#, "expected `none` or `ejbca`"),
    ("allowed_names", r#"["*"]"#, "expected a name, such as"),
    ("denied_names", r#"["/(/"]"#, "or a regular expression"),
    ("allowed_networks", r#"["10/8"]"#, "expected a network, such as"),
    ("denied_networks", r#"["here"]"#, "expected a network, such as"),
    ("wildcard_allowed", "1", "expected a boolean"),
    ("wildcard_http01_allowed", "1", "expected a boolean"),
    ("challenge_types", r#"["http"]"#, "expected one of `http-01`, `dns-01`, `tls-alpn-01`"),
    ("ip_challenge_types", r#"["dns-01"]"#, "at least one of \"http-01\", \"tls-alpn-01\""),
    ("order_validity", r#""1m""#, "must be from 5m to 30d"),
    ("authorization_validity", r#""31d""#, "must be from 5m to 30d"),
    ("retry_after", r#""11m""#, "must be from 1s to 10m"),
    ("pre_authorization_allowed", "1", "expected a boolean"),
    ("pre_authorization_validity", r#""800d""#, "must be from 1s to 365d"),
    ("pre_authorizations_per_hour", "0", "must be from 1 to 1000000"),
    ("certificate_validity", r#""11y""#, "must be from 5m to 3650d"),
    ("backdate", r#""2d""#, "must be from 0 to 1d"),
    ("max_identifiers", "101", "must be from 1 to 100"),
    ("account_keys", r#"{types = ["dsa"]}"#, "expected one of `rsa`, `p256`, `p384`, `ed25519`"),
    ("certificate_keys", "{min_rsa_bits = 1024}", "must be from 2048 to 4096"),
    ("padded_csr_allowed", "1", "expected a boolean"),
    ("requested_validity_allowed", "1", "expected a boolean"),
    ("not_before_ahead", r#""soon""#, "expected a duration"),
    ("min_requested_validity", r#""91d""#, "must not be longer than certificate_validity"),
    ("extended_key_usages", r#"["web"]"#, "expected one of `serverAuth`, `clientAuth`"),
    ("subject", r#""cn""#, "expected one of `none`, `first-name`, `as-requested`"),
    ("single_active_certificate", "1", "expected a boolean"),
    ("preferred_root", "1", "expected a string"),
    ("alternate_chains", "1", "expected a boolean"),
    ("issuer", r#""second""#, "must be left out unless there is a [[ca.issuer]] of that name"),
    ("validation", r#"{dns_resolver = "dns"}"#, "expected an address with its port"),
];

/// A key of the token, a value that it must not have, and what the refusal says of the allowed ones.
const OF_THE_TOKEN: &[(&str, &str, &str)] = &[
    ("module", r#""libsofthsm2.so""#, "must be an absolute path"),
    ("token", r#""123456789012345678901234567890123""#, "must have 1 to 32 octets"),
    ("pin_file", "1", "expected path string"),
    ("key_label", r#""""#, "must have 1 to 255 octets"),
    ("root_key_label", r#""certmill-intermediate""#, "is the label of another key"),
];

/// A setting out of bounds, and where the schema describes its key.
const OUT_OF_BOUNDS: &[(&str, &str, &str)] = &[
    ("api.hold=1h", "Api", "hold"),
    ("api.retry_after=1h", "Api", "retry_after"),
    ("api.nonce_validity=2h", "Api", "nonce_validity"),
    ("api.request_timeout=1h", "Api", "request_timeout"),
    ("api.max_body_bytes=1", "Api", "max_body_bytes"),
    ("validation.http01_port=0", "Validation", "http01_port"),
    ("validation.tls_alpn01_port=0", "Validation", "tls_alpn01_port"),
    ("validation.redirect_ports=[0]", "Validation", "redirect_ports"),
    ("validation.attempts=0", "Validation", "attempts"),
    ("validation.retry_wait=1h", "Validation", "retry_wait"),
    ("validation.concurrency=0", "Validation", "concurrency"),
    ("validation.timeout=1h", "Validation", "timeout"),
    ("ca.root_validity=1h", "Ca", "root_validity"),
    ("ca.intermediate_validity=1h", "Ca", "intermediate_validity"),
    ("ca.ocsp_validity=1s", "Ca", "ocsp_validity"),
    ("ca.crl_validity=1s", "Ca", "crl_validity"),
    ("telemetry.sampling_ratio=2.0", "Telemetry", "sampling_ratio"),
    ("telemetry.unreplaced_within=91d", "Telemetry", "unreplaced_within"),
    ("profile=[{max_identifiers=0}]", "Profile", "max_identifiers"),
    ("profile=[{order_validity=\"1s\"}]", "Profile", "order_validity"),
    ("profile=[{authorization_validity=\"1s\"}]", "Profile", "authorization_validity"),
    ("profile=[{retry_after=\"1h\"}]", "Profile", "retry_after"),
    ("profile=[{pre_authorizations_per_hour=0}]", "Profile", "pre_authorizations_per_hour"),
    ("profile=[{certificate_validity=\"1s\"}]", "Profile", "certificate_validity"),
    ("profile=[{backdate=\"2d\"}]", "Profile", "backdate"),
    ("profile=[{account_keys={min_rsa_bits=1}}]", "Keys", "min_rsa_bits"),
    ("profile=[{account_keys={max_rsa_bits=1}}]", "Keys", "max_rsa_bits"),
    ("profile=[{validation={redirect_ports=[0]}}]", "ProfileValidation", "redirect_ports"),
];

/// Settings that are good each by itself or for another key, and the one refusal of them together.
const NOT_TOGETHER: &[(&[&str], &str)] = &[
    (&["api.retry_after=1500ms"], "api.retry_after: must be whole seconds"),
    (&["api.nonce_validity=90s"], "api.nonce_validity: must be whole minutes"),
    (&["api.hold=25s", "api.request_timeout=25s"], "must be longer than api.hold"),
    (&["api.max_connections=0"], "api.max_connections: must be at least 1"),
    (&["api.listen=[::]:443", "ops.listen=[::]:443"], "ops.listen: must differ from api.listen"),
    (
        &["external_accounts.former_key_files=[\"a\"]"],
        "external_accounts.former_key_files: must be empty unless key_file is set",
    ),
    (&["validation.dnssec_required=true"], "nothing could be proven"),
    (&["ca.passphrase=a", "ca.passphrase_file=b"], "must not both be set"),
    (&["ca.root_name="], "ca.root_name: must have 1 to 64 characters"),
    (&["ca.intermediate_name="], "ca.intermediate_name: must have 1 to 64 characters"),
    (
        &["ca.root_validity=1095d", "ca.intermediate_validity=1460d"],
        "ca.intermediate_validity: must not be longer than ca.root_validity",
    ),
    (&["ca.crl_refresh=8h", "ca.crl_validity=8h"], "less than ca.crl_validity"),
    (
        &["ca.issuer=[{name=\"x\", intermediate_name=\"\"}]"],
        "ca.issuer x: intermediate_name: must have 1 to 64 characters",
    ),
    (
        &["ca.issuer=[{name=\"x\", intermediate_validity=\"1h\"}]"],
        "intermediate_validity: must be from",
    ),
    (
        &[
            "ca.pkcs11={module=\"/m.so\", token=\"t\", pin_file=\"p\", key_label=\"a\"}",
            "ca.issuer=[{name=\"x\", key_source=\"pkcs11\", key_label=\"a\"}]",
        ],
        "ca.issuer x: key_label: is the label of another key",
    ),
    (&["profile=[{retry_after=\"1500ms\"}]"], "retry_after: must be whole seconds"),
    (
        &["profile=[{backdate=\"1h\", certificate_validity=\"1h\"}]"],
        "backdate: must be less than certificate_validity",
    ),
    (&["profile=[{extended_key_usages=[]}]"], "each once"),
    (&["profile=[{extended_key_usages=[\"serverAuth\", \"serverAuth\"]}]"], "each once"),
    (&["profile=[{account_keys={types=[]}}]"], "account_keys.types: must have at least one of"),
    (
        &["profile=[{ip_challenge_types=[\"http-01\", \"dns-01\"]}]"],
        "\"tls-alpn-01\", and no other",
    ),
];

#[test]
fn a_bad_value_of_each_key_of_a_profile_is_refused_with_its_line_and_what_is_allowed() {
    for (key, value, allowed) in OF_A_PROFILE {
        let message = message(load(&format!("\n[[profile]]\n{key} = {value}\n"), &[], &[]));
        assert!(message.contains(&format!("line 3 ({key})")), "{key}: {message}");
        assert!(message.contains(allowed), "{key}: {allowed}: {message}");
    }
    let schema = config_schema();
    let keys = schema["$defs"]["Profile"]["properties"].as_object().unwrap().keys();
    let all: BTreeSet<&str> = keys.map(String::as_str).collect();
    let tried: BTreeSet<&str> = OF_A_PROFILE.iter().map(|(key, ..)| *key).collect();
    assert_eq!(tried, all, "each key of a profile is tried here");
}

#[test]
fn a_bad_value_of_each_key_of_the_token_is_refused_with_its_line_and_what_is_allowed() {
    for (key, value, allowed) in OF_THE_TOKEN {
        let message = message(load(&format!("\n[ca.pkcs11]\n{key} = {value}\n"), &[], &[]));
        assert!(message.contains(&format!("line 3 ({key})")), "{key}: {message}");
        assert!(message.contains(allowed), "{key}: {allowed}: {message}");
    }
    let schema = config_schema();
    let keys = schema["$defs"]["Pkcs11"]["properties"].as_object().unwrap().keys();
    let all: BTreeSet<&str> = keys.map(String::as_str).collect();
    let tried: BTreeSet<&str> = OF_THE_TOKEN.iter().map(|(key, ..)| *key).collect();
    assert_eq!(tried, all, "each key of the token is tried here");
}

#[test]
fn where_a_key_is_in_the_token_it_must_be_said_how_to_use_that() {
    let places = [
        "[ca]\nkey_source = \"pkcs11\"\n",
        "[[ca.issuer]]\nname = \"second\"\nkey_source = \"pkcs11\"\n",
        "[ca.pkcs11]\nroot_key_label = \"root\"\n",
    ];
    for place in places {
        let message = message(load(place, &[], &[]));
        for key in ["module", "token", "pin_file"] {
            assert!(message.contains(&format!("ca.pkcs11.{key}: required where")), "{message}");
        }
    }
    let same = "[ca]\nkey_source = \"pkcs11\"\npkcs11 = {key_label = \"x\"}\n\
                [[ca.issuer]]\nname = \"second\"\nkey_label = \"x\"\n";
    let message = message(load(same, &[], &[]));
    assert!(message.contains("line 6 (key_label): ca.issuer second: key_label: is"), "{message}");
}

#[test]
fn the_reference_says_the_bounds_that_are_checked() {
    let schema = config_schema();
    for (set, table, key) in OUT_OF_BOUNDS {
        let message = message(load("", &[], &[set]));
        let (_, bounds) =
            message.split_once("must be from ").unwrap_or_else(|| panic!("{message}"));
        let bounds = bounds.split([',', ';']).next().unwrap();
        let description = &schema["$defs"][table]["properties"][key]["description"];
        let description = description.as_str().unwrap().replace('\n', " ");
        assert!(description.contains(&format!("from {bounds}")), "{set}: {bounds}: {description}");
    }
}

#[test]
fn a_value_of_another_kind_is_refused_in_the_words_of_toml() {
    for (text, allowed) in [
        ("[profile]\nname = \"a\"\n", "expected a list; of tables, each begins with [[ ]]"),
        ("api = 5\n", "integer, expected a table"),
        ("key_block_lists = \"a\"\n", "expected a list, such as [\"a\", \"b\"]"),
        ("data_dir = [1]\n", "invalid type: list, expected path string"),
        ("[data_dir]\n", "invalid type: table, expected path string"),
    ] {
        let message = message(load(text, &[], &[]));
        assert!(message.contains("line 1 ") && message.contains(allowed), "{text}: {message}");
    }
}

#[test]
fn a_level_that_is_misspelt_does_not_silence_the_log() {
    for refused in ["wran", "infoo", "info,wran", "signer", "wran,signer=debug", "signer=debgu"] {
        let message = message(load("", &[], &[&format!("telemetry.log_filter={refused}")]));
        let expected = "telemetry.log_filter: must be a level (error, warn, info, debug, trace)";
        assert!(message.contains(expected), "{refused}: {message}");
    }
    for taken in
        ["info", "WARN", "off", "info,signer=debug", "warn,api::order=trace", "signer=debug"]
    {
        load("", &[], &[&format!("telemetry.log_filter={taken}")]).unwrap();
    }
}

#[test]
fn what_is_empty_by_accident_is_refused() {
    for (set, refused) in [
        ("data_dir=", "data_dir: must not be empty"),
        ("ca.passphrase=", "ca.passphrase: must not be empty"),
        ("=1", "expected key=value"),
    ] {
        let message = message(load("", &[], &[set]));
        assert!(message.contains(refused), "{set}: {message}");
    }
    let message = message(load("", &[("CERTMILL__CA__PASSPHRASE", "")], &[]));
    assert!(message.contains("variable CERTMILL__CA__PASSPHRASE: ca.passphrase"), "{message}");
}

#[test]
fn what_does_not_go_together_is_refused_and_nothing_else_with_it() {
    for (sets, refusal) in NOT_TOGETHER {
        let message = message(load("", &[], sets));
        assert!(message.contains(refusal), "{sets:?}: {message}");
        assert_eq!(
            message.matches(": must ").count() + message.matches(": is ").count(),
            1,
            "{message}"
        );
    }
    // The greatest values that are good.
    for sets in [
        &["ca.root_validity=1095d", "ca.intermediate_validity=1095d"][..],
        &["api.listen=[::1]:0", "ops.listen=[::1]:0"],
        &["profile=[{min_requested_validity=\"30d\", certificate_validity=\"30d\"}]"],
        &["profile=[{account_keys={min_rsa_bits=2048, max_rsa_bits=2048}}]"],
        &["profile=[{identifier_types=[\"dns\"], ip_challenge_types=[]}]"],
        &[
            "profile=[{identifier_types=[\"ip\"], challenge_types=[\"http-01\"], wildcard_allowed=true}]",
        ],
    ] {
        load("", &[], sets).unwrap();
    }
}

#[test]
fn former_keys_of_external_accounts_are_bounded() {
    let set = |files: usize| {
        let files = vec!["old"; files];
        format!("external_accounts={{key_file=\"key\", former_key_files={files:?}}}")
    };
    load("", &[], &[&set(MAX_FORMER_KEYS)]).unwrap();
    let message = message(load("", &[], &[&set(MAX_FORMER_KEYS + 1)]));
    assert!(message.contains("former_key_files: must be at most 16 files"), "{message}");
}

#[test]
fn orders_are_kept_for_as_long_as_the_most_patient_profile_needs() {
    let cluster = [
        "event_log.kind=jetstream",
        "event_log.servers=[\"nats://h\"]",
        "redis.url=redis://h",
        "profile=[{name=\"default\", order_validity=\"1h\"}, {name=\"a\", order_validity=\"20d\"}]",
    ];
    let config = load("", &[], &cluster).unwrap();
    assert!(config.order_max_age() > Duration::from_hours(20 * 24), "{:?}", config.order_max_age());
    let short = [&cluster[..], &["event_log.order_max_age=20d"]].concat();
    let message = message(load("", &[], &short));
    assert!(message.contains("event_log.order_max_age: must be at least"), "{message}");
}
