//! What is answered to an OCSP client (RFC 6960 §4.2).

use domain::{Timestamp, certificate::RevocationReason};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use yasna::{
    DERWriter, Tag,
    models::{GeneralizedTime, ObjectIdentifier},
};

use super::{
    NONCE,
    request::{CertId, OcspRequest},
};

/// id-pkix-ocsp-basic.
const BASIC: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 1];

/// What is known of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspStatus {
    /// It was issued and is not revoked.
    Good,
    /// It is revoked.
    Revoked {
        /// When.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// It was not issued here.
    Unknown,
}

/// Why a request gets no statuses (RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspFailure {
    /// The request is none.
    MalformedRequest,
    /// The answer is not known for now.
    TryLater,
    /// The issuer does not answer by OCSP.
    Unauthorized,
}

impl OcspFailure {
    /// The DER response, which nobody signs.
    pub fn to_der(self) -> Vec<u8> {
        let status = match self {
            Self::MalformedRequest => 1,
            Self::TryLater => 3,
            Self::Unauthorized => 6,
        };
        yasna::construct_der(|writer| {
            writer.write_sequence(|writer| writer.next().write_enum(status));
        })
    }
}

/// When a response is made, and until when it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub(super) now: Timestamp,
    pub(super) next_update: Timestamp,
}

/// The bytes to sign: ResponseData.
pub(super) fn response_data(
    request: &OcspRequest,
    statuses: &[OcspStatus],
    responder_key: &[u8],
    period: Period,
) -> Vec<u8> {
    let key_hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, responder_key);
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer
                .next()
                .write_tagged(Tag::context(2), |writer| writer.write_bytes(key_hash.as_ref()));
            write_time(writer.next(), period.now);
            writer.next().write_sequence_of(|writer| {
                for (id, status) in request.certificates.iter().zip(statuses) {
                    write_single(writer.next(), id, status, period);
                }
            });
            if let Some(nonce) = &request.nonce {
                writer.next().write_tagged(Tag::context(1), |writer| {
                    writer.write_sequence_of(|writer| {
                        writer.next().write_sequence(|writer| {
                            writer.next().write_oid(&ObjectIdentifier::from_slice(&NONCE));
                            writer.next().write_bytes(nonce);
                        });
                    });
                });
            }
        });
    })
}

/// A successful OCSPResponse around the signed data.
pub(super) fn successful(
    response_data: &[u8],
    signature_algorithm: &[u8],
    signature: &[u8],
    certificate: &[u8],
) -> Vec<u8> {
    let basic = yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(response_data);
            writer.next().write_der(signature_algorithm);
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence_of(|writer| writer.next().write_der(certificate));
            });
        });
    });
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_enum(0);
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_oid(&ObjectIdentifier::from_slice(&BASIC));
                    writer.next().write_bytes(&basic);
                });
            });
        });
    })
}

fn write_single(writer: DERWriter<'_>, id: &CertId, status: &OcspStatus, period: Period) {
    writer.write_sequence(|writer| {
        writer.next().write_der(&id.der);
        match status {
            OcspStatus::Good => {
                writer.next().write_tagged_implicit(Tag::context(0), |it| it.write_null());
            }
            OcspStatus::Revoked { at, reason } => {
                writer.next().write_tagged_implicit(Tag::context(1), |writer| {
                    writer.write_sequence(|writer| {
                        write_time(writer.next(), *at);
                        if *reason != RevocationReason::Unspecified {
                            let code = reason.code().into();
                            writer.next().write_tagged(Tag::context(0), |it| it.write_enum(code));
                        }
                    });
                });
            }
            OcspStatus::Unknown => {
                writer.next().write_tagged_implicit(Tag::context(2), |it| it.write_null());
            }
        }
        write_time(writer.next(), period.now);
        writer
            .next()
            .write_tagged(Tag::context(0), |writer| write_time(writer, period.next_update));
    });
}

fn write_time(writer: DERWriter<'_>, time: Timestamp) {
    let time = time.whole_seconds().to_offset_date_time();
    writer.write_generalized_time(&GeneralizedTime::from_datetime(time));
}
