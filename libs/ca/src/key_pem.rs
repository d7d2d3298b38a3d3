//! Private keys as PKCS#8 PEM, plain or under a passphrase (RFC 7468 §10 and §11).

use std::fmt;

use pkcs8::{
    EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument, pkcs5::pbes2::Parameters,
};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

const PLAIN_LABEL: &str = "PRIVATE KEY";
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// OWASP's advice for PBKDF2 with SHA-256. Not scrypt: with its recommended cost openssl refuses to read the file.
const PBKDF2_ITERATIONS: u32 = 600_000;

/// The passphrase of CA key files, or the PIN of a token; wiped when dropped, never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

/// What protects a key in a file, beside the file's permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Nothing.
    Plain,
    /// It is encrypted with a passphrase.
    Passphrase,
}

/// Why a text is no key, or a key cannot be written as text.
#[derive(Debug, thiserror::Error)]
pub enum KeyPemError {
    /// The key is in an older form than PKCS#8.
    #[error(
        "the key is a {0}, not PKCS#8: convert it with openssl pkcs8 -topk8 -nodes -in OLD -out NEW"
    )]
    OldForm(&'static str),
    /// The text is no PEM private key.
    #[error("the text is not a PEM private key")]
    NotPem,
    /// The key is encrypted and no passphrase is configured.
    #[error("the key is encrypted and no passphrase was given")]
    PassphraseRequired,
    /// The passphrase is wrong, or the encryption is none we read (PBES2 with AES).
    #[error("the key cannot be decrypted: wrong passphrase, or not PBES2 with AES")]
    Undecryptable,
    /// The key could not be written or encrypted.
    #[error("the key cannot be written as PEM")]
    Unwritable,
}

/// Writes a key that is given as PKCS#8, under the passphrase if there is one.
pub(crate) fn encode(
    pkcs8: &[u8],
    passphrase: Option<&Passphrase>,
) -> Result<Zeroizing<String>, KeyPemError> {
    let unwritable = |_| KeyPemError::Unwritable;
    let (label, document) = match passphrase {
        None => (PLAIN_LABEL, SecretDocument::try_from(pkcs8).map_err(unwritable)?),
        Some(passphrase) => (ENCRYPTED_LABEL, encrypt(pkcs8, passphrase)?),
    };
    document.to_pem(label, LineEnding::LF).map_err(unwritable)
}

fn encrypt(pkcs8: &[u8], passphrase: &Passphrase) -> Result<SecretDocument, KeyPemError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let random = SystemRandom::new();
    random
        .fill(&mut salt)
        .and_then(|()| random.fill(&mut iv))
        .map_err(|_| KeyPemError::Unwritable)?;
    Parameters::pbkdf2_sha256_aes256cbc(PBKDF2_ITERATIONS, &salt, &iv)
        .map_err(pkcs8::Error::from)
        .and_then(|parameters| {
            PrivateKeyInfo::try_from(pkcs8)?.encrypt_with_params(parameters, passphrase.expose())
        })
        .map_err(|_| KeyPemError::Unwritable)
}

/// Reads a key as PKCS#8; a plain one needs no passphrase.
pub(crate) fn decode(
    pem: &str,
    passphrase: Option<&Passphrase>,
) -> Result<SecretDocument, KeyPemError> {
    let (protection, document) = parse(pem)?;
    match (protection, passphrase) {
        (Protection::Plain, None) => Ok(document),
        (Protection::Plain, Some(_)) => {
            tracing::warn!("a passphrase is configured, but the CA key is not encrypted");
            Ok(document)
        }
        (Protection::Passphrase, None) => Err(KeyPemError::PassphraseRequired),
        (Protection::Passphrase, Some(passphrase)) => {
            EncryptedPrivateKeyInfo::try_from(document.as_bytes())
                .and_then(|encrypted| encrypted.decrypt(passphrase.expose().as_bytes()))
                .map_err(|_| KeyPemError::Undecryptable)
        }
    }
}

/// How a key is protected; needs no passphrase.
pub(crate) fn protection(pem: &str) -> Result<Protection, KeyPemError> {
    Ok(parse(pem)?.0)
}

fn parse(pem: &str) -> Result<(Protection, SecretDocument), KeyPemError> {
    refuse_old_forms(pem)?;
    match SecretDocument::from_pem(pem) {
        Ok((PLAIN_LABEL, document)) => Ok((Protection::Plain, document)),
        Ok((ENCRYPTED_LABEL, document)) => Ok((Protection::Passphrase, document)),
        Ok((_, _)) | Err(_) => Err(KeyPemError::NotPem),
    }
}

/// ring reads PKCS#8 only; without this the operator would learn no more than that the key is no good.
fn refuse_old_forms(pem: &str) -> Result<(), KeyPemError> {
    let forms = [
        ("-----BEGIN EC PARAMETERS", "SEC1 EC key"),
        ("-----BEGIN EC PRIVATE KEY", "SEC1 EC key"),
        ("-----BEGIN RSA PRIVATE KEY", "PKCS#1 RSA key"),
        ("-----BEGIN OPENSSH PRIVATE KEY", "OpenSSH key"),
    ];
    match forms.iter().find(|(begin, _)| pem.contains(begin)) {
        Some((_, form)) => Err(KeyPemError::OldForm(form)),
        None => Ok(()),
    }
}

impl Passphrase {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Passphrase {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_never_shown() {
        assert!(!format!("{:?}", Passphrase::from("secret".to_owned())).contains("secret"));
    }

    #[test]
    fn older_forms_are_refused_with_the_command_that_converts_them() {
        let pem = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        let error = decode(pem, None).unwrap_err();
        assert!(error.to_string().contains("openssl pkcs8 -topk8 -nodes"), "{error}");
    }
}
