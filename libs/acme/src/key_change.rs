//! What the new key signs when an account changes its key (RFC 8555 §7.3.5).

use crate::{
    UncheckedJwk,
    strict_json::{Object, Value},
};

/// The payload of the inner JWS; whatever else it has is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The URL of the account.
    pub account: String,
    /// The account's present key.
    pub old_key: UncheckedJwk,
}

/// The payload is not a keyChange object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload of the inner JWS must have account, a URL, and oldKey, a JWK")]
pub struct MalformedKeyChange;

impl KeyChange {
    /// Reads the payload.
    ///
    /// # Errors
    /// When a member is absent or has another form.
    pub fn parse(json: &[u8]) -> Result<Self, MalformedKeyChange> {
        let object = Object::parse(json).map_err(|_| MalformedKeyChange)?;
        let Ok(Some(account)) = object.text("account") else { return Err(MalformedKeyChange) };
        let Some(Value::Object(old_key)) = object.get("oldKey") else {
            return Err(MalformedKeyChange);
        };
        let old_key = UncheckedJwk::from_object(old_key).map_err(|_| MalformedKeyChange)?;
        Ok(Self { account: account.to_owned(), old_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWK: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#;

    #[test]
    fn account_and_old_key_are_read_and_the_rest_is_ignored() {
        let json = format!(r#"{{"account":"https://ca.example/1","oldKey":{JWK},"newKey":1}}"#);
        let change = KeyChange::parse(json.as_bytes()).unwrap();
        assert_eq!(change.account, "https://ca.example/1");
        assert_eq!(change.old_key, UncheckedJwk::parse(JWK).unwrap());
    }

    #[test]
    fn absent_repeated_and_odd_members_are_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"account":"a"}"#,
            r#"{"account":1,"oldKey":{"kty":"OKP"}}"#,
            r#"{"account":"a","oldKey":"b"}"#,
            r#"{"account":"a","oldKey":{"kty":1}}"#,
            r#"{"account":"a","account":"a","oldKey":{"kty":"OKP"}}"#,
        ] {
            assert_eq!(KeyChange::parse(json.as_bytes()), Err(MalformedKeyChange), "{json}");
        }
    }
}
