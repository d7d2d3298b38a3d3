//! The CAs that a signer signs with, and whose certificates each profile gets.

use std::{collections::HashMap, sync::Arc};

use ca::{Authority, PlannedCertificate};
use domain::{IssuerId, IssuerName, ProfileName, Serial, Timestamp, certificate::SerialBurned};
use tokio::{sync::Notify, task::spawn_blocking};
use tracing::warn;

use crate::{
    IssuanceError, NoSuchRoot, Settings,
    chains::{ChainRule, Chains},
    ocsp::Responder,
};

/// Every CA that a signer signs with: one for the profiles that name none, and those with a name.
#[derive(Debug)]
pub struct Authorities {
    default: Authority,
    named: Vec<(IssuerName, Authority)>,
}

/// Why CAs cannot be used together, or not for the profiles.
#[derive(Debug, thiserror::Error)]
pub enum IssuersError {
    /// Two of them have one key, so that nobody could tell their certificates apart.
    #[error("issuer {0} has the key of another issuer")]
    SameKey(IssuerName),
    /// A profile names an issuer that is not there.
    #[error("profile {0} names an issuer that is not there")]
    Missing(ProfileName),
    /// A profile prefers a root that is not there.
    #[error("a profile's preferred_root is not one of its issuer's")]
    Root(#[source] NoSuchRoot),
}

/// A CA, and how its certificates are handed over.
pub(crate) struct Issuer {
    pub(crate) authority: Authority,
    pub(crate) chains: Chains,
    /// Who answers OCSP requests about its certificates, where that is on.
    pub(crate) responder: Option<Responder>,
    /// Notified when nobody is to wait any longer for what the token has to sign.
    pub(crate) given_up: Notify,
}

/// A serial that is taken for a certificate: who signs it, and when it ends.
pub(crate) struct Claim {
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) serial: Serial,
    pub(crate) not_after: Timestamp,
}

/// Every CA, the default one first.
pub(crate) struct Issuers {
    default: Arc<Issuer>,
    others: Vec<Arc<Issuer>>,
    of_profiles: HashMap<ProfileName, Arc<Issuer>>,
}

impl From<Authority> for Authorities {
    fn from(default: Authority) -> Self {
        Self { default, named: Vec::new() }
    }
}

impl Authorities {
    /// Adds a CA for the profiles that name it.
    pub fn add(&mut self, name: IssuerName, authority: Authority) {
        self.named.push((name, authority));
    }
}

impl Claim {
    pub(crate) fn of(issuer: &Arc<Issuer>, planned: &PlannedCertificate) -> Self {
        let (serial, not_after) = (planned.serial.clone(), planned.not_after);
        Self { issuer: Arc::clone(issuer), serial, not_after }
    }

    /// What the ledger keeps of it once it is given up.
    pub(crate) fn burned(self) -> SerialBurned {
        let Self { issuer, serial, not_after } = self;
        SerialBurned { issuer: issuer.id().clone(), serial, not_after }
    }
}

impl Issuer {
    fn new(
        authority: Authority,
        name: Option<&IssuerName>,
        settings: &Settings,
    ) -> Result<Arc<Self>, IssuersError> {
        let rules: HashMap<ProfileName, ChainRule> = settings
            .chain_rules
            .iter()
            .filter(|(profile, _)| settings.issuers.get(*profile) == name)
            .map(|(profile, rule)| (profile.clone(), rule.clone()))
            .collect();
        let chains = Chains::new(&authority, &rules).map_err(IssuersError::Root)?;
        let answers_ocsp = settings.ocsp_issuers.contains(&name.cloned());
        let responder = answers_ocsp.then(Responder::default);
        Ok(Arc::new(Self { authority, chains, responder, given_up: Notify::new() }))
    }

    pub(crate) fn id(&self) -> &IssuerId {
        self.authority.id()
    }

    /// Refuses while the key is away: what is reserved and then not signed has to be burned.
    pub(crate) fn require_key(&self) -> Result<(), IssuanceError> {
        if self.authority.key().is_away() { Err(IssuanceError::KeyAway) } else { Ok(()) }
    }

    /// Has the CA sign; where that takes long, on a thread that serves nobody else. `None` if that thread panicked, or the token
    /// was silent for too long.
    pub(crate) async fn sign<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Authority) -> T + Send + 'static,
    ) -> Option<T> {
        if !self.authority.key().is_slow() {
            // Takes less than handing it to another thread and back.
            return Some(work(&self.authority));
        }
        self.sign_apart(work).await
    }

    /// Has the CA sign on a thread that serves nobody else, for what takes long with every key.
    pub(crate) async fn sign_apart<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Authority) -> T + Send + 'static,
    ) -> Option<T> {
        let (issuer, given_up) = (Arc::clone(self), self.given_up.notified());
        tokio::select! {
            signed = spawn_blocking(move || work(&issuer.authority)) => signed.ok(),
            () = given_up => None,
        }
    }
}

impl Issuers {
    pub(crate) fn new(authorities: Authorities, settings: &Settings) -> Result<Self, IssuersError> {
        let mut issuers = Self {
            default: Issuer::new(authorities.default, None, settings)?,
            others: Vec::new(),
            of_profiles: HashMap::new(),
        };
        let mut named = HashMap::new();
        for (name, authority) in authorities.named {
            if issuers.by_id(authority.id()).is_some() {
                return Err(IssuersError::SameKey(name));
            }
            let issuer = Issuer::new(authority, Some(&name), settings)?;
            issuers.others.push(Arc::clone(&issuer));
            named.insert(name, issuer);
        }
        for (profile, name) in &settings.issuers {
            let issuer = named.get(name).ok_or_else(|| IssuersError::Missing(profile.clone()))?;
            issuers.of_profiles.insert(profile.clone(), Arc::clone(issuer));
        }
        Ok(issuers)
    }

    /// The one for profiles that name none, and for the server itself.
    pub(crate) fn default(&self) -> &Arc<Issuer> {
        &self.default
    }

    /// The one that signs a profile's certificates from now on.
    pub(crate) fn of(&self, profile: &ProfileName) -> &Arc<Issuer> {
        self.of_profiles.get(profile).unwrap_or(&self.default)
    }

    /// The one with that key, whatever its profiles are by now.
    pub(crate) fn by_id(&self, id: &IssuerId) -> Option<&Arc<Issuer>> {
        self.all().find(|issuer| issuer.id() == id)
    }

    /// Warns of profiles whose certificates are for what their issuer's is not: most clients refuse those.
    pub(crate) fn warn_of_usages(&self, settings: &Settings) {
        for (profile, certificates) in &settings.profiles {
            let issuer = &self.of(profile).authority;
            for usage in &certificates.extended_key_usages {
                if !issuer.is_for(*usage) {
                    let issuer = issuer.id();
                    warn!(%profile, %issuer, ?usage, "the issuer's certificate is not for what the profile's are for");
                }
            }
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        std::iter::once(&self.default).chain(&self.others)
    }
}
