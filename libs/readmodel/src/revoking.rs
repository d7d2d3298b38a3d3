//! Revoking a certificate: whoever asks for it, a compromised key is blocked before its certificate is revoked.

use domain::{
    IssuerId, KeyHash, Serial,
    certificate::{
        BlockedKey, CertRevoked, Command, KeyBlocked, Rejection, Revocation, RevocationReason,
    },
};
use eventstore::{Context, Decided, ExecuteError, LoadError, Loaded, Subject, execute, load};

use crate::Aggregates;

impl Aggregates {
    /// Revokes a certificate. For keyCompromise its key is blocked first, so that a crash in between leaves nothing that
    /// repeating the request does not make good, and also when the certificate is revoked for another reason already.
    ///
    /// # Errors
    /// See [`execute`].
    pub async fn revoke(
        &self,
        revoked: CertRevoked,
        key: Option<KeyHash>,
        context: &Context,
    ) -> Result<Decided<Revocation>, ExecuteError<Rejection>> {
        match (revoked.reason, key) {
            (RevocationReason::KeyCompromise, Some(key)) => {
                self.block(&revoked, key, context).await?;
            }
            (RevocationReason::KeyCompromise, None)
            | (
                RevocationReason::Unspecified
                | RevocationReason::AffiliationChanged
                | RevocationReason::Superseded
                | RevocationReason::CessationOfOperation
                | RevocationReason::PrivilegeWithdrawn,
                _,
            ) => {}
        }
        let subject = Subject::revocation(&revoked.issuer, &revoked.serial);
        let command = Command::Revoke(revoked);
        execute(self.store.as_ref(), &subject, Loaded::default(), &command, context).await
    }

    async fn block(
        &self,
        revoked: &CertRevoked,
        key: KeyHash,
        context: &Context,
    ) -> Result<(), ExecuteError<Rejection>> {
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
        Ok(loaded.state.map(|state| state.revoked))
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
