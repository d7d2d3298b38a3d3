//! A key in a token: signs over sessions that are opened anew when they are lost.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use cryptoki::{
    error::{Error as Pkcs11Error, RvError},
    mechanism::{
        Mechanism,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::ObjectHandle,
    session::Session,
};
use ring::{
    digest::{SHA256, SHA384, digest},
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA256,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};

use super::{
    TokenError, TokenPlace, close,
    module::{Entered, Module},
    objects::PublicKey,
    places::Places,
};
use crate::algorithm::KeyAlgorithm;

/// How many signatures are made at once: enough for a token across a network, few enough for any token.
const SESSIONS: usize = 4;

/// A token that owes signatures and has given none for this time may never give one.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is signed for trial: no DER, so that nobody can take it for a certificate, a CRL or an answer.
const TRIAL: &[u8] = b"certmill tries whether this key signs";

/// A key in a token, and the sessions that sign with it.
#[derive(Debug)]
pub(crate) struct TokenKey {
    place: TokenPlace,
    module: Arc<Module>,
    public: PublicKey,
    sessions: Places<Option<Open>>,
    awaited: Mutex<Awaited>,
    away: AtomicBool,
}

/// The signatures that the token was asked for.
#[derive(Debug, Default)]
struct Awaited {
    count: usize,
    /// When the last one came, or the first of these was asked for.
    since: Option<Instant>,
}

/// A session that is logged in, with the key.
#[derive(Debug)]
struct Open {
    session: Session,
    key: ObjectHandle,
    /// How often the module had been restarted when it was opened: a restart ends it.
    restarts: u64,
}

impl TokenKey {
    pub(super) fn new(place: TokenPlace, module: Arc<Module>, public: PublicKey) -> Self {
        Self {
            place,
            module,
            public,
            sessions: Places::new(SESSIONS),
            awaited: Mutex::default(),
            away: AtomicBool::default(),
        }
    }

    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        self.public.algorithm
    }

    /// The bits of the SubjectPublicKeyInfo.
    pub(crate) fn public_key(&self) -> &[u8] {
        &self.public.bits
    }

    /// Whether the token failed when it was used last.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Has nobody ask it for a signature until it was [looked](Self::look) for.
    pub(crate) fn put_away(&self) {
        self.away.store(true, Ordering::Relaxed);
    }

    /// Signs, unless the token failed before: then it is asked by [`look`](Self::look) alone.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        if self.is_away() {
            return None;
        }
        match self.sign_in_session(message) {
            Ok(signature) => Some(signature),
            Err(error) => {
                self.put_away();
                let error = &error as &dyn std::error::Error;
                tracing::error!(token = self.place.access.label, error, "the token did not sign");
                None
            }
        }
    }

    /// Looks whether the token can sign, over a session of its own, and restarts the module of one that cannot. A token that was
    /// away, or owes a signature for long, has to make one for trial: it may answer and not sign, and what is reserved for it
    /// would be burned.
    ///
    /// # Errors
    /// When it cannot, or has another key of that label.
    pub(crate) fn look(&self) -> Result<(), TokenError> {
        let seen = self.module.enter().restarts();
        let is_doubtful = || self.is_away() || self.awaited().is_silent(Instant::now());
        let look = || if is_doubtful() { self.try_out() } else { self.check() };
        let looked = match look() {
            Err(error) if !error.is_about_pin() => {
                self.put_away();
                self.module.restart(seen)?;
                look()
            }
            looked => looked,
        };
        self.away.store(looked.is_err(), Ordering::Relaxed);
        looked
    }

    /// Signs what nobody has a use for, and looks at the signature.
    pub(super) fn try_out(&self) -> Result<(), TokenError> {
        let signature = self.sign_in_session(TRIAL)?;
        let algorithm: &dyn VerificationAlgorithm = match self.public.algorithm {
            KeyAlgorithm::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            KeyAlgorithm::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            KeyAlgorithm::Ed25519 => &ED25519,
            KeyAlgorithm::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        };
        let verified =
            UnparsedPublicKey::new(algorithm, &self.public.bits).verify(TRIAL, &signature);
        verified.map_err(|_| TokenError::OtherHalf(self.place.key_label.clone()))
    }

    /// Sees whether the token would sign, as far as is possible without a signature.
    fn check(&self) -> Result<(), TokenError> {
        let entered = self.module.enter();
        let (session, key) = self.place.private_key_of(&self.public, &entered)?;
        let begun = session.sign_init(&self.mechanism(), key);
        // Ends what was begun.
        close(session);
        Ok(begun?)
    }

    fn awaited(&self) -> MutexGuard<'_, Awaited> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign_in_session(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.awaited().begin(Instant::now());
        let signed = self.sign_in_free_session(message);
        self.awaited().end(Instant::now());
        signed
    }

    fn sign_in_free_session(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let mut place = self.sessions.take();
        let entered = self.module.enter();
        match self.sign_once(&mut place, &entered, message) {
            Err(TokenError::Failed(error)) if is_session_lost(&error) => {
                self.sign_once(&mut place, &entered, message)
            }
            signed => signed,
        }
    }

    fn sign_once(
        &self,
        place: &mut Option<Open>,
        entered: &Entered<'_>,
        message: &[u8],
    ) -> Result<Vec<u8>, TokenError> {
        let kept = place.take().filter(|open| open.restarts == entered.restarts());
        let open = match kept {
            Some(open) => open,
            None => {
                let (session, key) = self.place.private_key_of(&self.public, entered)?;
                Open { session, key, restarts: entered.restarts() }
            }
        };
        let to_sign = match self.public.algorithm {
            KeyAlgorithm::EcdsaP256 => digest(&SHA256, message).as_ref().to_vec(),
            KeyAlgorithm::EcdsaP384 => digest(&SHA384, message).as_ref().to_vec(),
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa => message.to_vec(),
        };
        match open.session.sign(&self.mechanism(), open.key, &to_sign) {
            Ok(signature) => {
                *place = Some(open);
                Ok(self.in_certificates(signature))
            }
            Err(error) => {
                close(open.session);
                Err(error.into())
            }
        }
    }

    /// The mechanisms that most tokens have: with ECDSA few of them hash.
    fn mechanism(&self) -> Mechanism<'static> {
        match self.public.algorithm {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => Mechanism::Ecdsa,
            KeyAlgorithm::Ed25519 => {
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
            }
            KeyAlgorithm::Rsa => Mechanism::Sha256RsaPkcs,
        }
    }

    /// A signature as X.509 writes it: PKCS#11 gives the two numbers of an ECDSA signature one after the other.
    fn in_certificates(&self, signature: Vec<u8>) -> Vec<u8> {
        match self.public.algorithm {
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => {
                let (r, s) = signature.split_at(signature.len() / 2);
                yasna::construct_der(|writer| {
                    writer.write_sequence(|writer| {
                        writer.next().write_bigint_bytes(r, true);
                        writer.next().write_bigint_bytes(s, true);
                    });
                })
            }
            KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa => signature,
        }
    }
}

impl Awaited {
    fn begin(&mut self, now: Instant) {
        self.count += 1;
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: Instant) {
        self.count -= 1;
        self.since = (self.count > 0).then_some(now);
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.since.is_some_and(|since| now.duration_since(since) > PATIENCE)
    }
}

/// Whether the token knows a session, its login or its objects no more: then nothing was signed in it.
fn is_session_lost(error: &Pkcs11Error) -> bool {
    matches!(
        error,
        Pkcs11Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::UserNotLoggedIn
                | RvError::KeyHandleInvalid
                | RvError::ObjectHandleInvalid,
            _
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_silent_when_it_was_asked_and_gave_nothing_for_a_while() {
        let (start, mut awaited) = (Instant::now(), Awaited::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!awaited.is_silent(at(60)), "nothing was asked");
        awaited.begin(at(60));
        assert!(!awaited.is_silent(at(64)));
        assert!(awaited.is_silent(at(66)));
        awaited.begin(at(66));
        assert!(awaited.is_silent(at(66)), "asking again is no answer");
        awaited.end(at(67));
        assert!(!awaited.is_silent(at(71)));
        assert!(awaited.is_silent(at(73)), "the other is still awaited");
        awaited.end(at(74));
        assert!(!awaited.is_silent(at(90)));
    }
}
