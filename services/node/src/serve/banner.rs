//! What a server says when it is ready: where it is, whom to trust, and a command that works when pasted.

use std::{borrow::Cow, collections::BTreeSet, fmt, net::IpAddr, path::PathBuf};

use runtime::{
    Config, Role,
    config::{EventLogKind, Validation},
};
use serde::Serialize;

use crate::{ca_files, files};

/// Where http-01 starts, and tls-alpn-01 connects to, unless it is configured otherwise.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;
/// A name that resolves to loopback where the configuration says so.
const DEMO_NAME: &str = "demo.localhost";
const OWN_NAME: &str = "YOUR.HOST.NAME";

/// What a server says of itself.
#[derive(Debug, Serialize)]
pub(super) struct Banner {
    roles: Vec<&'static str>,
    /// The URL of the default directory; only where the api runs and the default profile is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    /// The certificates clients trust; only where the CA is.
    #[serde(skip_serializing_if = "Option::is_none")]
    bundle: Option<PathBuf>,
    /// A client's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    try_it: Option<String>,
    /// The profiles that serve nobody.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    disabled: Vec<String>,
    /// What must not be so in production.
    warnings: Vec<String>,
}

impl Banner {
    /// Takes what is to be said from the configuration.
    pub(super) fn of(config: &Config, roles: &BTreeSet<Role>) -> Self {
        let is_api = roles.contains(&Role::Api);
        let has_default = config.profile(&config.default_profile).is_some_and(|it| it.enabled);
        let directory =
            (is_api && has_default).then(|| format!("{}/acme/directory", config.api.base_url));
        let bundle = roles
            .contains(&Role::Signer)
            .then(|| files::absolute(&ca_files::path(config).join("root.pem")));
        let try_it = directory
            .as_ref()
            .zip(bundle.as_ref())
            .map(|(directory, bundle)| certbot(config, directory, &bundle.to_string_lossy()));
        let roles = roles.iter().map(|role| role.as_str()).collect();
        let disabled = config.profiles.iter().filter(|profile| !profile.enabled);
        let disabled = disabled.map(|profile| profile.name.to_string()).collect();
        Self { roles, directory, bundle, try_it, disabled, warnings: warnings(config) }
    }

    /// Logs the warnings, for those who read only the logs.
    pub(super) fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("NOT FOR PRODUCTION: {warning}");
        }
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nCertmill is ready ({}).", self.roles.join(", "))?;
        if let Some(directory) = &self.directory {
            writeln!(f, "\n  ACME directory  {directory}")?;
        }
        if let Some(bundle) = &self.bundle {
            writeln!(f, "  CA bundle       {}", bundle.display())?;
        }
        if !self.disabled.is_empty() {
            writeln!(f, "  Disabled        {}", self.disabled.join(", "))?;
        }
        if let Some(try_it) = &self.try_it {
            writeln!(f, "\nGet a certificate, in a second terminal:\n\n{try_it}")?;
        }
        if !self.warnings.is_empty() {
            let line = "!".repeat(78);
            writeln!(f, "\n{line}")?;
            for warning in &self.warnings {
                writeln!(f, "!!  NOT FOR PRODUCTION: {warning}")?;
            }
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// One line that works when pasted: everything the client keeps goes below one directory, so that it needs no root.
fn certbot(config: &Config, directory: &str, bundle: &str) -> String {
    let validation = default_validation(config);
    let state = files::absolute(&config.data_dir).join("certbot");
    let (state, bundle) = (state.to_string_lossy(), quoted(bundle));
    let state = quoted(&state);
    let mut command = format!(
        "REQUESTS_CA_BUNDLE={bundle} certbot certonly -n --agree-tos -m demo@example.com \
         --server {directory} --config-dir {state} --work-dir {state} --logs-dir {state} --standalone"
    );
    if allows_loopback(&validation) {
        command.push_str(" --http-01-address 127.0.0.1");
    }
    if validation.http01_port != HTTP_PORT {
        command.push_str(&format!(" --http-01-port {}", validation.http01_port));
    }
    let resolves = validation.localhost_to_loopback && validation.dns_resolver.is_none();
    command.push_str(" -d ");
    command.push_str(if resolves { DEMO_NAME } else { OWN_NAME });
    command
}

fn warnings(config: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let loopback: Vec<&str> = config
        .profiles
        .iter()
        .filter(|profile| allows_loopback(&config.validation_of(profile)))
        .map(|profile| profile.name.as_str())
        .collect();
    if !loopback.is_empty() {
        warnings.push(format!(
            "validation reaches loopback addresses (validation.allow_networks; profile {})",
            loopback.join(", ")
        ));
    }
    let validation = &config.validation;
    for (challenge, (port, standard), key) in [
        ("http-01", (validation.http01_port, HTTP_PORT), "http01_port"),
        ("tls-alpn-01", (validation.tls_alpn01_port, HTTPS_PORT), "tls_alpn01_port"),
    ] {
        if port != standard {
            warnings.push(format!(
                "{challenge} is validated on port {port} instead of {standard} (validation.{key})"
            ));
        }
    }
    if config.event_log.kind == EventLogKind::Jetstream && config.event_log.allow_unsafe_dev {
        warnings
            .push("acknowledged certificates can be lost (event_log.allow_unsafe_dev)".to_owned());
    }
    warnings
}

fn default_validation(config: &Config) -> Validation {
    match config.profile(&config.default_profile) {
        Some(profile) => config.validation_of(profile),
        None => config.validation.clone(),
    }
}

fn allows_loopback(validation: &Validation) -> bool {
    validation.allow_networks.iter().any(|network| match network.network() {
        IpAddr::V4(address) => address.is_loopback() || network.prefix_len() == 0,
        IpAddr::V6(address) => address.is_loopback() || network.prefix_len() == 0,
    })
}

/// A word of a shell's command line.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-:".contains(&b);
    if text.bytes().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sets: &[&str]) -> Config {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        Config::load(None, [], &sets).unwrap()
    }

    const DEV: [&str; 4] = [
        "data_dir=/srv/my data",
        "validation.http01_port=5002",
        r#"validation.allow_networks=["127.0.0.0/8"]"#,
        "validation.localhost_to_loopback=true",
    ];

    #[test]
    fn the_development_server_offers_a_command_that_needs_no_root_and_warns() {
        let banner = Banner::of(&config(&DEV), &Role::ALL.into());
        let command = banner.try_it.as_deref().unwrap();
        for part in [
            "REQUESTS_CA_BUNDLE='/srv/my data/ca/root.pem' certbot certonly",
            "--server https://localhost:14000/acme/directory",
            "--config-dir '/srv/my data/certbot'",
            "--http-01-address 127.0.0.1 --http-01-port 5002 -d demo.localhost",
        ] {
            assert!(command.contains(part), "{command}");
        }
        assert!(!command.contains('\n'));
        for warning in ["validation reaches loopback", "http-01 is validated on port 5002"] {
            let warning = format!("NOT FOR PRODUCTION: {warning}");
            assert!(banner.to_string().contains(&warning), "{banner}");
        }
    }

    #[test]
    fn a_production_server_warns_of_nothing() {
        let banner = Banner::of(&config(&[]), &Role::ALL.into());
        assert!(banner.warnings.is_empty());
        assert!(banner.try_it.unwrap().ends_with("--standalone -d YOUR.HOST.NAME"));
    }

    #[test]
    fn a_loopback_network_is_noticed_however_it_is_allowed() {
        for network in ["0.0.0.0/0", "::1/128", "127.0.0.1/32", "::/0"] {
            let set = format!("validation.allow_networks=[\"{network}\"]");
            assert_eq!(warnings(&config(&[&set])).len(), 1, "{network}");
        }
        let own = r#"profile=[{name="a",validation={allow_networks=["127.0.0.0/8"]}}]"#;
        assert_eq!(warnings(&config(&[own])).len(), 1);
        assert!(warnings(&config(&[r#"validation.allow_networks=["10.0.0.0/8"]"#])).is_empty());
    }

    #[test]
    fn an_unsafe_log_is_noticed() {
        let cluster = [
            "event_log.kind=jetstream",
            r#"event_log.servers=["nats://h"]"#,
            "event_log.replicas=1",
            "event_log.allow_unsafe_dev=true",
            "redis.url=redis://h",
        ];
        assert!(warnings(&config(&cluster))[0].contains("event_log.allow_unsafe_dev"));
    }

    #[test]
    fn a_role_without_api_or_ca_says_only_what_it_knows() {
        let banner = Banner::of(&config(&[]), &[Role::Validator].into());
        assert_eq!((banner.directory, banner.bundle, banner.try_it), (None, None, None));
    }
}
