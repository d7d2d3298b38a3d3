//! Events in plain words.

use domain::{
    CaaEvidence, Evidence, Handshake, Hop, Identifier, account,
    certificate::{CertRevoked, LedgerEvent},
    order::{
        self, ChallengeAttemptFailed, ChallengeFailed, ChallengeReady, ChallengeValidated,
        OrderPlaced,
    },
    pre_authorization,
};
use eventstore::Actor;

/// The place of an event type in a story whose events have the same time.
pub(super) fn rank(kind: &str) -> usize {
    const ORDER: [&str; 19] = [
        "AccountCreated",
        "AccountUpdated",
        "PreAuthorizationPlaced",
        "OrderPlaced",
        "ChallengeReady",
        "ChallengeAttemptFailed",
        "ChallengeFailed",
        "ChallengeValidated",
        "OrderFinalized",
        "CaaCheckNeeded",
        "CaaChecked",
        "CaaCheckFailed",
        "SerialReserved",
        "CertificateReserved",
        "SerialBurned",
        "ReservationBurned",
        "CertificateSigned",
        "CertificateIssued",
        "CertRevoked",
    ];
    ORDER.iter().position(|known| *known == kind).unwrap_or(ORDER.len())
}

/// What happened to the account.
pub(super) fn account(event: &account::Event) -> String {
    match event {
        account::Event::AccountCreated(created) => {
            let terms = if created.terms_of_service_agreed { "agreed" } else { "did not agree" };
            format!(
                "Account {} was created under profile {} with key {}, {}; it {terms} to the terms.",
                created.id,
                created.profile,
                created.key.thumbprint.as_str(),
                contact(&created.contact),
            )
        }
        account::Event::AccountUpdated(updated) => {
            format!("The account changed its contact: {}.", contact(&updated.contact))
        }
        account::Event::AccountTermsAgreed(agreed) => {
            format!("The account agreed to the terms at {}.", agreed.terms_of_service)
        }
        account::Event::AccountBound(bound) => {
            format!("The account was bound to an external account by key {}.", bound.key)
        }
        account::Event::AccountKeyClaimed(claimed) => format!(
            "Account {} claimed key {} to change to it.",
            claimed.account,
            claimed.key.as_str()
        ),
        account::Event::AccountKeyChanged(changed) => {
            format!("The account changed its key to {}.", changed.key.thumbprint.as_str())
        }
        account::Event::AccountDeactivated(_) => "The account was deactivated.".to_owned(),
    }
}

/// What happened to a pre-authorization.
pub(super) fn pre_authorization(event: &pre_authorization::Event) -> String {
    match event {
        pre_authorization::Event::PreAuthorizationPlaced(placed) => format!(
            "Account {} asked under profile {} to prove {} before it orders, until {}.",
            placed.account, placed.profile, placed.identifier, placed.expires_at,
        ),
        pre_authorization::Event::ChallengeReady(event) => ready(event),
        pre_authorization::Event::ChallengeValidated(event) => validated(event),
        pre_authorization::Event::ChallengeFailed(event) => failed(event),
        pre_authorization::Event::ChallengeAttemptFailed(event) => attempt_failed(event),
        pre_authorization::Event::AuthorizationDeactivated(_) => {
            "The client gave up its pre-authorization.".to_owned()
        }
    }
}

/// What happened to the order.
pub(super) fn order(event: &order::Event) -> String {
    match event {
        order::Event::OrderPlaced(event) => placed(event),
        order::Event::ChallengeReady(event) => ready(event),
        order::Event::ChallengeValidated(event) => validated(event),
        order::Event::ChallengeFailed(event) => failed(event),
        order::Event::ChallengeAttemptFailed(event) => attempt_failed(event),
        order::Event::CaaCheckNeeded(needed) => {
            format!("The last look at CAA of {} was too long ago.", needed.identifier)
        }
        order::Event::CaaChecked(checked) => format!(
            "CAA of {} still allowed issuance: {}.",
            checked.identifier,
            seen(&checked.evidence)
        ),
        order::Event::CaaCheckFailed(failed) => format!(
            "CAA of {} did not allow issuance ({}): {}.",
            failed.identifier,
            failed.failure.detail.trim_end_matches('.'),
            seen(&failed.evidence),
        ),
        order::Event::AuthorizationDeactivated(_) => {
            "The client gave up one of the order's authorizations.".to_owned()
        }
        order::Event::OrderFinalized(finalized) => {
            format!("The client finalized the order for {}.", list(&finalized.identifiers))
        }
        order::Event::CertificateReserved(reserved) => format!(
            "Serial {} was claimed for the order; no other can be issued for it.",
            reserved.serial
        ),
        order::Event::ReservationBurned(burned) => {
            format!("The order gave serial {} up after a crash.", burned.serial)
        }
        order::Event::CertificateIssued(issued) => format!(
            "The order became valid with certificate {} of issuer {}.",
            issued.serial, issued.issuer
        ),
        order::Event::IssuanceFailed(failed) => {
            format!("No certificate was issued: {}.", failed.failure.detail.trim_end_matches('.'))
        }
    }
}

fn placed(placed: &OrderPlaced) -> String {
    let mut text = format!(
        "Account {} placed order {} under profile {} for {}.",
        placed.account,
        placed.id,
        placed.profile,
        list(&placed.identifiers),
    );
    for authorization in &placed.authorizations {
        if let Some(relied_on) = &authorization.relies_on {
            let (name, id, at) = (&authorization.identifier, &relied_on.id, relied_on.validated_at);
            text += &format!(" For {name} it relies on pre-authorization {id}, proven at {at}.");
        }
    }
    text
}

fn ready(ready: &ChallengeReady) -> String {
    format!("The client asked for {} to be validated by {}.", ready.identifier, ready.challenge)
}

fn validated(validated: &ChallengeValidated) -> String {
    format!(
        "Control of {} was proven by {}: {}.",
        validated.identifier,
        validated.challenge,
        seen(&validated.evidence),
    )
}

fn failed(failed: &ChallengeFailed) -> String {
    format!(
        "Control of {} was not proven by {} ({}): {}.",
        failed.identifier,
        failed.challenge,
        failed.failure.detail.trim_end_matches('.'),
        seen(&failed.evidence),
    )
}

fn attempt_failed(failed: &ChallengeAttemptFailed) -> String {
    format!(
        "Control of {} was not proven by {} yet ({}): {}. The next look is at {}.",
        failed.identifier,
        failed.challenge,
        failed.failure.detail.trim_end_matches('.'),
        seen(&failed.evidence),
        failed.retry_at,
    )
}

/// What the ledger recorded.
pub(super) fn ledger(event: &LedgerEvent) -> String {
    match event {
        LedgerEvent::SerialReserved(reserved) => format!(
            "The signer chose serial {} of issuer {}, valid {} to {}.",
            reserved.serial, reserved.issuer, reserved.not_before, reserved.not_after
        ),
        LedgerEvent::CertificateSigned(signed) => {
            format!("The CA key {} signed the certificate.", signed.issuer)
        }
        LedgerEvent::SerialBurned(burned) => {
            format!(
                "The signer gave serial {} up after a crash; it counts as revoked.",
                burned.serial
            )
        }
    }
}

/// Who took the certificate back.
pub(super) fn revocation(revoked: &CertRevoked, by: &Actor) -> String {
    format!("The certificate was revoked by {by}: {}.", revoked.reason.name())
}

/// What a validator saw.
fn seen(evidence: &Evidence) -> String {
    let mut parts: Vec<String> = evidence.hops.iter().map(hop).collect();
    if !evidence.records.is_empty() {
        let records = evidence.records.join("; ");
        parts.push(format!("resolver {} answered {records}", evidence.resolver));
    } else {
        parts.push(format!("resolver {}", evidence.resolver));
    }
    parts.extend(evidence.handshakes.iter().map(handshake));
    parts.extend(evidence.caa.as_ref().map(caa));
    parts.extend(evidence.dnssec.as_ref().map(|dnssec| format!("DNSSEC {dnssec}")));
    parts.push(format!("seen from {} in {} ms", evidence.perspective, evidence.duration_millis));
    parts.join(", ")
}

fn hop(hop: &Hop) -> String {
    match hop.status {
        Some(status) => format!("{} at {} answered {status}", hop.url, hop.address),
        None => format!("{} at {} did not answer", hop.url, hop.address),
    }
}

fn handshake(handshake: &Handshake) -> String {
    let Handshake { server_name, address, version, certificate_sha256 } = handshake;
    match (version, certificate_sha256) {
        (Some(version), Some(digest)) => {
            format!("{address} showed certificate {digest} for {server_name} over {version}")
        }
        _ => format!("{address} showed no certificate for {server_name}"),
    }
}

fn caa(seen: &CaaEvidence) -> String {
    match &seen.found_at {
        Some(name) => format!("CAA at {name} says {}", seen.records.join("; ")),
        None => "there is no CAA".to_owned(),
    }
}

fn contact(contact: &[String]) -> String {
    if contact.is_empty() { "without contact".to_owned() } else { contact.join(", ") }
}

fn list(identifiers: &[Identifier]) -> String {
    let names: Vec<String> = identifiers.iter().map(Identifier::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use domain::{ChallengeType, Timestamp, order::AuthorizationIndex};

    use super::*;

    #[test]
    fn a_validation_tells_what_was_seen_where() {
        let event = order::Event::ChallengeValidated(order::ChallengeValidated {
            authorization: AuthorizationIndex(0),
            challenge: ChallengeType::Http01,
            identifier: Identifier::Dns("a.example".parse().unwrap()),
            at: Timestamp::from_unix_seconds(1),
            evidence: Evidence {
                perspective: "local".to_owned(),
                resolver: "192.0.2.53:53".to_owned(),
                records: vec!["a.example. A 192.0.2.1".to_owned()],
                hops: vec![Hop {
                    url: "http://a.example/x".to_owned(),
                    address: "192.0.2.1:80".to_owned(),
                    status: Some(200),
                }],
                handshakes: Vec::new(),
                caa: Some(CaaEvidence {
                    found_at: Some("example".to_owned()),
                    records: vec!["0 issue \"ca.example\"".to_owned()],
                    dnssec: None,
                }),
                dnssec: None,
                duration_millis: 7,
            },
        });
        let expected = "Control of a.example was proven by http-01: http://a.example/x at 192.0.2.1:80 answered 200, \
            resolver 192.0.2.53:53 answered a.example. A 192.0.2.1, CAA at example says 0 issue \"ca.example\", seen from local in 7 ms.";
        assert_eq!(order(&event), expected);
    }
}
