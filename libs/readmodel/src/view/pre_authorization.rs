//! A pre-authorization's cached form.

use domain::{AccountId, PreAuthorizationId, ProfileName, Timestamp, pre_authorization::State};
use serde::{Deserialize, Serialize};

use super::order::AuthorizationView;

#[derive(Serialize, Deserialize)]
pub(super) struct PreAuthorizationView {
    id: PreAuthorizationId,
    profile: ProfileName,
    account: AccountId,
    placed_at: Timestamp,
    expires_at: Timestamp,
    authorization: AuthorizationView,
}

impl From<&State> for PreAuthorizationView {
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

impl From<PreAuthorizationView> for State {
    fn from(view: PreAuthorizationView) -> Self {
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
