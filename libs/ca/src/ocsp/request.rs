//! What an OCSP client asks (RFC 6960 §4.1).

use std::ops::RangeInclusive;

use domain::Serial;
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};
use yasna::{ASN1Error, ASN1ErrorKind, ASN1Result, BERReader, Tag, models::ObjectIdentifier};

use super::NONCE;
use crate::ca_certificate::CaCertificate;

/// The longest request looked at.
const MAX_REQUEST_BYTES: usize = 4096;
/// The most certificates one request may ask about.
const MAX_CERTIFICATES: usize = 16;
/// How long a nonce may be; another is no request (RFC 9654 §2.1).
const NONCE_BYTES: RangeInclusive<usize> = 1..=128;

/// An OCSP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    pub(super) certificates: Vec<CertId>,
    /// The extension's value, to be sent back.
    pub(super) nonce: Option<Vec<u8>>,
}

/// The bytes are no OCSP request, or it asks too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an OCSP request, or one that asks too much")]
pub struct MalformedOcspRequest;

/// Which certificate is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CertId {
    /// As it was sent: the response has the same.
    pub(super) der: Vec<u8>,
    hash: Vec<u64>,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
    serial: Option<Serial>,
}

impl OcspRequest {
    /// Reads a DER request; signatures are not looked at, because anybody may ask.
    ///
    /// # Errors
    /// When it is none, or longer or about more certificates than is served.
    pub fn parse(der: &[u8]) -> Result<Self, MalformedOcspRequest> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(MalformedOcspRequest);
        }
        let parsed = yasna::parse_der(der, |reader| {
            reader.read_sequence(|reader| {
                let request = reader.next().read_sequence(|reader| {
                    reader
                        .read_optional(|it| it.read_tagged(Tag::context(0), |it| it.read_der()))?;
                    reader
                        .read_optional(|it| it.read_tagged(Tag::context(1), |it| it.read_der()))?;
                    let certificates = reader.next().collect_sequence_of(asked)?;
                    let extensions = reader.read_optional(|it| {
                        it.read_tagged(Tag::context(2), |it| it.collect_sequence_of(extension))
                    })?;
                    Ok((certificates, extensions.unwrap_or_default()))
                })?;
                reader.read_optional(|it| it.read_tagged(Tag::context(0), |it| it.read_der()))?;
                Ok(request)
            })
        });
        let (certificates, extensions) = parsed.map_err(|_| MalformedOcspRequest)?;
        let nonce = extensions.into_iter().find_map(|(oid, value)| (oid == NONCE).then_some(value));
        let nonce_fits =
            nonce.as_ref().is_none_or(|nonce| NONCE_BYTES.contains(&nonce_bytes(nonce)));
        if !(1..=MAX_CERTIFICATES).contains(&certificates.len()) || !nonce_fits {
            return Err(MalformedOcspRequest);
        }
        Ok(Self { certificates, nonce })
    }

    /// Whether the response is for this request only.
    pub fn has_nonce(&self) -> bool {
        self.nonce.is_some()
    }

    /// For each certificate asked about, its serial if `issuer` is the one that is named.
    pub fn serials(&self, issuer: &CaCertificate) -> Vec<Option<&Serial>> {
        self.certificates.iter().map(|id| id.serial.as_ref().filter(|_| id.is_of(issuer))).collect()
    }
}

impl CertId {
    fn is_of(&self, issuer: &CaCertificate) -> bool {
        let (Some(algorithm), Some(key)) = (self.algorithm(), public_key_bits(issuer.spki()))
        else {
            return false;
        };
        let is_hash = |hash: &[u8], of: &[u8]| digest(algorithm, of).as_ref() == hash;
        is_hash(&self.issuer_name_hash, issuer.subject()) && is_hash(&self.issuer_key_hash, &key)
    }

    fn algorithm(&self) -> Option<&'static Algorithm> {
        match self.hash.as_slice() {
            // Names an issuer, and protects nothing.
            [1, 3, 14, 3, 2, 26] => Some(&SHA1_FOR_LEGACY_USE_ONLY),
            [2, 16, 840, 1, 101, 3, 4, 2, 1] => Some(&SHA256),
            [2, 16, 840, 1, 101, 3, 4, 2, 2] => Some(&SHA384),
            [2, 16, 840, 1, 101, 3, 4, 2, 3] => Some(&SHA512),
            _ => None,
        }
    }
}

/// The content of a key's BIT STRING, of which OCSP makes its key hashes.
pub(super) fn public_key_bits(spki: &[u8]) -> Option<Vec<u8>> {
    let (_, spki) = SubjectPublicKeyInfo::from_der(spki).ok()?;
    Some(spki.subject_public_key.data.to_vec())
}

/// The length of a nonce. Old clients send it as it is, and not as an OCTET STRING within the extension's value.
fn nonce_bytes(value: &[u8]) -> usize {
    yasna::parse_der(value, |reader| reader.read_bytes()).map_or(value.len(), |nonce| nonce.len())
}

fn asked(reader: BERReader<'_, '_>) -> ASN1Result<CertId> {
    reader.read_sequence(|reader| {
        let der = reader.next().read_der()?;
        let id = yasna::parse_der(&der, cert_id)?;
        reader.read_optional(|it| {
            it.read_tagged(Tag::context(0), |it| it.collect_sequence_of(extension))
        })?;
        Ok(CertId { der, ..id })
    })
}

fn cert_id(reader: BERReader<'_, '_>) -> ASN1Result<CertId> {
    reader.read_sequence(|reader| {
        let hash = reader.next().read_sequence(|reader| {
            let oid = reader.next().read_oid()?;
            reader.read_optional(|it| it.read_der())?;
            Ok(oid)
        })?;
        let issuer_name_hash = reader.next().read_bytes()?;
        let issuer_key_hash = reader.next().read_bytes()?;
        let (serial, positive) = reader.next().read_bigint_bytes()?;
        let serial = Serial::from_octets(&serial).ok().filter(|_| positive);
        let hash = hash.components().clone();
        Ok(CertId { der: Vec::new(), hash, issuer_name_hash, issuer_key_hash, serial })
    })
}

/// What is critical has to be understood (RFC 6960 §4.4), and a nonce is all that is.
fn extension(reader: BERReader<'_, '_>) -> ASN1Result<(Vec<u64>, Vec<u8>)> {
    reader.read_sequence(|reader| {
        let oid: ObjectIdentifier = reader.next().read_oid()?;
        let is_critical = reader.read_optional(|it| it.read_bool())?.unwrap_or(false);
        if is_critical && *oid.components() != NONCE {
            return Err(ASN1Error::new(ASN1ErrorKind::Invalid));
        }
        Ok((oid.components().clone(), reader.next().read_bytes()?))
    })
}

#[cfg(test)]
mod tests {
    use yasna::{DERWriter, DERWriterSeq};

    use super::*;

    #[test]
    fn what_is_no_request_is_refused() {
        for der in [&b""[..], b"\x30\x00", b"\x30\x02\x30\x00", &[0x30; 5000]] {
            assert_eq!(OcspRequest::parse(der), Err(MalformedOcspRequest));
        }
    }

    fn request(nonce: &[u8]) -> Vec<u8> {
        request_with(&[], &[(&NONCE, None, nonce)])
    }

    /// An extension: its name, whether it says that it is critical, and what it says.
    type Sent<'a> = (&'a [u64], Option<bool>, &'a [u8]);

    /// A request with extensions about its only certificate, and about itself.
    fn request_with(single: &[Sent<'_>], all: &[Sent<'_>]) -> Vec<u8> {
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_sequence(|writer| {
                    writer.next().write_sequence_of(|writer| {
                        writer.next().write_sequence(|writer| {
                            write_cert_id(writer.next());
                            write_extensions(writer, Tag::context(0), single);
                        });
                    });
                    write_extensions(writer, Tag::context(2), all);
                });
            });
        })
    }

    fn write_extensions(writer: &mut DERWriterSeq<'_>, tag: Tag, extensions: &[Sent<'_>]) {
        if extensions.is_empty() {
            return;
        }
        writer.next().write_tagged(tag, |writer| {
            writer.write_sequence_of(|writer| {
                for (oid, critical, value) in extensions {
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(oid));
                        if let Some(critical) = critical {
                            writer.next().write_bool(*critical);
                        }
                        writer.next().write_bytes(value);
                    });
                }
            });
        });
    }

    fn write_cert_id(writer: DERWriter<'_>) {
        writer.write_sequence(|writer| {
            writer.next().write_sequence(|writer| {
                let sha1 = ObjectIdentifier::from_slice(&[1, 3, 14, 3, 2, 26]);
                writer.next().write_oid(&sha1);
            });
            writer.next().write_bytes(&[1; 20]);
            writer.next().write_bytes(&[2; 20]);
            writer.next().write_i64(7);
        });
    }

    #[test]
    fn a_nonce_has_one_to_128_octets_also_when_it_is_not_wrapped() {
        let wrapped =
            |bytes: usize| yasna::construct_der(|writer| writer.write_bytes(&vec![0xff; bytes]));
        let bare = |bytes: usize| vec![0xff; bytes];
        for nonce in [wrapped(1), wrapped(16), wrapped(128), bare(1), bare(128)] {
            let parsed = OcspRequest::parse(&request(&nonce)).unwrap();
            assert_eq!(parsed.nonce, Some(nonce), "sent back as it came");
        }
        for nonce in [wrapped(0), wrapped(129), bare(0), bare(129)] {
            assert_eq!(OcspRequest::parse(&request(&nonce)), Err(MalformedOcspRequest));
        }
    }

    #[test]
    fn an_extension_that_is_not_known_is_ignored_unless_it_is_critical() {
        let other = |critical| [(&[1, 3, 6, 1, 4, 1, 1][..], critical, &[5, 0][..])];
        for (critical, is_ignored) in [(None, true), (Some(false), true), (Some(true), false)] {
            for sent in [request_with(&other(critical), &[]), request_with(&[], &other(critical))] {
                assert_eq!(OcspRequest::parse(&sent).is_ok(), is_ignored, "{critical:?}");
            }
        }
        let nonce = request_with(&[], &[(&NONCE, Some(true), &[1; 16])]);
        assert!(OcspRequest::parse(&nonce).unwrap().has_nonce());
    }
}
