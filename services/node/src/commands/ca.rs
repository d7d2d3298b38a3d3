//! `certmill ca`: the keys and certificates of the CA itself.

mod accept_log;
mod show;

use ca::{CaRequest, CaSubject, KeyAlgorithm};
use runtime::Config;
use serde::Serialize;

use crate::{
    ca_files,
    cli::{CaCommand, KeyOf, NewCa},
    clock,
    failure::Failure,
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
    command: CaCommand,
    out: &mut Output,
) -> Result<(), Failure> {
    let ca = ca_files::directory(config)?;
    let now = clock::now();
    match command {
        CaCommand::Root(new) => {
            let request = new.over(ca_files::root_request(config, now));
            ca.create_root(new.algorithm(config), &request)?;
            show::run(config, out)
        }
        CaCommand::Intermediate(new) => {
            let request = new.over(ca_files::intermediate_request(config, now));
            ca.create_intermediate(new.algorithm(config), &request)?;
            show::run(config, out)
        }
        CaCommand::Request(new) => {
            let subject = new.over(ca_files::intermediate_request(config, now)).subject;
            let request = ca.request_intermediate(new.algorithm(config), &subject)?;
            match out.format() {
                Format::Json => out.json(&Requested { request }),
                Format::Text => out.line(request.trim_end()),
            }
        }
        CaCommand::Install { bundle } => {
            ca.install(&ca_files::read_input(&bundle)?, now)?;
            show::run(config, out)
        }
        CaCommand::ImportKey { of, key } => {
            let pem = ca_files::read_input(&key)?;
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
        CaCommand::Show => show::run(config, out),
        CaCommand::AcceptLog { reason } => accept_log::run(config, &reason, out).await,
    }
}

impl NewCa {
    /// What is asked for over what the configuration says.
    fn over(&self, configured: CaRequest) -> CaRequest {
        let CaRequest { subject, validity, now } = configured;
        let subject = CaSubject {
            common_name: self.name.clone().unwrap_or(subject.common_name),
            organization: self.organization.clone().or(subject.organization),
            country: self.country.clone().or(subject.country),
        };
        CaRequest {
            subject,
            validity: self.validity.map_or(validity, |validity| validity.get()),
            now,
        }
    }

    fn algorithm(&self, config: &Config) -> KeyAlgorithm {
        self.key_type.unwrap_or_else(|| ca_files::key_algorithm(config))
    }
}
