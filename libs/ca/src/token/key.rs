//! A key in a token: signs over sessions that are opened anew when they are lost.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering},
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
};
use crate::algorithm::KeyAlgorithm;

/// How many signatures are made at once: enough for a token across a network, few enough for any token.
const SESSIONS: usize = 4;

/// What is signed for trial: no DER, so that nobody can take it for a certificate, a CRL or an answer.
const TRIAL: &[u8] = b"certmill tries whether this key signs";

/// A key in a token, and the sessions that sign with it.
#[derive(Debug)]
pub(crate) struct TokenKey {
    place: TokenPlace,
    module: Arc<Module>,
    public: PublicKey,
    sessions: [Mutex<Option<Open>>; SESSIONS],
    next: AtomicUsize,
    away: AtomicBool,
}

/// A session that is logged in, with the key.
#[derive(Debug)]
struct Open {
    session: Session,
    key: ObjectHandle,
    /// How often the module had started anew.
    starts: u64,
}

impl TokenKey {
    pub(super) fn new(place: TokenPlace, module: Arc<Module>, public: PublicKey) -> Self {
        Self {
            place,
            module,
            public,
            sessions: Default::default(),
            next: AtomicUsize::default(),
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

    /// Looks whether the token can sign, over a session of its own; one that cannot has its module started anew. One that was
    /// away has to sign for trial: it may answer and not sign, and what is reserved for it would be burned.
    ///
    /// # Errors
    /// When it cannot, or has another key of that label.
    pub(crate) fn look(&self) -> Result<(), TokenError> {
        let seen = self.module.enter().starts();
        let look = || if self.is_away() { self.try_out() } else { self.check() };
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

    /// Goes as far as is possible without a signature.
    fn check(&self) -> Result<(), TokenError> {
        let entered = self.module.enter();
        let (session, key) = self.place.private_key_of(&self.public, &entered)?;
        let begun = session.sign_init(&self.mechanism(), key);
        // Ends what was begun.
        close(session);
        Ok(begun?)
    }

    fn sign_in_session(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % SESSIONS;
        let mut place = self.sessions[turn].lock().unwrap_or_else(PoisonError::into_inner);
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
        let kept = place.take().filter(|open| open.starts == entered.starts());
        let open = match kept {
            Some(open) => open,
            None => {
                let (session, key) = self.place.private_key_of(&self.public, entered)?;
                Open { session, key, starts: entered.starts() }
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
