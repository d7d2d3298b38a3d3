//! Changes an operator makes to what the log says; made where the log is open.

use std::fmt;

use acme::revocation::PresentedCertificate;
use domain::{
    AccountId, ExternalKeyId, IssuerId, KeyHash, Serial, Timestamp,
    account::{self, Account, AccountTermsAgreed},
    certificate::{AlreadyRevoked, CertRevoked, RevocationReason},
    external_key::{self, ExternalKey, ExternalKeyCreated, ExternalKeyRegistered},
};
use eventstore::{Actor, Context, ExecuteError, Loaded, Subject, execute};
use readmodel::{CertificateEntry, FindError};
use serde::{Deserialize, Serialize};

use crate::{
    clock,
    failure::{Explain as _, Failure},
    ports::{LogAdapter, Ports},
};

/// What an operator wants changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub(crate) enum Change {
    /// Revokes a certificate.
    Revoke {
        /// Its serial.
        serial: Serial,
        /// Why.
        reason: RevocationReason,
    },
    /// Deactivates an account.
    DeactivateAccount {
        /// Which one.
        account: AccountId,
    },
    /// Records that an account's holder agreed to terms of service.
    AgreeToTerms {
        /// Which account.
        account: AccountId,
        /// The URL of the terms.
        terms_of_service: String,
    },
    /// Makes a key for external accounts.
    CreateExternalKey {
        /// The key, with its secret sealed.
        key: ExternalKeyCreated,
    },
    /// Registers a public key for external accounts.
    RegisterExternalKey {
        /// The key.
        key: ExternalKeyRegistered,
    },
    /// Ends a key for external accounts.
    DisableExternalKey {
        /// Which one.
        key: ExternalKeyId,
    },
    /// Builds the read model anew.
    Rebuild,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub(crate) enum Done {
    /// The certificate is revoked.
    Revoked {
        /// The CA key that signed it.
        issuer: IssuerId,
        /// Its serial.
        serial: Serial,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: Timestamp,
    },
    /// The account is deactivated.
    AccountDeactivated {
        /// Which one.
        account: AccountId,
    },
    /// The agreement is recorded.
    TermsAgreed {
        /// Which account.
        account: AccountId,
        /// The URL of the terms.
        terms_of_service: String,
    },
    /// The key for external accounts is there.
    ExternalKeyCreated {
        /// Which one.
        key: ExternalKeyId,
    },
    /// The key for external accounts is ended.
    ExternalKeyDisabled {
        /// Which one.
        key: ExternalKeyId,
    },
    /// The indexes of the read model are complete.
    Rebuilt,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked { issuer, serial, reason, .. } => {
                write!(f, "certificate {serial} of issuer {issuer} is revoked ({})", reason.name())
            }
            Self::AccountDeactivated { account } => write!(f, "account {account} is deactivated"),
            Self::TermsAgreed { account, terms_of_service } => {
                write!(f, "account {account} agreed to {terms_of_service}")
            }
            Self::ExternalKeyCreated { key } => write!(f, "key {key} is made"),
            Self::ExternalKeyDisabled { key } => write!(f, "key {key} is disabled"),
            Self::Rebuilt => f.write_str("the read model is built anew from the log"),
        }
    }
}

/// Makes a change in the operator's name.
///
/// # Errors
/// When the rules forbid it, or log or read model are out of reach.
pub(crate) async fn make(
    change: Change,
    operator: &str,
    ports: &Ports,
    order_shards: u8,
) -> Result<Done, Failure> {
    let context = Context {
        actor: Actor::Operator { name: operator.to_owned() },
        request_id: None,
        traceparent: runtime::telemetry::current_traceparent(),
        at: clock::now(),
    };
    match change {
        Change::Revoke { serial, reason } => revoke(&serial, reason, &context, ports).await,
        Change::DeactivateAccount { account } => {
            change_account(&account, &account::Command::Deactivate, &context, ports).await?;
            Ok(Done::AccountDeactivated { account })
        }
        Change::AgreeToTerms { account, terms_of_service } => {
            let (terms, at) = (terms_of_service.clone(), context.at);
            let agreed = AccountTermsAgreed { terms_of_service: terms, at };
            let command = account::Command::AgreeToTerms(agreed);
            change_account(&account, &command, &context, ports).await?;
            Ok(Done::TermsAgreed { account, terms_of_service })
        }
        Change::CreateExternalKey { key } => {
            let id = key.id.clone();
            change_key(&id, &external_key::Command::Create(key), &context, ports).await?;
            Ok(Done::ExternalKeyCreated { key: id })
        }
        Change::RegisterExternalKey { key } => {
            let id = key.id.clone();
            change_key(&id, &external_key::Command::Register(key), &context, ports).await?;
            Ok(Done::ExternalKeyCreated { key: id })
        }
        Change::DisableExternalKey { key } => {
            change_key(&key, &external_key::Command::Disable, &context, ports).await?;
            Ok(Done::ExternalKeyDisabled { key })
        }
        Change::Rebuild => rebuild(ports, order_shards).await,
    }
}

async fn revoke(
    serial: &Serial,
    reason: RevocationReason,
    context: &Context,
    ports: &Ports,
) -> Result<Done, Failure> {
    let entry = find(serial, ports).await?;
    let revoked = CertRevoked {
        issuer: entry.issuer.clone(),
        serial: entry.serial.clone(),
        reason,
        at: context.at,
        not_after: entry.not_after,
    };
    let key = certified_key(&entry, ports).await?;
    let is_blocked = reason == RevocationReason::KeyCompromise && key.is_some();
    match ports.aggregates().revoke(revoked, key, context).await {
        Ok(_) => {
            Ok(Done::Revoked { issuer: entry.issuer, serial: entry.serial, reason, at: context.at })
        }
        Err(ExecuteError::Rejected(AlreadyRevoked)) => {
            let blocked = if is_blocked {
                "Its key is blocked now, for certificates and accounts; the CRL keeps the reason it has. "
            } else {
                ""
            };
            Err(Failure::new(format!("certificate {serial} is revoked already"))
                .advise(format!("{blocked}See when and why with `certmill why {serial}`.")))
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds the certificate in the index.
async fn find(serial: &Serial, ports: &Ports) -> Result<CertificateEntry, Failure> {
    match ports.aggregates().certificate(serial).await {
        Ok(Some(entry)) => Ok(entry),
        Ok(None) => {
            Err(Failure::new(format!("no certificate with serial {serial} is on record"))).advise(
                format!(
                    "Give the serial as `openssl x509 -noout -serial` prints it. A serial that was given up during signing is \
                     revoked already: `certmill why {serial}` says so."
                ),
            )
        }
        Err(behind @ FindError::Behind) => Err(behind)
            .advise("Try again in a moment; if that does not help, run `certmill rebuild`."),
        Err(error @ (FindError::Store(_) | FindError::View(_))) => Err(error.into()),
    }
}

/// The hash of the key that the ledger's certificate is for.
async fn certified_key(
    entry: &CertificateEntry,
    ports: &Ports,
) -> Result<Option<KeyHash>, Failure> {
    let aggregates = ports.aggregates();
    let signed = aggregates.signed_certificate(entry.ledger_sequence, &entry.serial).await?;
    let certificate =
        signed.and_then(|signed| PresentedCertificate::from_base64url(&signed.certificate).ok());
    Ok(certificate.and_then(|certificate| certificate.public_key).map(|key| key.hash()))
}

async fn change_account(
    account: &AccountId,
    command: &account::Command,
    context: &Context,
    ports: &Ports,
) -> Result<(), Failure> {
    match ports.aggregates().execute::<Account>(account, None, command, context).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Rejected(rejection)) => {
            Err(Failure::from(rejection).while_doing(format_args!("account {account}")))
                .advise("`certmill account list` lists all accounts.")
        }
        Err(error) => Err(error.into()),
    }
}

async fn change_key(
    id: &ExternalKeyId,
    command: &external_key::Command,
    context: &Context,
    ports: &Ports,
) -> Result<(), Failure> {
    let (store, subject) = (ports.store.as_ref(), Subject::external_key(id));
    match execute::<ExternalKey>(store, &subject, Loaded::default(), command, context).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Rejected(rejection)) => {
            Err(Failure::from(rejection).while_doing(format_args!("key {id}")))
                .advise("`certmill eab list` lists all keys.")
        }
        Err(error) => Err(error.into()),
    }
}

async fn rebuild(ports: &Ports, order_shards: u8) -> Result<Done, Failure> {
    match &ports.log {
        // Its indexes are part of it, and it knows how to make them anew in large steps.
        LogAdapter::Embedded(embedded) => embedded.rebuild().await?,
        LogAdapter::JetStream(_) => {
            projector::rebuild(&ports.projector(), order_shards).await?;
        }
    }
    Ok(Done::Rebuilt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn what_was_changed_is_named() {
        let (account, key) = (fixtures::account(), ExternalKeyId::from_random(&[7; 16]));
        let (issuer, serial) = (IssuerId::from_hash(&[1; 32]), fixtures::serial());
        let (reason, at) = (RevocationReason::Superseded, Timestamp::from_unix_seconds(0));
        let terms_of_service = "https://ca.example/terms".to_owned();
        for (expected, done) in [
            (
                format!("certificate {serial} of issuer {issuer} is revoked (superseded)"),
                Done::Revoked { issuer, serial, reason, at },
            ),
            (
                format!("account {account} is deactivated"),
                Done::AccountDeactivated { account: account.clone() },
            ),
            (
                format!("account {account} agreed to https://ca.example/terms"),
                Done::TermsAgreed { account, terms_of_service },
            ),
            (format!("key {key} is made"), Done::ExternalKeyCreated { key: key.clone() }),
            (format!("key {key} is disabled"), Done::ExternalKeyDisabled { key }),
        ] {
            assert_eq!(done.to_string(), expected);
        }
    }
}
