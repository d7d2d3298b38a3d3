//! Finds everything the log says about a certificate.

use domain::{
    PreAuthorizationId, Serial, account,
    certificate::{LedgerEvent, RevocationEvent},
    order::{self, ChallengeValidated},
    pre_authorization,
};
use eventstore::{Message, Sequence, Stream, Subject};

use super::{
    Happening, Outcome, Proof, Revoked, Story,
    sentence::{self, rank},
};
use crate::{
    failure::Failure,
    log::{Log, serial_of},
};

const NO_ORDER: &str =
    "The order's own events are no longer kept: what was validated cannot be told.";

/// Gathers the story of a serial; none when the ledger does not know it.
///
/// # Errors
/// When the log is out of reach, or an event cannot be read.
pub(crate) async fn gather(log: &Log, serial: &Serial) -> Result<Option<Story>, Failure> {
    let ledger = log.ledger(serial).await?;
    if ledger.is_empty() {
        return Ok(None);
    }
    let mut story = Story { serial: Some(serial.clone()), ..Story::default() };
    for message in &ledger {
        story.add_ledger(message, serial)?;
    }
    let order = match &story.order {
        Some(id) => log.store().read(&Subject::order(id), Sequence::NONE).await?,
        None => Vec::new(),
    };
    if story.not_before.is_none()
        && let Some(reservation) = reservation(log, &story, &order).await?
    {
        story.add_ledger(&reservation, serial)?;
    }
    for message in &order {
        story.add_order(message)?;
    }
    for id in relied_on(&order)? {
        for message in log.store().read(&Subject::pre_authorization(&id), Sequence::NONE).await? {
            story.add_pre_authorization(&message)?;
        }
    }
    if story.order.is_some() && order.is_empty() {
        story.gaps.push(NO_ORDER.to_owned());
    }
    if let Some(account) = story.account.clone() {
        let until = order.first().map(|message| message.envelope.at);
        for message in log.store().read(&Subject::account(&account), Sequence::NONE).await? {
            // What the account did later does not belong to this story.
            if until.is_none_or(|until| message.envelope.at <= until) {
                story.add_account(&message)?;
            }
        }
    }
    if let Some(issuer) = story.issuer.clone() {
        let subject = Subject::revocation(&issuer, serial);
        for message in log.store().read(&subject, Sequence::NONE).await? {
            story.add_revocation(&message)?;
        }
    }
    let kind = |happening: &Happening| happening.event["type"].as_str().map_or(0, rank);
    story.history.sort_by_key(|happening| (happening.at, kind(happening)));
    Ok(Some(story))
}

/// The pre-authorizations that an order relies on.
fn relied_on(order: &[Message]) -> Result<Vec<PreAuthorizationId>, Failure> {
    let mut ids = Vec::new();
    if let Some(first) = order.first() {
        for event in first.envelope.decode::<order::Event>()? {
            if let order::Event::OrderPlaced(placed) = event {
                let relied_on = placed.authorizations.into_iter().filter_map(|it| it.relies_on);
                ids.extend(relied_on.map(|it| it.id));
            }
        }
    }
    Ok(ids)
}

/// The ledger's reservation of a serial whose certificate was found: the order leads to it; where that is gone, or never
/// was, it is on the same subject of the ledger.
async fn reservation(
    log: &Log,
    story: &Story,
    order: &[Message],
) -> Result<Option<Message>, Failure> {
    let (Some(serial), Some(issuer)) = (&story.serial, &story.issuer) else { return Ok(None) };
    for message in order {
        for event in message.envelope.decode::<order::Event>()? {
            if let order::Event::CertificateReserved(reserved) = event
                && reserved.serial == *serial
            {
                let sequence = Sequence(reserved.ledger_sequence);
                return Ok(log.store().message(Stream::Ledger, sequence).await?);
            }
        }
    }
    for message in log.store().read(&Subject::ledger(issuer, serial), Sequence::NONE).await? {
        let is_wanted = |event: &LedgerEvent| match event {
            LedgerEvent::SerialReserved(reserved) => reserved.serial == *serial,
            LedgerEvent::CertificateSigned(_) | LedgerEvent::SerialBurned(_) => false,
        };
        if message.envelope.decode::<LedgerEvent>()?.iter().any(is_wanted) {
            return Ok(Some(message));
        }
    }
    Ok(None)
}

impl Story {
    fn add_ledger(&mut self, message: &Message, serial: &Serial) -> Result<(), Failure> {
        let events: Vec<LedgerEvent> = message.envelope.decode()?;
        for (place, event) in events.iter().enumerate() {
            if serial_of(event) != serial {
                continue;
            }
            match event {
                LedgerEvent::SerialReserved(reserved) => {
                    self.issuer = Some(reserved.issuer.clone());
                    self.identifiers.clone_from(&reserved.identifiers);
                    self.not_before = Some(reserved.not_before);
                    self.not_after = Some(reserved.not_after);
                    self.order = self.order.take().or_else(|| reserved.order.clone());
                    self.account = self.account.take().or_else(|| reserved.account.clone());
                    self.profile = self.profile.take().or_else(|| reserved.profile.clone());
                }
                LedgerEvent::CertificateSigned(signed) => {
                    self.outcome = Outcome::Issued;
                    self.issuer = Some(signed.issuer.clone());
                    self.not_after = Some(signed.not_after);
                    self.order.clone_from(&signed.order);
                    self.account.clone_from(&signed.account);
                    self.profile.clone_from(&signed.profile);
                }
                LedgerEvent::SerialBurned(burned) => {
                    self.outcome = Outcome::Burned;
                    self.issuer = Some(burned.issuer.clone());
                }
            }
            self.add(message, place, sentence::ledger(event))?;
        }
        Ok(())
    }

    fn add_order(&mut self, message: &Message) -> Result<(), Failure> {
        let events: Vec<order::Event> = message.envelope.decode()?;
        for (place, event) in events.iter().enumerate() {
            match event {
                order::Event::OrderPlaced(placed) => {
                    self.identifiers.clone_from(&placed.identifiers);
                }
                order::Event::ChallengeValidated(validated) => self.proofs.push(validated.into()),
                order::Event::ChallengeReady(_)
                | order::Event::ChallengeFailed(_)
                | order::Event::ChallengeAttemptFailed(_)
                | order::Event::CaaCheckNeeded(_)
                | order::Event::CaaChecked(_)
                | order::Event::CaaCheckFailed(_)
                | order::Event::AuthorizationDeactivated(_)
                | order::Event::OrderFinalized(_)
                | order::Event::CertificateReserved(_)
                | order::Event::ReservationBurned(_)
                | order::Event::CertificateIssued(_)
                | order::Event::IssuanceFailed(_) => {}
            }
            self.add(message, place, sentence::order(event))?;
        }
        Ok(())
    }

    fn add_pre_authorization(&mut self, message: &Message) -> Result<(), Failure> {
        let events: Vec<pre_authorization::Event> = message.envelope.decode()?;
        for (place, event) in events.iter().enumerate() {
            if let pre_authorization::Event::ChallengeValidated(validated) = event {
                self.proofs.push(validated.into());
            }
            self.add(message, place, sentence::pre_authorization(event))?;
        }
        Ok(())
    }

    fn add_account(&mut self, message: &Message) -> Result<(), Failure> {
        let events: Vec<account::Event> = message.envelope.decode()?;
        for (place, event) in events.iter().enumerate() {
            match event {
                account::Event::AccountCreated(created) => {
                    self.contact.clone_from(&created.contact);
                }
                account::Event::AccountUpdated(updated) => {
                    self.contact.clone_from(&updated.contact);
                }
                account::Event::AccountTermsAgreed(_)
                | account::Event::AccountBound(_)
                | account::Event::AccountKeyClaimed(_)
                | account::Event::AccountKeyChanged(_)
                | account::Event::AccountDeactivated(_) => {}
            }
            self.add(message, place, sentence::account(event))?;
        }
        Ok(())
    }

    fn add_revocation(&mut self, message: &Message) -> Result<(), Failure> {
        let events: Vec<RevocationEvent> = message.envelope.decode()?;
        for (place, event) in events.iter().enumerate() {
            let RevocationEvent::CertRevoked(revoked) = event;
            let by = message.envelope.actor.clone();
            self.outcome = Outcome::Revoked;
            self.add(message, place, sentence::revocation(revoked, &by))?;
            self.revoked = Some(Revoked { at: revoked.at, by, reason: revoked.reason });
        }
        Ok(())
    }

    /// Adds the event at a place of the message.
    fn add(&mut self, message: &Message, place: usize, text: String) -> Result<(), Failure> {
        let Some(stored) = message.envelope.events.get(place) else { return Ok(()) };
        self.history.push(Happening {
            at: message.envelope.at,
            by: message.envelope.actor.clone(),
            request_id: message.envelope.request_id.clone(),
            subject: message.subject.clone(),
            sequence: message.sequence,
            text,
            event: serde_json::from_str(stored.json())?,
        });
        Ok(())
    }
}

impl From<&ChallengeValidated> for Proof {
    fn from(validated: &ChallengeValidated) -> Self {
        Self {
            identifier: validated.identifier.clone(),
            challenge: validated.challenge,
            at: validated.at,
            evidence: validated.evidence.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Serial;
    use embedded::Embedded;

    use super::*;
    use crate::fixtures;

    async fn told(kinds: &[&str]) -> Story {
        let dir = tempfile::tempdir().unwrap();
        let log = fixtures::log(dir.path());
        fixtures::append(&log, kinds).await;
        let log = Log::Embedded(Embedded::open_read_only(dir.path()).unwrap());
        assert!(gather(&log, &Serial::from_random(&[9; 16])).await.unwrap().is_none());
        gather(&log, &fixtures::serial()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_story_tells_who_ordered_what_was_proven_who_signed_and_who_revoked() {
        let story = told(&[
            "AccountCreated",
            "PreAuthorizationPlaced",
            "OrderPlaced",
            "ChallengeReady",
            "ChallengeValidated",
            "OrderFinalized",
            "SerialReserved",
            "CertificateSigned",
            "CertificateIssued",
            "CertRevoked",
        ])
        .await;
        assert_eq!(story.outcome, Outcome::Revoked);
        assert_eq!(story.account, Some(fixtures::account()));
        assert_eq!(story.contact, ["mailto:admin@example.com"]);
        assert_eq!(story.proofs.len(), 1);
        let text = story.to_string();
        for part in [
            "for      www.example.com, *.example.com",
            "asked under profile default to prove www.example.com before it orders",
            "placed order",
            "For www.example.com it relies on pre-authorization ZmZmZmZmZmZmZmZmZmZmZg",
            "http-01: http://www.example.com/",
            "at 192.0.2.80:80 answered 200",
            "signed the certificate",
            "revoked by operator alice: keyCompromise",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }

    #[tokio::test]
    async fn a_story_tells_each_event_in_words_up_to_the_order_of_the_account_and_on_of_the_order()
    {
        let told_of = [
            ("AccountCreated", "was created under profile default with key"),
            ("AccountUpdated", "The account changed its contact: mailto:admin@example.com."),
            (
                "AccountTermsAgreed",
                "The account agreed to the terms at https://ca.example.com/terms.",
            ),
            ("AccountBound", "The account was bound to an external account by key"),
            ("AccountKeyClaimed", "claimed key"),
            ("AccountKeyChanged", "The account changed its key to"),
            ("OrderPlaced", "placed order"),
            ("ChallengeReady", "The client asked for www.example.com to be validated by http-01."),
            (
                "ChallengeAttemptFailed",
                "not proven by http-01 yet (the connection was refused): http",
            ),
            ("ChallengeFailed", "not proven by http-01 (the connection was refused): http"),
            ("ChallengeValidated", "Control of www.example.com was proven by http-01"),
            ("AuthorizationDeactivated", "The client gave up one of the order's authorizations."),
            (
                "OrderFinalized",
                "The client finalized the order for www.example.com, *.example.com.",
            ),
            ("CaaCheckNeeded", "The last look at CAA of www.example.com was too long ago."),
            ("CaaCheckFailed", "did not allow issuance (the CAA records of example.com forbid"),
            ("CaaChecked", "CAA of www.example.com still allowed issuance: "),
            ("SerialReserved", "The signer chose serial"),
            ("CertificateReserved", "was claimed for the order; no other can be issued for it."),
            ("SerialBurned", "up after a crash; it counts as revoked."),
            ("ReservationBurned", "The order gave serial"),
            ("IssuanceFailed", "No certificate was issued: the requested validity ends after"),
        ];
        let story = told(&told_of.map(|(kind, _)| kind)).await;
        assert_eq!(story.history.len(), told_of.len());
        for (happening, (kind, text)) in story.history.iter().zip(told_of) {
            assert_eq!(happening.event["type"], kind);
            assert!(happening.text.contains(text), "{text} is not in {}", happening.text);
        }
        let later =
            told(&["AccountCreated", "OrderPlaced", "SerialReserved", "AccountDeactivated"]);
        assert!(later.await.history.iter().all(|it| it.event["type"] != "AccountDeactivated"));
    }

    #[tokio::test]
    async fn the_head_of_a_story_says_what_is_known_and_its_end_what_is_missing() {
        for (kinds, status) in [
            (&["SerialReserved"][..], "reserved, not signed"),
            (&["SerialReserved", "SerialBurned"], "given up after a crash, and revoked"),
            (&["AccountUpdated", "SerialReserved", "CertificateSigned"], "issued"),
        ] {
            let story = told(kinds).await;
            let contact = match story.contact.as_slice() {
                [] => "no contact",
                _ => "mailto:admin@example.com",
            };
            let (account, order) = (fixtures::account(), fixtures::order());
            let head = format!(
                "  for      www.example.com, *.example.com\n  status   {status}\n  valid    2026-01-01T12:00:00Z to \
                 2026-04-01T12:00:00Z\n  issuer   {}\n  account  {account} ({contact})\n  order    {order}\n\n",
                story.issuer.as_ref().unwrap(),
            );
            let text = story.to_string();
            assert!(text.contains(&head), "{head} is not in {text}");
            assert!(text.ends_with(&format!("\n\n{NO_ORDER}\n")), "{text}");
        }
    }

    #[tokio::test]
    async fn a_story_outlives_its_order() {
        let story = told(&["AccountUpdated", "SerialReserved", "CertificateSigned"]).await;
        assert_eq!(story.outcome, Outcome::Issued);
        assert_eq!(story.contact, ["mailto:admin@example.com"]);
        assert_eq!(story.names(), "www.example.com, *.example.com");
        assert_eq!(story.gaps, [NO_ORDER]);
    }

    #[tokio::test]
    async fn a_serial_that_was_given_up_has_a_story_too() {
        let story = told(&["SerialReserved", "SerialBurned"]).await;
        assert_eq!(story.outcome, Outcome::Burned);
        assert_eq!(story.history.len(), 2);
    }
}
