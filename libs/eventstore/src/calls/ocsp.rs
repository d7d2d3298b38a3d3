//! What [`Service::Ocsp`](super::Service::Ocsp) answers.

use domain::Timestamp;

/// How many octets stand before the response: until which second it may be kept, 0 where it may not.
const KEPT_UNTIL_BYTES: usize = size_of::<i64>();

/// A signed response to an OCSP request, on its way from the signer to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspAnswer {
    /// Until when it may be given to others who ask the same; `None`: it is for this one alone.
    pub kept_until: Option<Timestamp>,
    /// The DER OCSPResponse.
    pub der: Vec<u8>,
}

impl OcspAnswer {
    /// An answer that is for nobody else.
    pub fn once(der: Vec<u8>) -> Self {
        Self { kept_until: None, der }
    }

    /// The answer as it is sent.
    pub fn to_octets(&self) -> Vec<u8> {
        let kept_until = self.kept_until.map_or(0, Timestamp::unix_seconds);
        [&kept_until.to_be_bytes()[..], &self.der].concat()
    }

    /// Reads what was sent; `None` when it is too short to be an answer.
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let (kept_until, der) = octets.split_first_chunk::<KEPT_UNTIL_BYTES>()?;
        let kept_until = Some(i64::from_be_bytes(*kept_until)).filter(|seconds| *seconds != 0);
        Some(Self { kept_until: kept_until.map(Timestamp::from_unix_seconds), der: der.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_survives_being_sent() {
        let once = OcspAnswer::once(b"response".to_vec());
        let kept_until = Some(Timestamp::from_unix_seconds(1_790_000_000));
        for answer in [OcspAnswer { kept_until, ..once.clone() }, once] {
            assert_eq!(OcspAnswer::from_octets(&answer.to_octets()), Some(answer));
        }
        assert_eq!(OcspAnswer::from_octets(b"short"), None);
    }
}
