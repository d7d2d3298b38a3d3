//! A pre-authorization's cached form.

use domain::{AccountId, PreAuthorizationId, ProfileName, Timestamp, pre_authorization::State};
use serde::{Deserialize, Serialize};

use super::order::CachedAuthorization;

#[derive(Serialize, Deserialize)]
pub(super) struct CachedPreAuthorization {
    id: PreAuthorizationId,
    profile: ProfileName,
    account: AccountId,
    placed_at: Timestamp,
    expires_at: Timestamp,
    authorization: CachedAuthorization,
}

impl From<&State> for CachedPreAuthorization {
    fn from(state: &State) -> Self {
        Self {
            id: state.id.clone(),
            profile: state.profile.clone(),
            account: state.account.clone(),
            placed_at: state.placed_at,
            expires_at: state.expires_at,
            authorization: (&state.authorization).into(),
        }
    }
}

impl From<CachedPreAuthorization> for State {
    fn from(view: CachedPreAuthorization) -> Self {
        Self {
            id: view.id,
            profile: view.profile,
            account: view.account,
            placed_at: view.placed_at,
            expires_at: view.expires_at,
            authorization: view.authorization.into(),
        }
    }
}
