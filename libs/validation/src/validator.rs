//! Runs one validation from beginning to end.

use domain::{ChallengeType, DnsName, Evidence, Failure, FailureKind, Identifier};
use tokio::time::timeout;

use crate::{
    CaaQuestion, Exhausted, Settings, SettingsError, caa, dns01, http01,
    http01::WebClient,
    observed::Observed,
    resolver::Resolver,
    tls_alpn01::{self, TlsClient},
};

/// Contacts applicants; made once and shared, holds no state of a single validation.
pub struct Validator {
    pub(crate) settings: Settings,
    pub(crate) resolver: Resolver,
    pub(crate) web: WebClient,
    pub(crate) tls: TlsClient,
}

/// One look at a challenge.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// How control is to be proven.
    pub challenge: ChallengeType,
    /// What is to be proven; a leading `*.` does not matter.
    pub identifier: &'a Identifier,
    /// Whether every name below is asked for.
    pub wildcard: bool,
    /// The challenge's token.
    pub token: &'a str,
    /// What the applicant must show (RFC 8555 §8.1).
    pub key_authorization: &'a str,
    /// The URL of the account, which CAA records may name (RFC 8657 §3).
    pub account_url: &'a str,
}

/// A validation that failed, with what was seen until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as the applicant may learn it.
    pub failure: Failure,
    /// What was seen.
    pub evidence: Evidence,
}

/// What a look saw: proof, or why there is none.
pub type Outcome = Result<Evidence, Box<Rejected>>;

impl Validator {
    /// Makes a validator.
    ///
    /// # Errors
    /// When the resolver, the trust anchor or the HTTP client cannot be set up; the operator must act.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let resolver = Resolver::new(&settings)?;
        let web = WebClient::new(&settings)?;
        let tls = TlsClient::new()?;
        Ok(Self { settings, resolver, web, tls })
    }

    /// Checks whether the applicant fulfilled a challenge (RFC 8555 §8.3, §8.4, RFC 8737 §3) and, for a name, whether CAA
    /// permits issuance.
    ///
    /// Nothing is kept between calls: the future may be dropped at any time and a validation repeated.
    ///
    /// It is rejected when the challenge is not fulfilled, CAA forbids issuance, either cannot be checked, or the check takes
    /// too long.
    ///
    /// # Errors
    /// When this machine had nothing left to look with: the caller looks again later.
    pub async fn validate(&self, attempt: Attempt<'_>) -> Result<Outcome, Exhausted> {
        let mut observed = self.observed();
        let checked = async {
            self.prove(attempt, &mut observed).await?;
            match attempt.identifier {
                Identifier::Dns(name) => {
                    let question = CaaQuestion {
                        name,
                        wildcard: attempt.wildcard,
                        challenge: attempt.challenge,
                        account_url: attempt.account_url,
                    };
                    self.ask_caa(question, &mut observed).await
                }
                // CAA is about names (RFC 8738 §9 leaves addresses out).
                Identifier::Ip(_) => Ok(()),
            }
        };
        let in_time = timeout(self.settings.total_timeout, checked).await;
        let result =
            in_time.unwrap_or_else(|_| Err(self.slow(slow_kind(attempt.challenge), &observed)));
        finished(result, observed)
    }

    /// Checks whether CAA permits issuance for a name whose control was proven before.
    ///
    /// It is rejected when it does not, cannot be checked, or the check takes too long.
    ///
    /// # Errors
    /// When this machine had nothing left to look with: the caller looks again later.
    pub async fn check_caa(&self, question: CaaQuestion<'_>) -> Result<Outcome, Exhausted> {
        let mut observed = self.observed();
        let checked = self.ask_caa(question, &mut observed);
        let in_time = timeout(self.settings.total_timeout, checked).await;
        let result = in_time.unwrap_or_else(|_| Err(self.slow(FailureKind::Dns, &observed)));
        finished(result, observed)
    }

    /// Whether CAA is checked at all.
    pub fn enforces_caa(&self) -> bool {
        !self.settings.caa_identities.is_empty()
    }

    async fn prove(&self, attempt: Attempt<'_>, observed: &mut Observed) -> Result<(), Failure> {
        let Attempt { identifier, token, key_authorization, .. } = attempt;
        match attempt.challenge {
            ChallengeType::Http01 => {
                let proof = http01::Proof { token, key_authorization };
                http01::validate(self, identifier, proof, observed).await
            }
            ChallengeType::Dns01 => {
                let name = dns_name(identifier)?;
                dns01::validate(&self.resolver, name, key_authorization, observed).await
            }
            ChallengeType::TlsAlpn01 => {
                tls_alpn01::validate(self, identifier, key_authorization, observed).await
            }
        }
    }

    async fn ask_caa(
        &self,
        question: CaaQuestion<'_>,
        observed: &mut Observed,
    ) -> Result<(), Failure> {
        if !self.enforces_caa() {
            return Ok(());
        }
        caa::check(&self.resolver, &self.settings.caa_identities, question, observed).await
    }

    fn observed(&self) -> Observed {
        Observed::new(&self.settings.perspective, &self.settings.resolver.to_string())
    }

    /// Why a validation failed whose time was over.
    fn slow(&self, kind: FailureKind, observed: &Observed) -> Failure {
        let seconds = self.settings.total_timeout.as_secs_f32();
        let last = observed.last_contact().map(|last| format!(": {last}")).unwrap_or_default();
        Failure::new(kind, &format!("the validation did not end within {seconds} s{last}"))
    }
}

fn finished(result: Result<(), Failure>, observed: Observed) -> Result<Outcome, Exhausted> {
    match (result, observed.exhausted()) {
        (Ok(()), _) => Ok(Ok(observed.finish())),
        (Err(_), Some(exhausted)) => Err(exhausted),
        (Err(failure), None) => {
            let evidence = observed.finish();
            Ok(Err(Box::new(Rejected { failure, evidence })))
        }
    }
}

/// There is no dns-01 for addresses (RFC 8738 §7), and none is offered.
fn dns_name(identifier: &Identifier) -> Result<&DnsName, Failure> {
    match identifier {
        Identifier::Dns(name) => Ok(name),
        Identifier::Ip(_) => {
            let detail = "dns-01 cannot prove control of an address";
            Err(Failure::new(FailureKind::RejectedIdentifier, detail))
        }
    }
}

/// What a validation that takes too long most likely waited for.
fn slow_kind(challenge: ChallengeType) -> FailureKind {
    match challenge {
        ChallengeType::Http01 | ChallengeType::TlsAlpn01 => FailureKind::Connection,
        ChallengeType::Dns01 => FailureKind::Dns,
    }
}
