//! `certmill ca`: the keys and certificates of the CA itself.

mod accept_log;
mod permissions;
mod show;

use ca::{CaRequest, CaSubject, KeyChoice};
use domain::IssuerName;
use runtime::Config;
use serde::Serialize;

use crate::{
    ca_files,
    cli::{CaCommand, KeyOf, NewCa},
    clock,
    failure::{Explain as _, Failure},
    files,
    output::{Format, Output},
};

/// A request for an intermediate.
#[derive(Serialize)]
struct Requested {
    request: String,
}

/// Runs what is asked of the CA.
pub(crate) async fn run(
    config: &Config,
    issuer: Option<&IssuerName>,
    command: CaCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    if let Some(name) = issuer.filter(|name| config.ca.issuer_names().all(|known| known != *name)) {
        return Err(Failure::new(format!("there is no [[ca.issuer]] named {name}")))
            .advise("Add it to the configuration first.");
    }
    let ca = ca_files::directory(config, issuer)?;
    let now = clock::now();
    match command {
        CaCommand::Root(new) => {
            let request = new.over(ca_files::root_request(config, now));
            ca_files::create_root(config, issuer, new.key(config, issuer), &request)?;
            show::run(config, issuer, out)
        }
        CaCommand::Intermediate(new) => {
            let request = new.over(ca_files::intermediate_request(config, issuer, now));
            ca_files::create_intermediate(config, issuer, new.key(config, issuer), &request)?;
            show::run(config, issuer, out)
        }
        CaCommand::Request(new) => {
            let request = new.over(ca_files::intermediate_request(config, issuer, now));
            let request = ca.request_intermediate(new.key(config, issuer), &request)?;
            match out.format() {
                Format::Json => out.json(&Requested { request }),
                Format::Text => out.line(request.trim_end()),
            }
        }
        CaCommand::Install { bundle } => {
            ca.install(&files::read_input(&bundle)?, now)?;
            show::run(config, issuer, out)
        }
        CaCommand::ImportKey { of, key } => {
            let pem = files::read_input(&key)?;
            match of {
                KeyOf::Root => ca.import_root_key(&pem)?,
                KeyOf::Intermediate => ca.import_intermediate_key(&pem)?,
            }
            match out.format() {
                Format::Json => Ok(()),
                Format::Text => {
                    out.line("the key is imported; the file it came from is not needed any more")
                }
            }
        }
        CaCommand::Show { root: false } => show::run(config, issuer, out),
        CaCommand::Show { root: true } => show::root(config, issuer, out),
        CaCommand::NatsPermissions { redis: false } => permissions::nats(config, out),
        CaCommand::NatsPermissions { redis: true } => permissions::redis(out),
        CaCommand::AcceptLog { reason } => accept_log::run(config, &reason, out).await,
    }
}

impl NewCa {
    /// What is asked for over what the configuration says.
    fn over(&self, configured: CaRequest) -> CaRequest {
        let CaRequest { subject, extended_key_usages, validity, now } = configured;
        let subject = CaSubject {
            common_name: self.name.clone().unwrap_or(subject.common_name),
            organization: self.organization.clone().or(subject.organization),
            country: self.country.clone().or(subject.country),
        };
        CaRequest {
            subject,
            extended_key_usages,
            validity: self.validity.map_or(validity, |validity| validity.get()),
            now,
        }
    }

    fn key(&self, config: &Config, issuer: Option<&IssuerName>) -> KeyChoice {
        match self.key_type {
            Some(algorithm) => KeyChoice::Only(algorithm),
            None => ca_files::key_algorithm(config, issuer).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fixtures;

    #[test]
    fn what_is_asked_for_is_taken_over_what_is_configured() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &["ca.root_name=Configured"]);
        let nothing = || NewCa {
            key_type: None,
            name: None,
            organization: None,
            country: None,
            validity: None,
        };
        let asked = NewCa {
            name: Some("Asked".to_owned()),
            organization: Some("Example Ltd".to_owned()),
            country: Some("CH".to_owned()),
            validity: Some("30d".parse().unwrap()),
            ..nothing()
        };
        let request = || ca_files::root_request(&config, clock::now());
        let CaRequest { subject, validity, .. } = asked.over(request());
        assert_eq!(subject.common_name, "Asked");
        assert_eq!(subject.organization.as_deref(), Some("Example Ltd"));
        assert_eq!(subject.country.as_deref(), Some("CH"));
        assert_eq!(validity, Duration::from_hours(30 * 24));
        let CaRequest { subject, validity, .. } = nothing().over(request());
        assert_eq!((subject.common_name.as_str(), subject.organization), ("Configured", None));
        assert_eq!(validity, config.ca.root_validity.get());
    }

    #[tokio::test]
    async fn an_issuer_is_any_of_those_that_are_configured() {
        let dir = tempfile::tempdir().unwrap();
        let config = fixtures::config(dir.path(), &[r#"ca.issuer=[{name="a"}, {name="b"}]"#]);
        ca_files::open_or_create(&config, clock::now()).unwrap();
        for (name, is_there) in [("a", true), ("b", true), ("c", false)] {
            let (name, show) = (name.parse().unwrap(), CaCommand::Show { root: false });
            let shown = run(&config, Some(&name), show, &mut Output::new(Format::Text)).await;
            assert_eq!(shown.is_ok(), is_there, "{name}: {shown:?}");
        }
    }
}
