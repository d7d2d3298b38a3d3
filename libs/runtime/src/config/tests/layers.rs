//! Which of file, environment and `--set` counts, and how a refusal says where a value comes from.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

use super::{super::*, load, message};

#[test]
fn the_environment_wins_over_the_file_and_set_over_both() {
    let text = "[api]\nmax_held = 1\n[validation]\nhttp01_port = 81";
    let environment =
        [("CERTMILL__API__MAX_HELD", "2"), ("CERTMILL__VALIDATION__CONCURRENCY", "3")];
    let config = load(text, &environment, &["api.max_held=4"]).unwrap();
    assert_eq!(config.api.max_held, 4);
    assert_eq!(config.validation.concurrency, 3);
    assert_eq!(config.validation.http01_port, 81);
}

#[test]
fn the_command_line_of_the_readme_is_understood() {
    let sets = [
        "data_dir=/somewhere",
        "api.listen=127.0.0.1:24000",
        "api.base_url=https://localhost:24000",
        "ops.listen=127.0.0.1:24001",
        "validation.http01_port=25002",
        "validation.dns_resolver=127.0.0.1:28053",
        "validation.allow_networks=[\"10.0.0.0/8\"]",
        "profile=[{name=\"a\"},{name=\"b\", max_identifiers=7}]",
        "default_profile=b",
    ];
    let config = load("", &[], &sets).unwrap();
    assert_eq!(config.data_dir, Path::new("/somewhere"));
    assert_eq!(config.api.base_url.as_str(), "https://localhost:24000");
    assert_eq!(config.validation.dns_resolver, "127.0.0.1:28053".parse().ok());
    assert_eq!(config.profile(&config.default_profile).unwrap().max_identifiers, 7);
}

#[test]
fn a_value_that_is_toml_by_accident_is_taken_as_text_where_text_belongs() {
    let environment = [("CERTMILL__CA__PASSPHRASE", "12345")];
    let config =
        load("", &environment, &["data_dir=2024", "ca.root_name=true", "api.hold=0"]).unwrap();
    assert_eq!(config.ca.passphrase, Some(Secret::new("12345")));
    assert_eq!(config.data_dir, Path::new("2024"));
    assert_eq!(config.ca.root_name, "true");
    assert_eq!(config.api.hold, HumanDuration::ZERO);
}

#[test]
fn other_environment_variables_are_left_alone() {
    load("", &[("CERTMILL_API_SERVICE_HOST", "10.0.0.1"), ("PATH", "/bin")], &[]).unwrap();
}

#[test]
fn a_variable_with_one_underscore_for_two_is_refused_with_the_one_that_is_meant() {
    for (variable, meant) in [
        ("CERTMILL_DATA_DIR", "CERTMILL__DATA_DIR"),
        ("CERTMILL_CA_PASSPHRASE", "CERTMILL__CA__PASSPHRASE"),
        ("CERTMILL_CA__PASSPHRASE_FILE", "CERTMILL__CA__PASSPHRASE_FILE"),
        ("CERTMILL_EVENT_LOG_ORDER_SHARDS", "CERTMILL__EVENT_LOG__ORDER_SHARDS"),
        ("CERTMILL_CA_PKCS11_PIN_FILE", "CERTMILL__CA__PKCS11__PIN_FILE"),
    ] {
        let refused = layers::variables([(variable.into(), "geheim".into())]).unwrap_err();
        let message = refused.to_string();
        assert_eq!(message, format!("environment variable {variable}: has no effect; use {meant}"));
    }
    // What Kubernetes says of services, and what is for others than the configuration.
    for variable in ["CERTMILL_PORT", "CERTMILL_API_PORT_443_TCP", "CERTMILL_CONFIG", "CERTMILL_"] {
        assert!(layers::variables([(variable.into(), "1".into())]).unwrap().is_empty());
    }
}

#[test]
fn a_variable_that_is_not_utf8_is_refused_and_not_left_out() {
    let variables = |name: &str, value: &[u8]| {
        layers::variables([(OsString::from(name), OsStr::from_bytes(value).to_owned())])
    };
    let refused = variables("CERTMILL__CA__PASSPHRASE", b"M\xfcller").unwrap_err().to_string();
    assert!(refused.contains("CERTMILL__CA__PASSPHRASE: name and value must be"), "{refused}");
    assert!(!refused.contains("ller"), "{refused}");
    assert_eq!(variables("LS_COLORS", b"\xff").unwrap(), []);
}

#[test]
fn an_unknown_key_of_the_file_is_refused_with_its_line_and_what_is_known() {
    let message = message(load("data_dir = \"x\"\n\n[api]\nlistne = \"y\"\n", &[], &[]));
    assert!(message.contains("line 4 (listne)"), "{message}");
    assert!(message.contains("unknown field `listne`, expected one of `listen`"), "{message}");
}

#[test]
fn a_bad_value_of_the_file_is_refused_with_its_line_and_without_the_value() {
    let message = message(load("[ca]\npassphrase = [\"hunter2\"]\n", &[], &[]));
    assert!(message.contains("line 2 (passphrase)"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_secret_of_the_wrong_type_is_refused_without_being_shown() {
    for (text, kind) in [
        ("[ca]\npassphrase = 8675309", "integer, expected a string"),
        ("[ca]\npassphrase = 8675309.5", "floating point, expected a string"),
        ("[event_log]\nservers = \"nats://u:8675309@h\"", "string, expected a list, such as"),
        ("redis = 'redis://:\", expected 8675309@h'", "string, expected a table"),
    ] {
        let message = message(load(text, &[], &[]));
        assert!(message.contains(&format!("invalid type: {kind}")), "{message}");
        assert!(!message.contains("8675309"), "{message}");
    }
    let url = "nats://u:8675309@h";
    let variable = message(load("", &[("CERTMILL__EVENT_LOG__SERVERS", url)], &[]));
    let set = message(load("", &[], &[&format!("event_log.servers={url}")]));
    for message in [variable, set] {
        assert!(message.contains("invalid type: string, expected a list"), "{message}");
        assert!(!message.contains("8675309"), "{message}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let message = message(load("data_dir = \"x\"\n[api\n", &[], &[]));
    assert!(message.contains("line 2"), "{message}");
}

#[test]
fn an_unknown_key_from_elsewhere_names_its_source() {
    let from_environment = message(load("", &[("CERTMILL__API__LISTNE", "x")], &[]));
    assert!(from_environment.starts_with("environment variable CERTMILL__API__LISTNE: unknown"));
    let from_set = message(load("", &[], &["api.listne=x"]));
    assert!(from_set.starts_with("--set api.listne: unknown field `listne`"), "{from_set}");
    assert!(message(load("", &[], &["api.listen"])).contains("expected key=value"));
}

#[test]
fn allowed_values_are_named() {
    let kind = message(load("", &[], &["event_log.kind=postgres"]));
    assert!(kind.contains("expected `embedded` or `jetstream`"), "{kind}");
    let hold = message(load("", &[], &["api.hold=soon"]));
    assert!(hold.contains("expected a duration"), "{hold}");
    let url = message(load("", &[], &["api.base_url=http://ca.test"]));
    assert!(url.contains("expected an https URL"), "{url}");
    let name = message(load("", &[], &["default_profile=raProfile"]));
    assert!(name.contains("not a valid profile name"), "{name}");
}

#[test]
fn a_value_that_does_not_fit_is_named_with_the_place_it_comes_from() {
    let file = r#"
default_profile = "a"

[api]
hold = "1h"

[[profile]]
name = "a"
max_identifiers = 0

[[profile]]
certificate_validity = "30m"

[profile.validation]
redirect_ports = [0]
"#;
    let places = [
        ("line 5 (hold): api.hold: must be from 0 to 25s", file, &[][..], &[][..]),
        (
            "line 9 (max_identifiers): profile a: max_identifiers: must be from 1 to 100",
            file,
            &[],
            &[],
        ),
        (
            "line 15 (redirect_ports): profile default: validation.redirect_ports: must",
            file,
            &[],
            &[],
        ),
        // The value is the default, which does not fit what stands there: the line of its profile.
        ("line 11 ([[profile]]): profile default: backdate: must be less than", file, &[], &[]),
        (
            "environment variable CERTMILL__API__HOLD: api.hold",
            file,
            &[("CERTMILL__API__HOLD", "2h")],
            &[],
        ),
        ("--set api.hold: api.hold", file, &[("CERTMILL__API__HOLD", "2h")], &["api.hold=3h"]),
        (
            "--set profile: profile b: backdate",
            file,
            &[],
            &["profile=[{name=\"b\", backdate=\"2d\"}]", "default_profile=b"],
        ),
    ];
    for (place, file, environment, sets) in places {
        let message = message(load(file, environment, sets));
        assert!(message.contains(place), "{place} is not in: {message}");
    }
}
