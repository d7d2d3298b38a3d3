//! Looks at CAA again for an order whose last look is too long ago to issue on.

use std::{error::Error, panic::AssertUnwindSafe, time::Duration};

use domain::{
    Evidence, Failure, FailureKind, Identifier, OrderId, ProfileName,
    order::{CaaCheckFailed, CaaCheckNeeded, CaaChecked, Command, Order, Progress, State},
};
use eventstore::Message;
use futures::{FutureExt as _, StreamExt as _, stream};
use tokio::time::sleep;
use tracing::{error, info, warn};
use validation::{CaaQuestion, Exhausted, Outcome, Rejected, Validator};

use crate::{
    desk::{Desk, Unfinished, now},
    measure,
};

/// How many names of one order are looked at together.
const AT_ONCE: usize = 8;
/// How often a name is looked up before a lookup that failed ends the order.
const MAX_LOOKS: u32 = 3;
/// When a lookup that failed is repeated.
const RETRY_DELAY: Duration = Duration::from_secs(2);
/// How long a look waits for a node whose configuration has it taken; then the order fails, as it does at the signer.
const PATIENCE: Duration = Duration::from_mins(10);

/// Looks at every name that still waits for it, and records what each look saw.
pub(crate) async fn look_again(
    desk: &Desk,
    message: &Message,
    order: &OrderId,
    needed: &[CaaCheckNeeded],
) -> Result<(), Unfinished> {
    let Some(loaded) = desk.load::<Order>(order, message).await? else {
        return Ok(());
    };
    let wanted = needed.iter().filter(|needed| is_wanted(&loaded.state, needed));
    let waited = message.envelope.at.until(now());
    let looks: Vec<_> = wanted.map(|needed| ask(desk, needed, waited)).collect();
    let mut seen = stream::iter(looks).buffered(AT_ONCE);
    while let Some(look) = seen.next().await {
        let (needed, outcome) = look?;
        let command = match outcome {
            Ok(evidence) => Command::RecordCaa(CaaChecked {
                authorization: needed.authorization,
                identifier: needed.identifier.clone(),
                at: now(),
                evidence,
            }),
            Err(rejected) => {
                let Rejected { failure, evidence } = *rejected;
                info!(identifier = %needed.identifier, detail = failure.detail, "CAA forbids issuance");
                Command::RecordCaaFailure(CaaCheckFailed {
                    authorization: needed.authorization,
                    identifier: needed.identifier.clone(),
                    at: now(),
                    failure,
                    evidence,
                })
            }
        };
        desk.record::<Order>(order, &command, message).await?;
    }
    Ok(())
}

fn is_wanted(order: &State, needed: &CaaCheckNeeded) -> bool {
    let open = matches!(order.progress, Progress::Processing(_));
    let authorization = order.authorization(needed.authorization);
    open && authorization.is_some_and(|authorization| authorization.caa_awaited)
}

/// What CAA says about a name now.
type Look<'a> = (&'a CaaCheckNeeded, Outcome);

async fn ask<'a>(
    desk: &Desk,
    needed: &'a CaaCheckNeeded,
    waited: Duration,
) -> Result<Look<'a>, Unfinished> {
    let validator = match validator(desk, &needed.profile) {
        Ok(validator) => validator,
        // The signer waits for this look, and nobody else ends the order.
        Err(unfinished) if waited >= PATIENCE => {
            warn!(error = &unfinished as &dyn Error, "nobody looks at CAA; the order fails");
            return Ok((needed, Err(not_looked_at())));
        }
        Err(unfinished) => return Err(unfinished),
    };
    let Identifier::Dns(name) = &needed.identifier else {
        // Nobody asks for that: CAA is about names.
        return Ok((needed, Ok(Evidence::default())));
    };
    let account_url = desk.account_url(&needed.profile, &needed.account);
    let question = CaaQuestion {
        name,
        wildcard: needed.wildcard,
        challenge: needed.challenge,
        account_url: &account_url,
    };
    // A panic is a bug; delivered again and again it would take every slot.
    let asking = AssertUnwindSafe(ask_patiently(validator, question)).catch_unwind();
    let outcome = asking.await.unwrap_or_else(|_| {
        error!(identifier = %needed.identifier, "a look at CAA panicked");
        Ok(Err(not_looked_at()))
    })?;
    measure::look("caa", &outcome);
    Ok((needed, outcome))
}

fn validator<'a>(desk: &'a Desk, profile: &ProfileName) -> Result<&'a Validator, Unfinished> {
    let validator = desk.validator(profile)?;
    if validator.enforces_caa() { Ok(validator) } else { Err(Unfinished::NoCaa(profile.clone())) }
}

fn not_looked_at() -> Box<Rejected> {
    let failure = Failure::new(FailureKind::ServerInternal, "CAA could not be looked at");
    Box::new(Rejected { failure, evidence: Evidence::default() })
}

/// Repeats a lookup that failed, here and not by the message coming again: that does not tell lookups from waiting for a
/// turn, and an order would end with fewer of them when there is much to do. Records that forbid will forbid again.
async fn ask_patiently(
    validator: &Validator,
    question: CaaQuestion<'_>,
) -> Result<Outcome, Exhausted> {
    let mut looks = 1;
    loop {
        match validator.check_caa(question).await? {
            Err(rejected) if rejected.failure.kind == FailureKind::Dns && looks < MAX_LOOKS => {
                looks += 1;
                sleep(RETRY_DELAY).await;
            }
            outcome => return Ok(outcome),
        }
    }
}
