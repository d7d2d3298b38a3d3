//! Looks up DNS records at one configured resolver, without the hosts file, search domains or a cache.

mod addresses;
mod answer;
mod connection;
mod failure;
mod setup;

use domain::Failure;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

pub(crate) use self::addresses::{Addresses, LateAddresses};
pub use self::setup::{TrustAnchorError, check_trust_anchor};
use self::{answer::Answer, connection::Client, failure::LookupError, setup::Clients};
use crate::{
    ResolverChoice, Settings, SettingsError,
    caa::{Found, Property},
    observed::Observed,
};

/// How many TXT records of one answer are looked at: as many as fit into 65,535 octets, the shortest having 13. What was
/// never taken away must not hide the right one.
const MAX_TXT_RECORDS: usize = 65_535 / 13;
/// How many CAA records a name may have.
const MAX_CAA_RECORDS: usize = 64;

/// Asks one resolver, the same for every validation.
pub(crate) struct Resolver {
    /// Absent only in development, where a machine without any resolver can still validate `*.localhost`.
    clients: Option<Clients>,
    localhost_to_loopback: bool,
    /// Whether the resolver of the settings is asked about `*.localhost` before that.
    asked_about_localhost: bool,
    dnssec_required: bool,
}

impl Resolver {
    /// Sets up the resolver once.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let clients = match Clients::new(settings) {
            Ok(clients) => Some(clients),
            Err(error @ SettingsError::SystemResolver(_)) if settings.localhost_to_loopback => {
                tracing::warn!(?error, "no resolver; only *.localhost can be validated");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            clients,
            localhost_to_loopback: settings.localhost_to_loopback,
            asked_about_localhost: settings.resolver != ResolverChoice::System,
            dnssec_required: settings.dnssec_required,
        })
    }

    /// Looks up the TXT records at a name, following CNAMEs; the strings of each record are joined (RFC 8555 §8.4).
    ///
    /// No record is an empty list; a name that does not exist is a failure. The evidence, which has not room for all, begins
    /// with the record that is wanted.
    pub(crate) async fn txt(
        &self,
        owner: &str,
        wanted: &[u8],
        observed: &mut Observed,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let mut answer = match self.lookup(owner, RecordType::TXT).await {
            Ok(answer) => answer,
            Err(LookupError::NoRecords) => return Ok(Vec::new()),
            Err(error) => return Err(error.failure("TXT", owner, observed)),
        };
        let is_other =
            |data: &RData| matches!(data, RData::TXT(txt) if txt.txt_data.concat() != wanted);
        answer.records.sort_by_cached_key(|record| is_other(&record.data));
        answer.observe(observed);
        let values = answer.records.iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        });
        Ok(values.take(MAX_TXT_RECORDS).collect())
    }

    /// Looks up the CAA records at a name, following CNAMEs; a name without any and one that does not exist are alike
    /// (RFC 8659 §3).
    pub(crate) async fn caa(&self, owner: &str, observed: &mut Observed) -> Result<Found, Failure> {
        let nothing = Found { properties: Vec::new(), dnssec: None };
        if self.answers_itself(owner) {
            return Ok(nothing);
        }
        let answer = match self.lookup(owner, RecordType::CAA).await {
            Ok(answer) => answer,
            Err(LookupError::NoRecords | LookupError::NoSuchName) => return Ok(nothing),
            Err(error) => return Err(error.failure("CAA", owner, observed)),
        };
        let properties: Vec<Property> = answer
            .records
            .iter()
            .filter_map(|record| match &record.data {
                RData::CAA(caa) => Some(Property {
                    flags: caa.flags(),
                    tag: caa.tag.clone(),
                    value: caa.value.clone(),
                }),
                _ => None,
            })
            .take(MAX_CAA_RECORDS + 1)
            .collect();
        // One of the rest could forbid issuance.
        if properties.len() > MAX_CAA_RECORDS {
            return Err(LookupError::TooMany.failure("CAA", owner, observed));
        }
        Ok(Found { properties, dnssec: answer.dnssec().map(str::to_owned) })
    }

    /// Whether the name is one of this machine's, which no server is asked for.
    fn answers_itself(&self, owner: &str) -> bool {
        !self.asked_about_localhost && self.is_loopback(owner)
    }

    /// Whether the name is loopback unless a resolver has another address of it.
    fn is_loopback(&self, owner: &str) -> bool {
        self.localhost_to_loopback && (owner == "localhost" || owner.ends_with(".localhost"))
    }

    /// Whether answers about the name are checked against a trust anchor.
    fn validates(&self, owner: &str) -> bool {
        let clients = self.clients.as_ref().zip(complete(owner).ok());
        clients.is_some_and(|(clients, name)| clients.of(&name).1)
    }

    async fn lookup(&self, owner: &str, kind: RecordType) -> Result<Answer, LookupError> {
        let clients = self.clients.as_ref().ok_or(LookupError::Unreachable)?;
        let name = complete(owner)?;
        let (client, validated) = clients.of(&name);
        let lookup = match connection::lookup(client, name.clone(), kind).await {
            Ok(lookup) => lookup,
            Err(error) => {
                tracing::debug!(owner, %kind, %error, "lookup failed");
                if validated {
                    return Err(LookupError::of_validated(&error));
                }
                return Err(match failure::unproven_end(&error).filter(|end| **end != name) {
                    Some(end) if has_alias(client, end).await? => LookupError::TooManyAliases,
                    Some(_) | None => LookupError::from(&error),
                });
            }
        };
        let proven = || lookup.answers().iter().all(|record| record.proof.is_secure());
        if self.dnssec_required && !proven() {
            return Err(LookupError::Unproven);
        }
        let answer = Answer::of(name, lookup.answers(), validated);
        match answer.records.iter().any(|record| record.record_type() == kind) {
            true => Ok(answer),
            // A denial would have come as an error, with its proof.
            false if validated => Err(LookupError::Bogus),
            false => Err(LookupError::NoRecords),
        }
    }
}

/// The name, to which nothing is to be added.
fn complete(owner: &str) -> Result<Name, LookupError> {
    let mut name = Name::from_ascii(owner).map_err(|_| LookupError::NameTooLong)?;
    name.set_fqdn(true);
    Ok(name)
}

/// Whether a name is an alias: the library follows some CNAMEs, and then says that the last of these names has no records.
async fn has_alias(client: &Client, name: &Name) -> Result<bool, LookupError> {
    match connection::lookup(client, name.clone(), RecordType::CNAME).await {
        Ok(found) => Ok(found.answers().iter().any(|it| it.record_type() == RecordType::CNAME)),
        Err(error) => match LookupError::from(&error) {
            LookupError::NoRecords | LookupError::NoSuchName => Ok(false),
            error => Err(error),
        },
    }
}
