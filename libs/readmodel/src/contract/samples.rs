//! Accounts, orders and certificates that no other test uses.

use std::sync::Arc;

use domain::{
    AccountId, AccountKey, ChallengeType, Identifier, IssuerId, OrderId, PreAuthorizationId,
    Serial, Thumbprint, Timestamp,
    account::{self, Status},
    order::{self, Authorization, Challenge, ChallengeStatus, Progress},
    pre_authorization,
};
use eventstore::{MessageId, Sequence};

use crate::{CertificateEntry, View};

/// A time at which no view of these samples has ended: 2100.
const FUTURE: i64 = 4_102_444_800;

/// A time that is not long ago, so that what is kept for a while is still kept: 2100, a minute before [`FUTURE`].
pub(super) const NOW: i64 = FUTURE - 60;

/// The view of an account that nobody else has, with its sequence told by its contact.
pub fn account(sequence: u64) -> View<account::State> {
    let text = MessageId::random();
    let state = account::State {
        id: text.as_str().parse().expect("128 random bits make an account id"),
        profile: "default".parse().expect("a profile name"),
        key: AccountKey { jwk: "{}".into(), thumbprint: Thumbprint("thumbprint".into()) },
        former_keys: vec![Thumbprint("former".into())],
        contact: vec![format!("mailto:{sequence}@example.org")],
        terms_of_service_agreed: true,
        agreed_terms: Some("https://ca.example.org/terms".into()),
        external_account: Some(account::ExternalAccount {
            key: MessageId::random().as_str().parse().expect("128 random bits make a key id"),
            binding: account::Binding {
                protected: "e30".into(),
                payload: "e30".into(),
                signature: "AA".into(),
            },
            names: vec![".example.org".parse().expect("a pattern")],
        }),
        created_at: Timestamp::from_unix_seconds(1_800_000_000),
        status: Status::Valid,
    };
    View { state: Arc::new(state), sequence: Sequence(sequence) }
}

/// The view of an order that nobody else has, with its sequence told by its challenge's token.
pub fn order(sequence: u64) -> View<order::State> {
    let id = format!("07{}", MessageId::random().as_str());
    order_as(&id.parse().expect("a shard and 128 random bits make an order id"), sequence)
}

/// The view of one order as of a sequence.
pub(super) fn order_as(id: &OrderId, sequence: u64) -> View<order::State> {
    let identifier = Identifier::Dns("www.example.org".parse().expect("a name"));
    let challenge = Challenge {
        kind: ChallengeType::Http01,
        token: format!("token-{sequence}"),
        status: ChallengeStatus::Pending,
    };
    let authorization = Authorization {
        identifier: identifier.clone(),
        wildcard: false,
        challenges: vec![challenge],
        relies_on: None,
        deactivated: false,
        caa_checked_at: None,
        caa_awaited: false,
    };
    let state = order::State {
        id: id.clone(),
        profile: "default".parse().expect("a profile name"),
        account: account_id(),
        identifiers: vec![identifier],
        not_before: None,
        not_after: None,
        placed_at: Timestamp::from_unix_seconds(1_800_000_000),
        expires_at: Timestamp::from_unix_seconds(FUTURE),
        authorizations: vec![authorization],
        progress: Progress::Open,
    };
    View { state: Arc::new(state), sequence: Sequence(sequence) }
}

/// The view of a pre-authorization that nobody else has, with its sequence told by its challenge's token.
pub(super) fn pre_authorization(sequence: u64) -> View<pre_authorization::State> {
    let text = MessageId::random();
    let id = text.as_str().parse().expect("128 random bits make a pre-authorization id");
    pre_authorization_as(&id, sequence)
}

/// The view of one pre-authorization as of a sequence.
pub(super) fn pre_authorization_as(
    id: &PreAuthorizationId,
    sequence: u64,
) -> View<pre_authorization::State> {
    let mut of_order = order(sequence);
    let order = Arc::make_mut(&mut of_order.state);
    let state = pre_authorization::State {
        id: id.clone(),
        profile: order.profile.clone(),
        account: order.account.clone(),
        placed_at: order.placed_at,
        expires_at: order.expires_at,
        authorization: order.authorizations.remove(0),
    };
    View { state: Arc::new(state), sequence: Sequence(sequence) }
}

pub(super) fn account_id() -> AccountId {
    MessageId::random().as_str().parse().expect("128 random bits make an account id")
}

pub(super) fn order_id() -> OrderId {
    let text = format!("07{}", MessageId::random().as_str());
    text.parse().expect("a shard and 128 random bits make an order id")
}

pub(super) fn issuer() -> IssuerId {
    let text = MessageId::random();
    let octets = text.as_str().bytes().chain(std::iter::repeat(0));
    let mut hash = [0; 32];
    hash.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
    IssuerId::from_hash(&hash)
}

/// The entry of a certificate that nobody else has.
pub fn certificate() -> CertificateEntry {
    let text = MessageId::random();
    let octets = text.as_str().as_bytes().first_chunk().expect("22 characters");
    CertificateEntry {
        issuer: issuer(),
        serial: Serial::from_random(octets),
        order: Some(order_id()),
        account: Some(account_id()),
        profile: Some("default".parse().expect("a profile name")),
        ledger_sequence: Sequence(42),
        not_after: Timestamp::from_unix_seconds(FUTURE),
    }
}
