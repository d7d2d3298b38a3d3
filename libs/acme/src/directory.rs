//! The directory (RFC 8555 §7.1.1).

use std::ops::Not;

use schemars::JsonSchema;
use serde::Serialize;

/// The directory of a profile: only what is implemented, because clients use what they find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Directory {
    /// Where nonces are given out.
    pub new_nonce: String,
    /// Where accounts are made.
    pub new_account: String,
    /// Where orders are placed.
    pub new_order: String,
    /// Where identifiers are authorized before an order; absent where that is not allowed (RFC 8555 §7.4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_authz: Option<String>,
    /// Where certificates are revoked.
    pub revoke_cert: String,
    /// Where accounts change their keys.
    pub key_change: String,
    /// What a client should know beforehand.
    pub meta: Meta,
}

/// What a client should know beforehand (RFC 8555 §9.7.6).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The URL of the current terms of service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service: Option<String>,
    /// The URL of a page about the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<String>,
    /// The names that CAA records may give for this CA, in ASCII.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caa_identities: Vec<String>,
    /// Whether newAccount needs an external account binding.
    #[serde(skip_serializing_if = "Not::not")]
    pub external_account_required: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(meta: Meta) -> serde_json::Value {
        serde_json::to_value(Directory {
            new_nonce: "https://ca.example/acme/default/new-nonce".into(),
            new_account: "https://ca.example/acme/default/new-account".into(),
            new_order: "https://ca.example/acme/default/new-order".into(),
            new_authz: None,
            revoke_cert: "https://ca.example/acme/default/revoke-cert".into(),
            key_change: "https://ca.example/acme/default/key-change".into(),
            meta,
        })
        .unwrap()
    }

    #[test]
    fn what_is_not_configured_is_not_in_meta() {
        let directory = directory(Meta::default());
        assert_eq!(directory["meta"], serde_json::json!({}));
        assert_eq!(directory["newNonce"], "https://ca.example/acme/default/new-nonce");
        assert!(directory.get("newAuthz").is_none());
    }

    #[test]
    fn meta_has_the_names_of_the_rfc() {
        let directory = directory(Meta {
            terms_of_service: Some("https://ca.example/terms".into()),
            website: Some("https://ca.example".into()),
            caa_identities: vec!["ca.example".into()],
            external_account_required: true,
        });
        assert_eq!(
            directory["meta"],
            serde_json::json!({
                "termsOfService": "https://ca.example/terms",
                "website": "https://ca.example",
                "caaIdentities": ["ca.example"],
                "externalAccountRequired": true,
            })
        );
    }
}
