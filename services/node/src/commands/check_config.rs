//! `certmill check-config`: whether a configuration can be used, and what it means.

use std::collections::BTreeSet;

use runtime::{Config, Role};
use serde::Serialize;
use toml::{Table, Value};

use crate::{
    block_lists, ca_files,
    failure::{Explain as _, Failure},
    operator_key,
    output::{Format, Output},
    signer_settings, tls,
};

/// A configuration that can be used.
#[derive(Serialize)]
struct Checked<'a> {
    config: &'a Config,
    /// Files it names that cannot be used here: it may be meant for another machine.
    warnings: Vec<String>,
}

/// Checks the configuration for the roles, and prints every value, secrets hidden.
pub(crate) fn run(
    config: &Config,
    roles: &BTreeSet<Role>,
    out: &mut Output,
) -> Result<(), Failure> {
    config.check_for(roles)?;
    let mut warnings = unusable_files(config, roles);
    if roles.contains(&Role::Signer) {
        signer_settings::read(config)?;
        warnings.extend(check_roots(config)?);
    }
    match out.format() {
        Format::Json => out.json(&Checked { config, warnings }),
        Format::Text => {
            for warning in &warnings {
                out.line(format_args!("# WARNING: it does not start on this machine: {warning}"))?;
            }
            out.line("# This configuration is valid. With every default it is:")?;
            out.line(as_file(config)?.trim_end())
        }
    }
}

/// Checks which roots the profiles prefer. A CA that is not here is only warned of: it may be on another machine.
fn check_roots(config: &Config) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    for issuer in ca_files::issuers(config) {
        match ca_files::root_names(config, issuer) {
            Ok(Some(there)) => config.check_roots(issuer, &there)?,
            Ok(None) => {
                let to_be_made = [config.ca.root_name.clone()];
                let there = ca_files::root_names(config, None).ok().flatten();
                let there = there.as_deref().unwrap_or(&to_be_made);
                let wrong = config.check_roots(issuer, there).err();
                warnings.extend(wrong.map(|error| error.to_string()));
            }
            Err(failure) => warnings.push(failure.causes().to_owned()),
        }
    }
    Ok(warnings)
}

fn unusable_files(config: &Config, roles: &BTreeSet<Role>) -> Vec<String> {
    let mut failures: Vec<Failure> = Vec::new();
    if roles.contains(&Role::Validator) {
        failures.extend(validator::Settings::from_config(config).err().map(Failure::from));
    }
    if roles.contains(&Role::Signer) {
        failures.extend(ca_files::directory(config, None).err());
    }
    if roles.contains(&Role::Api) {
        failures.extend(operator_key::read(config).err());
        failures.extend(block_lists::read(&config.key_block_lists).err());
        let files = tls::Files::configured(config);
        failures.extend(files.and_then(|files| files.read().err()));
    }
    failures.iter().map(|failure| failure.causes().to_owned()).collect()
}

/// The configuration as a file that means the same, but for hidden secrets.
fn as_file(config: &Config) -> Result<String, Failure> {
    let mut table = Table::try_from(config).while_doing("cannot show the configuration")?;
    if let Some(profiles) = table.remove("profiles") {
        table.insert("profile".to_owned(), profiles);
    }
    table.retain(|_, value| !matches!(value, Value::Table(inner) if inner.is_empty()));
    Ok(toml::to_string(&table)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock, fixtures};

    #[test]
    fn every_file_that_a_server_would_not_start_with_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("nothing");
        std::fs::write(&file, "\n").unwrap();
        let file = file.display();
        for set in [
            format!("api={{tls_certificate=\"{file}\", tls_key=\"{file}\"}}"),
            format!("ca.passphrase_file={file}"),
            format!("external_accounts.key_file={file}"),
            format!("key_block_lists=[\"{file}x\"]"),
            format!("validation.trust_anchor={file}"),
        ] {
            let warnings =
                unusable_files(&fixtures::config(dir.path(), &[&set]), &Role::ALL.into());
            assert_eq!(warnings.len(), 1, "{set}: {warnings:?}");
            assert!(warnings[0].contains(&file.to_string()), "{set}: {warnings:?}");
        }
    }

    #[test]
    fn what_a_server_would_refuse_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |set: &str, roles: &[Role]| {
            let config = fixtures::config(dir.path(), &[set]);
            run(&config, &roles.iter().copied().collect(), &mut Output::new(Format::Json))
        };
        check("api.hold=1s", &Role::ALL).unwrap();
        let refused = check("api.hold=1s", &[Role::Signer]).unwrap_err().to_string();
        assert!(refused.contains("event_log.kind"), "{refused}");
        let root = r#"profile=[{preferred_root="Other"}]"#;
        ca_files::open_or_create(&fixtures::config(dir.path(), &[]), clock::now()).unwrap();
        let refused = check(root, &Role::ALL).unwrap_err().to_string();
        assert!(refused.contains("preferred_root"), "{refused}");
    }

    #[test]
    fn what_is_printed_is_a_configuration_that_means_the_same() {
        let sets = ["api.max_held=7", r#"profile=[{name="a"}]"#, r#"redis.url="redis://h""#];
        let config = Config::load(None, [], &sets.map(str::to_owned)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("printed.toml");
        let printed = as_file(&config).unwrap();
        assert!(!printed.contains("redis://h"), "{printed}");
        std::fs::write(&path, printed).unwrap();
        let again = Config::load(Some(&path), [], &[sets[2].to_owned()]).unwrap();
        assert_eq!(again, config);
    }
}
