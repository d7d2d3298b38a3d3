//! Runs one validation from beginning to end.

use domain::{ChallengeType, DnsName, Evidence, Failure, FailureKind};

use crate::{
    Settings, SettingsError, dns01, http01, http01::WebClient, observed::Observed,
    resolver::Resolver,
};

/// Contacts applicants; made once and shared, holds no state of a single validation.
pub struct Validator {
    pub(crate) settings: Settings,
    pub(crate) resolver: Resolver,
    pub(crate) web: WebClient,
}

/// A validation that failed, with what was seen until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as the applicant may learn it.
    pub failure: Failure,
    /// What was seen.
    pub evidence: Evidence,
}

impl Validator {
    /// Makes a validator.
    ///
    /// # Errors
    /// When the resolver, the trust anchor or the HTTP client cannot be set up; the operator must act.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let resolver = Resolver::new(&settings)?;
        let web = WebClient::new(&settings)?;
        Ok(Self { settings, resolver, web })
    }

    /// Checks whether the applicant fulfilled a challenge for a name (RFC 8555 §8.3, §8.4).
    ///
    /// Nothing is kept between calls: the future may be dropped at any time and a validation repeated.
    ///
    /// # Errors
    /// When the challenge is not fulfilled, cannot be checked, or the check takes too long.
    pub async fn validate(
        &self,
        challenge: ChallengeType,
        name: &DnsName,
        token: &str,
        key_authorization: &str,
    ) -> Result<Evidence, Box<Rejected>> {
        let resolver = self.settings.resolver.to_string();
        let mut observed = Observed::new(&self.settings.perspective, &resolver);
        let checked = tokio::time::timeout(self.settings.total_timeout, async {
            match challenge {
                ChallengeType::Http01 => {
                    let proof = http01::Proof { token, key_authorization };
                    http01::validate(self, name, proof, &mut observed).await
                }
                ChallengeType::Dns01 => {
                    dns01::validate(&self.resolver, name, key_authorization, &mut observed).await
                }
            }
        });
        let result = checked.await.unwrap_or_else(|_| Err(self.too_slow(challenge)));
        let evidence = observed.finish();
        match result {
            Ok(()) => Ok(evidence),
            Err(failure) => Err(Box::new(Rejected { failure, evidence })),
        }
    }

    fn too_slow(&self, challenge: ChallengeType) -> Failure {
        let kind = match challenge {
            ChallengeType::Http01 => FailureKind::Connection,
            ChallengeType::Dns01 => FailureKind::Dns,
        };
        let seconds = self.settings.total_timeout.as_secs_f32();
        Failure::new(kind, &format!("the validation did not end within {seconds} s"))
    }
}
