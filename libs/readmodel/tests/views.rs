//! Views survive their cached form; what another release wrote is a miss.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::{
    AccountId, AccountKey, ChallengeType, Failure, FailureKind, Identifier, IssuerId, OrderId,
    PreAuthorizationId, Serial, SubjectPublicKey, Thumbprint, Timestamp,
    account::{self, Status as AccountStatus},
    order::{
        Attempts, Authorization, Challenge, ChallengeStatus, Finalized, Progress, ReliedOn,
        Reservation, State, Status,
    },
    pre_authorization::State as PreAuthorization,
};
use proptest::{collection::vec, option, prelude::*};
use readmodel::view;

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp::from_unix_millis)
}

fn failure() -> impl Strategy<Value = Failure> {
    let kinds = prop::sample::select(vec![
        FailureKind::Caa,
        FailureKind::Connection,
        FailureKind::Dns,
        FailureKind::IncorrectResponse,
        FailureKind::RejectedIdentifier,
        FailureKind::ServerInternal,
        FailureKind::Tls,
        FailureKind::Unauthorized,
    ]);
    (kinds, any::<String>()).prop_map(|(kind, detail)| Failure::new(kind, &detail))
}

fn identifier() -> impl Strategy<Value = Identifier> {
    let name = "(\\*\\.)?[a-zA-Z]{1,20}\\.[a-z]{2,10}";
    prop_oneof![
        name.prop_map(|name| Identifier::Dns(name.parse().unwrap())),
        any::<Ipv4Addr>().prop_map(|it| Identifier::Ip(IpAddr::from(it).try_into().unwrap())),
        any::<u64>().prop_map(|low| {
            let address = Ipv6Addr::from(u128::from(low) | 0x2001_0db8 << 96);
            Identifier::Ip(IpAddr::from(address).try_into().unwrap())
        }),
    ]
}

fn issuer() -> impl Strategy<Value = IssuerId> {
    any::<[u8; 32]>().prop_map(|hash| IssuerId::from_hash(&hash))
}

fn serial() -> impl Strategy<Value = Serial> {
    any::<[u8; 16]>().prop_map(|random| Serial::from_random(&random))
}

fn account_id() -> impl Strategy<Value = AccountId> {
    any::<[u8; 32]>().prop_map(|hash| AccountId::from_hash(&hash))
}

fn attempts() -> impl Strategy<Value = Attempts> {
    (any::<(u16, u16)>(), option::of(failure()), option::of(timestamp())).prop_map(
        |((round, failed), failure, retry_at)| Attempts { round, failed, failure, retry_at },
    )
}

fn challenge() -> impl Strategy<Value = Challenge> {
    let kind = prop::sample::select(ChallengeType::ALL.to_vec());
    let status = prop_oneof![
        Just(ChallengeStatus::Pending),
        attempts().prop_map(ChallengeStatus::Processing),
        timestamp().prop_map(|at| ChallengeStatus::Valid { at }),
        (timestamp(), failure()).prop_map(|(at, failure)| ChallengeStatus::Invalid { at, failure }),
    ];
    (kind, any::<String>(), status).prop_map(|(kind, token, status)| Challenge {
        kind,
        token,
        status,
    })
}

fn pre_authorization_id() -> impl Strategy<Value = PreAuthorizationId> {
    any::<[u8; 16]>().prop_map(|random| PreAuthorizationId::from_random(&random))
}

fn relied_on() -> impl Strategy<Value = ReliedOn> {
    (pre_authorization_id(), timestamp(), option::of(timestamp()), timestamp()).prop_map(
        |(id, validated_at, caa_checked_at, expires_at)| ReliedOn {
            id,
            validated_at,
            caa_checked_at,
            expires_at,
        },
    )
}

prop_compose! {
    fn pre_authorization()(
        id in pre_authorization_id(),
        account in account_id(),
        (placed_at, expires_at) in (timestamp(), timestamp()),
        authorization in authorization(),
    ) -> PreAuthorization {
        let profile = "default".parse().unwrap();
        PreAuthorization { id, profile, account, placed_at, expires_at, authorization }
    }
}

fn authorization() -> impl Strategy<Value = Authorization> {
    let caa = (option::of(timestamp()), any::<bool>());
    let relies_on = option::of(relied_on());
    let flags = any::<(bool, bool)>();
    (identifier(), flags, vec(challenge(), 0..3), relies_on, caa).prop_map(
        |(
            identifier,
            (wildcard, deactivated),
            challenges,
            relies_on,
            (caa_checked_at, caa_awaited),
        )| {
            Authorization {
                identifier,
                wildcard,
                challenges,
                relies_on,
                deactivated,
                caa_checked_at,
                caa_awaited,
            }
        },
    )
}

fn finalized() -> impl Strategy<Value = Finalized> {
    let reservation =
        (issuer(), serial(), any::<u64>()).prop_map(|(issuer, serial, ledger_sequence)| {
            Reservation { issuer, serial, ledger_sequence }
        });
    (any::<String>(), timestamp(), option::of(reservation)).prop_map(|(key, at, reservation)| {
        Finalized {
            public_key: SubjectPublicKey(key),
            common_name: Some("a.example".into()),
            at,
            reservation,
        }
    })
}

fn progress() -> impl Strategy<Value = Progress> {
    prop_oneof![
        Just(Progress::Open),
        finalized().prop_map(Progress::Processing),
        (finalized(), issuer(), serial(), any::<u64>()).prop_map(
            |(finalized, issuer, serial, ledger_sequence)| Progress::Valid {
                finalized,
                issuer,
                serial,
                ledger_sequence
            }
        ),
        failure().prop_map(|failure| Progress::Invalid { failure }),
    ]
}

fn order() -> impl Strategy<Value = State> {
    let times = (timestamp(), timestamp(), option::of(timestamp()), option::of(timestamp()));
    let id = (0u8..100, any::<[u8; 16]>()).prop_map(|(shard, random)| OrderId::new(shard, &random));
    let content = (vec(identifier(), 1..4), vec(authorization(), 1..4), progress());
    (id, account_id(), times, content).prop_map(
        |(id, account, (placed_at, expires_at, not_before, not_after), content)| {
            let (identifiers, authorizations, progress) = content;
            State {
                id,
                profile: "a_Profile-1".parse().unwrap(),
                account,
                identifiers,
                not_before,
                not_after,
                placed_at,
                expires_at,
                authorizations,
                progress,
            }
        },
    )
}

fn account() -> impl Strategy<Value = account::State> {
    let status = prop::sample::select(vec![AccountStatus::Valid, AccountStatus::Deactivated]);
    (
        account_id(),
        any::<(String, String, Vec<String>, bool)>(),
        vec(any::<String>(), 0..3),
        timestamp(),
        status,
    )
        .prop_map(|(id, (jwk, thumbprint, former, agreed), contact, created_at, status)| {
            account::State {
                id,
                profile: "default".parse().unwrap(),
                key: AccountKey { jwk, thumbprint: Thumbprint(thumbprint) },
                former_keys: former.into_iter().map(Thumbprint).collect(),
                contact,
                external_account: (!agreed).then(|| account::ExternalAccount {
                    key: "AAAAAAAAAAAAAAAAAAAAAA".parse().unwrap(),
                    binding: account::Binding {
                        protected: "a".to_owned(),
                        payload: "b".to_owned(),
                        signature: "c".to_owned(),
                    },
                    names: vec![".example.org".parse().unwrap(), "example.com".parse().unwrap()],
                }),
                agreed_terms: agreed.then(|| "https://ca.example/terms".to_owned()),
                terms_of_service_agreed: agreed,
                created_at,
                status,
            }
        })
}

proptest! {
    #[test]
    fn an_order_survives_its_cached_form(order in order()) {
        let bytes = view::encode_order(&order).unwrap();
        prop_assert_eq!(view::decode_order(&bytes), Some(order));
    }

    #[test]
    fn an_account_survives_its_cached_form(account in account()) {
        let bytes = view::encode_account(&account).unwrap();
        prop_assert_eq!(view::decode_account(&bytes), Some(account));
    }

    #[test]
    fn anything_else_is_a_miss(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(view::decode_order(&bytes), None);
        prop_assert_eq!(view::decode_account(&bytes), None);
    }

    #[test]
    fn a_pre_authorization_survives_its_cached_form(written in pre_authorization()) {
        let bytes = view::encode_pre_authorization(&written).unwrap();
        prop_assert_eq!(view::decode_pre_authorization(&bytes), Some(written));
        prop_assert_eq!(view::decode_order(&bytes), None);
    }

    #[test]
    fn a_cut_view_is_a_miss(order in order(), kept in 0.0..1.0f64) {
        let mut bytes = view::encode_order(&order).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a length")]
        bytes.truncate((bytes.len() as f64 * kept) as usize);
        prop_assert_eq!(view::decode_order(&bytes), None);
    }
}

fn small_order(status: ChallengeStatus, progress: Progress) -> State {
    let identifier = Identifier::Dns("*.Example.org".parse().unwrap());
    let challenge = Challenge { kind: ChallengeType::Dns01, token: "token".into(), status };
    State {
        id: OrderId::new(5, &[5; 16]),
        profile: "default".parse().unwrap(),
        account: AccountId::from_hash(&[1; 32]),
        identifiers: vec![identifier.clone()],
        not_before: None,
        not_after: None,
        placed_at: Timestamp::from_unix_seconds(100),
        expires_at: Timestamp::from_unix_seconds(200),
        authorizations: vec![Authorization {
            identifier: identifier.authorized(),
            wildcard: true,
            challenges: vec![challenge],
            relies_on: None,
            deactivated: false,
            caa_checked_at: None,
            caa_awaited: false,
        }],
        progress,
    }
}

#[test]
fn an_order_keeps_its_status_whatever_it_is() {
    let at = Timestamp::from_unix_seconds(150);
    let valid = ChallengeStatus::Valid { at };
    let failure = Failure::new(FailureKind::Dns, "no such name");
    let finalized = Finalized {
        public_key: SubjectPublicKey("key".into()),
        common_name: None,
        at,
        reservation: None,
    };
    let cases = [
        (ChallengeStatus::Pending, Progress::Open, Status::Pending),
        (ChallengeStatus::Processing(Attempts::default()), Progress::Open, Status::Pending),
        (
            ChallengeStatus::Invalid { at, failure: failure.clone() },
            Progress::Open,
            Status::Invalid,
        ),
        (valid.clone(), Progress::Open, Status::Ready),
        (valid.clone(), Progress::Processing(finalized.clone()), Status::Processing),
        (
            valid.clone(),
            Progress::Valid {
                finalized,
                issuer: IssuerId::from_hash(&[2; 32]),
                serial: Serial::from_random(&[3; 16]),
                ledger_sequence: u64::MAX,
            },
            Status::Valid,
        ),
        (valid, Progress::Invalid { failure }, Status::Invalid),
    ];
    for (challenge, progress, expected) in cases {
        let order = small_order(challenge, progress);
        let read = view::decode_order(&view::encode_order(&order).unwrap());
        assert_eq!(read.as_ref().map(|order| order.status(at)), Some(expected));
        assert_eq!(read, Some(order));
    }
}

#[test]
fn a_view_of_another_schema_is_a_miss() {
    let order = small_order(ChallengeStatus::Pending, Progress::Open);
    let written = String::from_utf8(view::encode_order(&order).unwrap()).unwrap();
    let today = format!("\"schema\":{}", view::SCHEMA);
    assert!(written.contains(&today));
    for schema in [0, view::SCHEMA + 1, u16::MAX] {
        let other = written.replace(&today, &format!("\"schema\":{schema}"));
        assert_eq!(view::decode_order(other.as_bytes()), None, "{schema}");
    }
    let later = format!("{{\"schema\":{},\"view\":{{\"new\":[1]}}}}", view::SCHEMA + 1);
    assert_eq!(view::decode_account(later.as_bytes()), None);
}

#[test]
fn one_kind_of_view_is_not_read_as_the_other() {
    let order = small_order(ChallengeStatus::Pending, Progress::Open);
    assert_eq!(view::decode_account(&view::encode_order(&order).unwrap()), None);
}
