//! CA keys in a PKCS#11 token, such as an HSM: the module of its vendor is loaded at run time, and keys never leave it.

mod key;
mod module;
mod objects;
mod places;

use std::path::PathBuf;

use cryptoki::{
    error::{Error as Pkcs11Error, RvError},
    object::ObjectHandle,
    session::{Session, SessionState, UserType},
    slot::TokenInfo,
    types::AuthPin,
};

use crate::{algorithm::KeyAlgorithm, key_pem::Passphrase};
pub(crate) use key::TokenKey;
use module::{Entered, Module};
use objects::PublicKey;

/// Where a token is, and how to log in to it.
#[derive(Clone, Debug)]
pub struct TokenAccess {
    /// The PKCS#11 module of the token's vendor.
    pub module: PathBuf,
    /// The token's label.
    pub label: String,
    /// The user's PIN.
    pub pin: Passphrase,
}

/// A key in a token.
#[derive(Clone, Debug)]
pub struct TokenPlace {
    /// The token.
    pub access: TokenAccess,
    /// The label of the key: of its private and of its public half.
    pub key_label: String,
}

/// Why a token or a key in it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The module is not there, lacks its libraries, or is none.
    #[error("the pkcs#11 module {path} cannot be loaded")]
    Module {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        #[source]
        source: Pkcs11Error,
    },
    /// The module shows no token of that label.
    #[error("the pkcs#11 module shows no token with the label {0:?}")]
    NoToken(String),
    /// Several tokens have the label.
    #[error("several tokens have the label {0:?}")]
    AmbiguousToken(String),
    /// The PIN is wrong; tokens lock themselves after a few of these.
    #[error("the token refused the PIN: correct the PIN file before the token locks itself")]
    WrongPin(#[source] Pkcs11Error),
    /// The PIN was wrong too often.
    #[error("the token's PIN is locked: have its security officer set it anew")]
    PinLocked(#[source] Pkcs11Error),
    /// The PIN was refused before; asking again could lock the token.
    #[error("the token refused the PIN before: correct the PIN file and start again")]
    PinRefused,
    /// One more wrong PIN would lock the token.
    #[error("the token allows one more PIN before it locks itself: log in once with its own tools")]
    LastTry,
    /// There is no such key.
    #[error("the token has no key with the label {0:?}, or only one half of it")]
    NoKey(String),
    /// Several keys have the label.
    #[error("several keys in the token have the label {0:?}")]
    AmbiguousKey(String),
    /// The key is not the one that was there when it was taken up.
    #[error("the token has another key with the label {0:?} than at the start")]
    OtherKey(String),
    /// What the private half signs does not verify with the public one.
    #[error("the two halves of the key with the label {0:?} do not belong together")]
    OtherHalf(String),
    /// The key is none that we sign with.
    #[error(
        "the key is not of a supported kind: P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits"
    )]
    UnsupportedKey,
    /// Keys are put into a token with its own tools.
    #[error("keys are imported into a token with its own tools, such as pkcs11-tool")]
    NoImport,
    /// The operating system gave no random numbers.
    #[error("the system's random number generator failed")]
    Random,
    /// The token did not do what it was asked.
    #[error("the token failed")]
    Failed(#[from] Pkcs11Error),
}

impl TokenPlace {
    /// Whether there is such a key.
    pub(crate) fn is_taken(&self) -> Result<bool, TokenError> {
        let module = self.access.module()?;
        let entered = module.enter();
        self.with_session(&entered, Access::Read, |session| {
            match objects::private_key(session, &self.key_label) {
                Ok(_) => Ok(true),
                Err(TokenError::NoKey(_)) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Has the token generate the key, which it will never show.
    pub(crate) fn create(&self, algorithm: KeyAlgorithm) -> Result<TokenKey, TokenError> {
        let module = self.access.module()?;
        self.with_session(&module.enter(), Access::Write, |session| {
            objects::generate(session, &self.key_label, algorithm)
        })?;
        self.load()
    }

    /// Finds the key, and checks that it signs.
    pub(crate) fn load(&self) -> Result<TokenKey, TokenError> {
        let module = self.access.module()?;
        let entered = module.enter();
        let public = self.with_session(&entered, Access::Read, |session| {
            objects::public_key(session, &self.key_label)
        })?;
        drop(entered);
        let key = TokenKey::new(self.clone(), module, public);
        key.try_out()?;
        Ok(key)
    }

    /// Opens a session that is logged in, and finds the private half of a key in it. A token that was initialized anew may have
    /// another key with that label, whose signatures would be of no use.
    fn private_key_of(
        &self,
        public: &PublicKey,
        entered: &Entered<'_>,
    ) -> Result<(Session, ObjectHandle), TokenError> {
        let session = self.access.log_in(entered, Access::Read)?;
        let found = match objects::public_key(&session, &self.key_label) {
            Ok(there) if there == *public => objects::private_key(&session, &self.key_label),
            Ok(_) => Err(TokenError::OtherKey(self.key_label.clone())),
            Err(error) => Err(error),
        };
        match found {
            Ok(key) => Ok((session, key)),
            Err(error) => {
                close(session);
                Err(error)
            }
        }
    }

    fn with_session<T>(
        &self,
        entered: &Entered<'_>,
        access: Access,
        work: impl FnOnce(&Session) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let session = self.access.log_in(entered, access)?;
        let done = work(&session);
        close(session);
        done
    }
}

/// What a session is for.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write,
}

impl TokenAccess {
    fn module(&self) -> Result<std::sync::Arc<Module>, TokenError> {
        Module::load(&self.module)
            .map_err(|source| TokenError::Module { path: self.module.clone(), source })
    }

    /// Opens a session, and logs in unless another did: all sessions of a process share the login.
    fn log_in(&self, entered: &Entered<'_>, access: Access) -> Result<Session, TokenError> {
        let mut tokens = Vec::new();
        for slot in entered.pkcs11().get_slots_with_token()? {
            let token = entered.pkcs11().get_token_info(slot)?;
            if token.label() == self.label {
                tokens.push((slot, token));
            }
        }
        let (slot, token) = match tokens.as_slice() {
            [] => return Err(TokenError::NoToken(self.label.clone())),
            [(slot, token)] => (*slot, token),
            _ => return Err(TokenError::AmbiguousToken(self.label.clone())),
        };
        // Not closed when dropped: its number may be another session's by then, after the module was restarted.
        let session = match access {
            Access::Read => entered.pkcs11().open_ro_session_no_drop(slot)?,
            Access::Write => entered.pkcs11().open_rw_session_no_drop(slot)?,
        };
        match self.send_pin(entered, &session, token) {
            Ok(()) => Ok(session),
            Err(error) => {
                close(session);
                Err(error)
            }
        }
    }

    /// Sends the PIN where it is needed, and never again once it was refused, for whichever of the token's keys.
    fn send_pin(
        &self,
        entered: &Entered<'_>,
        session: &Session,
        token: &TokenInfo,
    ) -> Result<(), TokenError> {
        let mut refused = entered.tokens_that_refused_the_pin();
        if let SessionState::RoUser | SessionState::RwUser =
            session.get_session_info()?.session_state()
        {
            return Ok(());
        }
        if refused.contains(&self.label) {
            return Err(TokenError::PinRefused);
        }
        if token.user_pin_final_try() {
            return Err(TokenError::LastTry);
        }
        let pin = AuthPin::from(self.pin.expose());
        let logged_in = session.login(UserType::User, Some(&pin)).or_else(refusal_of_login);
        if let Err(TokenError::WrongPin(_) | TokenError::PinLocked(_)) = &logged_in {
            refused.insert(self.label.clone());
        }
        logged_in
    }
}

impl TokenError {
    /// Whether only an operator can help: a restart of the module cannot.
    fn is_about_pin(&self) -> bool {
        matches!(self, Self::WrongPin(_) | Self::PinLocked(_) | Self::PinRefused | Self::LastTry)
    }
}

fn refusal_of_login(error: Pkcs11Error) -> Result<(), TokenError> {
    match &error {
        Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _) => Ok(()),
        Pkcs11Error::Pkcs11(
            RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired,
            _,
        ) => Err(TokenError::WrongPin(error)),
        Pkcs11Error::Pkcs11(RvError::PinLocked, _) => Err(TokenError::PinLocked(error)),
        _ => Err(TokenError::Failed(error)),
    }
}

/// Closes a session; it does not matter whether the token still knew it.
fn close(session: Session) {
    if let Err(error) = session.close() {
        tracing::debug!(error = &error as &dyn std::error::Error, "token session not closed");
    }
}
