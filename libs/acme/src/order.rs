//! The order resource and what clients ask of it (RFC 8555 §7.1.3, §7.4).

use domain::{
    DnsName, Identifier, InvalidDnsName, InvalidIpAddress, IpAddress, Timestamp, order::Status,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    problem::Problem,
    strict_json,
    time::{optional_whole_seconds, whole_seconds},
};

/// An order as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Order<'a> {
    /// How far it came.
    #[serde(serialize_with = "status")]
    #[schemars(schema_with = "statuses")]
    pub status: Status,
    /// When it ends.
    #[serde(serialize_with = "whole_seconds")]
    pub expires: Timestamp,
    /// What is to be certified, exactly as it was requested.
    pub identifiers: &'a [Identifier],
    /// The requested start of validity.
    #[serde(serialize_with = "optional_whole_seconds", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The requested end of validity.
    #[serde(serialize_with = "optional_whole_seconds", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Why it became invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// The URLs of its authorizations.
    pub authorizations: Vec<String>,
    /// Where it is finalized.
    pub finalize: String,
    /// Where its certificate is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// The payload of newOrder; whatever else it has is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// What is to be certified.
    pub identifiers: Vec<RequestedIdentifier>,
    /// The start of validity the client wants.
    pub not_before: Option<Timestamp>,
    /// The end of validity the client wants.
    pub not_after: Option<Timestamp>,
}

/// An identifier as a client writes it: not yet checked, so that each bad one gets a problem of its own.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
pub struct RequestedIdentifier {
    /// `dns`, `ip`, or something we do not issue for.
    #[schemars(rename = "type")]
    pub kind: String,
    /// The name or address.
    pub value: String,
}

/// Why an identifier is not accepted; its text may be shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadIdentifier {
    /// Another type than `dns` and `ip`: answered as `unsupportedIdentifier`.
    #[error("only identifiers of the types dns and ip are supported")]
    UnsupportedType,
    /// Not a name we issue for: answered as `malformed`.
    #[error(transparent)]
    Name(#[from] InvalidDnsName),
    /// Not an address in its canonical form (RFC 8738 §3): answered as `malformed`.
    #[error(transparent)]
    Address(#[from] InvalidIpAddress),
}

/// The payload of finalize; whatever else it has is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Finalize {
    /// The CSR: unpadded base64url of DER.
    pub csr: String,
}

impl RequestedIdentifier {
    /// Checks the identifier and keeps its spelling.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn parse(&self) -> Result<Identifier, BadIdentifier> {
        match self.kind.as_str() {
            "dns" => Ok(Identifier::Dns(self.value.parse::<DnsName>()?)),
            "ip" => Ok(Identifier::Ip(self.value.parse::<IpAddress>()?)),
            _ => Err(BadIdentifier::UnsupportedType),
        }
    }
}

impl<'de> Deserialize<'de> for RequestedIdentifier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Members {
            #[serde(rename = "type")]
            kind: String,
            value: String,
        }
        let Members { kind, value } = strict_json::members(deserializer)?;
        Ok(Self { kind, value })
    }
}

impl From<&Identifier> for RequestedIdentifier {
    fn from(identifier: &Identifier) -> Self {
        Self { kind: identifier.kind().as_str().to_owned(), value: identifier.to_string() }
    }
}

fn status<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match status {
        Status::Pending => "pending",
        Status::Ready => "ready",
        Status::Processing => "processing",
        Status::Valid => "valid",
        Status::Invalid => "invalid",
    })
}

fn statuses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": ["pending", "ready", "processing", "valid", "invalid"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_shown_as_the_rfc_says() {
        let identifiers = [Identifier::Dns("ExAmple.com".parse().unwrap())];
        let order = Order {
            status: Status::Ready,
            expires: Timestamp::from_unix_millis(1_790_000_000_999),
            identifiers: &identifiers,
            not_before: None,
            not_after: Some(Timestamp::from_unix_millis(1_790_000_001_001)),
            error: None,
            authorizations: vec!["https://ca.example/authz/1".into()],
            finalize: "https://ca.example/finalize/1".into(),
            certificate: None,
        };
        assert_eq!(
            serde_json::to_value(&order).unwrap(),
            serde_json::json!({
                "status": "ready",
                "expires": "2026-09-21T14:13:20Z",
                "identifiers": [{"type": "dns", "value": "ExAmple.com"}],
                "notAfter": "2026-09-21T14:13:21Z",
                "authorizations": ["https://ca.example/authz/1"],
                "finalize": "https://ca.example/finalize/1",
            })
        );
    }

    #[test]
    fn each_identifier_is_judged_by_itself() {
        let order: NewOrder = serde_json::from_str(
            r#"{"identifiers":[{"type":"dns","value":"a.example"},{"type":"email","value":"a@b.c"},
               {"type":"dns","value":"192.0.2.1"},{"type":"ip","value":"2001:db8::1"},
               {"type":"ip","value":"2001:DB8::1"}],"replaces":"x","notBefore":null}"#,
        )
        .unwrap();
        let judged: Vec<_> = order.identifiers.iter().map(RequestedIdentifier::parse).collect();
        assert_eq!(judged[0], Ok(Identifier::Dns("a.example".parse().unwrap())));
        assert_eq!(judged[1], Err(BadIdentifier::UnsupportedType));
        assert_eq!(judged[2], Err(BadIdentifier::Name(InvalidDnsName::IpAddress)));
        assert_eq!(judged[3], Ok(Identifier::Ip("2001:db8::1".parse().unwrap())));
        assert_eq!(judged[4], Err(BadIdentifier::Address(InvalidIpAddress::NotCanonical)));
    }

    #[test]
    fn an_identifier_is_an_object_with_type_and_value() {
        let read = |json: &str| serde_json::from_str::<RequestedIdentifier>(json).is_ok();
        assert!(read(r#"{"value":"a.example","type":"dns","more":[]}"#));
        for json in [
            r#"["dns","a.example"]"#,
            r#""a.example""#,
            "null",
            "{}",
            r#"{"type":"dns","value":1}"#,
        ] {
            assert!(!read(json), "{json}");
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let parse = |time: &str| {
            let json = format!(r#"{{"identifiers":[],"notAfter":"{time}"}}"#);
            serde_json::from_str::<NewOrder>(&json).map(|order| order.not_after)
        };
        let time = Timestamp::from_unix_seconds(1_790_000_000);
        assert_eq!(parse("2026-09-21T16:13:20+02:00").unwrap(), Some(time));
        assert!(parse("2026-09-21").is_err());
    }
}
