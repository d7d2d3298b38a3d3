//! The headers of replies that clients act on.

use serde_json::{Value, json};

/// A header with a meaning of its own; its name stands in the document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Header {
    Allow,
    Location,
    KeyHolder,
    Nonce,
    NextNonce,
    RetryAfter,
    RetryWhenLimited,
    RetryWhileOpen,
    Terms,
    Up,
    Links,
}

impl Header {
    const ALL: [Self; 11] = [
        Self::Allow,
        Self::Location,
        Self::KeyHolder,
        Self::Nonce,
        Self::NextNonce,
        Self::RetryAfter,
        Self::RetryWhenLimited,
        Self::RetryWhileOpen,
        Self::Terms,
        Self::Up,
        Self::Links,
    ];

    /// What it is called in replies.
    fn called(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Location | Self::KeyHolder => "Location",
            Self::Nonce | Self::NextNonce => "Replay-Nonce",
            Self::RetryAfter | Self::RetryWhenLimited | Self::RetryWhileOpen => "Retry-After",
            Self::Terms | Self::Up | Self::Links => "Link",
        }
    }

    fn is_always_there(self) -> bool {
        match self {
            Self::Location | Self::Nonce | Self::RetryAfter | Self::Up | Self::Links => true,
            Self::Allow
            | Self::KeyHolder
            | Self::NextNonce
            | Self::RetryWhenLimited
            | Self::RetryWhileOpen
            | Self::Terms => false,
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Allow => "With 405, the methods that the resource takes.",
            Self::Location => "The URL of the resource.",
            Self::KeyHolder => "With 409, the account that has the key (RFC 8555 §7.3.5).",
            Self::Nonce | Self::NextNonce => "A nonce for the next request (RFC 8555 §6.5.1).",
            Self::RetryAfter => "The seconds after which to ask again.",
            Self::RetryWhenLimited => "With 429, the seconds after which to ask again.",
            Self::RetryWhileOpen => {
                "The seconds after which to ask again, while work is under way."
            }
            Self::Terms => {
                "With the relation terms-of-service, what to agree to (RFC 8555 §7.3.3); with index, the directory. Each on a line of its own."
            }
            Self::Up => {
                "With the relation up, the authorization; with index, the directory. Each on a line of its own."
            }
            Self::Links => {
                "With the relation next or alternate, what else there is; with up, the issuer's certificate; with index, the directory. Each on a line of its own."
            }
        }
    }
}

/// Every header, by its name in the document.
pub(super) fn all() -> Value {
    let described = Header::ALL.map(|header| {
        let described = json!({
            "description": header.description(),
            "required": header.is_always_there(),
            "schema": { "type": "string" },
        });
        (format!("{header:?}"), described)
    });
    Value::Object(described.into_iter().collect())
}

/// The headers of a reply, by what they are called there.
pub(super) fn of(headers: &[Header]) -> Value {
    let referred = headers.iter().map(|header| {
        let place = format!("#/components/headers/{header:?}");
        (header.called().to_owned(), json!({ "$ref": place }))
    });
    Value::Object(referred.collect())
}
