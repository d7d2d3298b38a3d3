//! An account's cached form.

use domain::{
    AccountId, AccountKey, ExternalKeyId, NamePattern, ProfileName, Thumbprint, Timestamp,
    account::{Binding, ExternalAccount, State, Status},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct CachedAccount {
    id: AccountId,
    profile: ProfileName,
    key: AccountKey,
    former_keys: Vec<Thumbprint>,
    contact: Vec<String>,
    terms_of_service_agreed: bool,
    agreed_terms: Option<String>,
    external_account: Option<CachedExternalAccount>,
    created_at: Timestamp,
    status: CachedStatus,
}

#[derive(Serialize, Deserialize)]
enum CachedStatus {
    Valid,
    Deactivated,
}

#[derive(Serialize, Deserialize)]
struct CachedExternalAccount {
    key: ExternalKeyId,
    binding: Binding,
    names: Vec<NamePattern>,
}

impl From<&ExternalAccount> for CachedExternalAccount {
    fn from(external: &ExternalAccount) -> Self {
        let ExternalAccount { key, binding, names } = external.clone();
        Self { key, binding, names }
    }
}

impl From<CachedExternalAccount> for ExternalAccount {
    fn from(view: CachedExternalAccount) -> Self {
        Self { key: view.key, binding: view.binding, names: view.names }
    }
}

impl From<&State> for CachedAccount {
    fn from(state: &State) -> Self {
        Self {
            id: state.id.clone(),
            profile: state.profile.clone(),
            key: state.key.clone(),
            former_keys: state.former_keys.clone(),
            contact: state.contact.clone(),
            terms_of_service_agreed: state.terms_of_service_agreed,
            agreed_terms: state.agreed_terms.clone(),
            external_account: state.external_account.as_ref().map(Into::into),
            created_at: state.created_at,
            status: match state.status {
                Status::Valid => CachedStatus::Valid,
                Status::Deactivated => CachedStatus::Deactivated,
            },
        }
    }
}

impl From<CachedAccount> for State {
    fn from(view: CachedAccount) -> Self {
        Self {
            id: view.id,
            profile: view.profile,
            key: view.key,
            former_keys: view.former_keys,
            contact: view.contact,
            terms_of_service_agreed: view.terms_of_service_agreed,
            agreed_terms: view.agreed_terms,
            external_account: view.external_account.map(Into::into),
            created_at: view.created_at,
            status: match view.status {
                CachedStatus::Valid => Status::Valid,
                CachedStatus::Deactivated => Status::Deactivated,
            },
        }
    }
}
