//! The account resource and what clients ask of it (RFC 8555 §7.1.2, §7.3).

mod contact;

use domain::account::{Binding, Status};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

pub use contact::{BadContact, MAX_CONTACT_BYTES, MAX_CONTACTS, check_contacts};

/// An account as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account<'a> {
    /// Whether it may still be used.
    #[serde(serialize_with = "status")]
    #[schemars(schema_with = "statuses")]
    pub status: Status,
    /// Contact URLs as they were sent.
    pub contact: &'a [String],
    /// Whether its holder agreed to the terms of service; shown only when that is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service_agreed: Option<bool>,
    /// What bound it to an account of another system, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account_binding: Option<&'a Binding>,
    /// Where its orders are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orders: Option<String>,
}

/// A page of an account's orders (RFC 8555 §7.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OrderList {
    /// Their URLs.
    pub orders: Vec<String>,
}

/// The payload of newAccount; whatever else it has is ignored.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NewAccount {
    /// Contact URLs; those of other schemes than mailto are refused.
    pub contact: Option<Vec<String>>,
    /// Whether the client agrees to the terms of service.
    pub terms_of_service_agreed: Option<bool>,
    /// Whether no account is to be made (RFC 8555 §7.3.1).
    pub only_return_existing: Option<bool>,
    /// What binds the account to one of another system (RFC 8555 §7.3.4).
    #[schemars(with = "Option<Binding>")]
    pub external_account_binding: Option<Box<RawValue>>,
}

/// The payload of a request to an account; whatever else it has is ignored (RFC 8555 §7.3.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountUpdate {
    /// New contact URLs; absent leaves them, `[]` removes them.
    pub contact: Option<Vec<String>>,
    /// Whether the client agrees to changed terms of service; most profiles ignore it.
    pub terms_of_service_agreed: Option<bool>,
    /// `deactivated`, or something to be ignored.
    pub status: Option<String>,
}

impl AccountUpdate {
    /// Whether the account is to be deactivated (RFC 8555 §7.3.6).
    pub fn deactivates(&self) -> bool {
        self.status.as_deref() == Some("deactivated")
    }
}

fn status<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match status {
        Status::Valid => "valid",
        Status::Deactivated => "deactivated",
    })
}

fn statuses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": ["valid", "deactivated"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_shown_as_the_rfc_says() {
        let account = Account {
            status: Status::Valid,
            contact: &["mailto:a@b.example".into()],
            terms_of_service_agreed: Some(true),
            external_account_binding: None,
            orders: Some("https://ca.example/orders".into()),
        };
        assert_eq!(
            serde_json::to_string(&account).unwrap(),
            r#"{"status":"valid","contact":["mailto:a@b.example"],"termsOfServiceAgreed":true,"orders":"https://ca.example/orders"}"#
        );
    }

    #[test]
    fn unknown_members_of_requests_are_ignored() {
        let new: NewAccount = serde_json::from_str(
            r#"{"onlyReturnExisting":true,"contact":[],"orders":"x","externalAccountBinding":{}}"#,
        )
        .unwrap();
        assert_eq!(new.only_return_existing, Some(true));
        assert_eq!(new.contact, Some(vec![]));
        assert!(serde_json::from_str::<NewAccount>(r#"{"contact":"mailto:a@b.c"}"#).is_err());
    }

    #[test]
    fn only_the_status_deactivated_deactivates() {
        let update = |json| serde_json::from_str::<AccountUpdate>(json).unwrap();
        assert!(update(r#"{"status":"deactivated"}"#).deactivates());
        assert!(!update(r#"{"status":"valid"}"#).deactivates());
        assert!(!update("{}").deactivates());
    }
}
