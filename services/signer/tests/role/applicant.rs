//! Orders led up to the signer.

use std::{sync::Arc, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use domain::{
    AccountId, CaaEvidence, ChallengeType, Evidence, Identifier, OrderId, ProfileName,
    SubjectPublicKey, Thumbprint, Timestamp,
    order::{
        AuthorizationIndex, AuthorizationPlaced, ChallengePlaced, ChallengeValidated, Command,
        Order, OrderPlaced, State,
    },
};
use eventstore::{Actor, Context, MessageId};
use rcgen::{KeyPair, PublicKeyData as _};
use readmodel::{Aggregates, ReadModel, View};

use crate::workshop::{Workshop, now};

/// What most orders are for.
pub(crate) const NAMES: [&str; 2] = ["www.example.org", "*.example.org"];
const KIND: ChallengeType = ChallengeType::Dns01;
const ORDER_VALIDITY: Duration = Duration::from_secs(3600);

/// A new key to certify, as SubjectPublicKeyInfo.
pub(crate) fn public_key() -> Vec<u8> {
    KeyPair::generate().unwrap().subject_public_key_info()
}

pub(crate) fn account() -> AccountId {
    AccountId::from_hash(&[7; 32])
}

pub(crate) fn context() -> Context {
    let actor = Actor::Account { id: account() };
    Context { actor, request_id: None, traceparent: None, at: now() }
}

pub(crate) fn new_order_id() -> OrderId {
    format!("03{}", MessageId::random().as_str()).parse().unwrap()
}

/// Places an order for names, each to be proven by one challenge.
pub(crate) fn place(id: &OrderId, names: &[&str]) -> Command {
    let identifiers: Vec<Identifier> =
        names.iter().map(|name| Identifier::Dns(name.parse().unwrap())).collect();
    let authorizations = identifiers.iter().map(|identifier| AuthorizationPlaced {
        identifier: identifier.authorized(),
        wildcard: identifier.is_wildcard(),
        challenges: vec![ChallengePlaced { kind: KIND, token: "token".to_owned() }],
        relies_on: None,
    });
    Command::Place(OrderPlaced {
        id: id.clone(),
        profile: ProfileName::default(),
        account: account(),
        authorizations: authorizations.collect(),
        identifiers,
        not_before: None,
        not_after: None,
        at: now(),
        expires_at: now().plus(ORDER_VALIDITY),
    })
}

pub(crate) fn respond(index: usize) -> Command {
    Command::RespondToChallenge {
        authorization: AuthorizationIndex(u16::try_from(index).unwrap()),
        challenge: KIND,
        thumbprint: Thumbprint("thumbprint".to_owned()),
        now: now(),
    }
}

pub(crate) fn validated(index: AuthorizationIndex, identifier: Identifier) -> Command {
    Command::RecordValidation(challenge_validated(index, identifier))
}

pub(crate) fn challenge_validated(
    index: AuthorizationIndex,
    identifier: Identifier,
) -> ChallengeValidated {
    ChallengeValidated {
        authorization: index,
        challenge: KIND,
        identifier,
        at: now(),
        evidence: Evidence::default(),
    }
}

fn validated_with_caa(index: AuthorizationIndex, identifier: Identifier, at: Timestamp) -> Command {
    Command::RecordValidation(ChallengeValidated {
        authorization: index,
        challenge: KIND,
        identifier,
        at,
        evidence: caa_evidence(),
    })
}

/// What a validator saw that found no CAA records.
pub(crate) fn caa_evidence() -> Evidence {
    Evidence { caa: Some(CaaEvidence::default()), ..Evidence::default() }
}

pub(crate) fn finalize(names: &[&str], public_key: &[u8]) -> Command {
    finalize_at(now(), names, public_key)
}

fn finalize_at(at: Timestamp, names: &[&str], public_key: &[u8]) -> Command {
    Command::Finalize {
        public_key: SubjectPublicKey(BASE64_URL_SAFE_NO_PAD.encode(public_key)),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        common_name: None,
        now: at,
    }
}

impl Workshop {
    /// An order that waits for the signer.
    pub(crate) async fn finalized(&self) -> OrderId {
        self.finalized_with(&public_key()).await
    }

    /// An order for a key that waits for the signer.
    pub(crate) async fn finalized_with(&self, public_key: &[u8]) -> OrderId {
        self.finalized_at(now(), public_key).await
    }

    /// An order for a key that waits for the signer since then.
    pub(crate) async fn finalized_at(&self, at: Timestamp, public_key: &[u8]) -> OrderId {
        let id = new_order_id();
        self.finalize(&id, finalize_at(at, &NAMES, public_key), validated).await;
        id
    }

    /// An order that waits for the signer, whose names' CAA was looked at then.
    pub(crate) async fn finalized_with_caa(&self, looked_at: Timestamp) -> OrderId {
        let id = new_order_id();
        let proof = |place, identifier| validated_with_caa(place, identifier, looked_at);
        self.finalize(&id, finalize(&NAMES, &public_key()), proof).await;
        id
    }

    /// An order that waits for the signer, and whose view does not say so yet.
    pub(crate) async fn finalized_behind_its_view(&self) -> OrderId {
        let id = new_order_id();
        let ready = self.ready(&id, validated).await;
        let finalize = finalize(&NAMES, &public_key());
        self.execute(self.empty_views("elsewhere"), (&id, Some(ready)), &finalize).await;
        id
    }

    /// Finalizes an order that is ready.
    pub(crate) async fn finalize_ready(&self, id: &OrderId, public_key: &[u8]) {
        let finalize = finalize(&NAMES, public_key);
        self.execute(Arc::clone(&self.views), (id, None), &finalize).await;
    }

    async fn finalize(
        &self,
        id: &OrderId,
        finalize: Command,
        proof: impl Fn(AuthorizationIndex, Identifier) -> Command,
    ) {
        let ready = self.ready(id, proof).await;
        self.execute(Arc::clone(&self.views), (id, Some(ready)), &finalize).await;
    }

    async fn ready(
        &self,
        id: &OrderId,
        proof: impl Fn(AuthorizationIndex, Identifier) -> Command,
    ) -> View<State> {
        let mut view = self.execute(Arc::clone(&self.views), (id, None), &place(id, &NAMES)).await;
        for (index, name) in NAMES.iter().enumerate() {
            let identifier = Identifier::Dns(name.parse().unwrap()).authorized();
            let place = AuthorizationIndex(u16::try_from(index).unwrap());
            for command in [respond(index), proof(place, identifier)] {
                view = self.execute(Arc::clone(&self.views), (id, Some(view)), &command).await;
            }
        }
        view
    }

    async fn execute(
        &self,
        views: Arc<dyn ReadModel>,
        (id, known): (&OrderId, Option<View<State>>),
        command: &Command,
    ) -> View<State> {
        let aggregates = Aggregates { store: Arc::new(self.log.clone()), views };
        aggregates.execute::<Order>(id, known, command, &context()).await.unwrap()
    }
}
