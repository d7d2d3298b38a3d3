//! Certificates without anything signed around them: the certs-only form of CMS (RFC 5652 §5, RFC 8551 §3.8).

use yasna::{Tag, models::ObjectIdentifier};

const SIGNED_DATA: [u64; 7] = [1, 2, 840, 113_549, 1, 7, 2];
const DATA: [u64; 7] = [1, 2, 840, 113_549, 1, 7, 1];

/// Wraps DER certificates, keeping their order.
pub fn certs_only(certificates: &[Vec<u8>]) -> Vec<u8> {
    yasna::construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(&SIGNED_DATA));
            writer.next().write_tagged(Tag::context(0), |writer| {
                writer.write_sequence(|writer| {
                    writer.next().write_u8(1);
                    writer.next().write_set(|_| {});
                    writer.next().write_sequence(|writer| {
                        writer.next().write_oid(&ObjectIdentifier::from_slice(&DATA));
                    });
                    writer.next().write_tagged_implicit(Tag::context(0), |writer| {
                        writer.write_sequence_of(|writer| {
                            for certificate in certificates {
                                writer.next().write_der(certificate);
                            }
                        });
                    });
                    writer.next().write_set(|_| {});
                });
            });
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificates_stand_inside_in_their_order() {
        let certificates = [vec![0x30, 0x03, 0x02, 0x01, 0x07], vec![0x30, 0x03, 0x02, 0x01, 0x05]];
        let wrapped = certs_only(&certificates);
        let inside = certificates.concat();
        assert!(wrapped.windows(inside.len()).any(|window| window == inside));
        assert_eq!(usize::from(wrapped[1]), wrapped.len() - 2);
    }
}
