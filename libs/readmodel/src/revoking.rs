//! Revoking a certificate: whoever asks for it, a compromised key is blocked before its certificate is revoked.

use domain::{
    IssuerId, KeyHash, Serial,
    certificate::{
        AlreadyRevoked, BlockedKey, CertRevoked, KeyBlocked, Revocation, RevocationReason,
    },
};
use eventstore::{Context, Decided, ExecuteError, LoadError, Loaded, Subject, execute, load};

use crate::Aggregates;

impl Aggregates {
    /// Revokes a certificate. For keyCompromise its key is blocked first, also where the certificate is revoked already: whoever
    /// repeats the request after a crash in between completes both.
    ///
    /// # Errors
    /// See [`execute`].
    pub async fn revoke(
        &self,
        revoked: CertRevoked,
        key: Option<KeyHash>,
        context: &Context,
    ) -> Result<Decided<Revocation>, ExecuteError<AlreadyRevoked>> {
        if revoked.reason == RevocationReason::KeyCompromise
            && let Some(key) = key
        {
            self.block(&revoked, key, context).await?;
        }
        let subject = Subject::revocation(&revoked.issuer, &revoked.serial);
        execute(self.store.as_ref(), &subject, Loaded::default(), &revoked, context).await
    }

    async fn block(
        &self,
        revoked: &CertRevoked,
        key: KeyHash,
        context: &Context,
    ) -> Result<(), ExecuteError<AlreadyRevoked>> {
        let subject = Subject::blocked_key(&key);
        let (issuer, serial) = (revoked.issuer.clone(), revoked.serial.clone());
        let command = KeyBlocked { key, issuer, serial, at: revoked.at };
        let store = self.store.as_ref();
        let blocked =
            execute::<BlockedKey>(store, &subject, Loaded::default(), &command, context).await;
        blocked.map(drop).map_err(|error| match error {
            ExecuteError::Rejected(never) => match never {},
            ExecuteError::Store(source) => ExecuteError::Store(source),
            ExecuteError::Decode(source) => ExecuteError::Decode(source),
            ExecuteError::TooLarge => ExecuteError::TooLarge,
        })
    }

    /// The revocation of a serial, if it was revoked.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn revocation(
        &self,
        issuer: &IssuerId,
        serial: &Serial,
    ) -> Result<Option<CertRevoked>, LoadError> {
        let subject = Subject::revocation(issuer, serial);
        let loaded = load::<Revocation>(self.store.as_ref(), &subject, Loaded::default()).await?;
        Ok(loaded.state)
    }

    /// Whether a certificate for the key was revoked for keyCompromise.
    ///
    /// # Errors
    /// When the log is out of reach.
    pub async fn is_blocked(&self, key: &KeyHash) -> Result<bool, LoadError> {
        let subject = Subject::blocked_key(key);
        let loaded = load::<BlockedKey>(self.store.as_ref(), &subject, Loaded::default()).await?;
        Ok(loaded.state.is_some())
    }
}
