//! Terms of service: whether an account agreed to those of today (RFC 8555 §7.3.3).

use domain::account::{AccountTermsAgreed, State};

use crate::{
    authenticate::{self, ByAccount},
    problem::Refusal,
    request::AcmeRequest,
    settings::Profile,
};

/// Takes a request signed by an account that agreed to the terms of today, where the profile wants that.
pub(crate) async fn by_agreed_account(request: &AcmeRequest<'_>) -> Result<ByAccount, Refusal> {
    let signed = authenticate::by_account(request).await?;
    check(request.profile, &signed.account.state)?;
    Ok(signed)
}

fn check(profile: &Profile, account: &State) -> Result<(), Refusal> {
    match &profile.meta.terms_of_service {
        Some(terms) if profile.terms_approval_required && !are_agreed(profile, account) => {
            Err(Refusal::TermsChanged {
                terms: terms.clone(),
                instance: profile.terms_change_url.as_ref().unwrap_or(terms).clone(),
            })
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether an account agreed to the terms, as far as the profile cares.
pub(crate) fn are_agreed(profile: &Profile, account: &State) -> bool {
    if profile.terms_approval_required {
        account.agreed_terms == profile.meta.terms_of_service
    } else {
        account.terms_of_service_agreed
    }
}

/// What agreeing to the terms of today means; nothing where there are none.
pub(crate) fn agreement(request: &AcmeRequest<'_>) -> Option<AccountTermsAgreed> {
    let terms_of_service = request.profile.meta.terms_of_service.clone()?;
    Some(AccountTermsAgreed { terms_of_service, at: request.now })
}
