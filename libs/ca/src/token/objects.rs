//! The two halves of a key in a token: found by their label, made, and read.

use cryptoki::{
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::Session,
    types::Ulong,
};
use ring::rand::{SecureRandom, SystemRandom};
use yasna::models::ObjectIdentifier;

use super::TokenError;
use crate::algorithm::KeyAlgorithm;

const P256: [u64; 7] = [1, 2, 840, 10045, 3, 1, 7];
const P384: [u64; 5] = [1, 3, 132, 0, 34];
const ED25519: [u64; 4] = [1, 3, 101, 112];
/// How PKCS#11 names the curve of Ed25519 where it does not use the OID.
const EDWARDS25519: &str = "edwards25519";
const ED25519_BYTES: usize = 32;

/// The kind of a key, and its public half as it stands in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) algorithm: KeyAlgorithm,
    pub(super) bits: Vec<u8>,
}

/// The size of RSA keys that are generated.
const RSA_BITS: u64 = 3072;
/// The public exponent of RSA keys that are generated: 65537.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// How many octets the modulus of an RSA key may have, as in a key file.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// Finds the private half.
pub(super) fn private_key(session: &Session, label: &str) -> Result<ObjectHandle, TokenError> {
    find(session, ObjectClass::PRIVATE_KEY, label)
}

/// Reads the public half.
pub(super) fn public_key(session: &Session, label: &str) -> Result<PublicKey, TokenError> {
    // Half a key is none.
    private_key(session, label)?;
    let object = find(session, ObjectClass::PUBLIC_KEY, label)?;
    let wanted = [
        AttributeType::KeyType,
        AttributeType::EcParams,
        AttributeType::EcPoint,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ];
    let (mut kind, mut curve, mut point, mut modulus, mut exponent) =
        (None, None, None, None, None);
    for attribute in session.get_attributes(object, &wanted)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::EcParams(found) => curve = Some(found),
            Attribute::EcPoint(found) => point = Some(found),
            Attribute::Modulus(found) => modulus = Some(found),
            Attribute::PublicExponent(found) => exponent = Some(found),
            _ => {}
        }
    }
    let key = match (kind, curve, point, modulus, exponent) {
        (Some(KeyType::RSA), _, _, Some(modulus), Some(exponent)) => rsa(&modulus, &exponent),
        (Some(_), Some(curve), Some(point), _, _) => on_curve(&curve, point),
        _ => None,
    };
    key.ok_or(TokenError::UnsupportedKey)
}

/// Has the token make both halves, of which it never shows the private one.
pub(super) fn generate(
    session: &Session,
    label: &str,
    algorithm: KeyAlgorithm,
) -> Result<(), TokenError> {
    let mut id = vec![0; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| TokenError::Random)?;
    let common =
        [Attribute::Token(true), Attribute::Label(label.as_bytes().to_vec()), Attribute::Id(id)];
    // What is left out is for the token to choose, and some let a key do everything.
    let mut public = vec![
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
    ];
    let mut private = vec![
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ];
    let mechanism = match algorithm {
        KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => Mechanism::EccKeyPairGen,
        KeyAlgorithm::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        KeyAlgorithm::Rsa => Mechanism::RsaPkcsKeyPairGen,
    };
    match algorithm {
        KeyAlgorithm::EcdsaP256 => public.push(Attribute::EcParams(oid(&P256))),
        KeyAlgorithm::EcdsaP384 => public.push(Attribute::EcParams(oid(&P384))),
        KeyAlgorithm::Ed25519 => public.push(Attribute::EcParams(printable(EDWARDS25519))),
        KeyAlgorithm::Rsa => public.extend([
            Attribute::ModulusBits(Ulong::from(RSA_BITS)),
            Attribute::PublicExponent(RSA_EXPONENT.to_vec()),
        ]),
    }
    public.extend(common.clone());
    private.extend(common);
    session.generate_key_pair(&mechanism, &public, &private)?;
    Ok(())
}

fn find(session: &Session, class: ObjectClass, label: &str) -> Result<ObjectHandle, TokenError> {
    let template = [Attribute::Class(class), Attribute::Label(label.as_bytes().to_vec())];
    match session.find_objects(&template)?.as_slice() {
        [] => Err(TokenError::NoKey(label.to_owned())),
        [object] => Ok(*object),
        _ => Err(TokenError::AmbiguousKey(label.to_owned())),
    }
}

/// RSAPublicKey (RFC 8017 appendix A.1.1).
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<PublicKey> {
    let plain = |number: &[u8]| {
        let zeros = number.iter().take_while(|octet| **octet == 0).count();
        number[zeros..].to_vec()
    };
    let (modulus, exponent) = (plain(modulus), plain(exponent));
    RSA_MODULUS_BYTES.contains(&modulus.len()).then(|| {
        let bits = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_bigint_bytes(&modulus, true);
                writer.next().write_bigint_bytes(&exponent, true);
            });
        });
        PublicKey { algorithm: KeyAlgorithm::Rsa, bits }
    })
}

/// A point on one of our curves. PKCS#11 wraps it into an OCTET STRING; some tokens do not.
fn on_curve(curve: &[u8], point: Vec<u8>) -> Option<PublicKey> {
    let algorithm = [
        (oid(&P256), KeyAlgorithm::EcdsaP256),
        (oid(&P384), KeyAlgorithm::EcdsaP384),
        (oid(&ED25519), KeyAlgorithm::Ed25519),
        (printable(EDWARDS25519), KeyAlgorithm::Ed25519),
    ]
    .into_iter()
    .find_map(|(parameters, algorithm)| (parameters == curve).then_some(algorithm))?;
    let bits = yasna::parse_der(&point, |reader| reader.read_bytes()).unwrap_or(point);
    let length = match algorithm {
        KeyAlgorithm::EcdsaP256 => 1 + 2 * 32,
        KeyAlgorithm::EcdsaP384 => 1 + 2 * 48,
        KeyAlgorithm::Ed25519 | KeyAlgorithm::Rsa => ED25519_BYTES,
    };
    (bits.len() == length).then_some(PublicKey { algorithm, bits })
}

fn oid(arcs: &[u64]) -> Vec<u8> {
    yasna::construct_der(|writer| writer.write_oid(&ObjectIdentifier::from_slice(arcs)))
}

fn printable(text: &str) -> Vec<u8> {
    yasna::construct_der(|writer| writer.write_printable_string(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_wrapped_or_not() {
        let point = [vec![4], vec![7; 64]].concat();
        let wrapped = yasna::construct_der(|writer| writer.write_bytes(&point));
        for form in [point.clone(), wrapped] {
            let key = on_curve(&oid(&P256), form).unwrap();
            assert_eq!((key.algorithm, key.bits), (KeyAlgorithm::EcdsaP256, point.clone()));
        }
        assert!(on_curve(&oid(&P384), point).is_none());
    }

    #[test]
    fn an_rsa_key_that_a_file_could_not_hold_is_refused() {
        for (bytes, accepted) in [(128, false), (256, true), (512, true), (1024, false)] {
            let modulus = [vec![0], vec![0xc1; bytes]].concat();
            assert_eq!(rsa(&modulus, &RSA_EXPONENT).is_some(), accepted, "{bytes}");
        }
    }
}
